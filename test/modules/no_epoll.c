/*
 * To be preloaded: epoll has no room for the descriptors that the module's reactor wants watched, as when
 * fs.epoll.max_user_watches is used up. The reactor's are edge-triggered; those of httpd are not.
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

int epoll_ctl(int poll, int operation, int descriptor, struct epoll_event *event)
{
    static int (*real)(int, int, int, struct epoll_event *);
    const uint32_t socket = EPOLLET | EPOLLRDHUP;

    if (operation == EPOLL_CTL_ADD && (event->events & socket) == socket) {
        errno = ENOSPC;
        return -1;
    }
    if (real == NULL) {
        real = (int (*)(int, int, int, struct epoll_event *))dlsym(RTLD_NEXT, "epoll_ctl");
    }
    return real(poll, operation, descriptor, event);
}
