/* A bad plugin with one defect: it has no on_message. */

#include "websocket_plugin.h"

static WebSocketPlugin plugin = {
    .size = sizeof(WebSocketPlugin),
    .version = WEBSOCKET_PLUGIN_VERSION_0,
};

extern EXPORT WebSocketPlugin *CALLBACK bad_init(void)
{
    return &plugin;
}
