/*
 * my_plugin: greets, and numbers the texts that a client sends.
 *
 *     <Location "/my_plugin">
 *       SetHandler websocket-handler
 *       WebSocketHandler modules/mod_websocket_my_plugin.so my_plugin_init
 *       WebSocketPluginOption greeting "Hello!"
 *     </Location>
 *
 * websocket_plugin.h says of each function when it is called, and on which thread.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "websocket_plugin.h"

/* What is kept for one WebSocket. */
typedef struct {
    unsigned long count;
} Connection;

/* Checks the options, while httpd reads its configuration. */
static const char *CALLBACK configure(struct _WebSocketPlugin *plugin,
                                      const WebSocketOption *options, size_t option_count)
{
    size_t i;

    (void)plugin;
    for (i = 0; i < option_count; i++)
        if (strcmp(options[i].name, "greeting") != 0)
            return "unknown option: there is greeting";
    return NULL;
}

/* A client asks for a WebSocket. To refuse it, call server->reject and return NULL. */
static void *CALLBACK on_connect(const WebSocketServer *server)
{
    Connection *connection = calloc(1, sizeof *connection);

    (void)server;
    return connection != NULL ? connection : WEBSOCKET_CONNECT_ERROR;
}

/* The WebSocket is open. */
static void CALLBACK on_open(void *plugin_private, const WebSocketServer *server)
{
    const char *greeting = server->option_get(server, "greeting");

    (void)plugin_private;
    if (greeting == NULL)
        greeting = "Hello!";
    server->send(server, MESSAGE_TYPE_TEXT, (const unsigned char *)greeting, strlen(greeting));
}

static size_t CALLBACK on_message(void *plugin_private, const WebSocketServer *server,
                                  const int type, unsigned char *buffer, const size_t buffer_size)
{
    Connection *connection = plugin_private;
    char number[32];
    size_t length;
    unsigned char *answer;

    if (type != MESSAGE_TYPE_TEXT) {
        server->send(server, type, buffer, buffer_size);
        return buffer_size;
    }

    length = (size_t)snprintf(number, sizeof number, "%lu: ", ++connection->count);
    answer = malloc(length + buffer_size);
    if (answer == NULL) {
        server->close_with(server, 1011, "out of memory", strlen("out of memory"));
        return buffer_size;
    }
    memcpy(answer, number, length);
    memcpy(answer + length, buffer, buffer_size);
    server->send(server, MESSAGE_TYPE_TEXT, answer, length + buffer_size);
    free(answer);
    return buffer_size;
}

/* The last callback of a connection. The line is in httpd's ErrorLog with "LogLevel websocket:info". */
static void CALLBACK on_disconnect(void *plugin_private, const WebSocketServer *server)
{
    Connection *connection = plugin_private;
    char line[64];

    snprintf(line, sizeof line, "my_plugin: %lu texts", connection->count);
    server->log(server, WEBSOCKET_LOG_INFO, line);
    free(connection);
}

static WebSocketPlugin plugin = {
    .size = sizeof(WebSocketPlugin),
    .version = WEBSOCKET_PLUGIN_VERSION_1,
    .on_connect = on_connect,
    .on_message = on_message,
    .on_disconnect = on_disconnect,
    .configure = configure,
    .on_open = on_open,
};

extern EXPORT WebSocketPlugin *CALLBACK my_plugin_init(void)
{
    return &plugin;
}
