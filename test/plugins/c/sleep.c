/*
 * sleep: keeps its callback busy. A text message that is a number N makes
 * on_message sleep for N milliseconds (0 is allowed; 2000 for any other
 * message), and then echoes the message.
 */

#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <time.h>

#include "websocket_plugin.h"

static void sleep_ms(long ms)
{
    struct timespec left;

    left.tv_sec = ms / 1000;
    left.tv_nsec = ms % 1000 * 1000000;
    while (nanosleep(&left, &left) == -1 && errno == EINTR)
        ;
}

/* The number that the message is, or 2000. */
static long duration(int type, const unsigned char *text, size_t size)
{
    long ms = 0;
    size_t i;

    if (type != MESSAGE_TYPE_TEXT || size == 0 || size > 6)
        return 2000;
    for (i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9')
            return 2000;
        ms = ms * 10 + (text[i] - '0');
    }
    return ms;
}

static size_t CALLBACK on_message(void *plugin_private, const WebSocketServer *server,
                                  const int type, unsigned char *buffer,
                                  const size_t buffer_size)
{
    (void)plugin_private;

    sleep_ms(duration(type, buffer, buffer_size));
    return server->send(server, type, buffer, buffer_size);
}

static WebSocketPlugin plugin = {
    .size = sizeof(WebSocketPlugin),
    .version = WEBSOCKET_PLUGIN_VERSION_0,
    .on_message = on_message,
};

extern EXPORT WebSocketPlugin *CALLBACK sleep_init(void)
{
    return &plugin;
}
