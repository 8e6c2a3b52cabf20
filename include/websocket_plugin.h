/*
 * websocket_plugin.h: what a WebSocket plugin and mod_websocket say to each
 * other.
 *
 * Licensed under the Apache License, Version 2.0; see LICENSE.
 *
 * A plugin is a shared object with an init function of type WS_Init, named by
 *
 *     WebSocketHandler modules/my_plugin.so my_init
 *
 * Two tables cross the border. The plugin fills in a WebSocketPlugin, the
 * functions that the server calls ("callbacks"). The server hands out one
 * WebSocketServer for each WebSocket, the functions that the plugin calls
 * ("server functions").
 *
 * The life of one WebSocket
 *
 *   1. on_connect     before the handshake is answered: the plugin accepts
 *                     (the client gets 101) or refuses (it gets an HTTP error).
 *   2. on_message     once for each text or binary message, in their order.
 *   3. on_disconnect  exactly once for each accepted on_connect, whoever ended
 *                     the connection and however; also for a client that
 *                     vanished before its 101 was written.
 *
 * Rules that hold everywhere
 *
 *   - Callbacks of one connection never overlap. They may run on a different
 *     thread each time. Callbacks of different connections run in parallel.
 *   - A callback may call any server function of its own connection.
 *   - send, close and close_with may be called from any thread, by many
 *     threads at once, from on_connect until on_disconnect returns (or until
 *     on_connect returns, when it refuses). A plugin that gave the server
 *     pointer to another thread must see to it that this thread makes no call
 *     afterwards: join it in on_disconnect.
 *   - The other server functions belong to the thread of a running callback.
 *   - A table has a size and a version. Members are appended, never moved; ask
 *     WEBSOCKET_SERVER_HAS before using one that is marked "appended".
 *   - No exception and no longjmp may leave a callback.
 */

#ifndef WEBSOCKET_PLUGIN_H
#define WEBSOCKET_PLUGIN_H

#include <stddef.h>
#include <stdlib.h>

