/* SPDX-License-Identifier: Apache-2.0 */
/* JWK (RFC 7517, RFC 7518 section 6, RFC 8037) to a verification key. */
#include "trust/key_parts.h"

#include "base/encode.h"
#include "base/json.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <string.h>

#define COORDINATE_MAX 48

/* Members of a private or symmetric key (RFC 7518 sections 6.2.2, 6.3.2, 6.4; RFC 8037 section 2).
 */
static int refuse_private(const struct jwk *jwk, struct fault *fault)
{
    static const char *const secret_members[] = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"};
    for (size_t i = 0; i < ARRAY_LEN(secret_members); i++)
        if (json_object_get(jwk->members, secret_members[i]) != NULL)
            return fault_set(fault, FAULT_KEY_INVALID,
                             "%s%s: is of a private key, expected a public one", jwk->prefix,
                             secret_members[i]);
    return 0;
}

/* Symmetric keys sign with what they verify with, so both operations fit (RFC 7517 section 4.3). */
static bool operations_fit(const json_t *key_ops, bool symmetric)
{
    bool verify = false;
    for (size_t i = 0; i < json_array_size(key_ops); i++) {
        const char *operation = json_string_value(json_array_get(key_ops, i));
        if (operation == NULL)
            return false;
        if (strcmp(operation, "verify") == 0 && !verify)
            verify = true;
        else if (strcmp(operation, "sign") != 0 || !symmetric)
            return false;
    }
    return verify;
}

static int check_purpose(const struct jwk *jwk, const struct jws_alg_spec *spec,
                         struct fault *fault)
{
    const char *alg = spec->name, *use = "sig";
    const json_t *key_ops = NULL;
    const struct json_field fields[] = {
        {.name = "alg", .kind = JSON_KIND_STRING, .ret = &alg},
        {.name = "use", .kind = JSON_KIND_STRING, .ret = &use},
        {.name = "key_ops", .kind = JSON_KIND_ARRAY, .ret = &key_ops},
    };
    if (json_read(jwk->members, jwk->prefix, fields, ARRAY_LEN(fields), false, FAULT_KEY_INVALID,
                  fault) != 0)
        return -1;
    if (strcmp(alg, spec->name) != 0)
        return fault_set(fault, FAULT_KEY_INVALID, "%salg: expected %s", jwk->prefix, spec->name);
    if (strcmp(use, "sig") != 0)
        return fault_set(fault, FAULT_KEY_INVALID, "%suse: expected sig", jwk->prefix);
    if (key_ops != NULL && !operations_fit(key_ops, spec->family == JWS_HMAC))
        return fault_set(fault, FAULT_KEY_INVALID, "%skey_ops: expected [\"verify\"]", jwk->prefix);
    return 0;
}

/* The decoded bytes of a member. Exactly len of them, or with len 0 a positive integer's: at most
 * the buffer's and no leading zero (RFC 7518 section 2, Base64urlUInt). */
static int read_bytes(const struct jwk *jwk, const char *name, size_t len, struct buf *ret_bytes,
                      struct fault *fault)
{
    const char *text = NULL;
    const struct json_field field = {
        .name = name, .kind = JSON_KIND_STRING, .required = true, .ret = &text};
    if (json_read(jwk->members, jwk->prefix, &field, 1, false, FAULT_KEY_INVALID, fault) != 0)
        return -1;
    if (base64url_decode(ret_bytes, text, strlen(text)) != 0 || ret_bytes->len == 0)
        return fault_set(fault, FAULT_KEY_INVALID,
                         "%s%s: expected canonical base64url of at most %zu bytes", jwk->prefix,
                         name, ret_bytes->max);
    if (len != 0 && ret_bytes->len != len)
        return fault_set(fault, FAULT_KEY_INVALID, "%s%s: expected %zu bytes", jwk->prefix, name,
                         len);
    if (len == 0 && ret_bytes->data[0] == 0)
        return fault_set(fault, FAULT_KEY_INVALID, "%s%s: has a leading zero", jwk->prefix, name);
    return 0;
}

