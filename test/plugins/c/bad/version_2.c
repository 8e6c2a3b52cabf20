/* A bad plugin with one defect: its version is one that does not exist yet. */

#include "websocket_plugin.h"

static size_t CALLBACK on_message(void *plugin_private, const WebSocketServer *server,
                                  const int type, unsigned char *buffer,
                                  const size_t buffer_size)
{
    (void)plugin_private;

    return server->send(server, type, buffer, buffer_size);
}

static WebSocketPlugin plugin = {
    .size = sizeof(WebSocketPlugin), .version = 2, .on_message = on_message
};

extern EXPORT WebSocketPlugin *CALLBACK bad_init(void)
{
    return &plugin;
}
