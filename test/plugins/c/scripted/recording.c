/*
 * The file of what has happened.
 */

#define _POSIX_C_SOURCE 200809L

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "script.h"

void record(const Owner *owner, const char *text)
{
    const char *path = getenv("WEBSOCKET_RECORDER_FILE");
    char line[RESULT_SIZE + COMMAND_SIZE + 64];
    char id[24] = "-";
    int length, file, i;

    if (path == NULL || (file = open(path, O_WRONLY | O_APPEND | O_CREAT, 0666)) < 0)
        return;
    if (owner != NULL && owner->id != 0)
        snprintf(id, sizeof id, "%lu", owner->id);
    length = snprintf(line, sizeof line - 1, "%ld %s %s", (long)getpid(), id, text);
    if (length > (int)sizeof line - 2)
        length = (int)sizeof line - 2;
    for (i = 0; i < length; i++) {
        if ((unsigned char)line[i] < ' ')
            line[i] = '?';
    }
    line[length++] = '\n';
    if (write(file, line, (size_t)length) != length)
        perror("scripted plugin");
    close(file);
}

void record_result(const Owner *owner, const char *command, const char *result)
{
    char text[RESULT_SIZE + COMMAND_SIZE + 16];

    snprintf(text, sizeof text, "does %s = %s", command, result);
    record(owner, text);
}
