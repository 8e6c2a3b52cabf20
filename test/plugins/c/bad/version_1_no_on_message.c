/* A bad plugin with one defect: of version 1, which it uses, it has no on_message. */

#include "websocket_plugin.h"

static void CALLBACK on_open(void *plugin_private, const WebSocketServer *server)
{
    (void)plugin_private;

    server->close(server);
}

static WebSocketPlugin plugin = {
    .size = sizeof(WebSocketPlugin), .version = WEBSOCKET_PLUGIN_VERSION_1, .on_open = on_open
};

extern EXPORT WebSocketPlugin *CALLBACK bad_init(void)
{
    return &plugin;
}
