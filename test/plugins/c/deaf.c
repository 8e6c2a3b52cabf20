/*
 * deaf: a plugin that takes SIGUSR1 for itself, so that prefork's child hears nothing of a graceful restart. It echoes.
 */

#include <signal.h>

#include "websocket_plugin.h"

static void *on_connect(const WebSocketServer *server)
{
    signal(SIGUSR1, SIG_IGN);
    return (void *)server;
}

static size_t on_message(void *private, const WebSocketServer *server, int type, unsigned char *buffer,
                         size_t size)
{
    (void)private;
    server->send(server, type, buffer, size);
    return 0;
}

static WebSocketPlugin plugin = {
    .size = sizeof(WebSocketPlugin),
    .version = WEBSOCKET_PLUGIN_VERSION_0,
    .on_connect = on_connect,
    .on_message = on_message,
};

WebSocketPlugin *deaf_init(void);

WebSocketPlugin *deaf_init(void)
{
    return &plugin;
}
