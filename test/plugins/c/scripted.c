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
 * Commands, each with the result of its server function in decimal, or "done":
 *
 *   send TYPE PAYLOAD                 TYPE: text, binary, close, ping, pong, or
 *   try_send TYPE PAYLOAD             a number
 *   send_fragment TYPE FINAL PAYLOAD
 *   fill SIZE                         try_send of binary messages of SIZE bytes
 *                                     that begin with their number in 8 digits,
 *                                     until one is not accepted, 100,000 at
 *                                     most: "N RESULT", N: how many were
 *   buffered_amount
 *   close
 *   close_with CODE PAYLOAD
 *   option_get NAME                   the value, or "NULL"
 *   variable_get NAME                 likewise
 *   header_get NAME                   likewise
 *   header_set NAME VALUE
 *   request                           "set" or "NULL"
 *   protocol_set VALUE
 *   protocol_count
 *   reject STATUS
 *   set_timer MILLISECONDS
 *   log LEVEL PAYLOAD
 *   null-server                       every appended function with a NULL
 *                                     server: "NAME=RESULT NAME=RESULT ..."
 *   members                           the appended members that the server has
 *   refuse, fail                      on_connect returns NULL,
 *                                     WEBSOCKET_CONNECT_ERROR
 *   echo TEXT                         TEXT
 *   pause MILLISECONDS
 *   thread SCRIPT                     runs the rest of the script on a thread of
 *                                     its own, which on_disconnect or child_stop
 *                                     joins after their script. Not on a thread
 *
 * PAYLOAD is the rest of the command as it stands, or one of
 *
 *   x:N          N letters x
 *   hex:DIGITS   these bytes
 *   null:N       NULL, with the size N
 *   claim:N      one byte, with the size N
 *
 * NAME and VALUE may be null:0 too, and a NAME or VALUE that is set hex:DIGITS.
 *
 * configure refuses an option with the name "wrong"; its value is said in the
 * error text. scripted_without_timer_init gives a plugin that has no on_timer.
 */

#define _POSIX_C_SOURCE 200809L

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "websocket_plugin.h"

#define COMMAND_SIZE 256 /* what is recorded of one */
#define RESULT_SIZE  2048
#define MOST_OF_FILL 100000

typedef struct Thread Thread;

/* Whose script it is: a connection's, or the process's with the id 0. */
typedef struct {
    const WebSocketServer *server;
    unsigned long id;
    atomic_flag is_in_callback;
    void *verdict;   /* what on_connect returns */
    Thread *threads; /* only callbacks start and join them */
} Owner;

struct Thread {
    Owner *owner;
    char *script;
    pthread_t thread;
    Thread *next;
};

/* It may cut its arguments up; the result has room for RESULT_SIZE bytes. */
typedef struct {
    const char *name;
    void (*run)(Owner *owner, char *arguments, char *result);
} Command;

typedef struct {
    const unsigned char *bytes;
    size_t size;
    unsigned char *allocated;
} Payload;

/* A table, and the process it is in. */
typedef struct {
    WebSocketPlugin plugin;
    Owner process;
} Scripted;

/* ------------------------------------------------------------ recording */

static void record(const Owner *owner, const char *text)
{
    const char *path = getenv("WEBSOCKET_RECORDER_FILE");
    char line[RESULT_SIZE + COMMAND_SIZE + 64];
    char id[24] = "-";
    int length, file, i;

    if (path == NULL || (file = open(path, O_WRONLY | O_APPEND | O_CREAT, 0666)) < 0)
        return;
    if (owner != NULL && owner->id != 0)
        snprintf(id, sizeof id, "%lu", owner->id);
    length = snprintf(line, sizeof line - 1, "%ld %s %s", (long)getpid(), id, text);
    if (length > (int)sizeof line - 2)
        length = (int)sizeof line - 2;
    for (i = 0; i < length; i++) {
        if ((unsigned char)line[i] < ' ')
            line[i] = '?';
    }
    line[length++] = '\n';
    if (write(file, line, (size_t)length) != length)
        perror("scripted plugin");
    close(file);
}

static void record_result(const Owner *owner, const char *command, const char *result)
{
    char text[RESULT_SIZE + COMMAND_SIZE + 16];

    snprintf(text, sizeof text, "does %s = %s", command, result);
    record(owner, text);
}

/* ------------------------------------------------------------ arguments */

/* Cuts the first word off; the result is it, and *rest begins behind its space. */
static char *word(char **rest)
{
    char *first = *rest;
    size_t length = strcspn(first, " ");

    *rest = first + length;
    if (first[length] == ' ') {
        first[length] = '\0';
        ++*rest;
    }
    return first;
}

