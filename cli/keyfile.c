/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/keyfile.h"

#include "base/encode.h"
#include "base/json.h"
#include "cli/client.h"
#include "trust/jwks.h"
#include "trust/verify.h"

#include <string.h>

#define KEY_FILE_MAX ((size_t)32 * 1024)
#define KEY_SET_FILE_MAX ((size_t)64 * 1024) /* what the gateway takes */

static void wipe(struct buf *secret)
{
    if (secret->data != NULL)
        explicit_bzero(secret->data, secret->cap);
    buf_free(secret);
}
#define AUTO_SECRET AUTO(wipe)

int keyfile_alg(const char *name, enum jws_alg *ret_alg, struct fault *fault)
{
    if (jws_alg_parse(name, ret_alg) != 0)
        return fault_set(fault, FAULT_MALFORMED_REQUEST,
                         "--alg: expected one of HS256, HS384, HS512, RS256, PS256, ES256, ES384, "
                         "EdDSA");
    return 0;
}

/* The one algorithm that fits a private key. */
static int guess_signer(const char *path, struct span pem, struct sign_key **ret_key,
                        struct fault *fault)
{
    AUTO_SIGN_KEY struct sign_key *found = NULL;
    for (int alg = 0; alg < JWS_ALG_COUNT; alg++) {
        struct sign_key *key = NULL;
        if (jws_alg_is_hmac((enum jws_alg)alg) ||
            sign_key_from_pem((enum jws_alg)alg, pem, &key, NULL) != 0)
            continue;
        if (found != NULL) {
            sign_key_free(key);
            return fault_set(fault, FAULT_MALFORMED_REQUEST,
                             "%s: an RSA key needs --alg RS256 or --alg PS256", path);
        }
        found = key;
    }
    if (found == NULL)
        return fault_set(fault, FAULT_KEY_INVALID,
                         "%s: expected a private key in PEM without passphrase: P-256, P-384, "
                         "Ed25519 or RSA",
                         path);
    *ret_key = TAKE(found);
    return 0;
}

int keyfile_signer(const char *path, const char *alg, struct sign_key **ret_key,
                   struct fault *fault)
{
    AUTO_SECRET struct buf pem = BUF(KEY_FILE_MAX);
    enum jws_alg parsed;
    if (client_read_secret(path, &pem, fault) != 0)
        return -1;
    if (alg == NULL)
        return guess_signer(path, buf_span(&pem), ret_key, fault);
    if (keyfile_alg(alg, &parsed, fault) != 0)
        return -1;
    if (jws_alg_is_hmac(parsed))
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "%s takes --secret-file, not --key", alg);
    return sign_key_from_pem(parsed, buf_span(&pem), ret_key, fault);
}

int keyfile_secret_signer(const char *path, const char *alg, struct sign_key **ret_key,
                          struct fault *fault)
{
    AUTO_SECRET struct buf secret = BUF(KEY_FILE_MAX);
    enum jws_alg parsed;
    if (alg == NULL)
        return fault_set(fault, FAULT_MALFORMED_REQUEST,
                         "--secret-file needs --alg HS256, HS384 or HS512");
    if (keyfile_alg(alg, &parsed, fault) != 0 || client_read_secret(path, &secret, fault) != 0)
        return -1;
    if (!jws_alg_is_hmac(parsed))
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "%s takes --key, not --secret-file", alg);
    return sign_key_from_secret(parsed, buf_span(&secret), ret_key, fault);
}

static int key_from_jwk(enum jws_alg alg, struct span text, struct trust_key **ret_key,
                        struct fault *fault)
{
    AUTO_SECRET struct buf secret = BUF(KEY_FILE_MAX);
    AUTO_BUF struct buf pem = BUF(KEY_FILE_MAX);
    if (!jws_alg_is_hmac(alg))
        return trust_key_from_jwk(alg, text, ret_key, &pem, fault);
    if (trust_secret_from_jwk(alg, text, &secret, fault) != 0)
        return -1;
    return trust_key_from_secret(alg, buf_span(&secret), ret_key, fault);
}

/* `named`: the user has said the algorithm. A PEM file's text is a secret only then, or any public
 * key would verify what was "signed" with its own text. */
static int key_from_file(enum jws_alg alg, bool named, bool jwk, struct span text,
                         struct trust_key **ret_key, struct fault *fault)
{
    if (jwk)
        return key_from_jwk(alg, text, ret_key, fault);
    if (!jws_alg_is_hmac(alg))
        return trust_key_from_pem(alg, text, ret_key, fault);
    if (named)
        return trust_key_from_secret(alg, text, ret_key, fault);
    return fault_set(fault, FAULT_KEY_INVALID, "a secret needs --alg");
}

/* Does the file hold a key for any algorithm? If so the token is at fault, not the file. */
static bool fits_another(bool jwk, struct span text)
{
    for (int alg = 0; alg < JWS_ALG_COUNT; alg++) {
        AUTO_TRUST_KEY struct trust_key *key = NULL;
        if (key_from_file((enum jws_alg)alg, false, jwk, text, &key, NULL) == 0)
            return true;
    }
    return false;
}

int keyfile_verify(const char *path, bool jwk, const char *alg, const struct token *token,
                   struct fault *fault)
{
    AUTO_SECRET struct buf text = BUF(KEY_FILE_MAX);
    AUTO_TRUST_KEY struct trust_key *key = NULL;
    enum jws_alg parsed = token->alg;
    if ((alg != NULL && keyfile_alg(alg, &parsed, fault) != 0) ||
        client_read(path, &text, fault) != 0)
        return -1;
    if (key_from_file(parsed, alg != NULL, jwk, buf_span(&text), &key, fault) != 0) {
        if (alg == NULL && fits_another(jwk, buf_span(&text)))
            return token_verify(token, NULL, verify_policy_default(), fault);
        return -1;
    }
    return token_verify(token, key, verify_policy_default(), fault);
}

