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
 * The life of one WebSocket (callbacks marked + are of plugin version 1)
 *
 *   1. on_connect     before the handshake is answered: the plugin accepts
 *                     (the client gets 101) or refuses (it gets an HTTP error).
 *   2. on_open +      the 101 is out.
 *   3. on_message     once for each text or binary message, in their order;
 *      on_timer +     and between them what set_timer, try_send, a ping and
 *      on_writable +  subscribe asked for.
 *      on_pong +
 *      on_topic +
 *   4. on_close +     why and how it ended, once for each on_open.
 *   5. on_disconnect  exactly once for each accepted on_connect, whoever ended
 *                     the connection and however; also for a client that
 *                     vanished before its 101 was written.
 *
 * The life of a plugin: init and configure + in the parent process, while the
 * configuration is read; then in each child child_start +, connections,
 * child_stop +; destroy in the parent process when the configuration goes.
 *
 * Rules that hold everywhere
 *
 *   - Callbacks of one connection never overlap. They may run on a different
 *     thread each time. Callbacks of different connections run in parallel.
 *   - A callback may call any server function of its own connection.
 *   - send, try_send, send_fragment, send_many, buffered_amount, close,
 *     close_with, option_get, set_timer, log, subscribe, unsubscribe, publish,
 *     topic_count and topic_members may be called from any thread, by many
 *     threads at once, from on_connect until on_disconnect returns (or until
 *     on_connect returns, when it refuses). A plugin that gave the server
 *     pointer to another thread must see to it that this thread makes no call
 *     afterwards: join it in on_disconnect.
 *   - The other server functions belong to the thread of a running callback.
 *   - A call that is refused because the plugin made a mistake (a text that is
 *     not UTF-8, a bad length, a NULL, the wrong moment) returns what its
 *     function documents, changes nothing, and is logged once for each
 *     connection and kind of mistake (WS0401, warn). A call after the end is no
 *     mistake.
 *   - A table has a size and a version. Members are appended, never moved; ask
 *     WEBSOCKET_SERVER_HAS before using one that is marked "appended".
 *   - No exception and no longjmp may leave a callback.
 */

#ifndef WEBSOCKET_PLUGIN_H
#define WEBSOCKET_PLUGIN_H

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

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
 * there is no header left to change, and the call has no effect. Nor has it with
 * NULL, with a key that is no token (RFC 9110 5.6.2), or with a value that has
 * control characters other than tabs: text from a client cannot add a field. Nor
 * have fields that are the server's to set: Connection, Content-Length, Trailer,
 * Transfer-Encoding, Upgrade, and those that begin with Sec-WebSocket-
 * (protocol_set chooses the subprotocol).
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
 * Chooses the subprotocol that the 101 names; the last call counts. One that the
 * client does not offer has no effect (RFC 6455 4.2.2: it would end the
 * connection). The string is copied. On_connect only, later calls have no
 * effect. NULL: no effect.
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
 * does not mean that the peer has it. In a callback, while more of the client's
 * messages are at hand, it leaves together with the answers to those. Not where
 * callbacks take long (100 microseconds and more): but what the first of these
 * sends leaves when it returns.
 *
 * Thread: any. Messages of one thread keep their order, and frames of different
 * messages never mix. When the peer is slow, send waits until there is room. A
 * thread that waits here is released with 0 when the connection ends, which is
 * before on_disconnect is called: on_disconnect may join it.
 *
 * During on_connect nothing can be written yet: what is sent is queued, goes
 * out right after the 101, and is dropped if the handshake is refused. Nothing
 * can wait there either: when WebSocketSendBuffer is used up, send returns 0.
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

/*
 * What try_send and send_fragment return. Positive: accepted; zero: not now;
 * negative: never. A NULL server, or the one of child_start, is CLOSED.
 */
#define WEBSOCKET_SEND_ACCEPTED     1
#define WEBSOCKET_SEND_WOULD_BLOCK  0  /* try_send: the peer is slow, no room */
#define WEBSOCKET_SEND_CLOSED      -1  /* the connection has ended or closes */
#define WEBSOCKET_SEND_INVALID     -2  /* such a message must not be sent */

