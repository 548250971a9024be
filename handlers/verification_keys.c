/* SPDX-License-Identifier: Apache-2.0 */
#include "handlers/verification_keys.h"

#include "base/log.h"
#include "storage/key_open.h"
#include "storage/keys.h"

#define KEY_TTL_MS 1000

struct known_key {
    struct trust_key *trust; /* a reference of its own */
    bool fresh;              /* read for this token */
    char kid[TOKEN_KID_MAX + 1];
};

const struct trust_key *known_key_trust(const struct known_key *key)
{
    return key == NULL ? NULL : key->trust;
}

const char *known_key_kid(const struct known_key *key)
{
    return key == NULL ? "" : key->kid;
}

void known_key_free(struct known_key *key)
{
    if (key == NULL)
        return;
    trust_key_free(key->trust);
    free(key);
}

void known_key_cleanup(struct known_key **key)
{
    known_key_free(*key);
}

static void *known_key_copy(void *value)
{
    const struct known_key *key = value;
    struct known_key *copy = malloc(sizeof *copy);
    if (copy == NULL)
        return NULL;
    *copy = *key;
    copy->trust = trust_key_ref(key->trust);
    return copy;
}

static void known_key_destroy(void *value)
{
    known_key_free(value);
}

int verification_keys_new(struct ttl_cache **ret_cache, struct fault *fault)
{
    return ttl_cache_new(KEY_TTL_MS, known_key_copy, known_key_destroy, ret_cache, fault);
}

static int load(struct gateway *gateway, struct pg *pg, const char *tenant, const char *kid,
                struct known_key **ret_key, struct fault *fault)
{
    AUTO_KEY_RECORD struct key_record record = {0};
    AUTO_KNOWN_KEY struct known_key *key = calloc(1, sizeof *key);
    if (key == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    if (keys_find(pg, tenant, kid, &record, fault) != 0 ||
        key_open(&record, tenant, gateway->config.master_key, &key->trust, fault) != 0)
        return -1;
    (void)snprintf(key->kid, sizeof key->kid, "%s", record.kid);
    *ret_key = TAKE(key);
    return 0;
}

int verification_key_find(struct gateway *gateway, struct pg *pg, const char *tenant,
                          const struct token *token, struct known_key **ret_key,
                          struct fault *fault)
{
    char name[TENANT_ID_MAX + TOKEN_KID_MAX + 2];
    (void)snprintf(name, sizeof name, "%s %s", tenant, token->kid);
    void *cached = NULL;
    if (ttl_cache_get(gateway->keys, name, &cached)) {
        *ret_key = cached;
        return 0;
    }
    AUTO_KNOWN_KEY struct known_key *key = NULL;
    struct fault why;
    if (load(gateway, pg, tenant, token->kid[0] == '\0' ? NULL : token->kid, &key, &why) == 0) {
        ttl_cache_put(gateway->keys, name, key);
        key->fresh = true;
    } else if (why.code == FAULT_NOT_FOUND) {
        trust_key_rehearse(token->alg, token->signature.len);
    } else if (why.code == FAULT_KEY_INVALID) {
        /* An edited record, or another master key: for the caller as if there was none, which is
         * remembered, so that nobody fills the log by naming it. */
        ttl_cache_put(gateway->keys, name, NULL);
        log_error("a stored key cannot be used", "{s:s, s:s, s:s}", "tenant_id", tenant, "kid",
                  token->kid, "detail", why.detail);
    } else {
        *fault = why;
        return -1;
    }
    *ret_key = TAKE(key);
    return 0;
}

void verification_key_spend(struct gateway *gateway, struct pg *pg, const char *tenant,
                            const struct known_key *key)
{
    AUTO_KNOWN_KEY struct known_key *again = NULL;
    struct fault ignored;
    if (key != NULL && !key->fresh)
        (void)!load(gateway, pg, tenant, key->kid, &again, &ignored);
}
