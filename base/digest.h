/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 digests (FIPS 180-4), their text form `sha256:<hex>` (OCI image spec, "Digests"). */
#pragma once

#include "base/buf.h"

#define DIGEST_LEN 32
#define DIGEST_TEXT_LEN (7 + 64)

struct digest {
    uint8_t bytes[DIGEST_LEN];
};

struct digest_text {
    char text[DIGEST_TEXT_LEN + 1];
};

/* A running hash. digest_stream_new() returns NULL without memory. */
struct digest_stream;
#define AUTO_DIGEST_STREAM AUTO(digest_stream_cleanup)

struct digest digest_of(const void *data, size_t len);
struct digest digest_of_span(struct span span);

/* In time that depends on neither value. */
bool digest_equal(const struct digest *a, const struct digest *b);

/* `sha256:<hex>`, by value: digest_format(&d).text */
struct digest_text digest_format(const struct digest *digest);
/* The 64 digits alone, by value. */
struct digest_text digest_hex(const struct digest *digest);

/* `sha256:<64 lower-case hex>` only. */
int digest_parse(const char *text, size_t len, struct digest *ret_digest) MUST_CHECK;
/* That, or the bare 64 lower-case digits (paths and command lines). */
int digest_parse_any(const char *text, size_t len, struct digest *ret_digest) MUST_CHECK;

struct digest_stream *digest_stream_new(void);
void digest_stream_update(struct digest_stream *stream, const void *data, size_t len);
/* The hash of what has passed so far; the stream may go on. */
struct digest digest_stream_value(const struct digest_stream *stream);
void digest_stream_free(struct digest_stream *stream);
void digest_stream_cleanup(struct digest_stream **stream);