static const char *after(const char *text, const char *prefix)
{
    size_t length = strlen(prefix);

    return strncmp(text, prefix, length) == 0 ? text + length : NULL;
}

static const char *name_of(const char *argument)
{
    return strcmp(argument, "null:0") == 0 ? NULL : argument;
}

static int type_of(const char *name)
{
    static const struct {
        const char *name;
        int type;
    } types[] = {
        { "text", MESSAGE_TYPE_TEXT },   { "binary", MESSAGE_TYPE_BINARY },
        { "close", MESSAGE_TYPE_CLOSE }, { "ping", MESSAGE_TYPE_PING },
        { "pong", MESSAGE_TYPE_PONG },
    };
    size_t i;

    for (i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(name, types[i].name) == 0)
            return types[i].type;
    }
    return atoi(name);
}

static Payload payload_of(const char *argument)
{
    Payload payload = { (const unsigned char *)argument, strlen(argument), NULL };
    const char *value;
    unsigned int byte;

    if ((value = after(argument, "null:")) != NULL) {
        payload.bytes = NULL;
        payload.size = (size_t)strtoull(value, NULL, 10);
    } else if ((value = after(argument, "claim:")) != NULL) {
        payload.size = (size_t)strtoull(value, NULL, 10);
    } else if ((value = after(argument, "x:")) != NULL) {
        payload.size = (size_t)strtoull(value, NULL, 10);
        payload.bytes = payload.allocated = malloc(payload.size + 1);
        if (payload.allocated == NULL)
            abort();
        memset(payload.allocated, 'x', payload.size);
        payload.allocated[payload.size] = '\0';
    } else if ((value = after(argument, "hex:")) != NULL) {
        payload.size = 0;
        payload.bytes = payload.allocated = malloc(strlen(value) + 1);
        if (payload.allocated == NULL)
            abort();
        while (sscanf(value, "%2x", &byte) == 1) {
            payload.allocated[payload.size++] = (unsigned char)byte;
            value += 2;
        }
        payload.allocated[payload.size] = '\0';
    }
    return payload;
}

/* ------------------------------------------------------------- commands */

static void give_number(char *result, long long number)
{
    snprintf(result, RESULT_SIZE, "%lld", number);
}

static void give_value(char *result, const char *value)
{
    snprintf(result, RESULT_SIZE, "%s", value != NULL ? value : "NULL");
}

static void run_send(Owner *owner, char *arguments, char *result)
{
    int type = type_of(word(&arguments));
    Payload payload = payload_of(arguments);

    give_number(result, (long long)owner->server->send(owner->server, type, payload.bytes,
                                                       payload.size));
    free(payload.allocated);
}

static void run_try_send(Owner *owner, char *arguments, char *result)
{
    int type = type_of(word(&arguments));
    Payload payload = payload_of(arguments);

    give_number(result, owner->server->try_send(owner->server, type, payload.bytes, payload.size));
    free(payload.allocated);
}

static void run_send_fragment(Owner *owner, char *arguments, char *result)
{
    int type = type_of(word(&arguments));
    int final = atoi(word(&arguments));
    Payload payload = payload_of(arguments);

    give_number(result, owner->server->send_fragment(owner->server, type, payload.bytes,
                                                     payload.size, final));
    free(payload.allocated);
}

static void run_fill(Owner *owner, char *arguments, char *result)
{
    size_t size = (size_t)strtoull(arguments, NULL, 10);
    unsigned char *message = malloc(size + 9);
    int accepted = WEBSOCKET_SEND_ACCEPTED;
    char number[16];
    long count;

    if (message == NULL)
        abort();
    memset(message, 'x', size + 9);
    for (count = 0; count < MOST_OF_FILL; count++) {
        snprintf(number, sizeof number, "%08ld", count);
        memcpy(message, number, 8);
        accepted = owner->server->try_send(owner->server, MESSAGE_TYPE_BINARY, message, size);
        if (accepted != WEBSOCKET_SEND_ACCEPTED)
            break;
    }
    snprintf(result, RESULT_SIZE, "%ld %d", count, accepted);
    free(message);
}

static void run_buffered_amount(Owner *owner, char *arguments, char *result)
{
    (void)arguments;
    give_number(result, (long long)owner->server->buffered_amount(owner->server));
}

static void run_close(Owner *owner, char *arguments, char *result)
{
    (void)arguments;
    owner->server->close(owner->server);
    give_value(result, "done");
}

static void run_close_with(Owner *owner, char *arguments, char *result)
{
    unsigned int code = (unsigned int)strtoul(word(&arguments), NULL, 10);
    Payload reason = payload_of(arguments);

    give_number(result, owner->server->close_with(owner->server, code,
                                                  (const char *)reason.bytes, reason.size));
    free(reason.allocated);
}

