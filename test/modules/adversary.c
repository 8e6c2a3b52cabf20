/*
 * A module of httpd's that does to a WebSocket what other people's modules may do: for the tests.
 *
 *   <Location /bytes>
 *     Adversary in-bytes out-bytes
 *   </Location>
 *
 * Each word is one thing that it does on the connections of that location's requests, from the request's fixups on:
 *
 *   in-bytes        input comes in buckets of one byte
 *   in-hold         takes all that there is from below, hands out 100 bytes at a time
 *   in-excess       gives all that there is, however much was asked for
 *   in-error        an error bucket (413) lies behind the first data
 *   in-fatal        the read after the first data fails
 *   in-eagain, in-eintr, in-incomplete
 *                   every second read says so, without asking below
 *   in-metadata     every second read gives a brigade without data, without asking below
 *   in-flush        each read flushes the output
 *   in-remove       takes itself off the connection with its first data
 *   in-late         brings a filter with in-bytes and in-flush with its first data
 *   out-bytes       output goes in buckets of one byte
 *   out-hold        keeps output until a FLUSH bucket
 *   out-flush       a FLUSH bucket before and behind each brigade
 *   out-fatal       output fails, once data has come
 *   low             its filters are below TLS, not above
 *   aborted         sets c->aborted in every hook once the WebSocket has been opened
 *   keepalive       sets c->keepalive in every hook
 *   clogging        sets c->clogging_input_filters
 *   log             allocates and writes notes in log_transaction
 */

#include "httpd.h"
#include "http_config.h"
#include "http_connection.h"
#include "http_protocol.h"
#include "http_request.h"
#include "mpm_common.h"
#include "util_filter.h"
#include "apr_strings.h"

enum mode {
    IN_BYTES = 1 << 0,
    IN_HOLD = 1 << 1,
    IN_EXCESS = 1 << 2,
    IN_ERROR = 1 << 3,
    IN_FATAL = 1 << 4,
    IN_EAGAIN = 1 << 5,
    IN_EINTR = 1 << 6,
    IN_INCOMPLETE = 1 << 7,
    IN_METADATA = 1 << 8,
    IN_FLUSH = 1 << 9,
    IN_REMOVE = 1 << 10,
    IN_LATE = 1 << 11,
    OUT_BYTES = 1 << 12,
    OUT_HOLD = 1 << 13,
    OUT_FLUSH = 1 << 14,
    OUT_FATAL = 1 << 15,
    LOW = 1 << 16,
    ABORTED = 1 << 17,
    KEEPALIVE = 1 << 18,
    CLOGGING = 1 << 19,
    LOG = 1 << 20
};

static const struct {
    const char *word;
    int mode;
} words[] = {
    { "in-bytes", IN_BYTES },       { "in-hold", IN_HOLD },
    { "in-excess", IN_EXCESS },     { "in-error", IN_ERROR },
    { "in-fatal", IN_FATAL },       { "in-eagain", IN_EAGAIN },
    { "in-eintr", IN_EINTR },       { "in-incomplete", IN_INCOMPLETE },
    { "in-metadata", IN_METADATA }, { "in-flush", IN_FLUSH },
    { "in-remove", IN_REMOVE },     { "in-late", IN_LATE },
    { "out-bytes", OUT_BYTES },     { "out-hold", OUT_HOLD },
    { "out-flush", OUT_FLUSH },     { "out-fatal", OUT_FATAL },
    { "low", LOW },                 { "aborted", ABORTED },
    { "keepalive", KEEPALIVE },     { "clogging", CLOGGING },
    { "log", LOG },
};

/* What one connection's filters and hooks know. */
typedef struct {
    int modes;
    /* Reads that have given data. */
    int reads;
    /* Every second read says nothing. */
    int is_silent;
    ap_filter_t *output_filter;
    /* What in-hold and out-hold keep. */
    apr_bucket_brigade *input;
    apr_bucket_brigade *output;
} state;

#define HOLD_OUT 100
#define AS_MUCH_AS_THERE_IS (1 << 20)

module AP_MODULE_DECLARE_DATA adversary_module;

/* From where its own filter is: one below TLS must not have TLS write while that reads. */
static void flush_output(conn_rec *c, ap_filter_t *from)
{
    apr_bucket_brigade *bb = apr_brigade_create(c->pool, c->bucket_alloc);

    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_flush_create(c->bucket_alloc));
    ap_pass_brigade(from->next, bb);
    apr_brigade_destroy(bb);
}

static void cut_into_bytes(apr_bucket_brigade *bb)
{
    apr_bucket *bucket;

    for (bucket = APR_BRIGADE_FIRST(bb); bucket != APR_BRIGADE_SENTINEL(bb);
         bucket = APR_BUCKET_NEXT(bucket)) {
        if (!APR_BUCKET_IS_METADATA(bucket) && bucket->length > 1) {
            apr_bucket_split(bucket, 1);
        }
    }
}

