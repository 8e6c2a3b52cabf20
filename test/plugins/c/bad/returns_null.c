/* A bad plugin with one defect: its init function returns NULL. */

#include "websocket_plugin.h"

extern EXPORT WebSocketPlugin *CALLBACK bad_init(void)
{
    return NULL;
}