/*
 * Like WS_Send, unknown types included, but never waits, and says why it
 * refuses.
 *
 * After WEBSOCKET_SEND_WOULD_BLOCK the message was not taken; the plugin drops
 * it or keeps it. on_writable is called once there is room again.
 *
 * "Room" is WebSocketSendBuffer (1 MiB): the call takes a message as long as
 * fewer bytes wait for the peer, so that even a message longer than that goes
 * out. A callback has the same room again, on top of what other threads fill.
 *
 * Thread: any.
 */
typedef int (CALLBACK *WS_Try_Send)(
    const struct _WebSocketServer *server, const int type,
    const unsigned char *buffer, const size_t buffer_size);

/*
 * Sends one message in parts, whose number and length need not be known before:
 * each call writes a frame, and the one with final != 0 ends the message.
 *
 * type: MESSAGE_TYPE_TEXT or MESSAGE_TYPE_BINARY, the same for every part. Parts
 * of a text may end inside a character; the whole must be UTF-8. A part may be
 * empty. The message goes uncompressed.
 *
 * Data messages of send and try_send wait until this message has ended, and
 * then go out in their order; control frames do not wait. A connection has one
 * message in parts at a time: it is the plugin's to give the parts in their
 * order when several threads do, and not to begin a second one meanwhile (its
 * parts would become part of the first). A Close before the end leaves the
 * message unfinished, and drops what waits behind it.
 *
 * What waits counts for WebSocketSendBuffer, each message with 64 bytes beside
 * its own. When that is used up, WS_Send waits on other threads and returns 0 in
 * callbacks, WS_Try_Send returns WEBSOCKET_SEND_WOULD_BLOCK, and the client's
 * next messages are not read before this one has ended, unless its latest part
 * came from a callback.
 *
 * Waits while the peer is slow, as WS_Send does (in on_connect, where nothing
 * can leave, it is WEBSOCKET_SEND_WOULD_BLOCK instead when WebSocketSendBuffer
 * is used up, and WS_Send returns 0). Returns
 *   WEBSOCKET_SEND_ACCEPTED
 *   WEBSOCKET_SEND_CLOSED    the connection has ended or is closing
 *   WEBSOCKET_SEND_INVALID   another type than the message began with, or none
 *                            of the two; not UTF-8 (with final != 0: or cut in
 *                            the middle of a character); a NULL buffer with a
 *                            size. The part was not sent, and the message can
 *                            go on.
 *
 * Thread: any.
 */
typedef int (CALLBACK *WS_Send_Fragment)(
    const struct _WebSocketServer *server, const int type,
    const unsigned char *buffer, const size_t buffer_size, const int final);

/*
 * How many bytes were accepted and have not been taken by the socket yet, frame
 * headers included. For a plugin that sends less to a slow peer.
 *
 * Thread: any.
 */
typedef size_t (CALLBACK *WS_Buffered_Amount)(
    const struct _WebSocketServer *server);

/*
 * The value of an option: what WebSocketPluginOption gives this name for the
 * location that the client has asked for. Names are compared as they are.
 *
 * Owner of the result: the server; valid until on_disconnect returns (in
 * child_start: until child_stop returns). NULL when the option is not set.
 *
 * Thread: any.
 */
typedef const char *(CALLBACK *WS_Option_Get)(
    const struct _WebSocketServer *server, const char *name);

/*
 * What httpd knows about the handshake request, by its CGI name (RFC 3875):
 *
 *   REMOTE_ADDR (the client as mod_remoteip sees it), REMOTE_PORT, REMOTE_HOST
 *   (when HostnameLookups has found it), REMOTE_USER, AUTH_TYPE, REQUEST_URI,
 *   REQUEST_METHOD, REQUEST_SCHEME, QUERY_STRING, SCRIPT_NAME, PATH_INFO,
 *   SERVER_NAME, SERVER_ADDR, SERVER_PORT, SERVER_PROTOCOL, SERVER_ADMIN,
 *   SERVER_SOFTWARE, DOCUMENT_ROOT; WEBSOCKET_ID (its number in the status
 *   handler's list, in the logs and as the note websocket-id); HTTPS ("on" or "off"; NULL without mod_ssl);
 *   HTTP_ and the name of a header field; SSL_ and what mod_ssl knows; and each variable that SetEnv,
 *   SetEnvIf, RewriteRule and the like have set. REQUEST_URI has the query, as
 *   for CGI.
 *
 * Owner of the result: the server; valid until on_disconnect returns. NULL when
 * there is no such variable.
 *
 * Thread: of a running callback.
 */
