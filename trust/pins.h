/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys a worker trusts by its own file, whatever the database says: with it, a taken-over database
 * or api cannot run a manifest that nobody signed. Asymmetric keys only; an HMAC secret proves
 * nothing against whoever shares it.
 */
#pragma once

#include "trust/key.h"

#define PINS_FILE_MAX ((size_t)1024 * 1024)
#define PINS_MAX 1024

struct pins;
#define AUTO_PINS AUTO(pins_cleanup)

/* From the file's bytes: {"keys": [{"tenant_id", "kid", "alg", "public_pem"}, ...]}, strict and
 * closed. FAULT_KEY_INVALID names the entry: a weak or ill-fitting key, HMAC, a doubled (tenant,
 * kid). */
int pins_parse(struct span json, struct pins **ret_pins, struct fault *fault) MUST_CHECK;

/* The pinned key, borrowed; NULL if there is none. */
struct trust_key *pins_find(const struct pins *pins, const char *tenant, const char *kid);

size_t pins_count(const struct pins *pins);
void pins_free(struct pins *pins);
void pins_cleanup(struct pins **pins);
