/*
 * Scripts: commands one after the other, on a callback's thread or on one of their own.
 */

#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "script.h"

struct Thread {
    Owner *owner;
    char *script;
    pthread_t thread;
    Thread *next;
};

static void start_thread(Owner *owner, const char *script);

void run_script(Owner *owner, const char *script, char *answer, size_t answer_size)
{
    char *copy = strdup(script);
    char *command = copy;
    char recorded[COMMAND_SIZE];
    char result[RESULT_SIZE];

    if (copy == NULL)
        abort();
    while (command != NULL && *command != '\0') {
        char *next = strstr(command, "; ");
        const char *rest = after(command, "thread ");

        if (rest != NULL) {
            start_thread(owner, rest);
            break;
        }
        if (next != NULL) {
            *next = '\0';
            next += 2;
        }
        snprintf(recorded, sizeof recorded, "%s", command);
        run_command(owner, command, result);
        if (answer == NULL) {
            record_result(owner, recorded, result);
        } else {
            size_t length = strlen(answer);

            snprintf(answer + length, answer_size - length, "%s%s",
                     command != copy ? "; " : "", result);
        }
        command = next;
    }
    free(copy);
}

static void *run_thread(void *data)
{
    Thread *thread = data;

    run_script(thread->owner, thread->script, NULL, 0);
    return NULL;
}

static void start_thread(Owner *owner, const char *script)
{
    Thread *thread = calloc(1, sizeof *thread);
    sigset_t all, before;

    if (thread == NULL || (thread->script = strdup(script)) == NULL)
        abort();
    thread->owner = owner;
    /* Signals are httpd's; a thread begins with the mask of its creator. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&thread->thread, NULL, run_thread, thread) != 0)
        abort();
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    thread->next = owner->threads;
    owner->threads = thread;
}

void join_threads(Owner *owner)
{
    while (owner->threads != NULL) {
        Thread *thread = owner->threads;

        owner->threads = thread->next;
        pthread_join(thread->thread, NULL);
        free(thread->script);
        free(thread);
    }
}
