/* SPDX-License-Identifier: Apache-2.0 */
#include "sequencer/scrub_thread.h"

#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

#define RETRY_MS 2000

struct scrub_thread {
    pthread_t thread;
    int stop_fd; /* an eventfd, readable once it is to end */
    const char *conninfo;
    struct scrub_hooks hooks;
    struct scrub *scrub;
    struct pg *pg;        /* NULL while there is no connection */
    enum fault_code said; /* of the failure that was last logged */
};

static void scrub_thread_free(struct scrub_thread *thread)
{
    scrub_free(thread->scrub);
    pg_free(thread->pg);
    if (thread->stop_fd >= 0)
        (void)close(thread->stop_fd);
    free(thread);
}

/* True as soon as it is to end, false after so many milliseconds. */
static bool ends_within(const struct scrub_thread *thread, int milliseconds)
{
    struct pollfd wanted = {.fd = thread->stop_fd, .events = POLLIN};
    return poll(&wanted, 1, milliseconds) > 0;
}

static int step(struct scrub_thread *thread, int *ret_wait_ms, struct signer_evidence *ret_found,
                struct fault *fault)
{
    struct scrub_target newest;
    if (thread->pg == NULL && pg_open(thread->conninfo, "scrub", &thread->pg, fault) != 0)
        return -1;
    thread->hooks.target(thread->hooks.context, &newest);
    return scrub_step(thread->scrub, thread->pg, &newest, ret_wait_ms, ret_found, fault);
}

static void tell(const struct scrub_thread *thread, const struct signer_evidence *found)
{
    const struct scrub_status status = scrub_status(thread->scrub);
    thread->hooks.tell(thread->hooks.context, &status, found);
}

static void say_failure(struct scrub_thread *thread, const struct fault *fault)
{
    if (thread->said == fault->code)
        return;
    thread->said = fault->code;
    log_warn("the ledger's scrub failed; trying again", "{s:s, s:s}", "code",
             fault_name(fault->code), "detail", fault->detail);
}

static void *run(void *argument)
{
    struct scrub_thread *thread = argument;
    int wait_ms = 0;
    while (!ends_within(thread, wait_ms)) {
        struct signer_evidence found;
        struct fault fault;
        if (step(thread, &wait_ms, &found, &fault) == 0) {
            thread->said = FAULT_NONE;
            tell(thread, NULL);
        } else if (fault.code != FAULT_CONTENT_MISMATCH) {
            say_failure(thread, &fault);
            wait_ms = RETRY_MS;
        } else {
            found.problem = fault.detail;
            log_error("the scrub found a difference in the ledger", "{s:s}", "problem",
                      fault.detail);
            tell(thread, &found);
            break;
        }
    }
    return NULL;
}

int scrub_thread_start(const char *conninfo, int64_t rate, const struct scrub_hooks *hooks,
                       struct scrub_thread **ret_thread, struct fault *fault)
{
    struct scrub_thread *thread = calloc(1, sizeof *thread);
    if (thread == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    thread->conninfo = conninfo;
    thread->hooks = *hooks;
    thread->stop_fd = eventfd(0, EFD_CLOEXEC);
    int status = thread->stop_fd < 0 ? fault_errno(fault, "scrub: eventfd")
                                     : scrub_new(rate, &thread->scrub, fault);
    if (status == 0) {
        errno = pthread_create(&thread->thread, NULL, run, thread);
        if (errno != 0)
            status = fault_errno(fault, "scrub: a thread");
    }
    if (status != 0) {
        scrub_thread_free(thread);
        return -1;
    }
    *ret_thread = thread;
    return 0;
}

void scrub_thread_stop(struct scrub_thread *thread)
{
    if (thread == NULL)
        return;
    (void)eventfd_write(thread->stop_fd, 1);
    (void)pthread_join(thread->thread, NULL);
    scrub_thread_free(thread);
}