typedef const char *(CALLBACK *WS_Variable_Get)(
    const struct _WebSocketServer *server, const char *name);

/*
 * Says with which HTTP status on_connect, which then returns NULL, refuses the
 * handshake; without it that is 403. Header fields of header_set go on the
 * response (WWW-Authenticate, Retry-After, Location). httpd writes the body, an
 * ErrorDocument if there is one.
 *
 * http_status: 300 to 599. Returns 1, or 0 without effect: not in on_connect,
 * or another status. The refusal holds, also when on_connect then accepts: that
 * is a mistake (WS0401), and on_disconnect follows at once.
 *
 * Thread: of on_connect.
 */
typedef int (CALLBACK *WS_Reject)(
    const struct _WebSocketServer *server, unsigned int http_status);

/*
 * Has on_timer called once, `milliseconds` from now or somewhat later; 0: not
 * any more. A connection has one timer: a second call replaces the first. In
 * on_connect: the time begins there, on_timer comes after on_open.
 *
 * milliseconds: up to 86,400,000 (a day). Returns 1, or 0 without effect: the
 * plugin has no on_timer, the time is too long, or the connection has ended or
 * is closing.
 *
 * Thread: any. A call for which on_timer has begun on another thread is too late
 * to stop it.
 */
typedef int (CALLBACK *WS_Set_Timer)(
    const struct _WebSocketServer *server, unsigned int milliseconds);

/*
 * Writes a line to the ErrorLog of the connection's server, with the client's
 * address, if its LogLevel lets the level through ("LogLevel websocket:debug"
 * counts here). Control characters are escaped; what is longer than httpd's line
 * (about 8,000 bytes) is cut. A NULL text: no effect.
 *
 * level: one of WEBSOCKET_LOG_*; what is beyond them counts as the nearest.
 *
 * Thread: any.
 */
typedef void (CALLBACK *WS_Log)(
    const struct _WebSocketServer *server, int level, const char *text);

#define WEBSOCKET_LOG_ERROR   3
#define WEBSOCKET_LOG_WARNING 4
#define WEBSOCKET_LOG_NOTICE  5
#define WEBSOCKET_LOG_INFO    6
#define WEBSOCKET_LOG_DEBUG   7
#define WEBSOCKET_LOG_TRACE   8

/*
 * As reject, with a body in the place of httpd's page or an ErrorDocument.
 *
 * content_type: such as "application/json"; no control character. body: body_size
 * bytes; NULL is allowed when that is 0. Both are copied. Returns 1, or 0 without
 * effect: as reject, a content type that is NULL, empty or bad, or a NULL body
 * with a size.
 *
 * Thread: of on_connect.
 */
typedef int (CALLBACK *WS_Reject_With)(
    const struct _WebSocketServer *server, unsigned int http_status,
    const char *content_type, const char *body, size_t body_size);

/* ------------------------------------------------------------------------ */
/* Topics: what is published on one child reaches the subscribers of all      */
/* ------------------------------------------------------------------------ */

/*
 * A topic is a name: 1 to 255 bytes of UTF-8 without control characters. It is
 * there as soon as somebody publishes or subscribes to it. All children of the
 * server have the same topics, those of `SetHandler websocket-topics` and
 * `websocket-publish` included: a topic "/room" is the same there and here.
 *
 * What the functions of topics return. Positive: done; negative: refused, and
 * nothing was changed. What is refused for a mistake of the plugin's, for a limit
 * or for want of topics is logged as well (WS0401, once for each connection, or
 * process, and reason). What is logged for TAKEN and CLOSED is nothing.
 */
