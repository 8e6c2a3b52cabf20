/*
 * many: what goes to many WebSockets of a process.
 *
 *   "threads N COUNT SIZE"  N threads (8 at most) each send COUNT binary messages
 *                           to all that are open now, each message once to each,
 *                           in their order: one that has no room is asked again.
 *                           Every fifth goes to each by try_send. What they are:
 *                           see compose.
 *   "say TEXT"              TEXT to all, from the callback
 *   "many"                  how many are open
 *   "bad WHAT"              a call with a mistake: "RESULT FIRST SECOND", what
 *                           send_many returns, and two of its results
 *
 * child_stop joins the threads.
 */

#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "websocket_plugin.h"

#define MOST 64
#define THREADS 8
#define LARGE 70000

typedef struct {
    const WebSocketServer *server;
    /* For each thread, the number of the message that it is to send next; -1: none. */
    long next[THREADS];
} Member;

typedef struct {
    pthread_t id;
    int number;
    int is_started;
    long count;
    size_t size;
} Thread;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static Member *members[MOST];
static int member_count;
static Thread threads[THREADS];
static const WebSocketServer *process;

static void CALLBACK child_start(WebSocketPlugin *plugin, const WebSocketServer *server)
{
    (void)plugin;
    process = server;
}

static void join_all(void)
{
    int t;

    for (t = 0; t < THREADS; t++) {
        if (threads[t].is_started)
            pthread_join(threads[t].id, NULL);
        threads[t].is_started = 0;
    }
}

static void CALLBACK child_stop(WebSocketPlugin *plugin, int graceful)
{
    (void)plugin, (void)graceful;
    join_all();
}

/*
 * "T I " and letters: the alphabet from a place that T and I give, or, in every
 * third, letters in no order. Every fourth is short, every sixteenth large.
 */
static size_t compose(unsigned char *buffer, const Thread *thread, long i)
{
    size_t size = i % 4 == 0 ? 40 : i % 16 == 7 ? LARGE : thread->size;
    unsigned int state = (unsigned int)(thread->number * 7919 + i);
    size_t at = (size_t)snprintf((char *)buffer, 40, "%d %ld ", thread->number, i);

    for (; at < size; at++) {
        state = i % 3 == 0 ? state * 1664525u + 1013904223u : state + 1;
        buffer[at] = (unsigned char)('a' + (i % 3 == 0 ? state >> 24 : state) % 26);
    }
    return size;
}

/* One look at who still is to get it. Returns how many that were. */
static int send_some(const Thread *thread, long i, const unsigned char *buffer, size_t size)
{
    const WebSocketServer *receivers[MOST];
    Member *whose[MOST];
    int results[MOST];
    int count = 0, m;

    pthread_mutex_lock(&lock);
    for (m = 0; m < member_count; m++) {
        if (members[m]->next[thread->number] == i) {
            whose[count] = members[m];
            receivers[count++] = members[m]->server;
        }
    }
    if (count > 0 && i % 5 == 4) {
        for (m = 0; m < count; m++)
            results[m] = receivers[m]->try_send(receivers[m], MESSAGE_TYPE_BINARY, buffer, size);
    } else if (count > 0) {
        const WebSocketServer *server = thread->number % 2 == 0 ? receivers[0] : process;

        server->send_many(server, receivers, (size_t)count, MESSAGE_TYPE_BINARY, buffer, size,
                          results);
    }
    for (m = 0; m < count; m++) {
        if (results[m] != WEBSOCKET_SEND_WOULD_BLOCK)
            whose[m]->next[thread->number] = i + 1;
    }
    pthread_mutex_unlock(&lock);
    return count;
}

static void *run(void *data)
{
    const Thread *thread = data;
    const struct timespec pause = { 0, 1000000 };
    unsigned char *buffer = malloc(LARGE + thread->size + 40);
    long i;

    for (i = 0; buffer != NULL && i < thread->count; i++) {
        size_t size = compose(buffer, thread, i);

        while (send_some(thread, i, buffer, size) > 0)
            nanosleep(&pause, NULL);
    }
    free(buffer);
    return NULL;
}

