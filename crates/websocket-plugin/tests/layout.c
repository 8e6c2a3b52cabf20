/* Prints what tests/layout.rs compares, and compiles only if every function
 * type of the header is the one that existing plugins were written for. */

#include "websocket_plugin.h"

#include <stdio.h>

static struct request_rec *CALLBACK request(const WebSocketServer *server)
{
    (void)server;
    return NULL;
}

static const char *CALLBACK header_get(const WebSocketServer *server, const char *key)
{
    (void)server;
    return key;
}

static void CALLBACK header_set(const WebSocketServer *server, const char *key,
                                const char *value)
{
    (void)server, (void)key, (void)value;
}

static size_t CALLBACK protocol_count(const WebSocketServer *server)
{
    (void)server;
    return 0;
}

static const char *CALLBACK protocol_index(const WebSocketServer *server, const size_t index)
{
    (void)server, (void)index;
    return NULL;
}

static void CALLBACK protocol_set(const WebSocketServer *server, const char *protocol)
{
    (void)server, (void)protocol;
}

static size_t CALLBACK send_message(const WebSocketServer *server, const int type,
                                    const unsigned char *buffer, const size_t buffer_size)
{
    (void)server, (void)type, (void)buffer;
    return buffer_size;
}

static void CALLBACK close_connection(const WebSocketServer *server)
{
    (void)server;
}

static int CALLBACK close_with(const WebSocketServer *server, unsigned int code,
                               const char *reason, size_t reason_size)
{
    (void)server, (void)code, (void)reason, (void)reason_size;
    return 1;
}

static int CALLBACK try_send(const WebSocketServer *server, const int type,
                             const unsigned char *buffer, const size_t buffer_size)
{
    (void)server, (void)type, (void)buffer, (void)buffer_size;
    return WEBSOCKET_SEND_ACCEPTED;
}

static int CALLBACK send_fragment(const WebSocketServer *server, const int type,
                                  const unsigned char *buffer, const size_t buffer_size,
                                  const int final)
{
    (void)server, (void)type, (void)buffer, (void)buffer_size, (void)final;
    return WEBSOCKET_SEND_ACCEPTED;
}

static size_t CALLBACK buffered_amount(const WebSocketServer *server)
{
    (void)server;
    return 0;
}

static const char *CALLBACK option_get(const WebSocketServer *server, const char *name)
{
    (void)server;
    return name;
}

static const char *CALLBACK variable_get(const WebSocketServer *server, const char *name)
{
    (void)server;
    return name;
}

static int CALLBACK refuse(const WebSocketServer *server, unsigned int http_status)
{
    (void)server, (void)http_status;
    return 1;
}

static int CALLBACK set_timer(const WebSocketServer *server, unsigned int milliseconds)
{
    (void)server, (void)milliseconds;
    return 1;
}

static void CALLBACK write_log(const WebSocketServer *server, int level, const char *text)
{
    (void)server, (void)level, (void)text;
}

static void CALLBACK destroy(WebSocketPlugin *plugin)
{
    (void)plugin;
}

static void *CALLBACK on_connect(const WebSocketServer *server)
{
    (void)server;
    return WEBSOCKET_CONNECT_ERROR;
}

static size_t CALLBACK on_message(void *plugin_private, const WebSocketServer *server,
                                  const int type, unsigned char *buffer,
                                  const size_t buffer_size)
{
    (void)plugin_private, (void)server, (void)type, (void)buffer;
    return buffer_size;
}

static void CALLBACK on_disconnect(void *plugin_private, const WebSocketServer *server)
{
    (void)plugin_private, (void)server;
}

static const char *CALLBACK configure(WebSocketPlugin *plugin, const WebSocketOption *options,
                                      size_t option_count)
{
    (void)plugin;
    return option_count > 0 ? options[0].name : options[0].value;
}

static void CALLBACK child_start(WebSocketPlugin *plugin, const WebSocketServer *server)
{
    (void)plugin, (void)server;
}

static void CALLBACK child_stop(WebSocketPlugin *plugin, int graceful)
{
    (void)plugin, (void)graceful;
}

