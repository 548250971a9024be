/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/jwks.h"

#include "base/json.h"

#include <string.h>

/* The public face first, so that one pointer serves for both. */
struct set_store {
    struct jwk_set set;
    struct buf text; /* the keys' compact JSON, one after the other */
    struct jwk_entry entries[];
};

static int read_text(const json_t *jwk, const char *prefix, const char *name, const char **ret_text,
                     struct fault *fault)
{
    const struct json_field field = {.name = name, .kind = JSON_KIND_STRING, .ret = ret_text};
    return json_read(jwk, prefix, &field, 1, false, FAULT_KEY_INVALID, fault);
}

static int find_alg(const json_t *jwk, const char *prefix, enum jws_alg *ret_alg,
                    struct fault *fault)
{
    static const enum jws_alg by_curve[] = {JWS_ES256, JWS_ES384, JWS_EDDSA};
    const char *alg = NULL, *crv = NULL;
    if (read_text(jwk, prefix, "alg", &alg, fault) != 0 ||
        read_text(jwk, prefix, "crv", &crv, fault) != 0)
        return -1;
    if (alg != NULL)
        return jws_alg_parse(alg, ret_alg) == 0
                   ? 0
                   : fault_set(fault, FAULT_KEY_INVALID, "%salg: not an algorithm known here",
                               prefix);
    for (size_t i = 0; crv != NULL && i < ARRAY_LEN(by_curve); i++)
        if (strcmp(crv, jws_alg_spec(by_curve[i])->crv) == 0) {
            *ret_alg = by_curve[i];
            return 0;
        }
    return fault_set(fault, FAULT_KEY_INVALID,
                     "%salg: required, as kty and crv do not settle the algorithm", prefix);
}

static int read_kid(const json_t *jwk, const char *prefix, bool required, char *ret_kid,
                    struct fault *fault)
{
    const char *kid = NULL;
    if (read_text(jwk, prefix, "kid", &kid, fault) != 0)
        return -1;
    if (kid == NULL && !required)
        return 0;
    if (kid == NULL || !token_kid_valid(kid))
        return fault_set(fault, FAULT_KEY_INVALID,
                         "%skid: expected 1 to %d printable ASCII characters", prefix,
                         TOKEN_KID_MAX);
    memcpy(ret_kid, kid, strlen(kid) + 1);
    return 0;
}

static int read_entry(const json_t *jwk, const char *prefix, bool kid_required,
                      struct set_store *store, struct fault *fault)
{
    struct jwk_entry *entry = &store->entries[store->set.count];
    if (!json_is_object(jwk))
        return fault_set(fault, FAULT_KEY_INVALID, "%.*s: expected an object",
                         (int)strlen(prefix) - 1, prefix);
    if (read_kid(jwk, prefix, kid_required, entry->kid, fault) != 0 ||
        find_alg(jwk, prefix, &entry->alg, fault) != 0)
        return -1;
    for (size_t i = 0; i < store->set.count; i++)
        if (strcmp(store->entries[i].kid, entry->kid) == 0)
            return fault_set(fault, FAULT_KEY_INVALID, "%skid: is there twice", prefix);
    size_t start = store->text.len;
    json_append(&store->text, jwk);
    if (buf_failed(&store->text))
        return fault_set(fault, FAULT_KEY_INVALID, "jwks: longer than %d bytes", JWK_SET_TEXT_MAX);
    /* The text may still move: its place is filled in once all of it stands. */
    entry->jwk = span_of(NULL, store->text.len - start);
    store->set.count++;
    return 0;
}

static struct jwk_set *set_new(size_t capacity)
{
    struct set_store *store = calloc(1, sizeof *store + capacity * sizeof store->entries[0]);
    if (store == NULL)
        return NULL;
    store->text = BUF(JWK_SET_TEXT_MAX);
    store->set.entries = store->entries;
    return &store->set;
}

static void place_texts(struct set_store *store)
{
    const uint8_t *at = store->text.data;
    for (size_t i = 0; i < store->set.count; i++) {
        store->entries[i].jwk.data = at;
        at += store->entries[i].jwk.len;
    }
}

int jwk_set_parse(struct span text, struct jwk_set **ret_set, struct fault *fault)
{
    if (text.len > JWK_SET_TEXT_MAX)
        return fault_set(fault, FAULT_KEY_INVALID, "jwks: longer than %d bytes", JWK_SET_TEXT_MAX);
    AUTO_JSON json_t *object = NULL;
    if (json_object_parse(text, FAULT_KEY_INVALID, "jwks", &object, fault) != 0)
        return -1;
    const json_t *keys = json_object_get(object, "keys");
    size_t count = keys == NULL ? 1 : json_array_size(keys);
    if (count < 1 || count > JWK_SET_MAX)
        return fault_set(fault, FAULT_KEY_INVALID, "keys: expected an array of 1 to %d keys",
                         JWK_SET_MAX);
    AUTO_JWK_SET struct jwk_set *set = set_new(count);
    if (set == NULL)
        return fault_set(fault, FAULT_INTERNAL, "jwks: no memory");
    struct set_store *store = (struct set_store *)set;
    for (size_t i = 0; i < count; i++) {
        char prefix[32] = "jwk.";
        if (keys != NULL)
            (void)snprintf(prefix, sizeof prefix, "keys[%zu].", i);
        if (read_entry(keys == NULL ? object : json_array_get(keys, i), prefix, keys != NULL, store,
                       fault) != 0)
            return -1;
    }
    place_texts(store);
    *ret_set = TAKE(set);
    return 0;
}

void jwk_set_free(struct jwk_set *set)
{
    if (set == NULL)
        return;
    struct set_store *store = (struct set_store *)set;
    buf_free(&store->text);
    free(store);
}

void jwk_set_cleanup(struct jwk_set **set)
{
    jwk_set_free(*set);
}
