/* SPDX-License-Identifier: Apache-2.0 */
/* HMAC secrets at rest: AES-256-GCM under the master key (NIST SP 800-38D, random 96-bit nonce). */
#pragma once

#include "base/buf.h"
#include "base/fault.h"

#define MASTER_KEY_LEN 32

struct master_key {
    uint8_t bytes[MASTER_KEY_LEN];
};

/* From the text of a master key file: 64 lower-case hex digits, not all one byte, and at most one
 * newline. FAULT_KEY_INVALID otherwise; the sentence never quotes the text. */
int master_key_parse(struct span text, struct master_key *ret_key, struct fault *fault) MUST_CHECK;

/* Appends version byte (1), nonce, ciphertext, tag. At most 4 KiB of secret, 29 bytes more wrapped.
 * `context` (tenant and kid) is authenticated, so that a wrapped secret moved to another row does
 * not open. The nonce comes from the system's generator. */
int secret_wrap(const struct master_key *key, struct span context, struct span secret,
                struct buf *ret_wrapped, struct fault *fault) MUST_CHECK;
/* FAULT_KEY_INVALID on any difference. Clear ret_secret with OPENSSL_cleanse after use. */
int secret_unwrap(const struct master_key *key, struct span context, struct span wrapped,
                  struct buf *ret_secret, struct fault *fault) MUST_CHECK;
