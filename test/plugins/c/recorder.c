/*
 * recorder: says which callbacks ran. Each appends one line to the file that
 * the environment variable WEBSOCKET_RECORDER_FILE names:
 *
 *     PID ID connect
 *     PID ID message N        N: the payload's size in bytes
 *     PID ID disconnect
 *     PID - destroy
 *
 * PID is the process, ID the connection's number in that process, from 1. A
 * line is written before the callback does anything else, in one write.
 *
 * Messages are echoed, but for two texts:
 *
 *     "close"         calls server->close
 *     "close-later"   does so from another thread, 50 ms later
 *
 * on_disconnect joins that thread. A handshake with the header field
 * "X-Refuse: 1" is refused and leaves no line.
 */

#define _POSIX_C_SOURCE 200809L

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "websocket_plugin.h"

typedef struct {
    const WebSocketServer *server;
    unsigned long id;
    pthread_t closer;
    int has_closer;
} Connection;

static pthread_mutex_t last_id_mutex = PTHREAD_MUTEX_INITIALIZER;
static unsigned long last_id;

static unsigned long new_id(void)
{
    unsigned long id;

    pthread_mutex_lock(&last_id_mutex);
    id = ++last_id;
    pthread_mutex_unlock(&last_id_mutex);
    return id;
}

static void record(const char *id, const char *text)
{
    const char *path = getenv("WEBSOCKET_RECORDER_FILE");
    char line[128];
    int length, file;

    if (path == NULL || (file = open(path, O_WRONLY | O_APPEND | O_CREAT, 0666)) < 0)
        return;
    length = snprintf(line, sizeof line, "%ld %s %s\n", (long)getpid(), id, text);
    if (write(file, line, (size_t)length) != length)
        perror("recorder plugin");
    close(file);
}

static void record_connection(const Connection *connection, const char *text)
{
    char id[32];

    snprintf(id, sizeof id, "%lu", connection->id);
    record(id, text);
}

static void *close_later(void *data)
{
    const WebSocketServer *server = data;
    struct timespec pause = { 0, 50 * 1000 * 1000 };

    nanosleep(&pause, NULL);
    server->close(server);
    return NULL;
}

static void start_closer(Connection *connection)
{
    sigset_t all, before;

    if (connection->has_closer)
        return;
    /* Signals are httpd's; a thread begins with the mask of its creator. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    connection->has_closer =
        pthread_create(&connection->closer, NULL, close_later, (void *)connection->server) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static int is(const unsigned char *buffer, size_t size, const char *text)
{
    return size == strlen(text) && memcmp(buffer, text, size) == 0;
}

static void CALLBACK destroy(WebSocketPlugin *plugin)
{
    (void)plugin;

    record("-", "destroy");
}

static void *CALLBACK on_connect(const WebSocketServer *server)
{
    const char *refuse = server->header_get(server, "X-Refuse");
    Connection *connection;

    if (refuse != NULL && strcmp(refuse, "1") == 0)
        return NULL;
    if ((connection = calloc(1, sizeof *connection)) == NULL)
        return NULL;
    connection->server = server;
    connection->id = new_id();
    record_connection(connection, "connect");
    return connection;
}

static size_t CALLBACK on_message(void *plugin_private, const WebSocketServer *server,
                                  const int type, unsigned char *buffer,
                                  const size_t buffer_size)
{
    Connection *connection = plugin_private;
    char text[48];

    snprintf(text, sizeof text, "message %lu", (unsigned long)buffer_size);
    record_connection(connection, text);

    if (is(buffer, buffer_size, "close"))
        server->close(server);
    else if (is(buffer, buffer_size, "close-later"))
        start_closer(connection);
    else
        server->send(server, type, buffer, buffer_size);
    return buffer_size;
}

static void CALLBACK on_disconnect(void *plugin_private, const WebSocketServer *server)
{
    Connection *connection = plugin_private;

    (void)server;

    record_connection(connection, "disconnect");
    if (connection->has_closer)
        pthread_join(connection->closer, NULL);
    free(connection);
}

static WebSocketPlugin plugin = {
    .size = sizeof(WebSocketPlugin),
    .version = WEBSOCKET_PLUGIN_VERSION_0,
    .destroy = destroy,
    .on_connect = on_connect,
    .on_message = on_message,
    .on_disconnect = on_disconnect,
};

extern EXPORT WebSocketPlugin *CALLBACK recorder_init(void)
{
    return &plugin;
}