static void start(int number, long count, size_t size)
{
    int t, m;

    join_all();
    pthread_mutex_lock(&lock);
    for (m = 0; m < member_count; m++) {
        for (t = 0; t < number && t < THREADS; t++)
            members[m]->next[t] = 0;
    }
    pthread_mutex_unlock(&lock);
    for (t = 0; t < number && t < THREADS; t++) {
        Thread thread = { .number = t, .count = count, .size = size };

        threads[t] = thread;
        threads[t].is_started = pthread_create(&threads[t].id, NULL, run, &threads[t]) == 0;
    }
}

static size_t say(const WebSocketServer *server, const unsigned char *text, size_t size)
{
    const WebSocketServer *receivers[MOST];
    size_t accepted;
    int m;

    pthread_mutex_lock(&lock);
    for (m = 0; m < member_count; m++)
        receivers[m] = members[m]->server;
    accepted = server->send_many(server, receivers, (size_t)m, MESSAGE_TYPE_TEXT, text, size, NULL);
    pthread_mutex_unlock(&lock);
    return accepted;
}

static void answer(const WebSocketServer *server, const char *text)
{
    server->send(server, MESSAGE_TYPE_TEXT, (const unsigned char *)text, strlen(text));
}

static void mistake(const WebSocketServer *server, const char *what)
{
    const WebSocketServer *receivers[2] = { server, server };
    const unsigned char *text = (const unsigned char *)"bad";
    int type = MESSAGE_TYPE_TEXT;
    int results[2] = { 7, 7 };
    size_t size = 3;
    size_t result;
    char line[64];

    if (strcmp(what, "text") == 0)
        text = (const unsigned char *)"\xff\xff\xff";
    else if (strcmp(what, "type") == 0)
        type = MESSAGE_TYPE_PING;
    else if (strcmp(what, "buffer") == 0)
        text = NULL;
    else if (strcmp(what, "receiver") == 0)
        receivers[1] = NULL;
    else if (strcmp(what, "process") == 0)
        receivers[1] = process;
    result = server->send_many(strcmp(what, "server") == 0 ? NULL : server,
                               strcmp(what, "receivers") == 0 ? NULL : receivers, 2, type, text,
                               size, results);
    snprintf(line, sizeof line, "%lu %d %d", (unsigned long)result, results[0], results[1]);
    answer(server, line);
}

static void *CALLBACK on_connect(const WebSocketServer *server)
{
    Member *member = malloc(sizeof *member);
    int t;

    if (member == NULL)
        return NULL;
    member->server = server;
    for (t = 0; t < THREADS; t++)
        member->next[t] = -1;
    pthread_mutex_lock(&lock);
    if (member_count < MOST) {
        members[member_count++] = member;
    } else {
        free(member);
        member = NULL;
    }
    pthread_mutex_unlock(&lock);
    return member;
}

static void CALLBACK on_disconnect(void *plugin_private, const WebSocketServer *server)
{
    int m;

    (void)server;
    pthread_mutex_lock(&lock);
    for (m = 0; members[m] != plugin_private; m++)
        ;
    members[m] = members[--member_count];
    pthread_mutex_unlock(&lock);
    free(plugin_private);
}

static size_t CALLBACK on_message(void *plugin_private, const WebSocketServer *server,
                                  const int type, unsigned char *buffer,
                                  const size_t buffer_size)
{
    char line[64];
    unsigned long size;
    long count;
    int number;

    (void)plugin_private, (void)type;
    if (buffer_size > 4 && memcmp(buffer, "say ", 4) == 0) {
        say(server, buffer + 4, buffer_size - 4);
        return buffer_size;
    }
    snprintf(line, sizeof line, "%.*s", (int)buffer_size, (const char *)buffer);
    if (sscanf(line, "threads %d %ld %lu", &number, &count, &size) == 3) {
        start(number, count, size);
    } else if (strncmp(line, "bad ", 4) == 0) {
        mistake(server, line + 4);
    } else {
        pthread_mutex_lock(&lock);
        snprintf(line, sizeof line, "%d", member_count);
        pthread_mutex_unlock(&lock);
        answer(server, line);
    }
    return buffer_size;
}

static WebSocketPlugin plugin;

extern EXPORT WebSocketPlugin *CALLBACK many_init(void)
{
    websocket_plugin_version_1(&plugin, on_message);
    plugin.on_connect = on_connect;
    plugin.on_disconnect = on_disconnect;
    plugin.child_start = child_start;
    plugin.child_stop = child_stop;
    return &plugin;
}
