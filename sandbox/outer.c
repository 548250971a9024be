/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/outer.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>

static const struct {
    int flag;
    const char *name;
} namespaces[OUTER_NAMESPACES] = {
    [OUTER_NET] = {CLONE_NEWNET, "net"},
    [OUTER_IPC] = {CLONE_NEWIPC, "ipc"},
    [OUTER_UTS] = {CLONE_NEWUTS, "uts"},
};

struct outer outer_none(void)
{
    struct outer outer;
    for (size_t i = 0; i < OUTER_NAMESPACES; i++)
        outer.fds[i] = -1;
    return outer;
}

void outer_close(struct outer *outer)
{
    for (size_t i = 0; i < OUTER_NAMESPACES; i++)
        cleanup_close(&outer->fds[i]);
    *outer = outer_none();
}

const char *outer_name(enum outer_namespace namespace)
{
    return namespaces[namespace].name;
}

struct made {
    struct outer outer;
    int error; /* 0: all of them */
};

static int make_one(size_t i, int *ret_fd)
{
    char path[40];
    (void)snprintf(path, sizeof path, "/proc/thread-self/ns/%s", namespaces[i].name);
    if (unshare(namespaces[i].flag) == 0)
        *ret_fd = open(path, O_RDONLY | O_CLOEXEC);
    return *ret_fd < 0 ? errno : 0;
}

/* A thread has a namespace of its own as soon as it asks for one, and takes it along. */
static void *make(void *context)
{
    struct made *made = context;
    for (size_t i = 0; i < OUTER_NAMESPACES && made->error == 0; i++)
        made->error = make_one(i, &made->outer.fds[i]);
    return NULL;
}

int outer_make(struct outer *ret_outer, struct fault *fault)
{
    struct made made = {.outer = outer_none()};
    pthread_t thread;
    if (pthread_create(&thread, NULL, make, &made) != 0)
        return fault_set(fault, FAULT_INTERNAL, "cannot start a thread for namespaces");
    (void)pthread_join(thread, NULL);
    if (made.error != 0) {
        outer_close(&made.outer);
        errno = made.error;
        return fault_errno(fault, "cannot make the namespaces of outer processes");
    }
    *ret_outer = made.outer;
    return 0;
}

int outer_enter(const struct outer *outer)
{
    for (size_t i = 0; i < OUTER_NAMESPACES; i++) {
        if (setns(outer->fds[i], namespaces[i].flag) != 0)
            return -1;
    }
    return 0;
}
