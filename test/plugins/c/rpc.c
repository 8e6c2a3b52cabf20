/*
 * rpc: calls the server functions that the client asks for. For tests only: it
 * reflects header fields and does what nobody should be allowed to do.
 *
 * Header fields of the handshake steer on_connect, in this order:
 *
 *   X-Set-Header: Name=Value     header_set
 *   X-Choose-Protocol: P         protocol_set, offered or not
 *   X-Send-On-Connect: T         send T as text; X-Send-Result is set to the result
 *   X-Close-On-Connect: 1        close
 *   X-Refuse: 1                  returns NULL
 *   X-Connect-Error: 1           returns WEBSOCKET_CONNECT_ERROR
 *
 * A text message is a command. "result N" is the number that a server function
 * returned, in decimal.
 *
 *   version                  "result N": server->version
 *   size                     "result N": server->size
 *   has close_with           "result 1" or "result 0": WEBSOCKET_SERVER_HAS
 *   request                  "set" or "NULL"
 *   protocol_count           "result N"
 *   protocol_index N         "value P" or "NULL"
 *   protocol_set P           "done" (too late to have an effect)
 *   header_get NAME          "value V" or "NULL"
 *   header_get_null          "NULL": header_get with a NULL key
 *   header_set NAME VALUE    "done" (too late to have an effect)
 *   send TYPE PAYLOAD        sends it (TYPE: text, binary, ping, pong), then "result N"
 *   send TYPE                the same with an empty payload
 *   send-type N PAYLOAD      send with any type; one that is not known is a close
 *   send-invalid-utf8        text c3 28; "result 0"
 *   send-null N              text of N bytes at NULL; "result 0"
 *   send-big-ping            ping of 126 bytes; "result 0"
 *   send-big N               text of N letters x (1 GiB at most), then "result N"
 *   send-close               send MESSAGE_TYPE_CLOSE without payload
 *   send-close CODE REASON   ... with a payload (the reason may be missing); a
 *                            refused one is answered "result 0"
 *   send-close-raw HEX       ... with these bytes
 *   close                    close
 *   close-and-send T         close, then send text T: nothing but the Close goes out
 *   close-twice              close, close
 *   close_with CODE REASON   close_with (the reason may be missing); a refused
 *                            one is answered "result 0"
 *   close_with-invalid       close_with 1000 and a reason that is not UTF-8; "result 0"
 *   close_with-null N        close_with 1000 and N bytes at NULL; "result 0"
 *   null-server              every function with a NULL server; "done"
 *   write N                  overwrites its own message with N letters y from its
 *                            start, at most its size, and echoes it
 *   echo X                   "X"
 *   nothing                  no answer
 *
 * Anything else is answered "unknown". A binary message is echoed; its size is
 * not limited. Texts longer than 64 KiB are answered "result N" with their size.
 */

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "websocket_plugin.h"

#define BIGGEST_COMMAND 65536
#define BIGGEST_MESSAGE (1UL << 30)

typedef const unsigned char *Bytes;

typedef struct {
    const char *name;
    void (*run)(const WebSocketServer *server, const char *argument);
} Command;

static size_t send_text(const WebSocketServer *server, const char *text)
{
    return server->send(server, MESSAGE_TYPE_TEXT, (Bytes)text, strlen(text));
}

static void answer_number(const WebSocketServer *server, size_t number)
{
    char text[48];

    snprintf(text, sizeof text, "result %lu", (unsigned long)number);
    send_text(server, text);
}

static void answer_value(const WebSocketServer *server, const char *value)
{
    char *text;

    if (value == NULL) {
        send_text(server, "NULL");
    } else if ((text = malloc(strlen(value) + sizeof "value ")) != NULL) {
        strcpy(text, "value ");
        strcat(text, value);
        send_text(server, text);
        free(text);
    }
}

