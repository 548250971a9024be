/* SPDX-License-Identifier: Apache-2.0 */
/* The thread around the scrub: its own connection, its pace, and who hears of it. */
#pragma once

#include "sequencer/scrub.h"

struct scrub_thread;

/* `context` is the first argument of both, which are called in the scrub's thread. */
struct scrub_hooks {
    /* The newest tree that is proven. */
    void (*target)(void *context, struct scrub_target *ret_target);
    /* After every step; `found` (NULL: nothing) is a difference, its problem set, borrowed. */
    void (*tell)(void *context, const struct scrub_status *status,
                 const struct signer_evidence *found);
    void *context;
};

/* Begins; conninfo is borrowed until scrub_thread_stop(). Failures are logged, once until they
 * change, and tried again; a difference is logged and told, and is the last thing it does: what is
 * wrong stays wrong. */
int scrub_thread_start(const char *conninfo, int64_t rate, const struct scrub_hooks *hooks,
                       struct scrub_thread **ret_thread, struct fault *fault) MUST_CHECK;
/* Ends it after the step under way, and frees it. NULL-safe. */
void scrub_thread_stop(struct scrub_thread *thread);
