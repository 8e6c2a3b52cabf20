/*
 * A WebSocket echo server on libwebsockets: libwebsockets_echo PORT [LEVEL | CERTIFICATE KEY]
 *
 * One service thread, no logging; with LEVEL the library's own permessage-deflate, else no extensions; with two
 * files TLS, of the library's defaults. As the
 * library's documentation advises, what comes in is queued as it comes (a message that is longer than the
 * receive buffer as several fragments) and goes out in the writeable callback, and a connection whose queue is
 * full is not read.
 *
 * Licensed under the Apache License, Version 2.0; see LICENSE.
 */

#include <libwebsockets.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define RECEIVE_BUFFER 65536
#define RECEIVE_BUFFER_BITS "16"
#define QUEUE_MOST 64 /* parts; reading stops above, and goes on below half of it */

typedef struct {
    size_t length;
    int flags;
    /* LWS_PRE bytes of room for the frame header, then the payload */
} Part;

/* The queue is made with the first message, so that an idle connection has none. */
typedef struct {
    struct lws_ring *queue;
    int paused;
} Session;

static const struct lws_extension deflate[] = {
    {"permessage-deflate", lws_extension_callback_pm_deflate, "permessage-deflate"},
    {NULL, NULL, NULL},
};

static const char *level;
static volatile sig_atomic_t stopped;

static void drop_part(void *part)
{
    free(*(Part **)part);
}

/* The extension makes its compressor and its buffers, else 1 KiB each, with the first message. */
static int configure_deflate(struct lws *wsi)
{
    return lws_set_extension_option(wsi, deflate->name, "rx_buf_size", RECEIVE_BUFFER_BITS)
        || lws_set_extension_option(wsi, deflate->name, "tx_buf_size", RECEIVE_BUFFER_BITS)
        || lws_set_extension_option(wsi, deflate->name, "compression_level", level);
}

static int receive(struct lws *wsi, Session *session, const void *bytes, size_t length)
{
    Part *part = malloc(sizeof *part + LWS_PRE + length);

    if (!session->queue) {
        session->queue = lws_ring_create(sizeof(Part *), 16 * QUEUE_MOST, drop_part);
    }
    if (!part || !session->queue) {
        free(part);
        return -1;
    }
    part->length = length;
    part->flags = lws_write_ws_flags(lws_frame_is_binary(wsi) ? LWS_WRITE_BINARY : LWS_WRITE_TEXT,
                                     lws_is_first_fragment(wsi), lws_is_final_fragment(wsi));
    memcpy((unsigned char *)(part + 1) + LWS_PRE, bytes, length);
    if (!lws_ring_insert(session->queue, &part, 1)) {
        free(part);
        return -1;
    }
    if (!session->paused && lws_ring_get_count_waiting_elements(session->queue, NULL) >= QUEUE_MOST) {
        session->paused = 1;
        lws_rx_flow_control(wsi, 0);
    }
    lws_callback_on_writable(wsi);
    return 0;
}

static int transmit(struct lws *wsi, Session *session)
{
    Part *const *next;

    while (session->queue && (next = lws_ring_get_element(session->queue, NULL))) {
        Part *part = *next;
        int written = lws_write(wsi, (unsigned char *)(part + 1) + LWS_PRE, part->length, part->flags);

        if (written < (int)part->length) {
            return -1;
        }
        lws_ring_consume(session->queue, NULL, NULL, 1); /* frees the part, through drop_part */
        if (session->paused && lws_ring_get_count_waiting_elements(session->queue, NULL) <= QUEUE_MOST / 2) {
            session->paused = 0;
            lws_rx_flow_control(wsi, 1);
        }
        if (lws_ring_get_count_waiting_elements(session->queue, NULL) && lws_send_pipe_choked(wsi)) {
            lws_callback_on_writable(wsi);
            break;
        }
    }
    return 0;
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *session, void *bytes, size_t length)
{
    switch (reason) {
    case LWS_CALLBACK_ESTABLISHED:
        return level ? configure_deflate(wsi) : 0;
    case LWS_CALLBACK_RECEIVE:
        return receive(wsi, session, bytes, length);
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return transmit(wsi, session);
    case LWS_CALLBACK_CLOSED:
        if (((Session *)session)->queue) {
            lws_ring_destroy(((Session *)session)->queue);
        }
        return 0;
    default:
        return lws_callback_http_dummy(wsi, reason, session, bytes, length);
    }
}

static void stop(int signal)
{
    (void)signal;
    stopped = 1;
}

int main(int argc, char **argv)
{
    static const struct lws_protocols protocols[] = {
        {"http", on_event, sizeof(Session), RECEIVE_BUFFER, 0, NULL, 0},
        {NULL, NULL, 0, 0, 0, NULL, 0},
    };
    struct lws_context_creation_info info = {0};
    struct lws_context *context;

    if (argc < 2 || argc > 4) {
        return 2;
    }
    level = argc == 3 ? argv[2] : NULL;
    if (argc == 4) {
        info.options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
        info.ssl_cert_filepath = argv[2];
        info.ssl_private_key_filepath = argv[3];
    }
    lws_set_log_level(0, NULL);
    signal(SIGINT, stop);
    signal(SIGTERM, stop);
    info.port = atoi(argv[1]);
    info.iface = "127.0.0.1";
    info.protocols = protocols;
    info.pt_serv_buf_size = RECEIVE_BUFFER;
    info.extensions = level ? deflate : NULL;
    if (!(context = lws_create_context(&info))) {
        return 1;
    }
    while (!stopped && lws_service(context, 0) >= 0) {
    }
    lws_context_destroy(context);
    return 0;
}