/* Splits "first rest" at its first space; the result is the rest, or "". */
static const char *split(const char *argument, char *first, size_t size)
{
    size_t length = strcspn(argument, " ");

    snprintf(first, size, "%.*s", (int)length, argument);
    return argument[length] == ' ' ? argument + length + 1 : argument + length;
}

/* ------------------------------------------------------------- commands */

static void run_version(const WebSocketServer *server, const char *argument)
{
    (void)argument;
    answer_number(server, server->version);
}

static void run_size(const WebSocketServer *server, const char *argument)
{
    (void)argument;
    answer_number(server, server->size);
}

static void run_has(const WebSocketServer *server, const char *argument)
{
    answer_number(server, strcmp(argument, "close_with") == 0
                              && WEBSOCKET_SERVER_HAS(server, close_with));
}

static void run_request(const WebSocketServer *server, const char *argument)
{
    (void)argument;
    send_text(server, server->request(server) != NULL ? "set" : "NULL");
}

static void run_protocol_count(const WebSocketServer *server, const char *argument)
{
    (void)argument;
    answer_number(server, server->protocol_count(server));
}

static void run_protocol_index(const WebSocketServer *server, const char *argument)
{
    answer_value(server, server->protocol_index(server, strtoul(argument, NULL, 10)));
}

static void run_protocol_set(const WebSocketServer *server, const char *argument)
{
    server->protocol_set(server, argument);
    send_text(server, "done");
}

static void run_header_get(const WebSocketServer *server, const char *argument)
{
    answer_value(server, server->header_get(server, argument));
}

static void run_header_get_null(const WebSocketServer *server, const char *argument)
{
    (void)argument;
    answer_value(server, server->header_get(server, NULL));
}

static void run_header_set(const WebSocketServer *server, const char *argument)
{
    char name[128];
    const char *value = split(argument, name, sizeof name);

    server->header_set(server, name, value);
    send_text(server, "done");
}

static void run_send(const WebSocketServer *server, const char *argument)
{
    static const struct {
        const char *name;
        int type;
    } types[] = {
        { "text", MESSAGE_TYPE_TEXT },
        { "binary", MESSAGE_TYPE_BINARY },
        { "ping", MESSAGE_TYPE_PING },
        { "pong", MESSAGE_TYPE_PONG },
    };
    char name[16];
    const char *payload = split(argument, name, sizeof name);
    size_t i;

    for (i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(name, types[i].name) == 0) {
            answer_number(server, server->send(server, types[i].type, (Bytes)payload,
                                               strlen(payload)));
            return;
        }
    }
    send_text(server, "unknown");
}

static void run_send_type(const WebSocketServer *server, const char *argument)
{
    char type[16];
    const char *payload = split(argument, type, sizeof type);

    answer_number(server, server->send(server, atoi(type), (Bytes)payload, strlen(payload)));
}

static void run_send_invalid_utf8(const WebSocketServer *server, const char *argument)
{
    (void)argument;
    answer_number(server, server->send(server, MESSAGE_TYPE_TEXT, (Bytes)"\xc3\x28", 2));
}

static void run_send_null(const WebSocketServer *server, const char *argument)
{
    answer_number(server, server->send(server, MESSAGE_TYPE_TEXT, NULL,
                                       strtoul(argument, NULL, 10)));
}

static void run_send_big_ping(const WebSocketServer *server, const char *argument)
{
    unsigned char payload[126];

    (void)argument;
    memset(payload, 'p', sizeof payload);
    answer_number(server, server->send(server, MESSAGE_TYPE_PING, payload, sizeof payload));
}

static void run_send_big(const WebSocketServer *server, const char *argument)
{
    size_t size = strtoul(argument, NULL, 10);
    unsigned char *payload = size <= BIGGEST_MESSAGE ? malloc(size + 1) : NULL;

    if (payload == NULL) {
        send_text(server, "unknown");
        return;
    }
    memset(payload, 'x', size);
    answer_number(server, server->send(server, MESSAGE_TYPE_TEXT, payload, size));
    free(payload);
}