static void run_option_get(Owner *owner, char *arguments, char *result)
{
    give_value(result, owner->server->option_get(owner->server, name_of(arguments)));
}

static void run_variable_get(Owner *owner, char *arguments, char *result)
{
    give_value(result, owner->server->variable_get(owner->server, name_of(arguments)));
}

static void run_header_get(Owner *owner, char *arguments, char *result)
{
    give_value(result, owner->server->header_get(owner->server, name_of(arguments)));
}

static void run_header_set(Owner *owner, char *arguments, char *result)
{
    Payload name = payload_of(word(&arguments));
    Payload value = payload_of(arguments);

    owner->server->header_set(owner->server, (const char *)name.bytes, (const char *)value.bytes);
    free(name.allocated);
    free(value.allocated);
    give_value(result, "done");
}

static void run_protocol_set(Owner *owner, char *arguments, char *result)
{
    Payload value = payload_of(arguments);

    owner->server->protocol_set(owner->server, (const char *)value.bytes);
    free(value.allocated);
    give_value(result, "done");
}

static void run_request(Owner *owner, char *arguments, char *result)
{
    (void)arguments;
    give_value(result, owner->server->request(owner->server) != NULL ? "set" : "NULL");
}

static void run_protocol_count(Owner *owner, char *arguments, char *result)
{
    (void)arguments;
    give_number(result, (long long)owner->server->protocol_count(owner->server));
}

static void run_reject(Owner *owner, char *arguments, char *result)
{
    unsigned int status = (unsigned int)strtoul(arguments, NULL, 10);

    give_number(result, owner->server->reject(owner->server, status));
}

static void run_set_timer(Owner *owner, char *arguments, char *result)
{
    unsigned int milliseconds = (unsigned int)strtoul(arguments, NULL, 10);

    give_number(result, owner->server->set_timer(owner->server, milliseconds));
}

static void run_log(Owner *owner, char *arguments, char *result)
{
    int level = atoi(word(&arguments));
    Payload text = payload_of(arguments);

    owner->server->log(owner->server, level, (const char *)text.bytes);
    free(text.allocated);
    give_value(result, "done");
}

static void run_null_server(Owner *owner, char *arguments, char *result)
{
    const WebSocketServer *server = owner->server;
    const unsigned char *x = (const unsigned char *)"x";

    (void)arguments;
    server->log(NULL, WEBSOCKET_LOG_ERROR, "to nobody");
    snprintf(result, RESULT_SIZE,
             "close_with=%d try_send=%d send_fragment=%d buffered_amount=%lu option_get=%s "
             "variable_get=%s reject=%d set_timer=%d",
             server->close_with(NULL, 1000, "x", 1),
             server->try_send(NULL, MESSAGE_TYPE_TEXT, x, 1),
             server->send_fragment(NULL, MESSAGE_TYPE_TEXT, x, 1, 1),
             (unsigned long)server->buffered_amount(NULL),
             server->option_get(NULL, "name") != NULL ? "set" : "NULL",
             server->variable_get(NULL, "REMOTE_ADDR") != NULL ? "set" : "NULL",
             server->reject(NULL, 401), server->set_timer(NULL, 1));
}

static void run_members(Owner *owner, char *arguments, char *result)
{
    const WebSocketServer *server = owner->server;

    (void)arguments;
    snprintf(result, RESULT_SIZE, "%s%s%s%s%s%s%s%s%s%s",
             WEBSOCKET_SERVER_HAS(server, close_with) ? "close_with" : "",
             WEBSOCKET_SERVER_HAS(server, try_send) ? " try_send" : "",
             WEBSOCKET_SERVER_HAS(server, send_fragment) ? " send_fragment" : "",
             WEBSOCKET_SERVER_HAS(server, buffered_amount) ? " buffered_amount" : "",
             WEBSOCKET_SERVER_HAS(server, option_get) ? " option_get" : "",
             WEBSOCKET_SERVER_HAS(server, variable_get) ? " variable_get" : "",
             WEBSOCKET_SERVER_HAS(server, reject) ? " reject" : "",
             WEBSOCKET_SERVER_HAS(server, set_timer) ? " set_timer" : "",
             WEBSOCKET_SERVER_HAS(server, log) ? " log" : "",
             WEBSOCKET_SERVER_HAS(server, reject_with) ? " reject_with" : "");
}

static void run_refuse(Owner *owner, char *arguments, char *result)
{
    (void)arguments;
    owner->verdict = NULL;
    give_value(result, "done");
}

