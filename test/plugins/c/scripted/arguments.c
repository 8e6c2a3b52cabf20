/*
 * What stands behind the name of a command.
 */

#define _POSIX_C_SOURCE 200809L

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "script.h"

char *word(char **rest)
{
    char *first = *rest;
    size_t length = strcspn(first, " ");

    *rest = first + length;
    if (first[length] == ' ') {
        first[length] = '\0';
        ++*rest;
    }
    return first;
}

const char *after(const char *text, const char *prefix)
{
    size_t length = strlen(prefix);

    return strncmp(text, prefix, length) == 0 ? text + length : NULL;
}

const char *name_of(const char *argument)
{
    return strcmp(argument, "null:0") == 0 ? NULL : argument;
}

int type_of(const char *name)
{
    static const struct {
        const char *name;
        int type;
    } types[] = {
        { "text", MESSAGE_TYPE_TEXT },   { "binary", MESSAGE_TYPE_BINARY },
        { "close", MESSAGE_TYPE_CLOSE }, { "ping", MESSAGE_TYPE_PING },
        { "pong", MESSAGE_TYPE_PONG },
    };
    size_t i;

    for (i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(name, types[i].name) == 0)
            return types[i].type;
    }
    return atoi(name);
}

Payload payload_of(const char *argument)
{
    Payload payload = { (const unsigned char *)argument, strlen(argument), NULL };
    const char *value;
    unsigned int byte;

    if ((value = after(argument, "null:")) != NULL) {
        payload.bytes = NULL;
        payload.size = (size_t)strtoull(value, NULL, 10);
    } else if ((value = after(argument, "claim:")) != NULL) {
        payload.size = (size_t)strtoull(value, NULL, 10);
    } else if ((value = after(argument, "x:")) != NULL) {
        payload.size = (size_t)strtoull(value, NULL, 10);
        payload.bytes = payload.allocated = malloc(payload.size + 1);
        if (payload.allocated == NULL)
            abort();
        memset(payload.allocated, 'x', payload.size);
        payload.allocated[payload.size] = '\0';
    } else if ((value = after(argument, "hex:")) != NULL) {
        payload.size = 0;
        payload.bytes = payload.allocated = malloc(strlen(value) + 1);
        if (payload.allocated == NULL)
            abort();
        while (sscanf(value, "%2x", &byte) == 1) {
            payload.allocated[payload.size++] = (unsigned char)byte;
            value += 2;
        }
        payload.allocated[payload.size] = '\0';
    }
    return payload;
}
