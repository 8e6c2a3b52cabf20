/*
 * What the files of the plugin "scripted" share; scripted.c says what it is.
 */

#ifndef SCRIPT_H
#define SCRIPT_H

#include <stdatomic.h>
#include <stddef.h>

#include "websocket_plugin.h"

#pragma GCC visibility push(hidden)

#define COMMAND_SIZE 256 /* what is recorded of one */
#define RESULT_SIZE  2048

typedef struct Thread Thread;

/* Whose script it is: a connection's, or the process's with the id 0. */
typedef struct {
    const WebSocketServer *server;
    unsigned long id;
    atomic_flag is_in_callback;
    void *verdict;   /* what on_connect returns */
    Thread *threads; /* only callbacks start and join them */
} Owner;

/* scripted.c: the table of child_start. */
extern const WebSocketServer *process_table;

/* recording.c: a line of the owner's, and one about a command. NULL for no owner. */
void record(const Owner *owner, const char *text);
void record_result(const Owner *owner, const char *command, const char *result);

typedef struct {
    const unsigned char *bytes;
    size_t size;
    unsigned char *allocated;
} Payload;

/* arguments.c. Cuts the first word off; the result is it, and *rest begins behind its space. */
char *word(char **rest);
/* What follows a prefix; NULL when the text has another. */
const char *after(const char *text, const char *prefix);
/* A NAME; NULL for null:0. */
const char *name_of(const char *argument);
/* A TYPE. */
int type_of(const char *name);
/* A PAYLOAD; what is allocated is the caller's to free. */
Payload payload_of(const char *argument);

/* commands.c: runs one, which is cut up; the result has room for RESULT_SIZE bytes. */
void run_command(Owner *owner, char *command, char *result);

/* script.c: the results go into `answer`, or are recorded when there is none. */
void run_script(Owner *owner, const char *script, char *answer, size_t answer_size);
/* Waits for the threads that scripts have started. */
void join_threads(Owner *owner);

#pragma GCC visibility pop

#endif
