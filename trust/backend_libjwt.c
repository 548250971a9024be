/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libjwt 1.10.2, fenced. On its own it lets the token choose the algorithm, takes a key of
 * length 0 for "do not verify", skips junk in base64url, ignores crit and stops at a NUL. The
 * parser has refused such tokens before; here we pin the rest: never an empty key, the
 * algorithm compared after, and only what it serves. It keeps its base64 buffers on the
 * stack: a token of TOKEN_MAX needs a thread with 512 KiB.
 */
#include "trust/backend.h"

#include "base/json.h"

#include <jwt.h>
#include <limits.h>
#include <openssl/err.h>

static const jwt_alg_t alg_there[JWS_ALG_COUNT] = {
    [JWS_HS256] = JWT_ALG_HS256, [JWS_HS384] = JWT_ALG_HS384, [JWS_HS512] = JWT_ALG_HS512,
    [JWS_RS256] = JWT_ALG_RS256, [JWS_PS256] = JWT_ALG_NONE,  [JWS_ES256] = JWT_ALG_ES256,
    [JWS_ES384] = JWT_ALG_ES384, [JWS_EDDSA] = JWT_ALG_NONE,
};

static bool serves(const struct token *token)
{
    if (jws_alg_spec(token->alg) == NULL || alg_there[token->alg] == JWT_ALG_NONE ||
        token->typ_manifest)
        return false;
    AUTO_JSON json_t *payload = NULL;
    return json_object_parse(token->payload, FAULT_MALFORMED_TOKEN, "payload", &payload, NULL) == 0;
}

static bool verify(const struct token *token, const struct trust_key *key)
{
    const struct buf *bytes = key->pkey != NULL ? &key->pem : &key->secret;
    if (bytes->data == NULL || bytes->len == 0 || bytes->len > INT_MAX)
        return false;
    /* The token's text ends in a NUL behind the span and has none inside, being base64url. */
    jwt_t *jwt = NULL;
    bool valid =
        jwt_decode(&jwt, (const char *)token->text.data, bytes->data, (int)bytes->len) == 0 &&
        jwt != NULL && alg_there[key->alg] != JWT_ALG_NONE &&
        jwt_get_alg(jwt) == alg_there[key->alg];
    jwt_free(jwt);
    ERR_clear_error(); /* it leaves its errors in the thread's queue */
    return valid;
}

const struct verify_backend backend_libjwt = {.name = "libjwt", .serves = serves, .verify = verify};
