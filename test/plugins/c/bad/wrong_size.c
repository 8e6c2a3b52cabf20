/* A bad plugin with one defect: its table is too short to hold all of version 0. */

#include "websocket_plugin.h"

static size_t CALLBACK on_message(void *plugin_private, const WebSocketServer *server,
                                  const int type, unsigned char *buffer,
                                  const size_t buffer_size)
{
    (void)plugin_private;

    return server->send(server, type, buffer, buffer_size);
}

static WebSocketPlugin plugin = {
    .size = offsetof(WebSocketPlugin, configure) - 1,
    .version = WEBSOCKET_PLUGIN_VERSION_0,
    .on_message = on_message,
};

extern EXPORT WebSocketPlugin *CALLBACK bad_init(void)
{
    return &plugin;
}
