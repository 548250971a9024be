/* SPDX-License-Identifier: Apache-2.0 */
/* Who calls, and may they: before any handler, and before a streamed body is read. */
#include "base/clock.h"
#include "handlers/gateway.h"
#include "handlers/routes.h"
#include "handlers/strangers.h"
#include "storage/api_keys.h"
#include "storage/tenants.h"

#include <string.h>
#include <strings.h>

static int not_authenticated(struct fault *fault)
{
    return fault_set(fault, FAULT_NOT_AUTHENTICATED,
                     "Authorization: expected a live API key as `Bearer sp_<id>_<secret>`");
}

/* The live key of this id, from the cache or the database. */
static int find_key(struct gateway *gateway, struct pg *pg, const char *id, struct api_key *ret_key,
                    struct fault *fault)
{
    void *cached = NULL;
    if (ttl_cache_get(gateway->callers, id, &cached)) {
        if (cached == NULL)
            return not_authenticated(fault);
        *ret_key = *(const struct api_key *)cached;
        free(cached);
        return 0;
    }
    struct api_key key;
    struct fault why;
    if (api_keys_find(pg, id, &key, &why) == 0) {
        ttl_cache_put(gateway->callers, id, &key);
        *ret_key = key;
        return 0;
    }
    if (why.code != FAULT_NOT_FOUND) {
        *fault = why;
        return -1;
    }
    ttl_cache_put(gateway->callers, id, NULL);
    return not_authenticated(fault);
}

static int authenticate(struct request *request, struct api_key *ret_key, struct fault *fault)
{
    const char *header = request_header(request, "Authorization");
    char id[API_KEY_ID_LEN + 1];
    struct digest secret_hash;
    struct api_key key;
    if (header == NULL || strncasecmp(header, "Bearer ", 7) != 0 ||
        api_key_parse(header + 7, strlen(header + 7), id, &secret_hash) != 0)
        return not_authenticated(fault);
    if (find_key(gateway_of(request), pg_of(request), id, &key, fault) != 0)
        return -1;
    if (!digest_equal(&key.secret_hash, &secret_hash))
        return not_authenticated(fault);
    *ret_key = key;
    return 0;
}

/* A tenant's key acts for its tenant; the platform's names one by header. */
static int choose_tenant(struct request *request, const struct api_key *key, struct caller *caller,
                         struct fault *fault)
{
    const char *named = request_header(request, "X-Sallyport-Tenant");
    caller->platform = key->tenant_id[0] == '\0';
    if (!caller->platform) {
        if (named != NULL && strcmp(named, key->tenant_id) != 0)
            return fault_set(fault, FAULT_FORBIDDEN,
                             "X-Sallyport-Tenant: this API key belongs to another tenant");
        (void)snprintf(caller->tenant_id, sizeof caller->tenant_id, "%s", key->tenant_id);
        return 0;
    }
    if (named == NULL || !tenant_id_valid(named, strlen(named)))
        return fault_set(fault, FAULT_MALFORMED_REQUEST,
                         "X-Sallyport-Tenant: a platform key has to name a tenant");
    if (tenants_exist(pg_of(request), named, fault) != 0)
        return -1;
    (void)snprintf(caller->tenant_id, sizeof caller->tenant_id, "%s", named);
    return 0;
}

/* No key is asked for; a false one is refused as everywhere. */
static bool is_stranger_to_the_log(const struct request *request)
{
    return request_route(request)->access == ACCESS_LOG && gateway_of(request)->strangers != NULL &&
           request_header(request, "Authorization") == NULL;
}

static int admit_stranger(const struct request *request, struct fault *fault)
{
    struct http_address address = request_address(request);
    if (strangers_take(gateway_of(request)->strangers, &address, clock_monotonic_ms()))
        return 0;
    return fault_set(fault, FAULT_RATE_LIMITED,
                     "too many requests without an API key; with one there is no such limit");
}

int gateway_admit(struct request *request, struct fault *fault)
{
    unsigned access = request_route(request)->access;
    if (access == ACCESS_PUBLIC)
        return 0;
    if (is_stranger_to_the_log(request))
        return admit_stranger(request, fault);
    struct api_key key;
    AUTO_FREE struct caller *caller = calloc(1, sizeof *caller);
    if (caller == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    if (authenticate(request, &key, fault) != 0 || choose_tenant(request, &key, caller, fault) != 0)
        return -1;
    (void)snprintf(caller->api_key_id, sizeof caller->api_key_id, "%s", key.id);
    (void)snprintf(caller->principal, sizeof caller->principal, "%s", key.principal);
    caller->roles = key.roles;
    if ((access & (ACCESS_ANY_ROLE | ACCESS_LOG)) == 0 && (caller->roles & access) == 0)
        return fault_set(fault, FAULT_FORBIDDEN,
                         "this API key has none of the roles that may do this");
    request_set_caller(request, TAKE(caller), free);
    return 0;
}