#define WEBSOCKET_TOPIC_DONE         1
#define WEBSOCKET_TOPIC_LOST         2  /* subscribed, but not from `since` on */
#define WEBSOCKET_TOPIC_NOT_SO       0  /* unsubscribe: it was not subscribed */
#define WEBSOCKET_TOPIC_CLOSED      -1  /* the connection has ended, or is none */
#define WEBSOCKET_TOPIC_INVALID     -2  /* an argument is bad */
#define WEBSOCKET_TOPIC_UNAVAILABLE -3  /* there are no topics here, or not now */
#define WEBSOCKET_TOPIC_FULL        -4  /* a limit is reached */
#define WEBSOCKET_TOPIC_TAKEN       -5  /* another member is called so */
#define WEBSOCKET_TOPIC_TOO_LARGE   -6  /* a message that topics do not take */

/* The most bytes of a topic's name, and of a member's text, without the NUL. */
#define WEBSOCKET_TOPIC_NAME_MOST   255
#define WEBSOCKET_TOPIC_MEMBER_MOST 128
/* The most topics of one WebSocket. */
#define WEBSOCKET_TOPICS_MOST       128
/* Bytes of an id with its NUL, at most. */
#define WEBSOCKET_TOPIC_ID_SIZE     40

/*
 * What is published to the topic goes to this WebSocket, until unsubscribe or
 * its end.
 *
 * since: where it begins.
 *   NULL       with what is published from now on; what the topic retains
 *              (WEBSOCKET_PUBLISH_RETAIN) comes first
 *   "last:N"   with the last N messages, as far as they are still there and
 *              WebSocketTopicHistory allows
 *   an id      behind this message, in whatever child and at whatever time that
 *              was: exactly what was missed, or WEBSOCKET_TOPIC_LOST, which
 *              begins as NULL does
 * member: what the subscriber is called among the topic's members: 1 to 128 bytes
 * of UTF-8 without control characters, a nickname for one. NULL: it is counted,
 * and is no member.
 * Both are copied.
 *
 * flags: 0, or
 *   WEBSOCKET_SUBSCRIBE_ON_TOPIC  on_topic is called for each message before it
 *                                 goes to the client, and for whatever else
 *                                 happens to the subscription
 *   WEBSOCKET_SUBSCRIBE_JSON      the client gets the messages of the subprotocol
 *                                 topics.json (topic, id, data) in the place of
 *                                 payloads as they are
 *   WEBSOCKET_SUBSCRIBE_PRESENCE  it is told of members that join and leave, by
 *                                 one of the two ways above, one of which it needs
 *   WEBSOCKET_SUBSCRIBE_UNIQUE    WEBSOCKET_TOPIC_TAKEN when the topic has a
 *                                 member of this text already, on any child
 *
 * Messages of one topic come in one order, the same for all subscribers of all
 * children, each once. WebSocketTopicSlow of the WebSocket's section says what
 * becomes of one that is slow: closed with 1013, which is the default, or told
 * what it has lost. A member that joins is told of by itself, too, behind what
 * it has missed.
 *
 * In on_connect: what comes waits for the 101, as what is sent does.
 *
 * Returns WEBSOCKET_TOPIC_DONE or WEBSOCKET_TOPIC_LOST; CLOSED; INVALID (a bad
 * name, id, text or flag; it is subscribed to this topic already; ON_TOPIC with
 * JSON, or without an on_topic; PRESENCE without either of these two; UNIQUE
 * without a member); UNAVAILABLE
 * (no memory for topics: WS0114); FULL (128 topics of one WebSocket, 10,000 of
 * the server, 16,384 members); TAKEN.
 *
 * Thread: any. Never waits for a subscriber; for other publishers and
 * subscribers as long as they copy.
 */
typedef int (CALLBACK *WS_Subscribe)(
    const struct _WebSocketServer *server, const char *topic,
    const char *since, const char *member, unsigned int flags);

#define WEBSOCKET_SUBSCRIBE_ON_TOPIC 1u
#define WEBSOCKET_SUBSCRIBE_JSON     2u
#define WEBSOCKET_SUBSCRIBE_PRESENCE 4u
#define WEBSOCKET_SUBSCRIBE_UNIQUE   8u

/*
 * Ends a subscription. A message that waits for on_topic is delivered all the
 * same.
 *
 * Returns WEBSOCKET_TOPIC_DONE, NOT_SO, CLOSED or INVALID. Thread: any.
 */
