/* SPDX-License-Identifier: Apache-2.0 */
/* Makes API keys beside the API: the first one has to come from somewhere. */
#include "daemon/common.h"
#include "daemon/roles.h"

#include "base/clock.h"
#include "base/encode.h"
#include "storage/api_keys.h"
#include "storage/migrate.h"
#include "storage/tenants.h"

#include <openssl/crypto.h>
#include <string.h>

static int build(const struct settings *settings, enum event_type type, const char *subject,
                 json_t *data, struct event **ret_event, struct fault *fault)
{
    AUTO_JSON json_t *owned = data;
    struct event_head head = {.id = uuid_v7(),
                              .type = type,
                              .node = settings->node,
                              .subject = subject,
                              .tenant_id = settings->tenant,
                              .time_ms = clock_wall_ms()};
    if (owned == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    return event_build(&head, owned, ret_event, fault);
}

static int ensure_tenant(struct pg *pg, const struct settings *settings, struct fault *fault)
{
    AUTO_EVENT struct event *event = NULL;
    if (tenants_exist(pg, settings->tenant, fault) == 0)
        return 0;
    if (fault->code != FAULT_NOT_FOUND || !settings->create_tenant)
        return -1;
    if (build(settings, EVENT_TENANT_CREATED, settings->tenant,
              json_pack("{s:s}", "tenant_id", settings->tenant), &event, fault) != 0)
        return -1;
    struct tenant_policy policy = {.allow_hmac = -1};
    return tenants_create(pg, settings->tenant, &policy, event, fault);
}

static int read_wishes(const struct settings *settings, struct api_key *key, struct fault *fault)
{
    if (!tenant_id_valid(settings->tenant, strlen(settings->tenant)))
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "tenant: expected [a-z0-9][a-z0-9._-]*");
    if (!principal_valid(settings->principal, strlen(settings->principal)))
        return fault_set(fault, FAULT_MALFORMED_REQUEST,
                         "principal: expected [A-Za-z0-9][A-Za-z0-9._:@-]*");
    if (role_set_parse(settings->roles, &key->roles) != 0)
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "roles: expected comma-separated roles");
    (void)snprintf(key->tenant_id, sizeof key->tenant_id, "%s", settings->tenant);
    (void)snprintf(key->principal, sizeof key->principal, "%s", settings->principal);
    (void)snprintf(key->created_by, sizeof key->created_by, "operator");
    return 0;
}

static int make(struct pg *pg, const struct settings *settings, struct api_key_text *ret_text,
                struct fault *fault)
{
    uint8_t id[8], secret[32];
    AUTO_EVENT struct event *event = NULL;
    AUTO_BUF struct buf roles = BUF(256);
    struct api_key key = {.expires_ms = INT64_MIN, .revoked_ms = INT64_MIN};
    if (read_wishes(settings, &key, fault) != 0 || ensure_tenant(pg, settings, fault) != 0)
        return -1;
    random_bytes(id, sizeof id);
    random_bytes(secret, sizeof secret);
    hex_encode(id, sizeof id, key.id);
    key.secret_hash = digest_of(secret, sizeof secret);
    role_set_format(key.roles, &roles);
    if (build(settings, EVENT_APIKEY_CREATED, key.id,
              json_pack("{s:s, s:s, s:s, s:s}", "id", key.id, "principal", key.principal, "roles",
                        buf_text(&roles), "by", key.created_by),
              &event, fault) != 0 ||
        api_keys_create(pg, &key, event, fault) != 0)
        return -1;
    *ret_text = api_key_format(id, secret);
    OPENSSL_cleanse(secret, sizeof secret);
    return 0;
}

int run_apikey(const struct settings *settings)
{
    struct fault fault;
    struct api_key_text text;
    AUTO_PG struct pg *pg = NULL;
    if (pg_open(settings->database, "apikey", &pg, &fault) != 0 || migrate_check(pg, &fault) != 0 ||
        make(pg, settings, &text, &fault) != 0)
        return failed("apikey", &fault);
    (void)printf("%s\n", text.text);
    return 0;
}
