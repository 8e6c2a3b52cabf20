/*
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
 *   subscribe TOPIC SINCE MEMBER FLAGS   SINCE, MEMBER: - is NULL. FLAGS: a number
 *   unsubscribe TOPIC
 *   publish TOPIC TYPE FLAGS PAYLOAD  the result, and the id if there is one
 *   topic_count TOPIC SCOPE
 *   topic_members TOPIC               the result, and the members
 *   busy COUNT TOPIC PAYLOAD          publishes PAYLOAD and a number so often
 *   null-server                       every appended function with a NULL
 *                                     server: "NAME=RESULT NAME=RESULT ..."
 *   process-functions                 those of the table of child_start, with
 *                                     the connection's: as null-server
 *   members                           the appended members that the server has
 *   refuse, fail                      on_connect returns NULL,
 *                                     WEBSOCKET_CONNECT_ERROR
 *   echo TEXT                         TEXT
 *   pause MILLISECONDS
 *   await PATH                        until there is such a file, 30 s at most
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
 */

#define _POSIX_C_SOURCE 200809L

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "script.h"

#define MOST_OF_FILL 100000

/* It may cut its arguments up; the result has room for RESULT_SIZE bytes. */
typedef struct {
    const char *name;
    void (*run)(Owner *owner, char *arguments, char *result);
} Command;

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

static const char *text_or_null(const char *argument)
{
    return strcmp(argument, "-") == 0 ? NULL : name_of(argument);
}

static void run_subscribe(Owner *owner, char *arguments, char *result)
{
    Payload topic = payload_of(word(&arguments));
    const char *since = text_or_null(word(&arguments));
    const char *member = text_or_null(word(&arguments));
    unsigned int flags = (unsigned int)strtoul(arguments, NULL, 10);

    give_number(result, owner->server->subscribe(owner->server, (const char *)topic.bytes, since,
                                                 member, flags));
    free(topic.allocated);
}

static void run_unsubscribe(Owner *owner, char *arguments, char *result)
{
    give_number(result, owner->server->unsubscribe(owner->server, name_of(arguments)));
}

static void run_publish(Owner *owner, char *arguments, char *result)
{
    Payload topic = payload_of(word(&arguments));
    int type = type_of(word(&arguments));
    unsigned int flags = (unsigned int)strtoul(word(&arguments), NULL, 10);
    Payload payload = payload_of(arguments);
    char id[WEBSOCKET_TOPIC_ID_SIZE] = "";
    int done = owner->server->publish(owner->server, (const char *)topic.bytes, type,
                                      payload.bytes, payload.size, flags, id);

    snprintf(result, RESULT_SIZE, "%d%s%s", done, id[0] != '\0' ? " " : "", id);
    free(topic.allocated);
    free(payload.allocated);
}

static void run_topic_count(Owner *owner, char *arguments, char *result)
{
    const char *topic = name_of(word(&arguments));

    give_number(result, owner->server->topic_count(owner->server, topic, atoi(arguments)));
}

static void CALLBACK add_member(void *data, const char *member, size_t member_size)
{
    char *result = data;
    size_t length = strlen(result);

    snprintf(result + length, RESULT_SIZE - length, " %.*s", (int)member_size, member);
}

static void run_topic_members(Owner *owner, char *arguments, char *result)
{
    char members[RESULT_SIZE] = "";
    long count = owner->server->topic_members(owner->server, name_of(arguments), add_member,
                                              members);

    snprintf(result, RESULT_SIZE, "%ld%.*s", count, RESULT_SIZE - 32, members);
}

static void run_busy(Owner *owner, char *arguments, char *result)
{
    long count = atol(word(&arguments));
    const char *topic = word(&arguments);
    char text[256];
    long done, number;

    for (done = 0, number = 0; number < count; number++) {
        snprintf(text, sizeof text, "%.200s:%ld", arguments, number);
        done += owner->server->publish(owner->server, topic, MESSAGE_TYPE_TEXT,
                                       (const unsigned char *)text, strlen(text), 0, NULL)
                == WEBSOCKET_TOPIC_DONE;
    }
    give_number(result, done);
}

