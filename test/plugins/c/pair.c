/*
 * pair: what the one of two clients says goes to the other, by send, which waits for room.
 *
 *   "give COUNT SIZE"  COUNT binary messages of SIZE letters to the other one, and
 *                      then "given N" to the own client: so many the server took
 *   other              is echoed
 *
 * The third client is refused. on_disconnect returns when nobody sends to that client
 * any more: the server releases who waits for it.
 */

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "websocket_plugin.h"

typedef struct {
    const WebSocketServer *server; /* NULL: there is none */
    int users;                     /* callbacks that send to it */
} Client;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t is_unused = PTHREAD_COND_INITIALIZER;
static Client clients[2];

static void *CALLBACK on_connect(const WebSocketServer *server)
{
    Client *client = NULL;
    int c;

    pthread_mutex_lock(&lock);
    for (c = 0; c < 2 && client == NULL; c++) {
        if (clients[c].server == NULL && clients[c].users == 0) {
            client = &clients[c];
            client->server = server;
        }
    }
    pthread_mutex_unlock(&lock);
    return client;
}

static void CALLBACK on_disconnect(void *plugin_private, const WebSocketServer *server)
{
    Client *client = plugin_private;

    (void)server;
    pthread_mutex_lock(&lock);
    client->server = NULL;
    while (client->users > 0)
        pthread_cond_wait(&is_unused, &lock);
    pthread_mutex_unlock(&lock);
}

static long give(Client *to, long count, size_t size)
{
    const WebSocketServer *server;
    unsigned char *letters = malloc(size);
    long given = 0;

    pthread_mutex_lock(&lock);
    server = to->server;
    to->users += server != NULL;
    pthread_mutex_unlock(&lock);
    if (server == NULL || letters == NULL) {
        free(letters);
        return 0;
    }
    memset(letters, 'x', size);
    while (given < count && server->send(server, MESSAGE_TYPE_BINARY, letters, size) == size)
        given++;
    pthread_mutex_lock(&lock);
    to->users--;
    pthread_cond_signal(&is_unused);
    pthread_mutex_unlock(&lock);
    free(letters);
    return given;
}

static size_t CALLBACK on_message(void *plugin_private, const WebSocketServer *server,
                                  const int type, unsigned char *buffer,
                                  const size_t buffer_size)
{
    Client *other = plugin_private == &clients[0] ? &clients[1] : &clients[0];
    char line[64];
    unsigned long size;
    long count;

    snprintf(line, sizeof line, "%.*s", (int)buffer_size, (const char *)buffer);
    if (sscanf(line, "give %ld %lu", &count, &size) != 2)
        return server->send(server, type, buffer, buffer_size);
    snprintf(line, sizeof line, "given %ld", give(other, count, (size_t)size));
    return server->send(server, MESSAGE_TYPE_TEXT, (const unsigned char *)line, strlen(line));
}

static WebSocketPlugin plugin;

extern EXPORT WebSocketPlugin *CALLBACK pair_init(void)
{
    websocket_plugin_version_1(&plugin, on_message);
    plugin.on_connect = on_connect;
    plugin.on_disconnect = on_disconnect;
    return &plugin;
}