static int has_data(apr_bucket_brigade *bb)
{
    apr_off_t length = 0;

    return apr_brigade_length(bb, 1, &length) == APR_SUCCESS && length > 0;
}

/* Moves everything that there is below into `bb`. */
static apr_status_t read_all(ap_filter_t *f, apr_bucket_brigade *bb)
{
    apr_bucket_brigade *part = apr_brigade_create(f->c->pool, f->c->bucket_alloc);
    apr_status_t status;

    do {
        status = ap_get_brigade(f->next, part, AP_MODE_READBYTES, APR_NONBLOCK_READ,
                                AS_MUCH_AS_THERE_IS);
        if (APR_BRIGADE_EMPTY(part)) {
            break;
        }
        /* TLS uses its buffer again. */
        ap_save_brigade(f, &bb, &part, f->c->pool);
    } while (status == APR_SUCCESS);
    apr_brigade_destroy(part);
    return has_data(bb) ? APR_SUCCESS : status;
}

static apr_status_t read_held(ap_filter_t *f, state *s, apr_bucket_brigade *bb)
{
    apr_bucket *rest;
    apr_status_t status = APR_SUCCESS;

    if (APR_BRIGADE_EMPTY(s->input)) {
        status = read_all(f, s->input);
    }
    if (status == APR_SUCCESS && !APR_BRIGADE_EMPTY(s->input)) {
        apr_brigade_partition(s->input, HOLD_OUT, &rest);
        while (APR_BRIGADE_FIRST(s->input) != rest) {
            apr_bucket *bucket = APR_BRIGADE_FIRST(s->input);
            APR_BUCKET_REMOVE(bucket);
            APR_BRIGADE_INSERT_TAIL(bb, bucket);
        }
    }
    return status;
}

/* What in-eagain and its kin answer every second time; otherwise -1. */
static int read_nothing(ap_filter_t *f, state *s, apr_bucket_brigade *bb)
{
    if (!(s->modes & (IN_EAGAIN | IN_EINTR | IN_INCOMPLETE | IN_METADATA))) {
        return -1;
    }
    s->is_silent = !s->is_silent;
    if (!s->is_silent) {
        return -1;
    }
    if (s->modes & IN_METADATA) {
        APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_flush_create(f->c->bucket_alloc));
        return APR_EAGAIN;
    }
    return s->modes & IN_EAGAIN ? APR_EAGAIN : s->modes & IN_EINTR ? APR_EINTR : APR_INCOMPLETE;
}

static state *add_filters(conn_rec *c, int modes);

static apr_status_t read_input(ap_filter_t *f, apr_bucket_brigade *bb, ap_input_mode_t mode,
                               apr_read_type_e block, apr_off_t readbytes)
{
    state *s = f->ctx;
    apr_status_t status;
    int silence;

    if (mode != AP_MODE_READBYTES) {
        return ap_get_brigade(f->next, bb, mode, block, readbytes);
    }
    if (s->modes & IN_FLUSH) {
        flush_output(f->c, s->output_filter);
    }
    if (s->modes & IN_FATAL && s->reads > 0) {
        return APR_EGENERAL;
    }
    if (block == APR_NONBLOCK_READ && (silence = read_nothing(f, s, bb)) != -1) {
        return silence;
    }
    if (s->modes & IN_HOLD) {
        status = read_held(f, s, bb);
    }
    else if (s->modes & IN_EXCESS) {
        status = read_all(f, bb);
    }
    else {
        status = ap_get_brigade(f->next, bb, mode, block, readbytes);
    }
    if (status != APR_SUCCESS || !has_data(bb)) {
        return status;
    }
    s->reads++;
    if (s->modes & IN_BYTES) {
        cut_into_bytes(bb);
    }
    if (s->modes & IN_ERROR && s->reads == 1) {
        APR_BRIGADE_INSERT_TAIL(bb, ap_bucket_error_create(HTTP_REQUEST_ENTITY_TOO_LARGE, NULL,
                                                           f->c->pool, f->c->bucket_alloc));
    }
    if (s->modes & IN_LATE && s->reads == 1) {
        add_filters(f->c, IN_BYTES | IN_FLUSH | (s->modes & LOW));
    }
    if (s->modes & IN_REMOVE) {
        ap_remove_input_filter(f);
    }
    return APR_SUCCESS;
}

