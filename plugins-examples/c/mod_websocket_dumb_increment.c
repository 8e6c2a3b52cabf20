/*
 * mod_websocket_dumb_increment: counts up on every WebSocket, one number each
 * 50 ms; the text "reset\n" starts again from 0. It speaks the subprotocol
 * dumb-increment-protocol, and refuses a client that does not offer it.
 *
 *     <Location /dumb-increment>
 *         SetHandler websocket-handler
 *         WebSocketHandler modules/mod_websocket_dumb_increment.so dumb_increment_init
 *     </Location>
 *
 * Each connection has a thread of its own, which shows how a plugin sends while
 * it is not in a callback: the thread starts in on_connect, and on_disconnect
 * stops it and joins it. Its memory comes from a pool of the connection's own,
 * since the pools of the request belong to the server's threads.
 *
 * Licensed under the Apache License, Version 2.0; see LICENSE.
 */

#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <apr_general.h>
#include <apr_pools.h>
#include <apr_thread_cond.h>
#include <apr_thread_mutex.h>
#include <apr_thread_proc.h>

#include "websocket_plugin.h"

#define SUBPROTOCOL "dumb-increment-protocol"
#define INTERVAL    apr_time_from_msec(50)

typedef struct {
    const WebSocketServer *server;
    apr_pool_t *pool;
    apr_thread_t *thread;
    apr_thread_mutex_t *mutex; /* guards what follows */
    apr_thread_cond_t *stopped;
    int stop;
    unsigned long next;
} Counter;

/* The thread of one connection. */
static void *APR_THREAD_FUNC count(apr_thread_t *thread, void *data)
{
    Counter *counter = data;
    char text[32];
    int length;

    (void)thread;

    apr_thread_mutex_lock(counter->mutex);
    for (;;) {
        apr_time_t due = apr_time_now() + INTERVAL;
        apr_interval_time_t left;

        /* May wake up early, so look at the clock and not at the result. */
        while (!counter->stop && (left = due - apr_time_now()) > 0)
            apr_thread_cond_timedwait(counter->stopped, counter->mutex, left);
        if (counter->stop)
            break;

        length = snprintf(text, sizeof text, "%lu", counter->next++);
        /* Not under the lock: send may wait for a slow client. */
        apr_thread_mutex_unlock(counter->mutex);
        if (counter->server->send(counter->server, MESSAGE_TYPE_TEXT,
                                  (const unsigned char *)text, (size_t)length) == 0)
            return NULL; /* The connection is closing. */
        apr_thread_mutex_lock(counter->mutex);
    }
    apr_thread_mutex_unlock(counter->mutex);
    return NULL;
}

/*
 * Starts a thread that gets no signals. Those are httpd's, and a thread begins
 * with the mask of the one that starts it.
 */
static apr_status_t start_thread(Counter *counter)
{
    sigset_t all, before;
    apr_status_t rv;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rv = apr_thread_create(&counter->thread, NULL, count, counter, counter->pool);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rv;
}

static int offers_subprotocol(const WebSocketServer *server)
{
    size_t i, n = server->protocol_count(server);

    for (i = 0; i < n; i++) {
        const char *offered = server->protocol_index(server, i);

        if (offered != NULL && strcmp(offered, SUBPROTOCOL) == 0)
            return 1;
    }
    return 0;
}

static void *CALLBACK dumb_increment_on_connect(const WebSocketServer *server)
{
    apr_pool_t *pool;
    Counter *counter;

    if (server->version != WEBSOCKET_SERVER_VERSION_1 || !offers_subprotocol(server))
        return NULL;
    server->protocol_set(server, SUBPROTOCOL);

    if (apr_pool_create_unmanaged(&pool) != APR_SUCCESS)
        goto failed;
    counter = apr_pcalloc(pool, sizeof *counter);
    counter->server = server;
    counter->pool = pool;
    if (apr_thread_mutex_create(&counter->mutex, APR_THREAD_MUTEX_DEFAULT, pool) == APR_SUCCESS
        && apr_thread_cond_create(&counter->stopped, pool) == APR_SUCCESS
        && start_thread(counter) == APR_SUCCESS)
        return counter;
    apr_pool_destroy(pool);

failed:
    return WEBSOCKET_SERVER_HAS(server, close_with) ? WEBSOCKET_CONNECT_ERROR : NULL;
}

static size_t CALLBACK dumb_increment_on_message(void *plugin_private,
                                                 const WebSocketServer *server, const int type,
                                                 unsigned char *buffer, const size_t buffer_size)
{
    Counter *counter = plugin_private;

    (void)server;
    (void)type;

    if (buffer_size == 6 && memcmp(buffer, "reset\n", 6) == 0) {
        apr_thread_mutex_lock(counter->mutex);
        counter->next = 0;
        apr_thread_mutex_unlock(counter->mutex);
    }
    return buffer_size;
}

static void CALLBACK dumb_increment_on_disconnect(void *plugin_private,
                                                  const WebSocketServer *server)
{
    Counter *counter = plugin_private;
    apr_status_t result;

    (void)server;

    apr_thread_mutex_lock(counter->mutex);
    counter->stop = 1;
    apr_thread_cond_signal(counter->stopped);
    apr_thread_mutex_unlock(counter->mutex);

    /* The thread is not held up: the server has released it from send. */
    apr_thread_join(&result, counter->thread);
    apr_pool_destroy(counter->pool);
}

static WebSocketPlugin dumb_increment_plugin = {
    .size = sizeof(WebSocketPlugin),
    .version = WEBSOCKET_PLUGIN_VERSION_0,
    .on_connect = dumb_increment_on_connect,
    .on_message = dumb_increment_on_message,
    .on_disconnect = dumb_increment_on_disconnect,
};

extern EXPORT WebSocketPlugin *CALLBACK dumb_increment_init(void)
{
    /* httpd has called it already; plugin-host has not. */
    if (apr_initialize() != APR_SUCCESS)
        return NULL;
    return &dumb_increment_plugin;
}