static bool looks_like_jwk(struct span text)
{
    while (text.len > 0 && strchr(" \t\r\n", text.data[0]) != NULL)
        text = span_of(text.data + 1, text.len - 1);
    return text.len > 0 && text.data[0] == '{';
}

static json_t *offer_of(const char *kid, enum jws_alg alg)
{
    return json_pack("{s:s, s:s}", "kid", kid, "alg", jws_alg_name(alg));
}

static int need(const char *value, const char *option, struct fault *fault)
{
    return value != NULL ? 0
                         : fault_set(fault, FAULT_MALFORMED_REQUEST,
                                     "--%s: required, as the file does not say it", option);
}

static int offer_secret(const char *path, const char *kid, enum jws_alg alg, json_t **ret_offer,
                        struct fault *fault)
{
    AUTO_SECRET struct buf secret = BUF(KEY_FILE_MAX), text = BUF(2 * KEY_FILE_MAX);
    AUTO_TRUST_KEY struct trust_key *key = NULL;
    if (need(kid, "kid", fault) != 0 || client_read_secret(path, &secret, fault) != 0 ||
        trust_key_from_secret(alg, buf_span(&secret), &key, fault) != 0)
        return -1;
    base64url_encode(&text, secret.data, secret.len);
    AUTO_JSON json_t *offer = offer_of(kid, alg);
    if (buf_failed(&text) ||
        json_object_set_new(offer, "secret", json_string(buf_text(&text))) != 0)
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "--kid: expected printable ASCII");
    *ret_offer = TAKE(offer);
    return 0;
}

static int offer_pem(const char *path, struct span text, const char *kid, const char *alg,
                     json_t **ret_offer, struct fault *fault)
{
    AUTO_TRUST_KEY struct trust_key *key = NULL;
    enum jws_alg parsed;
    if (need(kid, "kid", fault) != 0 || need(alg, "alg", fault) != 0 ||
        keyfile_alg(alg, &parsed, fault) != 0 || trust_key_from_pem(parsed, text, &key, fault) != 0)
        return -1;
    AUTO_JSON json_t *offer = offer_of(kid, parsed);
    if (json_object_set_new(offer, "public_pem", json_stringn((const char *)text.data, text.len)) !=
        0)
        return fault_set(fault, FAULT_KEY_INVALID, "%s: expected UTF-8 text", path);
    *ret_offer = TAKE(offer);
    return 0;
}

static int offer_jwk(struct span text, const char *kid, const char *alg, json_t **ret_offer,
                     struct fault *fault)
{
    AUTO_JSON json_t *jwk = NULL;
    AUTO_BUF struct buf pem = BUF(KEY_FILE_MAX);
    AUTO_TRUST_KEY struct trust_key *key = NULL;
    struct jwk_label label;
    if (json_object_parse(text, FAULT_KEY_INVALID, "jwk", &jwk, fault) != 0)
        return -1;
    if (json_object_get(jwk, "keys") != NULL)
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "the file is a set of keys: use --jwks");
    if (jwk_label_read(jwk, "jwk.", &label, fault) != 0)
        return -1;
    if (kid == NULL && label.kid[0] != '\0')
        kid = label.kid;
    if (alg == NULL && label.has_alg)
        alg = jws_alg_name(label.alg);
    if (need(kid, "kid", fault) != 0 || need(alg, "alg", fault) != 0 ||
        keyfile_alg(alg, &label.alg, fault) != 0 ||
        trust_key_from_jwk(label.alg, text, &key, &pem, fault) != 0)
        return -1;
    AUTO_JSON json_t *offer = offer_of(kid, label.alg);
    if (json_object_set(offer, "jwk", jwk) != 0)
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "--kid: expected printable ASCII");
    *ret_offer = TAKE(offer);
    return 0;
}

int keyfile_offer(const char *path, const char *kid, const char *alg, json_t **ret_offer,
                  struct fault *fault)
{
    AUTO_BUF struct buf text = BUF(KEY_FILE_MAX);
    enum jws_alg parsed;
    if (alg != NULL && keyfile_alg(alg, &parsed, fault) != 0)
        return -1;
    if (alg != NULL && jws_alg_is_hmac(parsed))
        return offer_secret(path, kid, parsed, ret_offer, fault);
    if (client_read(path, &text, fault) != 0)
        return -1;
    return looks_like_jwk(buf_span(&text))
               ? offer_jwk(buf_span(&text), kid, alg, ret_offer, fault)
               : offer_pem(path, buf_span(&text), kid, alg, ret_offer, fault);
}

int keyfile_offer_set(const char *path, json_t **ret_offer, struct fault *fault)
{
    AUTO_BUF struct buf text = BUF(KEY_SET_FILE_MAX);
    AUTO_JSON json_t *object = NULL;
    AUTO_JWK_SET struct jwk_set *set = NULL;
    if (client_read(path, &text, fault) != 0 ||
        json_object_parse(buf_span(&text), FAULT_KEY_INVALID, "jwks", &object, fault) != 0 ||
        jwk_set_read(object, &set, fault) != 0)
        return -1;
    AUTO_JSON json_t *offer = json_pack("{s:O}", "jwks", object);
    if (offer == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    *ret_offer = TAKE(offer);
    return 0;
}
