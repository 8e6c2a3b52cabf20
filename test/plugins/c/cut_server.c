/*
 * cut_server: a plugin of this header that meets the C module. Its callbacks
 * look at a copy of the server's table that ends where the C module's did, right
 * before memory that must not be touched. (A plugin that is not for tests never
 * copies the table.)
 *
 *   "members"   the appended members that WEBSOCKET_SERVER_HAS finds, or "none"
 *   "binary"    the type that WEBSOCKET_UNCOMPRESSED makes of
 *               MESSAGE_TYPE_BINARY, in decimal
 *   "close"     close_with 4001, or close where there is no close_with
 *   other       is echoed
 */

#define _GNU_SOURCE

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "websocket_plugin.h"

#define C_MODULE_SIZE offsetof(WebSocketServer, close_with)

static size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static void *CALLBACK on_connect(const WebSocketServer *server)
{
    size_t page = page_size();
    char *memory = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    WebSocketServer *cut;

    if (memory == MAP_FAILED || mprotect(memory + page, page, PROT_NONE) != 0)
        return NULL;
    cut = (WebSocketServer *)(memory + page - C_MODULE_SIZE);
    memcpy(cut, server, C_MODULE_SIZE);
    cut->size = C_MODULE_SIZE;
    return cut;
}

static void CALLBACK on_disconnect(void *plugin_private, const WebSocketServer *server)
{
    (void)server;
    munmap((char *)plugin_private + C_MODULE_SIZE - page_size(), 2 * page_size());
}

static int is(const unsigned char *buffer, size_t size, const char *text)
{
    return size == strlen(text) && memcmp(buffer, text, size) == 0;
}

static size_t CALLBACK on_message(void *plugin_private, const WebSocketServer *whole,
                                  const int type, unsigned char *buffer,
                                  const size_t buffer_size)
{
    const WebSocketServer *server = plugin_private;
    const char *found;
    char answer[64];

    (void)whole;
    if (is(buffer, buffer_size, "members")) {
        found = WEBSOCKET_SERVER_HAS(server, close_with)        ? "close_with"
                : WEBSOCKET_SERVER_HAS(server, try_send)        ? "try_send"
                : WEBSOCKET_SERVER_HAS(server, send_fragment)   ? "send_fragment"
                : WEBSOCKET_SERVER_HAS(server, buffered_amount) ? "buffered_amount"
                : WEBSOCKET_SERVER_HAS(server, option_get)      ? "option_get"
                : WEBSOCKET_SERVER_HAS(server, variable_get)    ? "variable_get"
                : WEBSOCKET_SERVER_HAS(server, reject)          ? "reject"
                : WEBSOCKET_SERVER_HAS(server, set_timer)       ? "set_timer"
                : WEBSOCKET_SERVER_HAS(server, log)             ? "log"
                : WEBSOCKET_SERVER_HAS(server, reject_with)     ? "reject_with"
                : WEBSOCKET_SERVER_HAS(server, subscribe)       ? "subscribe"
                : WEBSOCKET_SERVER_HAS(server, publish)         ? "publish"
                : WEBSOCKET_SERVER_HAS(server, topic_members)   ? "topic_members"
                : WEBSOCKET_SERVER_HAS(server, send_many)       ? "send_many"
                                                                : "none";
        if (!WEBSOCKET_SERVER_HAS(server, close) || !WEBSOCKET_SERVER_HAS(server, size))
            found = "not even the old ones";
        server->send(server, MESSAGE_TYPE_TEXT, (const unsigned char *)found, strlen(found));
    } else if (is(buffer, buffer_size, "binary")) {
        snprintf(answer, sizeof answer, "%d", WEBSOCKET_UNCOMPRESSED(server, MESSAGE_TYPE_BINARY));
        server->send(server, MESSAGE_TYPE_TEXT, (const unsigned char *)answer, strlen(answer));
    } else if (is(buffer, buffer_size, "close")) {
        if (WEBSOCKET_SERVER_HAS(server, close_with))
            server->close_with(server, 4001, NULL, 0);
        else
            server->close(server);
    } else {
        server->send(server, type, buffer, buffer_size);
    }
    return buffer_size;
}

static WebSocketPlugin plugin = {
    .size = sizeof(WebSocketPlugin),
    .version = WEBSOCKET_PLUGIN_VERSION_0,
    .on_connect = on_connect,
    .on_message = on_message,
    .on_disconnect = on_disconnect,
};

extern EXPORT WebSocketPlugin *CALLBACK cut_server_init(void)
{
    return &plugin;
}
