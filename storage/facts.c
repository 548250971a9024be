/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/facts.h"

#include "storage/locks.h"

#include <string.h>

/* Items that ask the same question share one row of the query: first[i] is the item that asks it.
 */
typedef bool same_fn(const struct facts_item *a, const struct facts_item *b);

static bool same_artifact(const struct facts_item *a, const struct facts_item *b)
{
    return memcmp(a->tool_sha256.bytes, b->tool_sha256.bytes, DIGEST_LEN) == 0 &&
           strcmp(a->tenant_id, b->tenant_id) == 0;
}

static bool same_key(const struct facts_item *a, const struct facts_item *b)
{
    return strcmp(a->kid, b->kid) == 0 && strcmp(a->tenant_id, b->tenant_id) == 0;
}

static size_t first_alike(struct facts_item *const *items, size_t i, same_fn *same)
{
    size_t first = 0;
    while (first < i && !same(items[first], items[i]))
        first++;
    return first;
}

static int lock_all(struct pg *pg, struct facts_item *const *items, size_t count,
                    struct fault *fault)
{
    AUTO_FREE int64_t *keys = calloc(count * 3, sizeof *keys);
    if (keys == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    for (size_t i = 0; i < count; i++) {
        keys[3 * i] = lock_of_artifact(items[i]->tenant_id, &items[i]->tool_sha256);
        keys[3 * i + 1] = lock_of_key(items[i]->tenant_id, items[i]->kid);
        keys[3 * i + 2] = lock_of_api_key(items[i]->api_key_id);
    }
    return locks_share(pg, keys, count * 3, fault);
}

static int read_artifacts(struct pg *pg, struct facts_item *const *items, size_t count,
                          struct fault *fault)
{
    static const struct pg_statement read = {
        "facts_artifacts",
        "SELECT u.n, a.state, artifact_approvals(u.tenant_id, u.sha256), t.quorum, "
        "a.descriptor_sha256, artifact_lacks(u.tenant_id, u.sha256)"
        "  FROM unnest($1::bigint[], $2::text[], $3::bytea[]) u(n, tenant_id, sha256)"
        "  JOIN tenant t ON t.tenant_id = u.tenant_id"
        "  JOIN artifact a ON a.tenant_id = u.tenant_id AND a.sha256 = u.sha256"};
    AUTO_PG_ARRAY struct pg_array numbers = pg_array_new(PG_ARRAY_INT8);
    AUTO_PG_ARRAY struct pg_array tenants = pg_array_new(PG_ARRAY_TEXT);
    AUTO_PG_ARRAY struct pg_array digests = pg_array_new(PG_ARRAY_BYTEA);
    for (size_t i = 0; i < count; i++) {
        if (first_alike(items, i, same_artifact) != i)
            continue;
        pg_array_int(&numbers, (int64_t)i);
        pg_array_text(&tenants, items[i]->tenant_id);
        pg_array_bytes(&digests, span_of(items[i]->tool_sha256.bytes, DIGEST_LEN));
    }
    struct pg_params params = {0};
    pg_array_bind(&params, &numbers);
    pg_array_bind(&params, &tenants);
    pg_array_bind(&params, &digests);
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_step(pg, &read, &params, &result, fault) != 0)
        return -1;
    for (int row = 0; row < PQntuples(result); row++) {
        struct facts_item *item = items[pg_get_int(result, row, 0)];
        if (artifact_state_parse(pg_get_text(result, row, 1), &item->facts.artifact_state) != 0 ||
            artifact_lack_parse(pg_get_text(result, row, 5), &item->facts.lacks) != 0)
            return fault_set(fault, FAULT_INTERNAL, "an artifact is in an unknown state");
        item->facts.approvals = (int)pg_get_int(result, row, 2);
        item->facts.quorum = (int)pg_get_int(result, row, 3);
        item->descriptor_sha256 = pg_get_digest(result, row, 4);
    }
    for (size_t i = 0; i < count; i++) {
        const struct facts_item *first = items[first_alike(items, i, same_artifact)];
        items[i]->facts.artifact_state = first->facts.artifact_state;
        items[i]->facts.lacks = first->facts.lacks;
        items[i]->facts.approvals = first->facts.approvals;
        items[i]->facts.quorum = first->facts.quorum;
        items[i]->descriptor_sha256 = first->descriptor_sha256;
    }
    return 0;
}

