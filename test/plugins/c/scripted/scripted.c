/*
 * scripted: a plugin of version 1 that records every callback, and calls the
 * server functions that the client asks for in it. For tests only: it does what
 * nobody should be allowed to do.
 *
 * Each callback begins by appending one line to the file that the environment
 * variable WEBSOCKET_RECORDER_FILE names, in one write:
 *
 *     PID ID connect
 *     PID ID refused                 on_connect's second one, when it refuses
 *     PID ID open
 *     PID ID message N               N: the payload's size in bytes
 *     PID ID timer
 *     PID ID writable
 *     PID ID topic KIND              KIND: message, joined, left, members, dropped, gap
 *     PID ID close CODE CLEAN REASON
 *     PID ID disconnect
 *     PID ID overlap                 a second callback of the same connection
 *     PID - configure NAME=VALUE, NAME=VALUE
 *     PID - child_start
 *     PID - child_stop GRACEFUL
 *     PID - destroy
 *
 * PID is the process, ID the connection's number in that process, from 1. Control
 * characters are written as "?".
 *
 * Then it runs its script, which is one command or several, separated by "; ":
 *
 *   on_connect, on_open, on_timer,   that of the handshake's header field
 *   on_writable, on_close,           X-On-Connect, X-On-Open and so on
 *   on_disconnect
 *   on_message                       the message, text or binary
 *   child_start, child_stop          that of the option on-child-start,
 *                                    on-child-stop, in the server config
 *
 * A text message is answered with its commands' results, joined in the same
 * way. The result of every other command is recorded:
 *
 *     PID ID does COMMAND = RESULT
 *
 * The commands are those of commands.c.
 *
 * on_topic passes a message on, but for "skip", which it skips, and "change TEXT",
 * in whose place it sends "changed: TEXT". Of whatever else happens it sends
 * "KIND TOPIC COUNT TEXT".
 *
 * configure refuses an option with the name "wrong"; its value is said in the
 * error text. scripted_without_timer_init gives a plugin that has no on_timer.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "script.h"

/* A table, and the process it is in. */
typedef struct {
    WebSocketPlugin plugin;
    Owner process;
} Scripted;

/* ------------------------------------------- callbacks of a connection */

static unsigned long new_id(void)
{
    static atomic_ulong last;

    return atomic_fetch_add(&last, 1) + 1;
}

static void enter(Owner *owner, const char *callback)
{
    record(owner, callback);
    if (atomic_flag_test_and_set(&owner->is_in_callback))
        record(owner, "overlap");
}

static void leave(Owner *owner)
{
    atomic_flag_clear(&owner->is_in_callback);
}

static void run_script_of(Owner *owner, const char *field)
{
    const char *script = owner->server->header_get(owner->server, field);

    if (script != NULL)
        run_script(owner, script, NULL, 0);
}

static void *CALLBACK on_connect(const WebSocketServer *server)
{
    Owner *owner = calloc(1, sizeof *owner);
    void *verdict;

    if (owner == NULL)
        return NULL;
    owner->server = server;
    owner->id = new_id();
    owner->verdict = owner;
    atomic_flag_clear(&owner->is_in_callback);
    enter(owner, "connect");
    run_script_of(owner, "X-On-Connect");
    leave(owner);
    verdict = owner->verdict;
    if (verdict != owner) {
        join_threads(owner);
        record(owner, "refused");
        free(owner);
    }
    return verdict;
}

static void CALLBACK on_open(void *plugin_private, const WebSocketServer *server)
{
    Owner *owner = plugin_private;

    (void)server;
    enter(owner, "open");
    run_script_of(owner, "X-On-Open");
    leave(owner);
}

static size_t CALLBACK on_message(void *plugin_private, const WebSocketServer *server,
                                  const int type, unsigned char *buffer,
                                  const size_t buffer_size)
{
    Owner *owner = plugin_private;
    char answer[RESULT_SIZE * 2] = "";
    char text[48];
    char *script = malloc(buffer_size + 1);

    if (script == NULL)
        abort();
    memcpy(script, buffer, buffer_size);
    script[buffer_size] = '\0';
    snprintf(text, sizeof text, "message %lu", (unsigned long)buffer_size);
    enter(owner, text);
    if (type == MESSAGE_TYPE_TEXT) {
        run_script(owner, script, answer, sizeof answer);
        server->send(server, type, (const unsigned char *)answer, strlen(answer));
    } else {
        run_script(owner, script, NULL, 0);
    }
    free(script);
    leave(owner);
    return buffer_size;
}

static void CALLBACK on_timer(void *plugin_private, const WebSocketServer *server)
{
    Owner *owner = plugin_private;

    (void)server;
    enter(owner, "timer");
    run_script_of(owner, "X-On-Timer");
    leave(owner);
}

static void CALLBACK on_writable(void *plugin_private, const WebSocketServer *server)
{
    Owner *owner = plugin_private;

    (void)server;
    enter(owner, "writable");
    run_script_of(owner, "X-On-Writable");
    leave(owner);
}

