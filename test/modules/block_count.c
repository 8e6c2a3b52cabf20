/*
 * To be preloaded: for each block of 8 KiB that APR gets from the system, a plus goes to the recorder plugin's file, and a
 * minus for each that it gives back.
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define BLOCK 8192

static void note(const char *sign)
{
    const char *file = getenv("WEBSOCKET_RECORDER_FILE");
    int fd = file ? open(file, O_WRONLY | O_APPEND | O_CLOEXEC) : -1;

    if (fd >= 0) {
        if (write(fd, sign, 1) != 1) {
            abort();
        }
        close(fd);
    }
}

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
    static void *(*real)(void *, size_t, int, int, int, off_t);

    if (length == BLOCK && (flags & MAP_ANONYMOUS)) {
        note("+");
    }
    if (real == NULL) {
        real = (void *(*)(void *, size_t, int, int, int, off_t))dlsym(RTLD_NEXT, "mmap");
    }
    return real(address, length, protection, flags, fd, offset);
}

int munmap(void *address, size_t length)
{
    static int (*real)(void *, size_t);

    if (length == BLOCK) {
        note("-");
    }
    if (real == NULL) {
        real = (int (*)(void *, size_t))dlsym(RTLD_NEXT, "munmap");
    }
    return real(address, length);
}
