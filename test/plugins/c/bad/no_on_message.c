/* A bad plugin with one defect: it has no on_message. */

#include "websocket_plugin.h"

static WebSocketPlugin plugin = {
    sizeof(WebSocketPlugin), WEBSOCKET_PLUGIN_VERSION_0, NULL, NULL, NULL, NULL
};

extern EXPORT WebSocketPlugin *CALLBACK bad_init(void)
{
    return &plugin;
}
