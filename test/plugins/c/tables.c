/*
 * tables: plugin tables of every size that a server must bear. Each lies right
 * before memory that must not be touched, so that a server that looks behind a
 * table's size dies; destroy takes the table away altogether.
 *
 *   init function            version   size
 *   version_0_init           0         what version 0 has
 *   version_0_long_init      0         everything: what follows version 0 does
 *                                      not count
 *   version_1_init           1         everything
 *   version_1_short_init     1         what version 0 has
 *   version_1_cut_init       1         up to child_stop
 *   version_1_inside_init    1         up to the middle of on_open
 *   version_1_longer_init    1         more than there is today
 *   version_1_bare_init      1         everything, but only on_message is set
 *
 * A message is answered with the names of the callbacks that this connection has
 * had before, and "set_timer=N", what set_timer says.
 *
 * The callbacks of the process append a line "PID - VERSION SIZE CALLBACK" to the
 * file that the environment variable WEBSOCKET_RECORDER_FILE names.
 */

#define _GNU_SOURCE

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "websocket_plugin.h"

#define VERSION_0_SIZE offsetof(WebSocketPlugin, configure)

typedef struct {
    int has_opened;
} Connection;

static void record(const WebSocketPlugin *plugin, const char *callback)
{
    const char *path = getenv("WEBSOCKET_RECORDER_FILE");
    char line[96];
    int length, file;

    if (path == NULL || (file = open(path, O_WRONLY | O_APPEND | O_CREAT, 0666)) < 0)
        return;
    length = snprintf(line, sizeof line, "%ld - %u %u %s\n", (long)getpid(), plugin->version,
                      plugin->size, callback);
    if (write(file, line, (size_t)length) != length)
        perror("tables plugin");
    close(file);
}

static const char *CALLBACK configure(WebSocketPlugin *plugin, const WebSocketOption *options,
                                      size_t option_count)
{
    (void)options, (void)option_count;
    record(plugin, "configure");
    return NULL;
}

static void CALLBACK child_start(WebSocketPlugin *plugin, const WebSocketServer *server)
{
    (void)server;
    record(plugin, "child_start");
}

static void CALLBACK child_stop(WebSocketPlugin *plugin, int graceful)
{
    (void)graceful;
    record(plugin, "child_stop");
}

static size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static void CALLBACK destroy(WebSocketPlugin *plugin)
{
    char *page = (char *)((size_t)plugin & ~(page_size() - 1));

    record(plugin, "destroy");
    munmap(page, 2 * page_size());
}

static void *CALLBACK on_connect(const WebSocketServer *server)
{
    (void)server;
    return calloc(1, sizeof(Connection));
}

static void CALLBACK on_open(void *plugin_private, const WebSocketServer *server)
{
    Connection *connection = plugin_private;

    (void)server;
    connection->has_opened = 1;
}

static size_t CALLBACK on_message(void *plugin_private, const WebSocketServer *server,
                                  const int type, unsigned char *buffer,
                                  const size_t buffer_size)
{
    const Connection *connection = plugin_private;
    char answer[64];
    int length = snprintf(answer, sizeof answer, "%s%sset_timer=%d",
                          connection != NULL ? "on_connect " : "",
                          connection != NULL && connection->has_opened ? "on_open " : "",
                          server->set_timer(server, 60000));

    (void)type, (void)buffer;
    server->send(server, MESSAGE_TYPE_TEXT, (const unsigned char *)answer, (size_t)length);
    return buffer_size;
}

static void CALLBACK on_timer(void *plugin_private, const WebSocketServer *server)
{
    (void)plugin_private, (void)server;
}

static void CALLBACK on_writable(void *plugin_private, const WebSocketServer *server)
{
    (void)plugin_private, (void)server;
}

static void CALLBACK on_close(void *plugin_private, const WebSocketServer *server,
                              unsigned int code, const char *reason, size_t reason_size,
                              int clean)
{
    (void)plugin_private, (void)server, (void)code, (void)reason, (void)reason_size, (void)clean;
}

static void CALLBACK on_disconnect(void *plugin_private, const WebSocketServer *server)
{
    (void)server;
    free(plugin_private);
}

static const WebSocketPlugin whole = {
    sizeof(WebSocketPlugin), WEBSOCKET_PLUGIN_VERSION_1, destroy, on_connect, on_message,
    on_disconnect, configure, child_start, child_stop, on_open, on_timer, on_writable, on_close,
    NULL, NULL
};

/* A table of `size` bytes that ends where memory does, as nearly as its alignment allows. */
static WebSocketPlugin *table(const WebSocketPlugin *content, unsigned int version, size_t size)
{
    size_t page = page_size();
    size_t room = (size + sizeof(void *) - 1) / sizeof(void *) * sizeof(void *);
    char *memory = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    WebSocketPlugin *plugin;

    if (memory == MAP_FAILED || mprotect(memory + page, page, PROT_NONE) != 0)
        return NULL;
    /* No table's member is at such an address. */
    memset(memory, 0xff, page);
    plugin = (WebSocketPlugin *)(memory + page - room);
    memcpy(plugin, content, size < sizeof *content ? size : sizeof *content);
    plugin->size = (unsigned int)size;
    plugin->version = version;
    return plugin;
}

extern EXPORT WebSocketPlugin *CALLBACK version_0_init(void)
{
    return table(&whole, WEBSOCKET_PLUGIN_VERSION_0, VERSION_0_SIZE);
}

extern EXPORT WebSocketPlugin *CALLBACK version_0_long_init(void)
{
    return table(&whole, WEBSOCKET_PLUGIN_VERSION_0, sizeof whole);
}

extern EXPORT WebSocketPlugin *CALLBACK version_1_init(void)
{
    return table(&whole, WEBSOCKET_PLUGIN_VERSION_1, sizeof whole);
}

extern EXPORT WebSocketPlugin *CALLBACK version_1_short_init(void)
{
    return table(&whole, WEBSOCKET_PLUGIN_VERSION_1, VERSION_0_SIZE);
}

extern EXPORT WebSocketPlugin *CALLBACK version_1_cut_init(void)
{
    return table(&whole, WEBSOCKET_PLUGIN_VERSION_1, offsetof(WebSocketPlugin, on_open));
}

extern EXPORT WebSocketPlugin *CALLBACK version_1_inside_init(void)
{
    return table(&whole, WEBSOCKET_PLUGIN_VERSION_1, offsetof(WebSocketPlugin, on_open) + 4);
}

extern EXPORT WebSocketPlugin *CALLBACK version_1_longer_init(void)
{
    return table(&whole, WEBSOCKET_PLUGIN_VERSION_1, sizeof whole + 8 * sizeof(void *));
}

extern EXPORT WebSocketPlugin *CALLBACK version_1_bare_init(void)
{
    static const WebSocketPlugin bare = { .on_message = on_message };

    return table(&bare, WEBSOCKET_PLUGIN_VERSION_1, sizeof bare);
}