static int CALLBACK on_topic(void *plugin_private, const WebSocketServer *server,
                             const WebSocketTopicEvent *event)
{
    static const char *const kinds[] = { "message", "joined", "left", "members", "dropped", "gap" };
    Owner *owner = plugin_private;
    const char *text = (const char *)event->buffer;
    int length = (int)event->buffer_size;
    int verdict = WEBSOCKET_TOPIC_PASS;
    char line[1024];

    snprintf(line, sizeof line, "topic %s", kinds[event->kind]);
    enter(owner, line);
    line[0] = '\0';
    if (event->kind != WEBSOCKET_TOPIC_MESSAGE)
        snprintf(line, sizeof line, "%s %s %lu %.*s", kinds[event->kind], event->topic,
                 event->count, length, text);
    else if (length >= 7 && memcmp(text, "change ", 7) == 0)
        snprintf(line, sizeof line, "changed: %.*s", length - 7, text + 7);
    else if (length == 4 && memcmp(text, "skip", 4) == 0)
        verdict = WEBSOCKET_TOPIC_SKIP;
    if (line[0] != '\0') {
        server->send(server, MESSAGE_TYPE_TEXT, (const unsigned char *)line, strlen(line));
        verdict = WEBSOCKET_TOPIC_SKIP;
    }
    leave(owner);
    return verdict;
}

static void CALLBACK on_close(void *plugin_private, const WebSocketServer *server,
                              unsigned int code, const char *reason, size_t reason_size,
                              int clean)
{
    Owner *owner = plugin_private;
    char text[192];

    (void)server;
    snprintf(text, sizeof text, "close %u %d %.*s", code, clean,
             reason != NULL ? (int)reason_size : 4, reason != NULL ? reason : "NULL");
    enter(owner, text);
    run_script_of(owner, "X-On-Close");
    leave(owner);
}

static void CALLBACK on_disconnect(void *plugin_private, const WebSocketServer *server)
{
    Owner *owner = plugin_private;

    (void)server;
    enter(owner, "disconnect");
    run_script_of(owner, "X-On-Disconnect");
    join_threads(owner);
    free(owner);
}

/* --------------------------------------------- callbacks of a process */

static const char *CALLBACK configure(WebSocketPlugin *plugin, const WebSocketOption *options,
                                      size_t option_count)
{
    static char error[256];
    char text[RESULT_SIZE] = "configure";
    size_t i;

    (void)plugin;
    error[0] = '\0';
    for (i = 0; i < option_count; i++) {
        size_t length = strlen(text);

        snprintf(text + length, sizeof text - length, "%s %s=%s", i > 0 ? "," : "",
                 options[i].name, options[i].value);
        if (strcmp(options[i].name, "wrong") == 0)
            snprintf(error, sizeof error, "wrong is not an option of mine, and %s not a value",
                     options[i].value);
    }
    record(NULL, text);
    return error[0] != '\0' ? error : NULL;
}

static void run_script_of_option(Owner *process, const char *option)
{
    const char *script = process->server->option_get(process->server, option);

    if (script != NULL)
        run_script(process, script, NULL, 0);
}

const WebSocketServer *process_table;

static void CALLBACK child_start(WebSocketPlugin *plugin, const WebSocketServer *server)
{
    Owner *process = &((Scripted *)plugin)->process;

    process->server = process_table = server;
    record(process, "child_start");
    run_script_of_option(process, "on-child-start");
}

static void CALLBACK child_stop(WebSocketPlugin *plugin, int graceful)
{
    Owner *process = &((Scripted *)plugin)->process;
    char text[32];

    snprintf(text, sizeof text, "child_stop %d", graceful);
    record(process, text);
    run_script_of_option(process, "on-child-stop");
    join_threads(process);
}

static void CALLBACK destroy(WebSocketPlugin *plugin)
{
    (void)plugin;
    record(NULL, "destroy");
}

static Scripted scripted = {
    { sizeof(WebSocketPlugin), WEBSOCKET_PLUGIN_VERSION_1, destroy, on_connect, on_message,
      on_disconnect, configure, child_start, child_stop, on_open, on_timer, on_writable,
      on_close, NULL, on_topic },
    { NULL, 0, ATOMIC_FLAG_INIT, NULL, NULL }
};

extern EXPORT WebSocketPlugin *CALLBACK scripted_init(void)
{
    return &scripted.plugin;
}

static Scripted without_timer = {
    { sizeof(WebSocketPlugin), WEBSOCKET_PLUGIN_VERSION_1, NULL, on_connect, on_message,
      on_disconnect, NULL, NULL, NULL, on_open, NULL, on_writable, on_close,
      NULL, NULL },
    { NULL, 0, ATOMIC_FLAG_INIT, NULL, NULL }
};

extern EXPORT WebSocketPlugin *CALLBACK scripted_without_timer_init(void)
{
    return &without_timer.plugin;
}
