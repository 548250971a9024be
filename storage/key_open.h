/* SPDX-License-Identifier: Apache-2.0 */
/* From a stored key record to a key that verifies; for api and worker alike. */
#pragma once

#include "storage/keys.h"
#include "trust/key.h"
#include "trust/wrap.h"

/* Reopens the PEM (trust/key.h), or unwraps the HMAC secret with the master key. FAULT_NOT_FOUND
 * for an HMAC key where master_key is NULL: it is not served here. */
int key_open(const struct key_record *record, const char *tenant,
             const struct master_key *master_key, struct trust_key **ret_key,
             struct fault *fault) MUST_CHECK;

/* The context an HMAC secret is wrapped in: tenant and kid. */
void key_wrap_context(const char *tenant, const char *kid, struct buf *ret_context);
