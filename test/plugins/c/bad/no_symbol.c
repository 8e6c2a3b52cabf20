/* A bad plugin with one defect: it has no function bad_init. */

#include "websocket_plugin.h"

static size_t CALLBACK on_message(void *plugin_private, const WebSocketServer *server,
                                  const int type, unsigned char *buffer,
                                  const size_t buffer_size)
{
    (void)plugin_private;

    return server->send(server, type, buffer, buffer_size);
}

static WebSocketPlugin plugin = {
    .size = sizeof(WebSocketPlugin),
    .version = WEBSOCKET_PLUGIN_VERSION_0,
    .on_message = on_message,
};

extern EXPORT WebSocketPlugin *CALLBACK good_init(void)
{
    return &plugin;
}
