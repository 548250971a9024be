/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/jwks.h"

#include "trust/key_parts.h"

#include <string.h>

#define PREFIX_MAX 32 /* "jwks.keys[15]." */

static int read_text(const json_t *jwk, const char *prefix, const char *name, const char **ret_text,
                     struct fault *fault)
{
    const struct json_field field = {.name = name, .kind = JSON_KIND_STRING, .ret = ret_text};
    return json_read(jwk, prefix, &field, 1, false, FAULT_KEY_INVALID, fault);
}

static int read_alg(const json_t *jwk, const char *prefix, struct jwk_label *label,
                    struct fault *fault)
{
    static const enum jws_alg by_curve[] = {JWS_ES256, JWS_ES384, JWS_EDDSA};
    const char *alg = NULL, *crv = NULL;
    if (read_text(jwk, prefix, "alg", &alg, fault) != 0 ||
        read_text(jwk, prefix, "crv", &crv, fault) != 0)
        return -1;
    if (alg != NULL && jws_alg_parse(alg, &label->alg) != 0)
        return fault_set(fault, FAULT_KEY_INVALID, "%salg: not an algorithm known here", prefix);
    label->has_alg = alg != NULL;
    for (size_t i = 0; !label->has_alg && crv != NULL && i < ARRAY_LEN(by_curve); i++)
        if (strcmp(crv, jws_alg_spec(by_curve[i])->crv) == 0) {
            label->alg = by_curve[i];
            label->has_alg = true;
        }
    return 0;
}

int jwk_label_read(const json_t *jwk, const char *prefix, struct jwk_label *ret_label,
                   struct fault *fault)
{
    struct jwk_label label = {.kid = ""};
    const char *kid = NULL;
    if (read_text(jwk, prefix, "kid", &kid, fault) != 0)
        return -1;
    if (kid != NULL && !token_kid_valid(kid))
        return fault_set(fault, FAULT_KEY_INVALID,
                         "%skid: expected 1 to %d printable ASCII characters, no space", prefix,
                         TOKEN_KID_MAX);
    if (kid != NULL)
        memcpy(label.kid, kid, strlen(kid) + 1);
    if (read_alg(jwk, prefix, &label, fault) != 0)
        return -1;
    *ret_label = label;
    return 0;
}

static int refuse_secret(const json_t *jwk, const char *prefix, struct fault *fault)
{
    const char *kty = NULL;
    if (read_text(jwk, prefix, "kty", &kty, fault) != 0)
        return -1;
    return kty != NULL && strcmp(kty, "oct") == 0
               ? fault_set(fault, FAULT_KEY_INVALID,
                           "%skty: a secret does not belong into a set of public keys", prefix)
               : 0;
}

/* The label with nothing left open, and no other key's name. */
static int read_label(const struct jwk_set *set, const json_t *jwk, const char *prefix,
                      struct jwk_label *ret_label, struct fault *fault)
{
    if (jwk_label_read(jwk, prefix, ret_label, fault) != 0)
        return -1;
    if (ret_label->kid[0] == '\0')
        return fault_set(fault, FAULT_KEY_INVALID, "%skid: required", prefix);
    for (size_t i = 0; i < set->count; i++)
        if (strcmp(set->entries[i].kid, ret_label->kid) == 0)
            return fault_set(fault, FAULT_KEY_INVALID, "%skid: is there twice", prefix);
    if (!ret_label->has_alg)
        return fault_set(fault, FAULT_KEY_INVALID,
                         "%salg: required, as kty and crv do not settle the algorithm", prefix);
    return 0;
}

static int add_entry(struct jwk_set *set, const json_t *jwk, struct fault *fault)
{
    char prefix[PREFIX_MAX];
    (void)snprintf(prefix, sizeof prefix, "jwks.keys[%zu].", set->count);
    if (!json_is_object(jwk))
        return fault_set(fault, FAULT_KEY_INVALID, "jwks.keys[%zu]: expected an object",
                         set->count);
    struct jwk_label label;
    if (refuse_secret(jwk, prefix, fault) != 0 || read_label(set, jwk, prefix, &label, fault) != 0)
        return -1;
    struct jwk_entry *entry = &set->entries[set->count];
    const struct jwk members = {jwk, prefix};
    AUTO_TRUST_KEY struct trust_key *key = NULL;
    entry->pem = BUF(KEY_TEXT_MAX);
    if (trust_key_from_members(label.alg, &members, &key, &entry->pem, fault) != 0)
        return -1;
    memcpy(entry->kid, label.kid, sizeof entry->kid);
    entry->alg = label.alg;
    set->count++;
    return 0;
}

int jwk_set_read(const json_t *object, struct jwk_set **ret_set, struct fault *fault)
{
    const json_t *keys = json_object_get(object, "keys");
    size_t count = json_array_size(keys);
    if (count < 1 || count > JWK_SET_MAX)
        return fault_set(fault, FAULT_KEY_INVALID, "jwks.keys: expected an array of 1 to %d keys",
                         JWK_SET_MAX);
    AUTO_JWK_SET struct jwk_set *set = calloc(1, sizeof *set);
    if (set == NULL)
        return fault_set(fault, FAULT_INTERNAL, "jwks: no memory");
    for (size_t i = 0; i < count; i++)
        if (add_entry(set, json_array_get(keys, i), fault) != 0)
            return -1;
    *ret_set = TAKE(set);
    return 0;
}

void jwk_set_free(struct jwk_set *set)
{
    if (set == NULL)
        return;
    for (size_t i = 0; i < JWK_SET_MAX; i++)
        buf_free(&set->entries[i].pem);
    free(set);
}

void jwk_set_cleanup(struct jwk_set **set)
{
    jwk_set_free(*set);
}
