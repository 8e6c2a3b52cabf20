/*
 * legacy_full: a plugin compiled against the old C module's header, with each of
 * the four callbacks and nine functions of that time. It must not include our
 * header: the layouts are declared here, as in legacy_echo.
 *
 * Its callbacks append the lines of the recorder plugin (connect, message N,
 * disconnect, destroy) to the file that the environment variable
 * WEBSOCKET_RECORDER_FILE names.
 *
 * on_connect refuses a server whose version is not 1 or whose table is shorter
 * than the old one, and a client that offers no subprotocol. It chooses the last
 * one, and sends the first.
 *
 *   "thread"    sends "from a thread" from one that on_disconnect joins
 *   "ping"      sends a ping with the payload "old"
 *   "close"     calls close
 *   "goodbye"   sends a Close with the code 4000
 *   other       is echoed
 */

#define _POSIX_C_SOURCE 200809L

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TYPE_TEXT  0
#define TYPE_CLOSE 255
#define TYPE_PING  256

struct old_server {
    unsigned int size;
    unsigned int version;
    void *state;
    void *(*request)(const struct old_server *);
    const char *(*header_get)(const struct old_server *, const char *);
    void (*header_set)(const struct old_server *, const char *, const char *);
    size_t (*protocol_count)(const struct old_server *);
    const char *(*protocol_index)(const struct old_server *, size_t);
    void (*protocol_set)(const struct old_server *, const char *);
    size_t (*send)(const struct old_server *, int, const unsigned char *, size_t);
    void (*close)(const struct old_server *);
};

struct old_plugin {
    unsigned int size;
    unsigned int version;
    void (*destroy)(struct old_plugin *);
    void *(*on_connect)(const struct old_server *);
    size_t (*on_message)(void *, const struct old_server *, int, unsigned char *, size_t);
    void (*on_disconnect)(void *, const struct old_server *);
};

struct connection {
    const struct old_server *server;
    int id;
    int has_thread;
    pthread_t thread;
};

struct old_plugin *legacy_full_init(void);

static void record(int id, const char *text)
{
    const char *path = getenv("WEBSOCKET_RECORDER_FILE");
    char line[96], name[16] = "-";
    int length, file;

    if (path == NULL || (file = open(path, O_WRONLY | O_APPEND | O_CREAT, 0666)) < 0)
        return;
    if (id != 0)
        snprintf(name, sizeof name, "%d", id);
    length = snprintf(line, sizeof line, "%ld %s %s\n", (long)getpid(), name, text);
    if (write(file, line, (size_t)length) != length)
        perror("legacy_full plugin");
    close(file);
}

static void destroy(struct old_plugin *plugin)
{
    (void)plugin;
    record(0, "destroy");
}

static void *on_connect(const struct old_server *server)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    static int last_id;
    struct connection *connection;
    const char *first;
    size_t count;

    if (server == NULL || server->version != 1 || server->size < sizeof(struct old_server)
        || server->state == NULL || server->request(server) == NULL)
        return NULL;
    if ((count = server->protocol_count(server)) == 0)
        return NULL;
    if ((connection = calloc(1, sizeof *connection)) == NULL)
        return NULL;
    server->protocol_set(server, server->protocol_index(server, count - 1));
    server->header_set(server, "X-Host", server->header_get(server, "Host"));
    first = server->protocol_index(server, 0);
    server->send(server, TYPE_TEXT, (const unsigned char *)first, strlen(first));

    connection->server = server;
    pthread_mutex_lock(&mutex);
    connection->id = ++last_id;
    pthread_mutex_unlock(&mutex);
    record(connection->id, "connect");
    return connection;
}

static void *send_from_thread(void *data)
{
    const struct old_server *server = data;

    server->send(server, TYPE_TEXT, (const unsigned char *)"from a thread", 13);
    return NULL;
}

static void start_thread(struct connection *connection)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    connection->has_thread = pthread_create(&connection->thread, NULL, send_from_thread,
                                            (void *)connection->server) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static int is(const unsigned char *buffer, size_t size, const char *text)
{
    return size == strlen(text) && memcmp(buffer, text, size) == 0;
}

static size_t on_message(void *plugin_private, const struct old_server *server, int type,
                         unsigned char *buffer, size_t buffer_size)
{
    struct connection *connection = plugin_private;
    char text[48];

    snprintf(text, sizeof text, "message %lu", (unsigned long)buffer_size);
    record(connection->id, text);
    if (is(buffer, buffer_size, "thread") && !connection->has_thread)
        start_thread(connection);
    else if (is(buffer, buffer_size, "ping"))
        server->send(server, TYPE_PING, (const unsigned char *)"old", 3);
    else if (is(buffer, buffer_size, "close"))
        server->close(server);
    else if (is(buffer, buffer_size, "goodbye"))
        server->send(server, TYPE_CLOSE, (const unsigned char *)"\x0f\xa0", 2);
    else
        return server->send(server, type, buffer, buffer_size);
    return buffer_size;
}

static void on_disconnect(void *plugin_private, const struct old_server *server)
{
    struct connection *connection = plugin_private;

    (void)server;
    record(connection->id, "disconnect");
    if (connection->has_thread)
        pthread_join(connection->thread, NULL);
    free(connection);
}

static struct old_plugin plugin = {
    sizeof(struct old_plugin), 0, destroy, on_connect, on_message, on_disconnect
};

struct old_plugin *legacy_full_init(void)
{
    return &plugin;
}