static void CALLBACK on_open(void *plugin_private, const WebSocketServer *server)
{
    (void)plugin_private, (void)server;
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

static void CALLBACK on_pong(void *plugin_private, const WebSocketServer *server,
                             const unsigned char *payload, size_t payload_size,
                             unsigned long round_trip)
{
    (void)plugin_private, (void)server, (void)payload, (void)payload_size, (void)round_trip;
}

static int CALLBACK reject_with(const WebSocketServer *server, unsigned int http_status,
                                const char *content_type, const char *body, size_t body_size)
{
    (void)server, (void)content_type, (void)body;
    return (int)(http_status + body_size);
}

static int CALLBACK subscribe(const WebSocketServer *server, const char *topic, const char *since,
                              const char *member, unsigned int flags)
{
    (void)server, (void)topic, (void)since, (void)member;
    return (int)flags;
}

static int CALLBACK unsubscribe(const WebSocketServer *server, const char *topic)
{
    (void)server, (void)topic;
    return WEBSOCKET_TOPIC_DONE;
}

static int CALLBACK publish(const WebSocketServer *server, const char *topic, const int type,
                            const unsigned char *buffer, const size_t buffer_size,
                            unsigned int flags, char *id)
{
    (void)server, (void)topic, (void)type, (void)buffer, (void)buffer_size, (void)flags, (void)id;
    return WEBSOCKET_TOPIC_DONE;
}

static long CALLBACK topic_count(const WebSocketServer *server, const char *topic, int scope)
{
    (void)server, (void)topic;
    return scope;
}

static long CALLBACK topic_members(const WebSocketServer *server, const char *topic,
                                   WS_Member each, void *data)
{
    (void)server;
    each(data, topic, 0);
    return 0;
}

static int CALLBACK on_topic(void *plugin_private, const WebSocketServer *server,
                             const WebSocketTopicEvent *event)
{
    (void)plugin_private, (void)server, (void)event;
    return WEBSOCKET_TOPIC_PASS;
}

static size_t CALLBACK send_many(const WebSocketServer *server,
                                 const WebSocketServer *const *receivers, size_t count,
                                 const int type, const unsigned char *buffer,
                                 const size_t buffer_size, int *results)
{
    (void)server, (void)receivers, (void)type, (void)buffer, (void)buffer_size, (void)results;
    return count;
}

static WebSocketPlugin plugin = {
    sizeof(WebSocketPlugin), WEBSOCKET_PLUGIN_VERSION_1, destroy, on_connect, on_message,
    on_disconnect, configure, child_start, child_stop, on_open, on_timer, on_writable, on_close,
    on_pong, on_topic
};

static WebSocketServer server = {
    sizeof(WebSocketServer), WEBSOCKET_SERVER_VERSION_1, NULL, request, header_get, header_set,
    protocol_count, protocol_index, protocol_set, send_message, close_connection, close_with,
    try_send, send_fragment, buffered_amount, option_get, variable_get, refuse, set_timer,
    write_log, reject_with, subscribe, unsubscribe, publish, topic_count, topic_members,
    send_many
};

extern EXPORT WebSocketPlugin *CALLBACK layout_init(void);

extern EXPORT WebSocketPlugin *CALLBACK layout_init(void)
{
    return &plugin;
}

#define NUMBER(name, value) printf("%s %ld\n", name, (long)(value))
#define MEMBER(type, member) NUMBER(#type "." #member, offsetof(type, member))
#define CONSTANT(name) NUMBER(#name, name)

int main(void)
{
    WS_Init init = layout_init;
    unsigned int has_close_with;

    if (init() != &plugin)
        return 1;

    NUMBER("WebSocketServer", sizeof(WebSocketServer));
    MEMBER(WebSocketServer, size);
    MEMBER(WebSocketServer, version);
    MEMBER(WebSocketServer, state);
    MEMBER(WebSocketServer, request);
    MEMBER(WebSocketServer, header_get);
    MEMBER(WebSocketServer, header_set);
    MEMBER(WebSocketServer, protocol_count);
    MEMBER(WebSocketServer, protocol_index);
    MEMBER(WebSocketServer, protocol_set);
    MEMBER(WebSocketServer, send);
    MEMBER(WebSocketServer, close);
    MEMBER(WebSocketServer, close_with);
    MEMBER(WebSocketServer, try_send);
    MEMBER(WebSocketServer, send_fragment);
    MEMBER(WebSocketServer, buffered_amount);
    MEMBER(WebSocketServer, option_get);
    MEMBER(WebSocketServer, variable_get);
    MEMBER(WebSocketServer, reject);
    MEMBER(WebSocketServer, set_timer);
    MEMBER(WebSocketServer, log);
    MEMBER(WebSocketServer, reject_with);
    MEMBER(WebSocketServer, subscribe);
    MEMBER(WebSocketServer, unsubscribe);
    MEMBER(WebSocketServer, publish);
    MEMBER(WebSocketServer, topic_count);
    MEMBER(WebSocketServer, topic_members);
    MEMBER(WebSocketServer, send_many);
    NUMBER("WebSocketPlugin", sizeof(WebSocketPlugin));
    MEMBER(WebSocketPlugin, size);
    MEMBER(WebSocketPlugin, version);
    MEMBER(WebSocketPlugin, destroy);
    MEMBER(WebSocketPlugin, on_connect);
    MEMBER(WebSocketPlugin, on_message);
    MEMBER(WebSocketPlugin, on_disconnect);
    MEMBER(WebSocketPlugin, configure);
    MEMBER(WebSocketPlugin, child_start);
    MEMBER(WebSocketPlugin, child_stop);
    MEMBER(WebSocketPlugin, on_open);
    MEMBER(WebSocketPlugin, on_timer);
    MEMBER(WebSocketPlugin, on_writable);
    MEMBER(WebSocketPlugin, on_close);
    MEMBER(WebSocketPlugin, on_pong);
    MEMBER(WebSocketPlugin, on_topic);
    NUMBER("WebSocketOption", sizeof(WebSocketOption));
    MEMBER(WebSocketOption, name);
    MEMBER(WebSocketOption, value);
    NUMBER("WebSocketTopicEvent", sizeof(WebSocketTopicEvent));
    MEMBER(WebSocketTopicEvent, size);
    MEMBER(WebSocketTopicEvent, kind);
    MEMBER(WebSocketTopicEvent, topic);
    MEMBER(WebSocketTopicEvent, id);
    MEMBER(WebSocketTopicEvent, message_type);
    MEMBER(WebSocketTopicEvent, buffer);
    MEMBER(WebSocketTopicEvent, buffer_size);
    MEMBER(WebSocketTopicEvent, count);
    CONSTANT(MESSAGE_TYPE_INVALID);
    CONSTANT(MESSAGE_TYPE_TEXT);
    CONSTANT(MESSAGE_TYPE_BINARY);
    CONSTANT(MESSAGE_TYPE_CLOSE);
    CONSTANT(MESSAGE_TYPE_PING);
    CONSTANT(MESSAGE_TYPE_PONG);
    CONSTANT(MESSAGE_TYPE_UNCOMPRESSED);
    CONSTANT(WEBSOCKET_SEND_ACCEPTED);
    CONSTANT(WEBSOCKET_SEND_WOULD_BLOCK);
    CONSTANT(WEBSOCKET_SEND_CLOSED);
    CONSTANT(WEBSOCKET_SEND_INVALID);
    CONSTANT(WEBSOCKET_LOG_ERROR);
    CONSTANT(WEBSOCKET_LOG_WARNING);
    CONSTANT(WEBSOCKET_LOG_NOTICE);
    CONSTANT(WEBSOCKET_LOG_INFO);
    CONSTANT(WEBSOCKET_LOG_DEBUG);
    CONSTANT(WEBSOCKET_LOG_TRACE);
    CONSTANT(WEBSOCKET_SERVER_VERSION_1);
    CONSTANT(WEBSOCKET_PLUGIN_VERSION_0);
    CONSTANT(WEBSOCKET_PLUGIN_VERSION_1);
    CONSTANT(WEBSOCKET_CONNECT_ERROR);
    CONSTANT(WEBSOCKET_ROUND_TRIP_UNKNOWN);
    CONSTANT(WEBSOCKET_TOPIC_DONE);
    CONSTANT(WEBSOCKET_TOPIC_LOST);
    CONSTANT(WEBSOCKET_TOPIC_NOT_SO);
    CONSTANT(WEBSOCKET_TOPIC_CLOSED);
    CONSTANT(WEBSOCKET_TOPIC_INVALID);
    CONSTANT(WEBSOCKET_TOPIC_UNAVAILABLE);
    CONSTANT(WEBSOCKET_TOPIC_FULL);
    CONSTANT(WEBSOCKET_TOPIC_TAKEN);
    CONSTANT(WEBSOCKET_TOPIC_TOO_LARGE);
    CONSTANT(WEBSOCKET_TOPIC_NAME_MOST);
    CONSTANT(WEBSOCKET_TOPIC_MEMBER_MOST);
    CONSTANT(WEBSOCKET_TOPICS_MOST);
    CONSTANT(WEBSOCKET_TOPIC_ID_SIZE);
    CONSTANT(WEBSOCKET_SUBSCRIBE_ON_TOPIC);
    CONSTANT(WEBSOCKET_SUBSCRIBE_JSON);
    CONSTANT(WEBSOCKET_SUBSCRIBE_PRESENCE);
    CONSTANT(WEBSOCKET_SUBSCRIBE_UNIQUE);
    CONSTANT(WEBSOCKET_PUBLISH_EXCLUDE_SELF);
    CONSTANT(WEBSOCKET_PUBLISH_VOLATILE);
    CONSTANT(WEBSOCKET_PUBLISH_RETAIN);
    CONSTANT(WEBSOCKET_PUBLISH_UNCOMPRESSED);
    CONSTANT(WEBSOCKET_TOPIC_CHILD);
    CONSTANT(WEBSOCKET_TOPIC_HOST);
    CONSTANT(WEBSOCKET_TOPIC_MESSAGE);
    CONSTANT(WEBSOCKET_TOPIC_JOINED);
    CONSTANT(WEBSOCKET_TOPIC_LEFT);
    CONSTANT(WEBSOCKET_TOPIC_MEMBERS);
    CONSTANT(WEBSOCKET_TOPIC_DROPPED);
    CONSTANT(WEBSOCKET_TOPIC_GAP);
    CONSTANT(WEBSOCKET_TOPIC_SKIP);
    CONSTANT(WEBSOCKET_TOPIC_PASS);
    NUMBER("C module", offsetof(WebSocketServer, close) + sizeof(server.close));
    NUMBER("version 0", offsetof(WebSocketPlugin, on_disconnect) + sizeof(plugin.on_disconnect));

    has_close_with = WEBSOCKET_SERVER_HAS(&server, close_with);
    server.size = offsetof(WebSocketServer, close_with);
    printf("has %d %u\n", WEBSOCKET_SERVER_HAS(&server, close_with), has_close_with);
    return 0;
}
