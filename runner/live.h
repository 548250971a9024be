/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Output of running executions, stored while they run, where somebody follows it. The api says who
 * is followed (NOTIFY_FOLLOW); from then on, until nobody has said so for FOLLOWED_MS, what a run
 * has written is stored every LIVE_MS at most. One thread with a connection of its own does that
 * for the whole worker: where the database is slow or away, live output lags, and nothing else.
 *
 * A run that nobody follows costs one lock nobody else wants a piece of output.
 */
#pragma once

#include "sandbox/output.h"
#include "storage/outputs.h"

#include <stdatomic.h>

#define LIVE_MS 100
#define FOLLOWED_MS 3000 /* the api says it each second */

struct live;

/* One run, as the thread sees it. The members are live.c's but `watch`. */
struct tap {
    struct output_watch watch; /* of the sandbox's job */
    struct live *live;
    struct tap *next;
    struct claim claim;
    int64_t followed_until_ms;
    _Atomic bool followed;
    _Atomic bool news; /* the thread has been told that there is some */
    bool tried;        /* something may have been stored */
    bool broken;       /* the database does not take it */
    struct {
        size_t stored;  /* bytes */
        size_t pending; /* bytes behind them that were tried, the answer not known: the next try is
                           the same */
    } streams[SANDBOX_STREAMS];
};

/* Connects and starts the thread. `database` is borrowed. */
int live_start(const char *database, struct live **ret_live, struct fault *fault) MUST_CHECK;
/* Joins and frees; nothing may be inside. NULL-safe. */
void live_stop(struct live *live);

/* Around one run: the tap, which must stay where it is, is its sandbox_job's watch and, with
 * live_sink(), its sink. */
void live_enter(struct live *live, const struct claim *claim, struct tap *tap);
void live_sink(void *tap, enum sandbox_stream stream, uint64_t offset, const void *data,
               size_t len);
/* True if something may have been stored (or may be yet: by a statement under way). */
bool live_leave(struct tap *tap) MUST_CHECK;
