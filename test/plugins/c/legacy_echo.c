/*
 * legacy_echo: an echo plugin as one compiled against the old C module's header
 * is. It must not include ours: the layouts of that time are declared here, and
 * the binary must run as it is.
 *
 * Like plugins of that time it accepts a server only when its version is 1, and
 * its on_connect returns a pointer that means nothing.
 */

#include <stddef.h>

#define TYPE_TEXT   0
#define TYPE_BINARY 128

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

struct old_plugin *legacy_echo_init(void);

static void *on_connect(const struct old_server *server)
{
    if (server == NULL || server->version != 1)
        return NULL;
    server->header_set(server, "X-Legacy", server->request(server) != NULL ? "request" : "none");
    return (void *)1;
}

static size_t on_message(void *plugin_private, const struct old_server *server, int type,
                         unsigned char *buffer, size_t buffer_size)
{
    if (plugin_private != (void *)1 || (type != TYPE_TEXT && type != TYPE_BINARY)) {
        server->close(server);
        return 0;
    }
    return server->send(server, type, buffer, buffer_size);
}

static struct old_plugin plugin = {
    sizeof(struct old_plugin), 0, NULL, on_connect, on_message, NULL
};

struct old_plugin *legacy_echo_init(void)
{
    return &plugin;
}
