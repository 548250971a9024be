/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The strict compact-JWS parser (RFC 7515 section 3.1) that stands before every
 * signature backend. It decides form only: what it lets through is one canonical
 * text with a header that says nothing we do not understand.
 */
#pragma once

#include "base/digest.h"
#include "base/fault.h"
#include "trust/alg.h"

#define TOKEN_MAX (128 * 1024)
#define TOKEN_KID_MAX 128
#define TOKEN_TYP_MANIFEST "execution-manifest+jws"

struct token {
    enum jws_alg alg;             /* what the header claims; the key decides */
    char kid[TOKEN_KID_MAX + 1];  /* "" where the header has none */
    bool typ_manifest;            /* typ is execution-manifest+jws (absent or JWT otherwise) */
    struct span text;             /* the whole token, owned by this struct */
    struct span signing_input;    /* its part before the second dot */
    struct span payload;          /* decoded bytes, owned */
    struct span signature;        /* decoded bytes, owned */
    struct digest signing_digest; /* SHA-256 of signing_input: the token's identity for replay */
};

#define AUTO_TOKEN AUTO(token_cleanup)

/* Parses text (copied). FAULT_MALFORMED_TOKEN names the part and the rule; FAULT_TOO_LARGE
 * past TOKEN_MAX, before anything else is looked at. Refused: other than three non-empty
 * parts, non-canonical base64url, a header that is not one strict JSON object, an alg not of
 * DESIGN's list, `crit`, `b64`, `zip`, `enc`, `jwk`, `jku`, `x5u`, `x5c`, a kid that is not
 * 1 to 128 printable ASCII characters without space, a typ other than JWT or
 * execution-manifest+jws, a header of more than 4 KiB or a signature of more than 1 KiB when
 * decoded. Other header members are ignored. The payload is any bytes: whether they are a manifest
 * is manifest_parse()'s question. */
int token_parse(struct span text, struct token **ret_token, struct fault *fault) MUST_CHECK;

/* A kid that a token can carry: 1 to TOKEN_KID_MAX printable ASCII characters. */
bool token_kid_valid(const char *kid);

/* NULL-safe. */
void token_free(struct token *token);
void token_cleanup(struct token **token);
