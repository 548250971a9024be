/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>

struct made {
    int fd;
    int error;
};

/* A thread has a network of its own as soon as it asks for one, and takes it along. */
static void *make(void *context)
{
    struct made *made = context;
    if (unshare(CLONE_NEWNET) == 0)
        made->fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    made->error = errno;
    return NULL;
}

int netns_make(struct fault *fault)
{
    struct made made = {.fd = -1};
    pthread_t thread;
    if (pthread_create(&thread, NULL, make, &made) != 0)
        return fault_set(fault, FAULT_INTERNAL, "cannot start a thread for a network namespace");
    (void)pthread_join(thread, NULL);
    errno = made.error;
    return made.fd >= 0 ? made.fd : fault_errno(fault, "cannot make a network namespace");
}