typedef int (CALLBACK *WS_Unsubscribe)(
    const struct _WebSocketServer *server, const char *topic);

/*
 * Publishes a message to all subscribers of the topic, on all children. Works
 * with the server of child_start, too, and after the connection's end, until
 * on_disconnect returns.
 *
 * type: MESSAGE_TYPE_TEXT (must be UTF-8) or MESSAGE_TYPE_BINARY.
 * buffer: owned by the caller, not read after the call returns; NULL is allowed
 * when buffer_size is 0.
 * flags: 0, or
 *   WEBSOCKET_PUBLISH_EXCLUDE_SELF  not to the WebSocket that publishes (nobody
 *                                   with the server of child_start); once it has
 *                                   come back as another one, it gets it
 *   WEBSOCKET_PUBLISH_VOLATILE      not kept in the topic's history: nobody who
 *                                   comes later, or is slow, gets it
 *   WEBSOCKET_PUBLISH_RETAIN        it is the topic's value: newcomers get it
 *                                   first, until there is a later one, however
 *                                   much is published meanwhile. Not together
 *                                   with VOLATILE
 *   WEBSOCKET_PUBLISH_UNCOMPRESSED  to each subscriber without compression
 * id: WEBSOCKET_TOPIC_ID_SIZE bytes for the message's id, a NUL-terminated
 * "epoch-number", or NULL. It is written only when the message is published.
 *
 * Returns WEBSOCKET_TOPIC_DONE; CLOSED (a NULL server); INVALID; UNAVAILABLE;
 * FULL (10,000 topics that have subscribers, or the memory for what is retained);
 * TOO_LARGE (more than an eighth of WebSocketTopicMemory; to be retained: more
 * than a 64th of it is FULL).
 *
 * Thread: any. Messages of one thread keep their order. Waits for no subscriber.
 */
typedef int (CALLBACK *WS_Publish)(
    const struct _WebSocketServer *server, const char *topic, const int type,
    const unsigned char *buffer, const size_t buffer_size, unsigned int flags,
    char *id);

#define WEBSOCKET_PUBLISH_EXCLUDE_SELF 1u
#define WEBSOCKET_PUBLISH_VOLATILE     2u
#define WEBSOCKET_PUBLISH_RETAIN       4u
#define WEBSOCKET_PUBLISH_UNCOMPRESSED 8u

/*
 * How many subscribers the topic has, members or not: in this child
 * (WEBSOCKET_TOPIC_CHILD) or in all of them (WEBSOCKET_TOPIC_HOST). Works with
 * the server of child_start, too.
 *
 * Returns the number, or CLOSED, INVALID or UNAVAILABLE. Thread: any.
 */
typedef long (CALLBACK *WS_Topic_Count)(
    const struct _WebSocketServer *server, const char *topic, int scope);

#define WEBSOCKET_TOPIC_CHILD 0
#define WEBSOCKET_TOPIC_HOST  1

/* Is told one member: text is member_size bytes, not NUL-terminated, valid until
 * it returns. data is what topic_members was given. */
typedef void (CALLBACK *WS_Member)(
    void *data, const char *member, size_t member_size);

/*
 * The topic's members on all children, in no order: calls `each` for every one
 * of them, on this thread, before it returns. each: may be NULL, and may call
 * any server function. Works with the server of child_start, too.
 *
 * The members of a child that was killed leave as soon as httpd notices, which
 * is within a second, or two when it is busy.
 *
 * Returns how many there are, or CLOSED, INVALID or UNAVAILABLE. Thread: any.
 */
typedef long (CALLBACK *WS_Topic_Members)(
    const struct _WebSocketServer *server, const char *topic, WS_Member each,
    void *data);
