/* A bad plugin with one defect: it says version 1, but its table ends before version 0 does. */

#include "websocket_plugin.h"

static size_t CALLBACK on_message(void *plugin_private, const WebSocketServer *server,
                                  const int type, unsigned char *buffer,
                                  const size_t buffer_size)
{
    (void)plugin_private;

    return server->send(server, type, buffer, buffer_size);
}

static WebSocketPlugin plugin = {
    .size = offsetof(WebSocketPlugin, on_disconnect),
    .version = WEBSOCKET_PLUGIN_VERSION_1,
    .on_message = on_message,
};

extern EXPORT WebSocketPlugin *CALLBACK bad_init(void)
{
    return &plugin;
}