static void run_send_close(const WebSocketServer *server, const char *argument)
{
    unsigned char payload[512];
    char code[16];
    const char *reason = split(argument, code, sizeof code);
    size_t size = 0;

    if (code[0] != '\0') {
        payload[0] = (unsigned char)(atoi(code) >> 8);
        payload[1] = (unsigned char)(atoi(code) & 0xff);
        size = 2 + strlen(reason);
        if (size > sizeof payload)
            size = sizeof payload;
        memcpy(payload + 2, reason, size - 2);
    }
    answer_number(server, server->send(server, MESSAGE_TYPE_CLOSE, payload, size));
}

static void run_send_close_raw(const WebSocketServer *server, const char *argument)
{
    unsigned char payload[512];
    size_t size = 0;
    unsigned int byte;

    while (size < sizeof payload && isxdigit((unsigned char)argument[0])
           && isxdigit((unsigned char)argument[1]) && sscanf(argument, "%2x", &byte) == 1) {
        payload[size++] = (unsigned char)byte;
        argument += 2;
    }
    answer_number(server, server->send(server, MESSAGE_TYPE_CLOSE, payload, size));
}

static void run_close(const WebSocketServer *server, const char *argument)
{
    (void)argument;
    server->close(server);
}

static void run_close_and_send(const WebSocketServer *server, const char *argument)
{
    server->close(server);
    send_text(server, argument);
}

static void run_close_twice(const WebSocketServer *server, const char *argument)
{
    (void)argument;
    server->close(server);
    server->close(server);
}

/* An accepted Close is the last thing that goes out, so this is seen only
 * when the call was refused. */
static void answer_close_with(const WebSocketServer *server, unsigned int code,
                              const char *reason, size_t size)
{
    if (!WEBSOCKET_SERVER_HAS(server, close_with))
        send_text(server, "unknown");
    else
        answer_number(server, (size_t)server->close_with(server, code, reason, size));
}

static void run_close_with(const WebSocketServer *server, const char *argument)
{
    char code[16];
    const char *reason = split(argument, code, sizeof code);

    answer_close_with(server, (unsigned int)strtoul(code, NULL, 10), reason, strlen(reason));
}

static void run_close_with_invalid(const WebSocketServer *server, const char *argument)
{
    (void)argument;
    answer_close_with(server, 1000, "\xc3\x28", 2);
}

static void run_close_with_null(const WebSocketServer *server, const char *argument)
{
    answer_close_with(server, 1000, NULL, strtoul(argument, NULL, 10));
}

static void run_null_server(const WebSocketServer *server, const char *argument)
{
    int wrong = 0;

    (void)argument;
    wrong |= server->request(NULL) != NULL;
    wrong |= server->header_get(NULL, "Host") != NULL;
    server->header_set(NULL, "X-Name", "value");
    wrong |= server->protocol_count(NULL) != 0;
    wrong |= server->protocol_index(NULL, 0) != NULL;
    server->protocol_set(NULL, "p");
    wrong |= server->send(NULL, MESSAGE_TYPE_TEXT, (Bytes)"x", 1) != 0;
    server->close(NULL);
    if (WEBSOCKET_SERVER_HAS(server, close_with))
        wrong |= server->close_with(NULL, 1000, NULL, 0) != 0;
    /* The others that a server must bear: */
    server->header_set(server, NULL, "value");
    server->header_set(server, "X-Name", NULL);
    server->protocol_set(server, NULL);
    send_text(server, wrong ? "wrong" : "done");
}

static void run_echo(const WebSocketServer *server, const char *argument)
{
    send_text(server, argument);
}

static void run_nothing(const WebSocketServer *server, const char *argument)
{
    (void)server, (void)argument;
}