/*
 * Sends one message to many: as try_send to each of `receivers`, in their order,
 * but its frame is made once for all of them (and compressed once, where that was
 * agreed on, for each window size), and no receiver has a copy of it while it
 * waits.
 *
 * server: who sends. In a callback, its own: when more of that client's messages
 * are at hand, what they give to others is gathered, and leaves in one write for
 * each receiver when the last of them has been handled, or when the callback
 * waits in send. On a thread of the plugin's own, any of the receivers, or the
 * server of child_start: then it leaves at once.
 *
 * receivers: count servers of this process, each valid until its on_disconnect
 * has returned, as for any call from another thread; `server` may be among them.
 * type: MESSAGE_TYPE_TEXT or MESSAGE_TYPE_BINARY, with or without
 * MESSAGE_TYPE_UNCOMPRESSED. A text has to be UTF-8.
 * results: NULL, or room for count answers. Each receiver gets the one that
 * try_send would have given it: one whose peer is slow, so that it has no room,
 * WEBSOCKET_SEND_WOULD_BLOCK and an on_writable later; the others have the
 * message all the same. A NULL among the receivers is CLOSED.
 *
 * Owner of receivers, buffer and results: the caller; they are not used after
 * the call returns.
 *
 * Returns how many have accepted it. 0, and each result is
 * WEBSOCKET_SEND_INVALID, for another type, a text that is not UTF-8, or a NULL
 * buffer with a size; 0 without any result for a NULL server or NULL receivers.
 *
 * A compressed message that goes to many refers to nothing before it, so it is
 * larger than one that goes to one with context takeover.
 *
 * Thread: any. Never waits. Two calls on different threads may reach two
 * receivers in different orders: one lock around the calls gives one order.
 */
typedef size_t (CALLBACK *WS_Send_Many)(
    const struct _WebSocketServer *server,
    const struct _WebSocketServer *const *receivers, size_t count,
    const int type, const unsigned char *buffer, const size_t buffer_size,
    int *results);

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
    WS_Try_Send try_send;
    WS_Send_Fragment send_fragment;
    WS_Buffered_Amount buffered_amount;
    WS_Option_Get option_get;
    WS_Variable_Get variable_get;
    WS_Reject reject;
    WS_Set_Timer set_timer;
    WS_Log log;
    /* Here ends the table of the first servers with version 1. Appended: */
    WS_Reject_With reject_with;
    WS_Subscribe subscribe;
    WS_Unsubscribe unsubscribe;
    WS_Publish publish;
    WS_Topic_Count topic_count;
    WS_Topic_Members topic_members;
    WS_Send_Many send_many;
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
 * The configuration goes away: called once for each table, in the process that
 * has called init (the parent; under `httpd -X` the only one). The shared object
 * may be unloaded next. A child process ends without it: what a child has opened
 * is given back in child_stop. May be NULL.
 */
typedef void (CALLBACK *WS_Destroy)(struct _WebSocketPlugin *plugin);

/*
 * A client asks for a WebSocket; origin, version and header fields have been
 * checked. May be NULL: every client is accepted, with NULL as plugin_private.
 *
 * Returns plugin_private, what the other callbacks get as first argument. Owner:
 * the plugin; the server does not look at it.
 *   NULL                      refuses: 403 Forbidden, or what reject said.
 *                             There will be no on_disconnect.
 *   WEBSOCKET_CONNECT_ERROR   refuses: 500 Internal Server Error, whatever
 *                             reject said, and again without on_disconnect.
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

/*
 * The rest are callbacks of plugin version 1. Each may be NULL.
 */

/* One WebSocketPluginOption. */
typedef struct _WebSocketOption {
    const char *name;
    const char *value;
} WebSocketOption;

/*
 * Checks options: called for each section of the configuration that names this
 * plugin, or an option while the plugin is named outside of all sections, with
 * the options as they hold there (those of the server around it included; the
 * last one of a name counts, and it is here once). What only comes together for
 * a request, as an option in one section and the plugin in another that holds
 * for the same path, is not checked. In the parent process, on its only thread, after
 * the whole configuration was read, also by `httpd -t`.
 *
 * Returns NULL when all is well, else what is wrong with them: httpd does not
 * start, and says so with the section's file and line. Owner of the text: the
 * plugin; valid until the next call of configure or destroy. options and what it
 * points to belong to the server and are gone when configure returns: on_connect
 * asks option_get for the values that hold for its client.
 *
 * Without it, every option is accepted.
 */
typedef const char *(CALLBACK *WS_Configure)(
    struct _WebSocketPlugin *plugin, const WebSocketOption *options,
    size_t option_count);