static void run_fail(Owner *owner, char *arguments, char *result)
{
    (void)arguments;
    owner->verdict = WEBSOCKET_CONNECT_ERROR;
    give_value(result, "done");
}

static void run_echo(Owner *owner, char *arguments, char *result)
{
    (void)owner;
    give_value(result, arguments);
}

static void run_pause(Owner *owner, char *arguments, char *result)
{
    long milliseconds = atol(arguments);
    struct timespec pause = { milliseconds / 1000, milliseconds % 1000 * 1000000 };

    (void)owner;
    nanosleep(&pause, NULL);
    give_value(result, "done");
}

static const Command commands[] = {
    { "send", run_send },
    { "try_send", run_try_send },
    { "send_fragment", run_send_fragment },
    { "fill", run_fill },
    { "buffered_amount", run_buffered_amount },
    { "close", run_close },
    { "close_with", run_close_with },
    { "option_get", run_option_get },
    { "variable_get", run_variable_get },
    { "header_get", run_header_get },
    { "header_set", run_header_set },
    { "protocol_set", run_protocol_set },
    { "request", run_request },
    { "protocol_count", run_protocol_count },
    { "reject", run_reject },
    { "set_timer", run_set_timer },
    { "log", run_log },
    { "null-server", run_null_server },
    { "members", run_members },
    { "refuse", run_refuse },
    { "fail", run_fail },
    { "echo", run_echo },
    { "pause", run_pause },
};

/* -------------------------------------------------------------- scripts */

static void run_command(Owner *owner, char *command, char *result)
{
    char *arguments = command;
    const char *name = word(&arguments);
    size_t i;

    for (i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(name, commands[i].name) == 0) {
            commands[i].run(owner, arguments, result);
            return;
        }
    }
    give_value(result, "unknown");
}

static void start_thread(Owner *owner, const char *script);

/* The results go into `answer`, or are recorded when there is none. */
static void run_script(Owner *owner, const char *script, char *answer, size_t answer_size)
{
    char *copy = strdup(script);
    char *command = copy;
    char recorded[COMMAND_SIZE];
    char result[RESULT_SIZE];

    if (copy == NULL)
        abort();
    while (command != NULL && *command != '\0') {
        char *next = strstr(command, "; ");
        const char *rest = after(command, "thread ");

        if (rest != NULL) {
            start_thread(owner, rest);
            break;
        }
        if (next != NULL) {
            *next = '\0';
            next += 2;
        }
        snprintf(recorded, sizeof recorded, "%s", command);
        run_command(owner, command, result);
        if (answer == NULL) {
            record_result(owner, recorded, result);
        } else {
            size_t length = strlen(answer);

            snprintf(answer + length, answer_size - length, "%s%s",
                     command != copy ? "; " : "", result);
        }
        command = next;
    }
    free(copy);
}

static void *run_thread(void *data)
{
    Thread *thread = data;

    run_script(thread->owner, thread->script, NULL, 0);
    return NULL;
}

static void start_thread(Owner *owner, const char *script)
{
    Thread *thread = calloc(1, sizeof *thread);
    sigset_t all, before;

    if (thread == NULL || (thread->script = strdup(script)) == NULL)
        abort();
    thread->owner = owner;
    /* Signals are httpd's; a thread begins with the mask of its creator. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&thread->thread, NULL, run_thread, thread) != 0)
        abort();
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    thread->next = owner->threads;
    owner->threads = thread;
}

static void join_threads(Owner *owner)
{
    while (owner->threads != NULL) {
        Thread *thread = owner->threads;

        owner->threads = thread->next;
        pthread_join(thread->thread, NULL);
        free(thread->script);
        free(thread);
    }
}

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

static void CALLBACK child_start(WebSocketPlugin *plugin, const WebSocketServer *server)
{
    Owner *process = &((Scripted *)plugin)->process;

    process->server = server;
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
      on_close, NULL },
    { NULL, 0, ATOMIC_FLAG_INIT, NULL, NULL }
};

extern EXPORT WebSocketPlugin *CALLBACK scripted_init(void)
{
    return &scripted.plugin;
}

static Scripted without_timer = {
    { sizeof(WebSocketPlugin), WEBSOCKET_PLUGIN_VERSION_1, NULL, on_connect, on_message,
      on_disconnect, NULL, NULL, NULL, on_open, NULL, on_writable, on_close,
      NULL },
    { NULL, 0, ATOMIC_FLAG_INIT, NULL, NULL }
};

extern EXPORT WebSocketPlugin *CALLBACK scripted_without_timer_init(void)
{
    return &without_timer.plugin;
}
