/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/pins.h"

#include "base/json.h"
#include "trust/caller.h"
#include "trust/token.h"

#include <string.h>

#define PEM_MAX 16384

struct pin {
    char tenant_id[TENANT_ID_MAX + 1];
    char kid[TOKEN_KID_MAX + 1];
    struct trust_key *key;
};

struct pins {
    size_t count;
    struct pin items[PINS_MAX];
};

struct trust_key *pins_find(const struct pins *pins, const char *tenant, const char *kid)
{
    for (size_t i = 0; i < pins->count; i++)
        if (strcmp(pins->items[i].tenant_id, tenant) == 0 && strcmp(pins->items[i].kid, kid) == 0)
            return pins->items[i].key;
    return NULL;
}

size_t pins_count(const struct pins *pins)
{
    return pins->count;
}

static int pin_add(struct pins *pins, const json_t *entry, struct fault *fault)
{
    const char *tenant = NULL, *kid = NULL, *alg_name = NULL, *pem = NULL;
    const struct json_field fields[] = {
        {"tenant_id", JSON_KIND_STRING, true, 1, TENANT_ID_MAX, &tenant},
        {"kid", JSON_KIND_STRING, true, 1, TOKEN_KID_MAX, &kid},
        {"alg", JSON_KIND_STRING, true, 1, 16, &alg_name},
        {"public_pem", JSON_KIND_STRING, true, 1, PEM_MAX, &pem},
    };
    struct pin pin = {.key = NULL};
    enum jws_alg alg;
    if (!json_is_object(entry))
        return fault_set(fault, FAULT_KEY_INVALID, "expected an object");
    if (json_read(entry, "", fields, ARRAY_LEN(fields), true, FAULT_KEY_INVALID, fault) != 0)
        return -1;
    if (!tenant_id_valid(tenant, strlen(tenant)))
        return fault_set(fault, FAULT_KEY_INVALID, "tenant_id: not the id of a tenant");
    if (!token_kid_valid(kid))
        return fault_set(fault, FAULT_KEY_INVALID, "kid: not one that a token can carry");
    if (jws_alg_parse(alg_name, &alg) != 0 || jws_alg_is_hmac(alg))
        return fault_set(fault, FAULT_KEY_INVALID, "alg: expected an asymmetric algorithm");
    if (pins_find(pins, tenant, kid) != NULL)
        return fault_set(fault, FAULT_KEY_INVALID, "kid: pinned twice");
    if (trust_key_from_pem(alg, span_text(pem), &pin.key, fault) != 0)
        return -1;
    (void)snprintf(pin.tenant_id, sizeof pin.tenant_id, "%s", tenant);
    (void)snprintf(pin.kid, sizeof pin.kid, "%s", kid);
    pins->items[pins->count++] = pin;
    return 0;
}

int pins_parse(struct span json, struct pins **ret_pins, struct fault *fault)
{
    AUTO_JSON json_t *object = NULL;
    json_t *keys = NULL;
    const struct json_field fields[] = {{"keys", JSON_KIND_ARRAY, true, 0, PINS_MAX, &keys}};
    AUTO_PINS struct pins *pins = calloc(1, sizeof *pins);
    if (pins == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    if (json_object_parse(json, FAULT_KEY_INVALID, "pinned keys", &object, fault) != 0 ||
        json_read(object, "", fields, 1, true, FAULT_KEY_INVALID, fault) != 0)
        return -1;
    for (size_t i = 0; i < json_array_size(keys); i++) {
        struct fault why;
        if (pin_add(pins, json_array_get(keys, i), &why) != 0)
            return fault_set(fault, why.code, "keys[%zu]: %.200s", i, why.detail);
    }
    *ret_pins = TAKE(pins);
    return 0;
}

void pins_free(struct pins *pins)
{
    if (pins == NULL)
        return;
    for (size_t i = 0; i < pins->count; i++)
        trust_key_free(pins->items[i].key);
    free(pins);
}

void pins_cleanup(struct pins **pins)
{
    pins_free(*pins);
}
