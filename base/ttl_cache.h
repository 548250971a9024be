/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Database reads kept for a moment: 1,024 places, one key a place (a newcomer takes it over), each
 * entry good for its time to live. What is decided from it is decided again inside the deciding
 * transaction; this bounds only how often callers and jobs reach the database.
 */
#pragma once

#include "base/fault.h"

#include <stdbool.h>
#include <stdint.h>

struct ttl_cache;

/* `copy` gives the caller a value of its own (a reference, or a duplicate; NULL without memory),
 * `destroy` ends one; both get non-NULL values only. */
int ttl_cache_new(int64_t ttl_ms, void *(*copy)(void *value), void (*destroy)(void *value),
                  struct ttl_cache **ret_cache, struct fault *fault) MUST_CHECK;
void ttl_cache_free(struct ttl_cache *cache);

/* True if the key is here and fresh; ret_value is then a copy, or NULL where "there is none" was
 * stored. */
bool ttl_cache_get(struct ttl_cache *cache, const char *key, void **ret_value);
/* Stores a copy of value, or with NULL that there is none. */
void ttl_cache_put(struct ttl_cache *cache, const char *key, void *value);