static const Command commands[] = {
    { "version", run_version },
    { "size", run_size },
    { "has", run_has },
    { "request", run_request },
    { "protocol_count", run_protocol_count },
    { "protocol_index", run_protocol_index },
    { "protocol_set", run_protocol_set },
    { "header_get", run_header_get },
    { "header_get_null", run_header_get_null },
    { "header_set", run_header_set },
    { "send", run_send },
    { "send-type", run_send_type },
    { "send-invalid-utf8", run_send_invalid_utf8 },
    { "send-null", run_send_null },
    { "send-big-ping", run_send_big_ping },
    { "send-big", run_send_big },
    { "send-close", run_send_close },
    { "send-close-raw", run_send_close_raw },
    { "close", run_close },
    { "close-and-send", run_close_and_send },
    { "close-twice", run_close_twice },
    { "close_with", run_close_with },
    { "close_with-invalid", run_close_with_invalid },
    { "close_with-null", run_close_with_null },
    { "null-server", run_null_server },
    { "echo", run_echo },
    { "nothing", run_nothing },
};

/* ------------------------------------------------------------ callbacks */

static int asks_for(const WebSocketServer *server, const char *name)
{
    const char *value = server->header_get(server, name);

    return value != NULL && strcmp(value, "1") == 0;
}

static void *CALLBACK on_connect(const WebSocketServer *server)
{
    const char *value;
    char name[128];
    char number[32];

    if ((value = server->header_get(server, "X-Set-Header")) != NULL) {
        size_t length = strcspn(value, "=");

        snprintf(name, sizeof name, "%.*s", (int)length, value);
        server->header_set(server, name, value[length] == '=' ? value + length + 1 : "");
    }
    if ((value = server->header_get(server, "X-Choose-Protocol")) != NULL)
        server->protocol_set(server, value);
    if ((value = server->header_get(server, "X-Send-On-Connect")) != NULL) {
        snprintf(number, sizeof number, "%lu", (unsigned long)send_text(server, value));
        server->header_set(server, "X-Send-Result", number);
    }
    if (asks_for(server, "X-Close-On-Connect"))
        server->close(server);
    if (asks_for(server, "X-Refuse"))
        return NULL;
    if (asks_for(server, "X-Connect-Error"))
        return WEBSOCKET_SERVER_HAS(server, close_with) ? WEBSOCKET_CONNECT_ERROR : NULL;
    return (void *)&commands;
}

static size_t CALLBACK on_message(void *plugin_private, const WebSocketServer *server,
                                  const int type, unsigned char *buffer,
                                  const size_t buffer_size)
{
    char name[64];
    const char *argument;
    char *text;
    size_t i;

    if (plugin_private != (void *)&commands) {
        send_text(server, "plugin_private is not what on_connect returned");
        return 0;
    }
    if (type != MESSAGE_TYPE_TEXT)
        return server->send(server, type, buffer, buffer_size);
    if (buffer_size > BIGGEST_COMMAND) {
        answer_number(server, buffer_size);
        return buffer_size;
    }
    if ((text = malloc(buffer_size + 1)) == NULL)
        return 0;
    memcpy(text, buffer, buffer_size);
    text[buffer_size] = '\0';
    argument = split(text, name, sizeof name);

    if (strcmp(name, "write") == 0) {
        size_t size = strtoul(argument, NULL, 10);

        memset(buffer, 'y', size < buffer_size ? size : buffer_size);
        server->send(server, type, buffer, buffer_size);
        free(text);
        return buffer_size;
    }
    for (i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(name, commands[i].name) == 0)
            break;
    }
    if (i < sizeof commands / sizeof commands[0])
        commands[i].run(server, argument);
    else
        send_text(server, "unknown");
    free(text);
    return buffer_size;
}

static WebSocketPlugin plugin = {
    .size = sizeof(WebSocketPlugin),
    .version = WEBSOCKET_PLUGIN_VERSION_0,
    .on_connect = on_connect,
    .on_message = on_message,
};

extern EXPORT WebSocketPlugin *CALLBACK rpc_init(void)
{
    return &plugin;
}
