/* SPDX-License-Identifier: Apache-2.0 */
/* The tenant's verification keys as the submit handler asks for them: parsed once, kept for a
 * second. */
#pragma once

#include "handlers/gateway.h"
#include "trust/token.h"

struct known_key;
#define AUTO_KNOWN_KEY AUTO(known_key_cleanup)

/* The cache of gateway.keys. */
int verification_keys_new(struct ttl_cache **ret_cache, struct fault *fault) MUST_CHECK;

/* The live key for a token: of its kid, or where it has none the tenant's only one. *ret_key is
 * NULL where there is none, or its record holds no sound key (which is logged): that is for
 * token_verify() to refuse, in its own time. -1 only if the database fails. */
int verification_key_find(struct gateway *gateway, struct pg *pg, const char *tenant,
                          const char *kid, struct known_key **ret_key,
                          struct fault *fault) MUST_CHECK;

const struct trust_key *known_key_trust(const struct known_key *key); /* NULL for NULL */
const char *known_key_kid(const struct known_key *key);               /* "" for NULL */
void known_key_free(struct known_key *key);
void known_key_cleanup(struct known_key **key);
