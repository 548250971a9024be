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
 * token_verify() to refuse, in its own time. -1 only if the database fails. That a kid is
 * not there is not remembered: a key is found as soon as it has been added. */
int verification_key_find(struct gateway *gateway, struct pg *pg, const char *tenant,
                          const struct token *token, struct known_key **ret_key,
                          struct fault *fault) MUST_CHECK;

/* For a token that was refused under a key that was remembered: looks for it all the same, as for
 * one that is not there, so that the time of a refusal does not say which kids exist. */
void verification_key_spend(struct gateway *gateway, struct pg *pg, const char *tenant,
                            const struct known_key *key);

const struct trust_key *known_key_trust(const struct known_key *key); /* NULL for NULL */
const char *known_key_kid(const struct known_key *key);               /* "" for NULL */
void known_key_free(struct known_key *key);
void known_key_cleanup(struct known_key **key);