#ifdef __cplusplus
extern "C" {
#endif

/* EXPORT marks the init function, CALLBACK everything that crosses the border. */
#ifndef EXPORT
#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#elif defined(__GNUC__) && __GNUC__ >= 4
#define EXPORT __attribute__((visibility("default")))
#else
#define EXPORT
#endif
#endif

#ifndef CALLBACK
#if defined(_WIN32)
#define CALLBACK __stdcall
#else
#define CALLBACK
#endif
#endif

/*
 * What a message is. on_message gets TEXT and BINARY only; send takes all but
 * INVALID.
 */
#define MESSAGE_TYPE_INVALID -1
#define MESSAGE_TYPE_TEXT    0
#define MESSAGE_TYPE_BINARY  128
#define MESSAGE_TYPE_CLOSE   255
#define MESSAGE_TYPE_PING    256
#define MESSAGE_TYPE_PONG    257

/*
 * A flag beside MESSAGE_TYPE_TEXT and MESSAGE_TYPE_BINARY in send: this one
 * message goes uncompressed, even where WebSocketCompression is On (because it
 * is compressed already, or must not share a compressor with secrets). Without
 * compression it changes nothing. A server that does not know the flag would
 * take the type for a close; WEBSOCKET_UNCOMPRESSED leaves it out there:
 *
 *     server->send(server, WEBSOCKET_UNCOMPRESSED(server, MESSAGE_TYPE_BINARY),
 *                  image, image_size);
 */
#define MESSAGE_TYPE_UNCOMPRESSED 0x10000
#define WEBSOCKET_UNCOMPRESSED(server, type) \
    (WEBSOCKET_SERVER_HAS(server, close_with) \
         ? ((type) | MESSAGE_TYPE_UNCOMPRESSED) : (type))

/* ------------------------------------------------------------------------ */
/* Server functions: the server implements, the plugin calls                  */
/* ------------------------------------------------------------------------ */

struct _WebSocketServer;

/*
 * The request of the opening handshake, httpd's own request_rec.
 *
 * Owner: the server. Valid until on_disconnect returns. Only a callback's
 * thread may look into it, and only on_connect may change it. NULL when there
 * is none. (A plugin that uses it includes httpd.h and is bound to that httpd's
 * layouts; one that does not use it needs no header but this.)
 */
typedef struct request_rec *(CALLBACK *WS_Request)(
    const struct _WebSocketServer *server);

/*
 * The value of a header field of the handshake request, letter case of the
 * name ignored; fields of one name are joined with ", ".
 *
 * Owner of the result: the server; valid until on_disconnect returns. NULL when
 * there is no such field, or key is NULL.
 */
typedef const char *(CALLBACK *WS_Header_Get)(
    const struct _WebSocketServer *server, const char *key);

/*
 * Sets a header field of the handshake's response, replacing one of the same
 * name. Both strings are copied. It works in on_connect only: after the 101
 * there is no header left to change, and the call has no effect. A NULL key or
 * value: no effect.
 */
typedef void (CALLBACK *WS_Header_Set)(
    const struct _WebSocketServer *server, const char *key, const char *value);

/* How many subprotocols the client offers (Sec-WebSocket-Protocol). */
typedef size_t (CALLBACK *WS_Protocol_Count)(
    const struct _WebSocketServer *server);

/*
 * The offered subprotocol number `index`, counted from 0, in the client's order
 * of preference.
 *
 * Owner of the result: the server; valid until on_disconnect returns. NULL when
 * index is not below protocol_count.
 */
typedef const char *(CALLBACK *WS_Protocol_Index)(
    const struct _WebSocketServer *server, const size_t index);

/*
 * Chooses the subprotocol that the 101 names; the last call counts. It must be
 * one that the client offers, else browsers end the connection. The string is
 * copied. On_connect only, later calls have no effect. NULL: no effect.
 */
typedef void (CALLBACK *WS_Protocol_Set)(
    const struct _WebSocketServer *server, const char *protocol);

/*
 * Sends one message or control frame.
 *
 *   MESSAGE_TYPE_TEXT    a text message; must be UTF-8
 *   MESSAGE_TYPE_BINARY  a binary message
 *   MESSAGE_TYPE_PING,   a control frame, at most 125 bytes
 *   MESSAGE_TYPE_PONG
 *   MESSAGE_TYPE_CLOSE   starts the closing handshake: either no payload, or a
 *                        status code in two bytes, high byte first, and then a
 *                        reason in UTF-8 of at most 123 bytes
 *   any other value      counts as MESSAGE_TYPE_CLOSE
 *
 * Owner of buffer: the caller; it is read before send returns and not
 * afterwards. NULL is allowed when buffer_size is 0.
 *
 * Returns the number of payload bytes accepted, which is buffer_size, or 0 when
 * the call was refused and nothing goes out:
 *   - the connection has ended, or a Close was sent already;
 *   - a text or a reason that is not UTF-8;
 *   - a control frame that is too long, a status code that must not be sent;
 *   - a NULL server, or a NULL buffer with a size.
 * So 0 is also what an accepted message without payload returns.
 *
 * Accepted means: it will be written after everything accepted before it. It
 * does not mean that the peer has it.
 *
 * Thread: any. Messages of one thread keep their order, and frames of different
 * messages never mix. When the peer is slow, send waits until there is room. A
 * thread that waits here is released with 0 when the connection ends, which is
 * before on_disconnect is called: on_disconnect may join it.
 *
 * During on_connect nothing can be written yet: what is sent is queued, goes
 * out right after the 101, and is dropped if the handshake is refused.
 */
typedef size_t (CALLBACK *WS_Send)(
    const struct _WebSocketServer *server, const int type,
    const unsigned char *buffer, const size_t buffer_size);

/*
 * Starts the closing handshake with a Close frame that has no status code, as the
 * C module does (the client sees 1005; close_with says more). Messages
 * accepted before are written first; later calls of send return 0. Messages
 * from the peer are no longer delivered. on_disconnect follows, on whichever
 * thread ends the connection, never inside this call. The second call and
 * everything after the end have no effect.
 *
 * Thread: any.
 */
typedef void (CALLBACK *WS_Close)(const struct _WebSocketServer *server);

/*
 * Like WS_Close, with a status code and a reason for the peer.
 *
 * code: 1000-1003, 1007-1014 or 3000-4999 (WebSocketAllowReservedStatusCodes
 * widens that to the rest of 1000-2999, but 1005, 1006 and 1015 never).
 * reason: UTF-8 of at most 123 bytes, not NUL-terminated; owned by the caller,
 * not read after the call returns; may be NULL when reason_size is 0.
 *
 * Returns 1 when the Close was accepted, 0 when the call was refused: the
 * connection has ended or is closing already, or an argument is bad.
 *
 * Thread: any.
 */
typedef int (CALLBACK *WS_Close_With)(
    const struct _WebSocketServer *server, unsigned int code,
    const char *reason, size_t reason_size);

#define WEBSOCKET_SERVER_VERSION_1 1

/*
 * Owner: the server. One for each connection; its address stays the same from
 * on_connect until on_disconnect returns (or until on_connect returns, when it
 * refuses), and it must not be used after that. The plugin never writes to it
 * and never copies it: it may be longer than this header knows.
 *
 * The version stays 1 as long as what stands here keeps its meaning; size, in
 * bytes, tells which appended members exist.
 */
typedef struct _WebSocketServer {
    unsigned int size;
    unsigned int version;
    struct _WebSocketState *state; /* the server's own */
    WS_Request request;
    WS_Header_Get header_get;
    WS_Header_Set header_set;
    WS_Protocol_Count protocol_count;
    WS_Protocol_Index protocol_index;
    WS_Protocol_Set protocol_set;
    WS_Send send;
    WS_Close close;
    /* Here ends the table of the C module. Appended: */
    WS_Close_With close_with;
} WebSocketServer;

/*
 * True when the running server has this member. Needed for the appended ones:
 *
 *     if (WEBSOCKET_SERVER_HAS(server, close_with))
 *         server->close_with(server, 4001, "bye", 3);
 */
#define WEBSOCKET_SERVER_HAS(server, member)                                  \
    ((size_t)(server)->size >= offsetof(WebSocketServer, member)              \
                                   + sizeof((server)->member))

/* ------------------------------------------------------------------------ */
/* Plugin callbacks: the plugin implements, the server calls                  */
/* ------------------------------------------------------------------------ */

struct _WebSocketPlugin;

/*
 * The init function, found by its name in the shared object.
 *
 * Called once for each configuration that names it, while that is read: in the
 * parent process, as its user (often root), on its only thread, also by
 * `httpd -t`, and twice when httpd starts. So it starts no thread and opens
 * nothing that a child could not inherit.
 *
 * Returns the plugin's table. Owner: the plugin. It must stay valid and
 * unchanged until destroy was called; static memory will do. NULL is a
 * configuration error.
 */
typedef struct _WebSocketPlugin *(CALLBACK *WS_Init)(void);

/*
 * The configuration goes away: called once for each table, in each process that
 * held it (the parent and its children), after the last on_disconnect in that
 * process. The shared object may be unloaded next. May be NULL.
 */
typedef void (CALLBACK *WS_Destroy)(struct _WebSocketPlugin *plugin);

/*
 * A client asks for a WebSocket; origin, version and header fields have been
 * checked. May be NULL: every client is accepted, with NULL as plugin_private.
 *
 * Returns plugin_private, what the other callbacks get as first argument. Owner:
 * the plugin; the server does not look at it.
 *   NULL                      refuses: 403 Forbidden. There will be no
 *                             on_disconnect.
 *   WEBSOCKET_CONNECT_ERROR   refuses: 500 Internal Server Error, likewise.
 *   anything else             accepts: 101 Switching Protocols.
 */
typedef void *(CALLBACK *WS_OnConnect)(const WebSocketServer *server);

/*
 * What on_connect returns when it failed for a reason of its own. Only for a
 * server that has close_with; the C module would take it for an accepting
 * plugin_private:
 *
 *     return WEBSOCKET_SERVER_HAS(server, close_with)
 *                ? WEBSOCKET_CONNECT_ERROR : NULL;
 */
#define WEBSOCKET_CONNECT_ERROR ((void *)-1)

/*
 * One whole message has arrived. Must not be NULL in the plugin's table.
 *
 * type: MESSAGE_TYPE_TEXT (the payload is UTF-8) or MESSAGE_TYPE_BINARY.
 * buffer: never NULL, not NUL-terminated. Owner: the server; the plugin may
 * write to its buffer_size bytes, and it is valid until on_message returns.
 * The result has no effect; it exists for compatibility. Return buffer_size.
 *
 * No other callback of this connection runs meanwhile, and nothing is read from
 * this client: a callback that takes long delays its own connection only. It
 * must not wait for a thread that may itself wait in send of this connection,
 * since that one may need this one to return.
 */
typedef size_t (CALLBACK *WS_OnMessage)(
    void *plugin_private, const WebSocketServer *server, const int type,
    unsigned char *buffer, const size_t buffer_size);

/*
 * The connection has ended: the last callback, exactly once for each on_connect
 * that accepted (with NULL as plugin_private when the table has no on_connect).
 * Sending is no longer possible, send returns 0; header_get, protocol_index and
 * request still work. When it returns, server and everything got from it are
 * gone. May be NULL.
 */
typedef void (CALLBACK *WS_OnDisconnect)(
    void *plugin_private, const WebSocketServer *server);

#define WEBSOCKET_PLUGIN_VERSION_0 0

/*
 * Owner: the plugin, which fills it in before init returns and leaves it alone
 * until destroy. size is sizeof(WebSocketPlugin), version is
 * WEBSOCKET_PLUGIN_VERSION_0.
 */
typedef struct _WebSocketPlugin {
    unsigned int size;
    unsigned int version;
    WS_Destroy destroy;            /* may be NULL */
    WS_OnConnect on_connect;       /* may be NULL */
    WS_OnMessage on_message;
    WS_OnDisconnect on_disconnect; /* may be NULL */
} WebSocketPlugin;

#ifdef __cplusplus
}
#endif

#endif /* WEBSOCKET_PLUGIN_H */
