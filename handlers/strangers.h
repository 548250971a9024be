/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often the log is read without an API key, where its read path is public: a token bucket for
 * each client address (an IPv6 one by its first 64 bits, which one subscriber has), and one for
 * all of them together, ten times as large. The table is bounded: in a full set of places a
 * newcomer takes the one that was used longest ago, so whoever has very many addresses is held by
 * the bucket of all alone.
 */
#pragma once

#include "base/fault.h"
#include "server/request.h"

#include <stdbool.h>
#include <stdint.h>

#define STRANGERS_BURST_SECONDS 5 /* of its rate, that an address may have saved up */
#define STRANGERS_ALL 10          /* times one address's rate, for all */

struct strangers;

/* `per_second`: what one address may ask, 1 to 10,000. */
int strangers_new(int64_t per_second, struct strangers **ret_strangers,
                  struct fault *fault) MUST_CHECK;
void strangers_free(struct strangers *strangers);

/* May this address be answered now? What is refused takes nothing from the others. From any
 * thread. */
bool strangers_take(struct strangers *strangers, const struct http_address *address,
                    int64_t now_ms);