/*
 * A child process begins: the place to start threads and to open what each
 * process has to have for itself. Once in each child, before its first
 * on_connect.
 *
 * server: stands for the process. log, option_get, publish, topic_count,
 * topic_members and send_many work until child_stop returns, on any thread; every
 * other function refuses. The options are those
 * that WebSocketProcessOption gives this init function, and those of the server
 * config that are not among them.
 */
typedef void (CALLBACK *WS_Child_Start)(
    struct _WebSocketPlugin *plugin, const WebSocketServer *server);

/*
 * The child process ends: once for each child_start, after the last
 * on_disconnect. Threads are joined here.
 *
 * graceful: 1 when the child took the time to close its WebSockets, 0 when it
 * was told to stop at once.
 *
 * A process that is killed does not come here, nor does one that is told to
 * stop at once while a callback runs on a thread of httpd's own (which is every
 * callback under the worker and prefork MPMs).
 */
typedef void (CALLBACK *WS_Child_Stop)(
    struct _WebSocketPlugin *plugin, int graceful);

/* The 101 is out: the first callback after on_connect. */
typedef void (CALLBACK *WS_OnOpen)(
    void *plugin_private, const WebSocketServer *server);

/* The time of set_timer has come. */
typedef void (CALLBACK *WS_OnTimer)(
    void *plugin_private, const WebSocketServer *server);

/*
 * There is room again after try_send said WEBSOCKET_SEND_WOULD_BLOCK: at most
 * half of WebSocketSendBuffer waits for the peer. Once, until the next
 * WEBSOCKET_SEND_WOULD_BLOCK. A WebSocket that subscribes to topics may have it
 * called without having asked, when what was published has found no room.
 */
typedef void (CALLBACK *WS_OnWritable)(
    void *plugin_private, const WebSocketServer *server);

/*
 * The WebSocket has ended; on_disconnect comes next. Sending is no longer
 * possible.
 *
 * code: what the peer's Close frame says, 1005 when it says nothing, 1006 when
 * none came (RFC 6455 7.1.5).
 * reason: the Close frame's, UTF-8, not NUL-terminated, never NULL; valid until
 * on_close returns.
 * clean: 1 when Close frames went both ways, 0 when not (the peer vanished or
 * broke the protocol, a timeout, the end of the process).
 */
typedef void (CALLBACK *WS_OnClose)(
    void *plugin_private, const WebSocketServer *server, unsigned int code,
    const char *reason, size_t reason_size, int clean);

/*
 * A Pong has come: the answer to a ping of the plugin's (send with
 * MESSAGE_TYPE_PING), to one of the server's own (WebSocketPingInterval), or one
 * that nobody asked for.
 *
 * payload: at most 125 bytes, never NULL; valid until on_pong returns.
 * round_trip: microseconds from the ping to the pong, when this answers one of
 * the plugin's latest pings (the same payload) or the server's; else
 * WEBSOCKET_ROUND_TRIP_UNKNOWN.
 *
 * A server that is older than this member does not call it.
 */
typedef void (CALLBACK *WS_OnPong)(
    void *plugin_private, const WebSocketServer *server,
    const unsigned char *payload, size_t payload_size,
    unsigned long round_trip);

#define WEBSOCKET_ROUND_TRIP_UNKNOWN (~0UL)

/*
 * Something has happened to a subscription that was made with
 * WEBSOCKET_SUBSCRIBE_ON_TOPIC. Of kind
 *
 *   WEBSOCKET_TOPIC_MESSAGE  something was published: message_type, buffer
 *   WEBSOCKET_TOPIC_JOINED   a member has joined: buffer is its text, count how
 *   WEBSOCKET_TOPIC_LEFT     many members there are now. With
 *                            WEBSOCKET_SUBSCRIBE_PRESENCE only, as the next one
 *   WEBSOCKET_TOPIC_MEMBERS  joins and leaves have gone by untold, because this
 *                            WebSocket was slow: count is how many members there
 *                            are now, and topic_members lists them
 *   WEBSOCKET_TOPIC_DROPPED  count messages were dropped here, because it was slow
 *   WEBSOCKET_TOPIC_GAP      some messages are missing here: they were overwritten
 *                            before it could take them
 */
