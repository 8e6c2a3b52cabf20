/*
 * mod_websocket_echo: sends every message back to the client that it came from.
 *
 *     <Location /echo>
 *         SetHandler websocket-handler
 *         WebSocketHandler modules/mod_websocket_echo.so echo_init
 *     </Location>
 *
 * Licensed under the Apache License, Version 2.0; see LICENSE.
 */

#include "websocket_plugin.h"

static size_t CALLBACK echo_on_message(void *plugin_private, const WebSocketServer *server,
                                       const int type, unsigned char *buffer,
                                       const size_t buffer_size)
{
    (void)plugin_private;

    return server->send(server, type, buffer, buffer_size);
}

static WebSocketPlugin echo_plugin = {
    .size = sizeof(WebSocketPlugin),
    .version = WEBSOCKET_PLUGIN_VERSION_0,
    /* No on_connect: everybody may connect. No on_disconnect: there is no state. */
    .on_message = echo_on_message,
};

extern EXPORT WebSocketPlugin *CALLBACK echo_init(void)
{
    return &echo_plugin;
}
