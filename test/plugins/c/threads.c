/*
 * threads: ten threads that send at the same time.
 *
 *   "start N"   ten threads each send the N texts "thread T message I" (T from
 *               0 to 9, I from 0 to N - 1, each T's in order), and end. While
 *               they run, another "start" is answered "busy".
 *   "pid"       is answered with the text "pid N", also while they run.
 *   "close"     server->close from the callback, threads running or not.
 *   other       is echoed.
 *
 * A thread whose send returns 0 ends. on_disconnect joins all, so it returns
 * only if the server releases the ones that wait in send.
 *
 * WEBSOCKET_THREADS_FILE, when set in the environment, names a file to which
 * each on_disconnect appends a line "joined PID" when its threads have ended.
 */

#define _POSIX_C_SOURCE 200809L

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "websocket_plugin.h"

#define THREADS 10

typedef struct Connection Connection;

typedef struct {
    Connection *connection;
    pthread_t id;
    int number;
    int started;
} Thread;

struct Connection {
    const WebSocketServer *server;
    long messages;
    Thread threads[THREADS];
    pthread_mutex_t mutex;
    int running; /* how many of them; guarded by mutex */
};

static size_t send_text(const WebSocketServer *server, const char *text)
{
    return server->send(server, MESSAGE_TYPE_TEXT, (const unsigned char *)text, strlen(text));
}

static int change_running(Connection *connection, int by)
{
    int running;

    pthread_mutex_lock(&connection->mutex);
    running = connection->running += by;
    pthread_mutex_unlock(&connection->mutex);
    return running;
}

static void *run(void *data)
{
    Thread *thread = data;
    char text[64];
    long i;

    for (i = 0; i < thread->connection->messages; i++) {
        snprintf(text, sizeof text, "thread %d message %ld", thread->number, i);
        if (send_text(thread->connection->server, text) == 0)
            break;
    }
    change_running(thread->connection, -1);
    return NULL;
}

static void join_all(Connection *connection)
{
    int t;

    for (t = 0; t < THREADS; t++) {
        if (connection->threads[t].started)
            pthread_join(connection->threads[t].id, NULL);
        connection->threads[t].started = 0;
    }
}

static void start_all(Connection *connection, long messages)
{
    sigset_t all, before;
    int t;

    join_all(connection);
    connection->messages = messages;

    /* Signals are httpd's; a thread begins with the mask of its creator. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (t = 0; t < THREADS; t++) {
        Thread *thread = &connection->threads[t];

        thread->connection = connection;
        thread->number = t;
        change_running(connection, 1);
        thread->started = pthread_create(&thread->id, NULL, run, thread) == 0;
        if (!thread->started)
            change_running(connection, -1);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void *CALLBACK on_connect(const WebSocketServer *server)
{
    Connection *connection = calloc(1, sizeof *connection);

    if (connection != NULL) {
        connection->server = server;
        pthread_mutex_init(&connection->mutex, NULL);
    }
    return connection;
}

static size_t CALLBACK on_message(void *plugin_private, const WebSocketServer *server,
                                  const int type, unsigned char *buffer,
                                  const size_t buffer_size)
{
    Connection *connection = plugin_private;
    char text[64];
    long messages;

    if (buffer_size >= sizeof text)
        return server->send(server, type, buffer, buffer_size);
    memcpy(text, buffer, buffer_size);
    text[buffer_size] = '\0';

    if (sscanf(text, "start %ld", &messages) == 1) {
        if (change_running(connection, 0) > 0)
            send_text(server, "busy");
        else
            start_all(connection, messages);
    } else if (strcmp(text, "pid") == 0) {
        snprintf(text, sizeof text, "pid %ld", (long)getpid());
        send_text(server, text);
    } else if (strcmp(text, "close") == 0) {
        server->close(server);
    } else {
        server->send(server, type, buffer, buffer_size);
    }
    return buffer_size;
}

static void CALLBACK on_disconnect(void *plugin_private, const WebSocketServer *server)
{
    Connection *connection = plugin_private;
    const char *path = getenv("WEBSOCKET_THREADS_FILE");
    char line[64];
    int length, file;

    (void)server;

    join_all(connection);
    pthread_mutex_destroy(&connection->mutex);
    free(connection);

    if (path != NULL && (file = open(path, O_WRONLY | O_APPEND | O_CREAT, 0666)) >= 0) {
        length = snprintf(line, sizeof line, "joined %ld\n", (long)getpid());
        if (write(file, line, (size_t)length) != length)
            perror("threads plugin");
        close(file);
    }
}

static WebSocketPlugin plugin = {
    .size = sizeof(WebSocketPlugin),
    .version = WEBSOCKET_PLUGIN_VERSION_0,
    .on_connect = on_connect,
    .on_message = on_message,
    .on_disconnect = on_disconnect,
};

extern EXPORT WebSocketPlugin *CALLBACK threads_init(void)
{
    return &plugin;
}