static apr_status_t write_output(ap_filter_t *f, apr_bucket_brigade *bb)
{
    state *s = f->ctx;
    apr_bucket *bucket;

    if (s->modes & OUT_FATAL && s->reads > 0 && has_data(bb)) {
        apr_brigade_cleanup(bb);
        return APR_EGENERAL;
    }
    if (s->modes & OUT_BYTES) {
        cut_into_bytes(bb);
    }
    if (s->modes & OUT_FLUSH) {
        APR_BRIGADE_INSERT_HEAD(bb, apr_bucket_flush_create(f->c->bucket_alloc));
        APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_flush_create(f->c->bucket_alloc));
    }
    if (s->modes & OUT_HOLD) {
        int is_to_go = 0;

        for (bucket = APR_BRIGADE_FIRST(bb); bucket != APR_BRIGADE_SENTINEL(bb);
             bucket = APR_BUCKET_NEXT(bucket)) {
            /* The end of a request, or of the connection, goes at once. */
            is_to_go |= APR_BUCKET_IS_FLUSH(bucket) || AP_BUCKET_IS_EOR(bucket)
                        || AP_BUCKET_IS_EOC(bucket);
        }
        if (!is_to_go) {
            return ap_save_brigade(f, &s->output, &bb, f->c->pool);
        }
        APR_BRIGADE_PREPEND(bb, s->output);
    }
    return ap_pass_brigade(f->next, bb);
}

static state *add_filters(conn_rec *c, int modes)
{
    state *s = apr_pcalloc(c->pool, sizeof(*s));

    s->modes = modes;
    s->input = apr_brigade_create(c->pool, c->bucket_alloc);
    s->output = apr_brigade_create(c->pool, c->bucket_alloc);
    ap_add_input_filter(modes & LOW ? "ADVERSARY_LOW_IN" : "ADVERSARY_IN", s, NULL, c);
    s->output_filter =
        ap_add_output_filter(modes & LOW ? "ADVERSARY_LOW_OUT" : "ADVERSARY_OUT", s, NULL, c);
    return s;
}

static void disturb(conn_rec *c, int modes)
{
    if (modes & ABORTED) {
        c->aborted = 1;
    }
    if (modes & KEEPALIVE) {
        c->keepalive = AP_CONN_KEEPALIVE;
    }
}

static int fixups(request_rec *r)
{
    int *modes = ap_get_module_config(r->per_dir_config, &adversary_module);
    state *s;

    if (*modes == 0 || !ap_is_initial_req(r)) {
        return DECLINED;
    }
    s = add_filters(r->connection, *modes);
    ap_set_module_config(r->connection->conn_config, &adversary_module, s);
    if (*modes & CLOGGING) {
        r->connection->clogging_input_filters = 1;
    }
    disturb(r->connection, *modes & KEEPALIVE);
    return DECLINED;
}

static int log_transaction(request_rec *r)
{
    state *s = ap_get_module_config(r->connection->conn_config, &adversary_module);
    int i;

    if (s == NULL) {
        return DECLINED;
    }
    if (s->modes & LOG) {
        for (i = 0; i < 1000; i++) {
            apr_table_setn(r->notes, apr_psprintf(r->pool, "adversary-%d", i),
                           apr_pstrdup(r->pool, "a note"));
        }
        apr_palloc(r->connection->pool, 100000);
    }
    disturb(r->connection, s->modes);
    return DECLINED;
}

static void suspended(conn_rec *c, request_rec *r)
{
    state *s = ap_get_module_config(c->conn_config, &adversary_module);

    (void)r;
    if (s != NULL) {
        disturb(c, s->modes);
    }
}

static int closing(conn_rec *c)
{
    suspended(c, NULL);
    return OK;
}

static void *create_config(apr_pool_t *p, char *path)
{
    (void)path;
    return apr_pcalloc(p, sizeof(int));
}

static const char *set_mode(cmd_parms *cmd, void *config, const char *word)
{
    unsigned i;

    for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(word, words[i].word) == 0) {
            *(int *)config |= words[i].mode;
            return NULL;
        }
    }
    return apr_pstrcat(cmd->pool, "the adversary does not know ", word, NULL);
}

static const command_rec commands[] = {
    AP_INIT_ITERATE("Adversary", set_mode, NULL, ACCESS_CONF, "what it does"),
    { NULL }
};

static void register_hooks(apr_pool_t *p)
{
    (void)p;
    ap_register_input_filter("ADVERSARY_IN", read_input, NULL, AP_FTYPE_CONNECTION);
    ap_register_output_filter("ADVERSARY_OUT", write_output, NULL, AP_FTYPE_CONNECTION);
    ap_register_input_filter("ADVERSARY_LOW_IN", read_input, NULL, AP_FTYPE_CONNECTION + 8);
    ap_register_output_filter("ADVERSARY_LOW_OUT", write_output, NULL, AP_FTYPE_CONNECTION + 8);
    ap_hook_fixups(fixups, NULL, NULL, APR_HOOK_LAST);
    ap_hook_log_transaction(log_transaction, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_suspend_connection(suspended, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_pre_close_connection(closing, NULL, NULL, APR_HOOK_MIDDLE);
}

module AP_MODULE_DECLARE_DATA adversary_module = {
    STANDARD20_MODULE_STUFF,
    create_config,
    NULL,
    NULL,
    NULL,
    commands,
    register_hooks,
    0
};