static int read_keys(struct pg *pg, struct facts_item *const *items, size_t count,
                     struct fault *fault)
{
    static const struct pg_statement read = {
        "facts_keys",
        "SELECT u.n FROM unnest($1::bigint[], $2::text[], $3::text[]) u(n, tenant_id, kid)"
        "  JOIN tenant t ON t.tenant_id = u.tenant_id"
        "  JOIN verification_key k ON k.tenant_id = u.tenant_id AND k.kid = u.kid"
        " WHERE k.revoked_at IS NULL AND (k.not_before IS NULL OR k.not_before <= now())"
        "   AND (k.not_after IS NULL OR k.not_after > now())"
        "   AND (k.wrapped_secret IS NULL OR t.allow_hmac)"};
    AUTO_PG_ARRAY struct pg_array numbers = pg_array_new(PG_ARRAY_INT8);
    AUTO_PG_ARRAY struct pg_array tenants = pg_array_new(PG_ARRAY_TEXT);
    AUTO_PG_ARRAY struct pg_array kids = pg_array_new(PG_ARRAY_TEXT);
    for (size_t i = 0; i < count; i++) {
        if (first_alike(items, i, same_key) != i)
            continue;
        pg_array_int(&numbers, (int64_t)i);
        pg_array_text(&tenants, items[i]->tenant_id);
        pg_array_text(&kids, items[i]->kid);
    }
    struct pg_params params = {0};
    pg_array_bind(&params, &numbers);
    pg_array_bind(&params, &tenants);
    pg_array_bind(&params, &kids);
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_step(pg, &read, &params, &result, fault) != 0)
        return -1;
    for (int row = 0; row < PQntuples(result); row++)
        items[pg_get_int(result, row, 0)]->facts.key_live = true;
    for (size_t i = 0; i < count; i++)
        items[i]->facts.key_live = items[first_alike(items, i, same_key)]->facts.key_live;
    return 0;
}

static int read_api_keys(struct pg *pg, struct facts_item *const *items, size_t count,
                         struct fault *fault)
{
    static const struct pg_statement read = {
        "facts_api_keys",
        "SELECT api_key_id, tenant_id FROM api_keys_live($1::text[]) WHERE submits"};
    AUTO_PG_ARRAY struct pg_array ids = pg_array_new(PG_ARRAY_TEXT);
    for (size_t i = 0; i < count; i++)
        pg_array_text(&ids, items[i]->api_key_id);
    struct pg_params params = {0};
    pg_array_bind(&params, &ids);
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_step(pg, &read, &params, &result, fault) != 0)
        return -1;
    for (int row = 0; row < PQntuples(result); row++)
        for (size_t i = 0; i < count; i++)
            if (strcmp(items[i]->api_key_id, pg_get_text(result, row, 0)) == 0 &&
                (pg_is_null(result, row, 1) ||
                 strcmp(items[i]->tenant_id, pg_get_text(result, row, 1)) == 0))
                items[i]->facts.caller_live = true;
    return 0;
}

static int read_inputs(struct pg *pg, struct facts_item *const *items, size_t count,
                       struct fault *fault)
{
    static const struct pg_statement read = {
        "facts_inputs", "SELECT u.n, count(*) FROM unnest($1::bigint[], $2::text[], $3::bytea[]) "
                        "u(n, tenant_id, sha256)"
                        " WHERE NOT EXISTS (SELECT FROM input i WHERE i.tenant_id = u.tenant_id "
                        "AND i.sha256 = u.sha256"
                        "                   AND (i.expires_at IS NULL OR i.expires_at > now()))"
                        " GROUP BY u.n"};
    AUTO_PG_ARRAY struct pg_array numbers = pg_array_new(PG_ARRAY_INT8);
    AUTO_PG_ARRAY struct pg_array tenants = pg_array_new(PG_ARRAY_TEXT);
    AUTO_PG_ARRAY struct pg_array digests = pg_array_new(PG_ARRAY_BYTEA);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < items[i]->input_count; j++) {
            pg_array_int(&numbers, (int64_t)i);
            pg_array_text(&tenants, items[i]->tenant_id);
            pg_array_bytes(&digests, span_of(items[i]->inputs[j].bytes, DIGEST_LEN));
        }
    }
    if (numbers.count == 0)
        return 0;
    struct pg_params params = {0};
    pg_array_bind(&params, &numbers);
    pg_array_bind(&params, &tenants);
    pg_array_bind(&params, &digests);
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_step(pg, &read, &params, &result, fault) != 0)
        return -1;
    for (int row = 0; row < PQntuples(result); row++)
        items[pg_get_int(result, row, 0)]->facts.inputs_missing = (int)pg_get_int(result, row, 1);
    return 0;
}

int facts_read(struct pg *pg, struct facts_item *const *items, size_t count, struct fault *fault)
{
    for (size_t i = 0; i < count; i++) {
        items[i]->facts = (struct verdict_facts){.artifact_state = ARTIFACT_ABSENT};
        items[i]->descriptor_sha256 = (struct digest){0};
    }
    if (lock_all(pg, items, count, fault) != 0 || read_artifacts(pg, items, count, fault) != 0 ||
        read_keys(pg, items, count, fault) != 0 || read_api_keys(pg, items, count, fault) != 0)
        return -1;
    return read_inputs(pg, items, count, fault);
}