static int check_crv(const struct jwk *jwk, const struct jws_alg_spec *spec, struct fault *fault)
{
    const char *crv = NULL;
    const struct json_field field = {
        .name = "crv", .kind = JSON_KIND_STRING, .required = true, .ret = &crv};
    if (json_read(jwk->members, jwk->prefix, &field, 1, false, FAULT_KEY_INVALID, fault) != 0)
        return -1;
    if (strcmp(crv, spec->crv) != 0)
        return fault_set(fault, FAULT_KEY_INVALID, "%scrv: expected %s for %s", jwk->prefix,
                         spec->crv, spec->name);
    return 0;
}

/* NULL where OpenSSL does not take the parts for a key. */
static EVP_PKEY *pkey_from_params(const char *type, OSSL_PARAM *params)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY *pkey = NULL;
    if (context == NULL || EVP_PKEY_fromdata_init(context) != 1 ||
        EVP_PKEY_fromdata(context, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
        pkey = NULL;
    EVP_PKEY_CTX_free(context);
    return pkey;
}

static int read_ec(const struct jwk *jwk, const struct jws_alg_spec *spec, EVP_PKEY **ret_pkey,
                   struct fault *fault)
{
    size_t len = spec->signature_len / 2;
    AUTO_BUF struct buf x = BUF(COORDINATE_MAX);
    AUTO_BUF struct buf y = BUF(COORDINATE_MAX);
    if (check_crv(jwk, spec, fault) != 0 || read_bytes(jwk, "x", len, &x, fault) != 0 ||
        read_bytes(jwk, "y", len, &y, fault) != 0)
        return -1;
    uint8_t point[1 + 2 * COORDINATE_MAX] = {4}; /* uncompressed (SEC 1 section 2.3.3) */
    memcpy(point + 1, x.data, len);
    memcpy(point + 1 + len, y.data, len);
    char group[32];
    (void)snprintf(group, sizeof group, "%s", spec->group);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * len),
        OSSL_PARAM_construct_end(),
    };
    *ret_pkey = pkey_from_params("EC", params);
    return 0;
}

static int read_rsa(const struct jwk *jwk, EVP_PKEY **ret_pkey, struct fault *fault)
{
    AUTO_BUF struct buf n = BUF(RSA_BITS_MAX / 8);
    AUTO_BUF struct buf e = BUF(RSA_EXPONENT_BITS_MAX / 8);
    if (read_bytes(jwk, "n", 0, &n, fault) != 0 || read_bytes(jwk, "e", 0, &e, fault) != 0)
        return -1;
    BIGNUM *modulus = BN_bin2bn(n.data, (int)n.len, NULL);
    BIGNUM *exponent = BN_bin2bn(e.data, (int)e.len, NULL);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    OSSL_PARAM *params = NULL;
    if (modulus != NULL && exponent != NULL && builder != NULL &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, modulus) == 1 &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, exponent) == 1)
        params = OSSL_PARAM_BLD_to_param(builder);
    EVP_PKEY *pkey = params == NULL ? NULL : pkey_from_params("RSA", params);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(builder);
    BN_free(modulus);
    BN_free(exponent);
    *ret_pkey = pkey;
    return 0;
}

static int read_okp(const struct jwk *jwk, const struct jws_alg_spec *spec, EVP_PKEY **ret_pkey,
                    struct fault *fault)
{
    AUTO_BUF struct buf x = BUF(32);
    if (check_crv(jwk, spec, fault) != 0 || read_bytes(jwk, "x", 32, &x, fault) != 0)
        return -1;
    *ret_pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, x.data, x.len);
    return 0;
}

static int check_kty(const struct jwk *jwk, const struct jws_alg_spec *spec, struct fault *fault)
{
    static const char *const kty_of[] = {[JWS_HMAC] = "oct",
                                         [JWS_RSA_PKCS1] = "RSA",
                                         [JWS_RSA_PSS] = "RSA",
                                         [JWS_ECDSA] = "EC",
                                         [JWS_EDWARDS] = "OKP"};
    const char *kty = NULL;
    const struct json_field field = {
        .name = "kty", .kind = JSON_KIND_STRING, .required = true, .ret = &kty};
    if (json_read(jwk->members, jwk->prefix, &field, 1, false, FAULT_KEY_INVALID, fault) != 0)
        return -1;
    if (strcmp(kty, kty_of[spec->family]) != 0)
        return fault_set(fault, FAULT_KEY_INVALID, "%skty: expected %s for %s", jwk->prefix,
                         kty_of[spec->family], spec->name);
    return 0;
}