typedef struct _WebSocketTopicEvent {
    unsigned int size; /* of this struct; members may be appended */
    unsigned int kind;
    const char *topic; /* NUL-terminated */
    const char *id;    /* NUL-terminated; what `since` of subscribe may be afterwards */
    int message_type;  /* MESSAGE_TYPE_TEXT or MESSAGE_TYPE_BINARY */
    const unsigned char *buffer; /* never NULL, not NUL-terminated */
    size_t buffer_size;
    unsigned long count;
} WebSocketTopicEvent;

#define WEBSOCKET_TOPIC_MESSAGE 0u
#define WEBSOCKET_TOPIC_JOINED  1u
#define WEBSOCKET_TOPIC_LEFT    2u
#define WEBSOCKET_TOPIC_MEMBERS 3u
#define WEBSOCKET_TOPIC_DROPPED 4u
#define WEBSOCKET_TOPIC_GAP     5u

/*
 * Called for each such event, in the order of the topic, before the message goes
 * to the client. Returns WEBSOCKET_TOPIC_PASS: it goes there as it is; or
 * WEBSOCKET_TOPIC_SKIP: it does not. To change it, send something else and skip.
 * Of other kinds nothing goes to the client by itself, whatever is returned.
 *
 * event, and what it points to: the server's, valid until on_topic returns.
 *
 * A callback like the others: it overlaps with no other of this connection, and
 * comes after on_open and before on_close. It is called when there is room for
 * what it may send.
 *
 * A server that is older than this member has no subscribe.
 */
typedef int (CALLBACK *WS_OnTopic)(
    void *plugin_private, const WebSocketServer *server,
    const WebSocketTopicEvent *event);

#define WEBSOCKET_TOPIC_SKIP 0
#define WEBSOCKET_TOPIC_PASS 1

#define WEBSOCKET_PLUGIN_VERSION_0 0
#define WEBSOCKET_PLUGIN_VERSION_1 1

/*
 * Owner: the plugin, which fills it in before init returns and leaves it alone
 * until destroy. size is sizeof(WebSocketPlugin). version is
 * WEBSOCKET_PLUGIN_VERSION_0 for a plugin that leaves everything after
 * on_disconnect alone, and WEBSOCKET_PLUGIN_VERSION_1 for one that uses it (a
 * server that does not know version 1 refuses to load it, and one that does has
 * every server function up to log).
 */
typedef struct _WebSocketPlugin {
    unsigned int size;
    unsigned int version;
    WS_Destroy destroy;            /* may be NULL */
    WS_OnConnect on_connect;       /* may be NULL */
    WS_OnMessage on_message;
    WS_OnDisconnect on_disconnect; /* may be NULL */
    /* Here ends version 0. Looked at in version 1 only, each may be NULL: */
    WS_Configure configure;
    WS_Child_Start child_start;
    WS_Child_Stop child_stop;
    WS_OnOpen on_open;
    WS_OnTimer on_timer;
    WS_OnWritable on_writable;
    WS_OnClose on_close;
    WS_OnPong on_pong;
    WS_OnTopic on_topic;
} WebSocketPlugin;

/*
 * Fills in the table of a plugin of version 1 and returns it: the way that gives
 * no warning about members that are left out, in C99 and C++ alike.
 *
 *     static WebSocketPlugin plugin;
 *
 *     extern EXPORT WebSocketPlugin *CALLBACK my_init(void)
 *     {
 *         websocket_plugin_version_1(&plugin, on_message);
 *         plugin.on_connect = on_connect;
 *         return &plugin;
 *     }
 *
 * In C++ the init function begins with extern "C", or the server does not find
 * it.
 */
#if defined(__cplusplus) || (defined(__STDC_VERSION__) && __STDC_VERSION__ >= 199901L)
static inline WebSocketPlugin *
websocket_plugin_version_1(WebSocketPlugin *plugin, WS_OnMessage on_message)
{
    memset(plugin, 0, sizeof *plugin);
    plugin->size = (unsigned int)sizeof *plugin;
    plugin->version = WEBSOCKET_PLUGIN_VERSION_1;
    plugin->on_message = on_message;
    return plugin;
}
#endif

#ifdef __cplusplus
}
#endif

#endif /* WEBSOCKET_PLUGIN_H */
