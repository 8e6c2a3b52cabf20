/* Prints what tests/layout.rs compares, and compiles only if every function
 * type of the header is the one that existing plugins were written for. */

#include "websocket_plugin.h"

#include <stdio.h>

static struct request_rec *CALLBACK request(const WebSocketServer *server)
{
    (void)server;
    return NULL;
}

static const char *CALLBACK header_get(const WebSocketServer *server, const char *key)
{
    (void)server;
    return key;
}

static void CALLBACK header_set(const WebSocketServer *server, const char *key,
                                const char *value)
{
    (void)server, (void)key, (void)value;
}

static size_t CALLBACK protocol_count(const WebSocketServer *server)
{
    (void)server;
    return 0;
}

static const char *CALLBACK protocol_index(const WebSocketServer *server, const size_t index)
{
    (void)server, (void)index;
    return NULL;
}

static void CALLBACK protocol_set(const WebSocketServer *server, const char *protocol)
{
    (void)server, (void)protocol;
}

static size_t CALLBACK send_message(const WebSocketServer *server, const int type,
                                    const unsigned char *buffer, const size_t buffer_size)
{
    (void)server, (void)type, (void)buffer;
    return buffer_size;
}

static void CALLBACK close_connection(const WebSocketServer *server)
{
    (void)server;
}

static int CALLBACK close_with(const WebSocketServer *server, unsigned int code,
                               const char *reason, size_t reason_size)
{
    (void)server, (void)code, (void)reason, (void)reason_size;
    return 1;
}

static void CALLBACK destroy(WebSocketPlugin *plugin)
{
    (void)plugin;
}

static void *CALLBACK on_connect(const WebSocketServer *server)
{
    (void)server;
    return WEBSOCKET_CONNECT_ERROR;
}

static size_t CALLBACK on_message(void *plugin_private, const WebSocketServer *server,
                                  const int type, unsigned char *buffer,
                                  const size_t buffer_size)
{
    (void)plugin_private, (void)server, (void)type, (void)buffer;
    return buffer_size;
}

static void CALLBACK on_disconnect(void *plugin_private, const WebSocketServer *server)
{
    (void)plugin_private, (void)server;
}

static WebSocketPlugin plugin = {
    sizeof(WebSocketPlugin), WEBSOCKET_PLUGIN_VERSION_0, destroy, on_connect, on_message,
    on_disconnect
};

static WebSocketServer server = {
    sizeof(WebSocketServer), WEBSOCKET_SERVER_VERSION_1, NULL, request, header_get, header_set,
    protocol_count, protocol_index, protocol_set, send_message, close_connection, close_with
};

extern EXPORT WebSocketPlugin *CALLBACK layout_init(void);

extern EXPORT WebSocketPlugin *CALLBACK layout_init(void)
{
    return &plugin;
}

#define NUMBER(name, value) printf("%s %ld\n", name, (long)(value))
#define MEMBER(type, member) NUMBER(#type "." #member, offsetof(type, member))
#define CONSTANT(name) NUMBER(#name, name)

int main(void)
{
    WS_Init init = layout_init;
    unsigned int has_close_with;

    if (init() != &plugin)
        return 1;

    NUMBER("WebSocketServer", sizeof(WebSocketServer));
    MEMBER(WebSocketServer, size);
    MEMBER(WebSocketServer, version);
    MEMBER(WebSocketServer, state);
    MEMBER(WebSocketServer, request);
    MEMBER(WebSocketServer, header_get);
    MEMBER(WebSocketServer, header_set);
    MEMBER(WebSocketServer, protocol_count);
    MEMBER(WebSocketServer, protocol_index);
    MEMBER(WebSocketServer, protocol_set);
    MEMBER(WebSocketServer, send);
    MEMBER(WebSocketServer, close);
    MEMBER(WebSocketServer, close_with);
    NUMBER("WebSocketPlugin", sizeof(WebSocketPlugin));
    MEMBER(WebSocketPlugin, size);
    MEMBER(WebSocketPlugin, version);
    MEMBER(WebSocketPlugin, destroy);
    MEMBER(WebSocketPlugin, on_connect);
    MEMBER(WebSocketPlugin, on_message);
    MEMBER(WebSocketPlugin, on_disconnect);
    CONSTANT(MESSAGE_TYPE_INVALID);
    CONSTANT(MESSAGE_TYPE_TEXT);
    CONSTANT(MESSAGE_TYPE_BINARY);
    CONSTANT(MESSAGE_TYPE_CLOSE);
    CONSTANT(MESSAGE_TYPE_PING);
    CONSTANT(MESSAGE_TYPE_PONG);
    CONSTANT(WEBSOCKET_SERVER_VERSION_1);
    CONSTANT(WEBSOCKET_PLUGIN_VERSION_0);
    CONSTANT(WEBSOCKET_CONNECT_ERROR);
    NUMBER("C module", offsetof(WebSocketServer, close) + sizeof(server.close));

    has_close_with = WEBSOCKET_SERVER_HAS(&server, close_with);
    server.size = offsetof(WebSocketServer, close_with);
    printf("has %d %u\n", WEBSOCKET_SERVER_HAS(&server, close_with), has_close_with);
    return 0;
}
