/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much more each tenant may have waiting or running (tenant.queue_max).
 *
 * Counting a long queue takes milliseconds, so a count is kept for a second, less what its owner,
 * one writer of admissions, has let in since. One writer alone never passes a tenant's bound; of
 * several each may pass it by what the others let in during that second. What has ended makes room
 * with the next count.
 */
#pragma once

#include "storage/pg.h"

#define ROOMS_COUNT_GOOD_MS 1000
#define ROOMS_TENANTS_MAX 256 /* of one call; twice as many are remembered */

struct rooms;
#define AUTO_ROOMS AUTO(rooms_cleanup)

/* `fallback` bounds the tenants that have no bound of their own. NULL: out of memory. */
struct rooms *rooms_new(int64_t fallback);
void rooms_free(struct rooms *rooms);
void rooms_cleanup(struct rooms **rooms);

/* A step of tx, which acts for these tenants, each named once: counts those whose count is not good
 * at now_ms (monotonic) any more. */
int rooms_count(struct rooms *rooms, struct pg *tx, const char *const *tenants, size_t count,
                int64_t now_ms, struct fault *fault) MUST_CHECK;

/* Takes room for one execution of a tenant that was counted. FAULT_QUEUE_FULL where there is none,
 * FAULT_INTERNAL of a tenant that was not counted or is unknown. */
int rooms_take(struct rooms *rooms, const char *tenant, struct fault *fault) MUST_CHECK;
/* Gives it back: the execution was not accepted after all. */
void rooms_give(struct rooms *rooms, const char *tenant);