/* *ret_pkey stays NULL where the parts are well formed but no key. */
static int read_parts(const struct jwk *jwk, const struct jws_alg_spec *spec, EVP_PKEY **ret_pkey,
                      struct fault *fault)
{
    if (spec->family == JWS_ECDSA)
        return read_ec(jwk, spec, ret_pkey, fault);
    if (spec->family == JWS_EDWARDS)
        return read_okp(jwk, spec, ret_pkey, fault);
    return read_rsa(jwk, ret_pkey, fault);
}

/* "jwks.keys[2]: ..." of what is wrong with the key as a whole. */
static int fault_of_key(const struct jwk *jwk, const char *what, enum fault_code code,
                        struct fault *fault)
{
    return fault_set(fault, code, "%.*s: %.160s", (int)strlen(jwk->prefix) - 1, jwk->prefix, what);
}

int trust_key_from_members(enum jws_alg alg, const struct jwk *jwk, struct trust_key **ret_key,
                           struct buf *ret_pem, struct fault *fault)
{
    const struct jws_alg_spec *spec = jws_alg_spec(alg);
    if (spec == NULL || spec->family == JWS_HMAC)
        return fault_of_key(jwk, "expected an asymmetric algorithm", FAULT_KEY_INVALID, fault);
    AUTO_PKEY EVP_PKEY *pkey = NULL;
    if (refuse_private(jwk, fault) != 0 || check_purpose(jwk, spec, fault) != 0 ||
        check_kty(jwk, spec, fault) != 0 || read_parts(jwk, spec, &pkey, fault) != 0)
        return -1;
    ERR_clear_error();
    if (pkey == NULL)
        return fault_of_key(jwk, "not a key of its type", FAULT_KEY_INVALID, fault);
    AUTO_TRUST_KEY struct trust_key *key = NULL;
    struct fault why;
    if (trust_key_from_pkey(alg, &pkey, &key, &why) != 0)
        return fault_of_key(jwk, why.detail, why.code, fault);
    buf_append(ret_pem, key->pem.data, key->pem.len);
    if (buf_failed(ret_pem))
        return fault_of_key(jwk, "no room for the key's PEM", FAULT_INTERNAL, fault);
    *ret_key = TAKE(key);
    return 0;
}

static int parse(struct span text, json_t **ret_object, struct fault *fault)
{
    if (text.len > KEY_TEXT_MAX)
        return fault_set(fault, FAULT_KEY_INVALID, "jwk: longer than %d bytes", KEY_TEXT_MAX);
    return json_object_parse(text, FAULT_KEY_INVALID, "jwk", ret_object, fault);
}

int trust_key_from_jwk(enum jws_alg alg, struct span text, struct trust_key **ret_key,
                       struct buf *ret_pem, struct fault *fault)
{
    AUTO_JSON json_t *object = NULL;
    if (parse(text, &object, fault) != 0)
        return -1;
    const struct jwk jwk = {object, "jwk."};
    return trust_key_from_members(alg, &jwk, ret_key, ret_pem, fault);
}

int trust_secret_from_jwk(enum jws_alg alg, struct span text, struct buf *ret_secret,
                          struct fault *fault)
{
    const struct jws_alg_spec *spec = jws_alg_spec(alg);
    if (spec == NULL || spec->family != JWS_HMAC)
        return fault_set(fault, FAULT_KEY_INVALID, "jwk: expected an HMAC algorithm");
    AUTO_JSON json_t *object = NULL;
    const char *k = NULL;
    const struct json_field field = {
        .name = "k", .kind = JSON_KIND_STRING, .required = true, .ret = &k};
    if (parse(text, &object, fault) != 0)
        return -1;
    const struct jwk jwk = {object, "jwk."};
    if (check_purpose(&jwk, spec, fault) != 0 || check_kty(&jwk, spec, fault) != 0 ||
        json_read(object, jwk.prefix, &field, 1, false, FAULT_KEY_INVALID, fault) != 0)
        return -1;
    if (*k == '\0' || base64url_decode(ret_secret, k, strlen(k)) != 0)
        return fault_set(fault, FAULT_KEY_INVALID,
                         "jwk.k: expected canonical base64url of at most %d bytes",
                         HMAC_SECRET_MAX);
    return 0;
}
