/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ends on their way into the history. One thread stores what has queued since its last commit in
 * the next one. What the database cannot take now is kept on disk (runner/spool.h) and tried again
 * until it is stored; an end whose execution was called lost meanwhile becomes an event.
 *
 * Whoever hands in an end waits until it is durable, here or there: no slot is free for another job
 * while a crash could still lose its result.
 */
#pragma once

#include "storage/queue.h"

struct finisher;

struct finisher_config {
    const char *database; /* conninfo as role sallyport_worker; borrowed */
    const char *node;     /* borrowed */
    const char *folder;   /* for what is kept; wholly ours */
};

/* Connects, stores what a former process kept (as far as the database takes it), then starts. */
int finisher_start(const struct finisher_config *config, struct finisher **ret_finisher,
                   struct fault *fault) MUST_CHECK;

/* What is done by the caller's thread while another stores its end. */
typedef void finisher_meanwhile(void *context);

/* Stores one end; from any thread, several at once. 0: the database has it, or the disk, or it is
 * kept as a late result. FAULT_STATE_CONFLICT if the claim does not hold any more; other faults are
 * the database's refusal of this very end. Waits as long as neither database nor disk takes it. */
int finisher_store(struct finisher *finisher, struct ending *ending, finisher_meanwhile *meanwhile,
                   void *context, struct fault *fault) MUST_CHECK;

/* Nobody has time any more: what neither database nor disk takes fails from now on. */
void finisher_give_up(struct finisher *finisher);

/* Is the end of that execution kept on disk? From any thread. */
bool finisher_holds(struct finisher *finisher, const struct uuid *execution_id);
/* How many are. */
size_t finisher_kept(struct finisher *finisher);

/* Tries once more to store what is kept, and ends the thread: nobody may be in finisher_store() any
 * more. What is kept can still be asked for. NULL-safe, as the other. */
void finisher_stop(struct finisher *finisher);
void finisher_free(struct finisher *finisher);
