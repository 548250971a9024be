/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RFC 4648: hex (lower case), base64 and base64url. The decoders are strict: one
 * text for each byte string, nothing skipped, nothing forgiven.
 */
#pragma once

#include "base/buf.h"

#define HEX_LEN(bytes) ((bytes)*2)

/* Writes 2*len lower-case digits and a NUL to ret_text. */
void hex_encode(const void *data, size_t len, char *ret_text);

/* Exactly len bytes from exactly 2*len lower-case digits; -1 otherwise. */
int hex_decode(const char *text, size_t text_len, uint8_t *ret_data, size_t len) MUST_CHECK;

/* Appends the unpadded base64url form (RFC 7515 section 2). */
void base64url_encode(struct buf *buf, const void *data, size_t len);

/* Appends the padded base64 form. */
void base64_encode(struct buf *buf, const void *data, size_t len);

/* Decodes canonical text only: right alphabet, no white space, length mod 4 not 1, no
 * padding (base64url) or exact padding (base64), unused trailing bits zero. -1
 * otherwise, with nothing appended. */
int base64url_decode(struct buf *buf, const char *text, size_t len) MUST_CHECK;
int base64_decode(struct buf *buf, const char *text, size_t len) MUST_CHECK;