static void run_null_server(Owner *owner, char *arguments, char *result)
{
    const WebSocketServer *server = owner->server;
    const unsigned char *x = (const unsigned char *)"x";

    (void)arguments;
    server->log(NULL, WEBSOCKET_LOG_ERROR, "to nobody");
    snprintf(result, RESULT_SIZE,
             "close_with=%d try_send=%d send_fragment=%d buffered_amount=%lu option_get=%s "
             "variable_get=%s reject=%d set_timer=%d subscribe=%d unsubscribe=%d publish=%d "
             "topic_count=%ld topic_members=%ld send_many=%lu",
             server->close_with(NULL, 1000, "x", 1),
             server->try_send(NULL, MESSAGE_TYPE_TEXT, x, 1),
             server->send_fragment(NULL, MESSAGE_TYPE_TEXT, x, 1, 1),
             (unsigned long)server->buffered_amount(NULL),
             server->option_get(NULL, "name") != NULL ? "set" : "NULL",
             server->variable_get(NULL, "REMOTE_ADDR") != NULL ? "set" : "NULL",
             server->reject(NULL, 401), server->set_timer(NULL, 1),
             server->subscribe(NULL, "x", NULL, NULL, 0), server->unsubscribe(NULL, "x"),
             server->publish(NULL, "x", MESSAGE_TYPE_TEXT, x, 1, 0, NULL),
             server->topic_count(NULL, "x", WEBSOCKET_TOPIC_HOST),
             server->topic_members(NULL, "x", NULL, NULL),
             (unsigned long)server->send_many(NULL, &server, 1, MESSAGE_TYPE_TEXT, x, 1, NULL));
}

static void run_process_functions(Owner *owner, char *arguments, char *result)
{
    const WebSocketServer *server = owner->server;
    const unsigned char *x = (const unsigned char *)"x";

    (void)arguments;
    process_table->log(server, WEBSOCKET_LOG_ERROR, "to nobody");
    snprintf(result, RESULT_SIZE, "option_get=%s publish=%d topic_count=%ld topic_members=%ld",
             process_table->option_get(server, "name") != NULL ? "set" : "NULL",
             process_table->publish(server, "x", MESSAGE_TYPE_TEXT, x, 1, 0, NULL),
             process_table->topic_count(server, "x", WEBSOCKET_TOPIC_HOST),
             process_table->topic_members(server, "x", NULL, NULL));
}

static void run_members(Owner *owner, char *arguments, char *result)
{
    const WebSocketServer *server = owner->server;

    (void)arguments;
    snprintf(result, RESULT_SIZE, "%s%s%s%s%s%s%s%s%s%s%s%s%s%s%s%s",
             WEBSOCKET_SERVER_HAS(server, close_with) ? "close_with" : "",
             WEBSOCKET_SERVER_HAS(server, try_send) ? " try_send" : "",
             WEBSOCKET_SERVER_HAS(server, send_fragment) ? " send_fragment" : "",
             WEBSOCKET_SERVER_HAS(server, buffered_amount) ? " buffered_amount" : "",
             WEBSOCKET_SERVER_HAS(server, option_get) ? " option_get" : "",
             WEBSOCKET_SERVER_HAS(server, variable_get) ? " variable_get" : "",
             WEBSOCKET_SERVER_HAS(server, reject) ? " reject" : "",
             WEBSOCKET_SERVER_HAS(server, set_timer) ? " set_timer" : "",
             WEBSOCKET_SERVER_HAS(server, log) ? " log" : "",
             WEBSOCKET_SERVER_HAS(server, reject_with) ? " reject_with" : "",
             WEBSOCKET_SERVER_HAS(server, subscribe) ? " subscribe" : "",
             WEBSOCKET_SERVER_HAS(server, unsubscribe) ? " unsubscribe" : "",
             WEBSOCKET_SERVER_HAS(server, publish) ? " publish" : "",
             WEBSOCKET_SERVER_HAS(server, topic_count) ? " topic_count" : "",
             WEBSOCKET_SERVER_HAS(server, topic_members) ? " topic_members" : "",
             WEBSOCKET_SERVER_HAS(server, send_many) ? " send_many" : "");
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

static void run_await(Owner *owner, char *arguments, char *result)
{
    const struct timespec pause = { 0, 5 * 1000000 };
    int looks;

    (void)owner;
    for (looks = 0; access(arguments, F_OK) != 0 && looks < 6000; looks++)
        nanosleep(&pause, NULL);
    give_value(result, access(arguments, F_OK) == 0 ? "done" : "never");
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
    { "subscribe", run_subscribe },
    { "unsubscribe", run_unsubscribe },
    { "publish", run_publish },
    { "topic_count", run_topic_count },
    { "topic_members", run_topic_members },
    { "busy", run_busy },
    { "null-server", run_null_server },
    { "process-functions", run_process_functions },
    { "members", run_members },
    { "refuse", run_refuse },
    { "fail", run_fail },
    { "echo", run_echo },
    { "pause", run_pause },
    { "await", run_await },
};

void run_command(Owner *owner, char *command, char *result)
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
