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

/* ---- what is asked ---- */

/* Names of tenants' things, numbered by the item that asks: unnest($1, $2, $3) u(n, tenant_id, ...)
 */
struct named {
    struct pg_array numbers, tenants, names;
    struct pg_params params;
};

static struct named named_new(enum pg_array_kind kind)
{
    return (struct named){.numbers = pg_array_new(PG_ARRAY_INT8),
                          .tenants = pg_array_new(PG_ARRAY_TEXT),
                          .names = pg_array_new(kind)};
}

static void named_free(struct named *named)
{
    pg_array_free(&named->numbers);
    pg_array_free(&named->tenants);
    pg_array_free(&named->names);
}

static void named_add(struct named *named, size_t n, const char *tenant, struct span name)
{
    pg_array_int(&named->numbers, (int64_t)n);
    pg_array_text(&named->tenants, tenant);
    pg_array_bytes(&named->names, name);
}

static struct pg_call named_call(struct named *named, const struct pg_statement *statement)
{
    pg_array_bind(&named->params, &named->numbers);
    pg_array_bind(&named->params, &named->tenants);
    pg_array_bind(&named->params, &named->names);
    return (struct pg_call){.statement = statement, .params = &named->params};
}

static const struct pg_statement read_artifacts = {
    "facts_artifacts",
    "SELECT u.n, a.state, artifact_approvals(u.tenant_id, u.sha256), t.quorum, "
    "a.descriptor_sha256, artifact_lacks(u.tenant_id, u.sha256)"
    "  FROM unnest($1::bigint[], $2::text[], $3::bytea[]) u(n, tenant_id, sha256)"
    "  JOIN tenant t ON t.tenant_id = u.tenant_id"
    "  JOIN artifact a ON a.tenant_id = u.tenant_id AND a.sha256 = u.sha256"};

static const struct pg_statement read_keys = {
    "facts_keys",
    "SELECT u.n FROM unnest($1::bigint[], $2::text[], $3::text[]) u(n, tenant_id, kid)"
    "  JOIN tenant t ON t.tenant_id = u.tenant_id"
    "  JOIN verification_key k ON k.tenant_id = u.tenant_id AND k.kid = u.kid"
    " WHERE k.revoked_at IS NULL AND (k.not_before IS NULL OR k.not_before <= now())"
    "   AND (k.not_after IS NULL OR k.not_after > now())"
    "   AND (k.wrapped_secret IS NULL OR t.allow_hmac)"};

static const struct pg_statement read_inputs = {
    "facts_inputs",
    "SELECT u.n, count(*) FROM unnest($1::bigint[], $2::text[], $3::bytea[]) u(n, tenant_id, "
    "sha256)"
    " WHERE NOT EXISTS (SELECT FROM input i WHERE i.tenant_id = u.tenant_id AND i.sha256 = u.sha256"
    "                   AND (i.expires_at IS NULL OR i.expires_at > now()))"
    " GROUP BY u.n"};

static const struct pg_statement read_api_keys = {
    "facts_api_keys", "SELECT api_key_id, tenant_id FROM api_keys_live($1::text[]) WHERE submits"};

/* ---- what is answered ---- */

static int take_artifacts(struct facts_item *const *items, size_t count, const PGresult *result,
                          struct fault *fault)
{
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

static void take_keys(struct facts_item *const *items, size_t count, const PGresult *result)
{
    for (int row = 0; row < PQntuples(result); row++)
        items[pg_get_int(result, row, 0)]->facts.key_live = true;
    for (size_t i = 0; i < count; i++)
        items[i]->facts.key_live = items[first_alike(items, i, same_key)]->facts.key_live;
}

static void take_api_keys(struct facts_item *const *items, size_t count, const PGresult *result)
{
    for (int row = 0; row < PQntuples(result); row++)
        for (size_t i = 0; i < count; i++)
            if (strcmp(items[i]->api_key_id, pg_get_text(result, row, 0)) == 0 &&
                (pg_is_null(result, row, 1) ||
                 strcmp(items[i]->tenant_id, pg_get_text(result, row, 1)) == 0))
                items[i]->facts.caller_live = true;
}

static void take_inputs(struct facts_item *const *items, const PGresult *result)
{
    for (int row = 0; row < PQntuples(result); row++)
        items[pg_get_int(result, row, 0)]->facts.inputs_missing = (int)pg_get_int(result, row, 1);
}

/* ---- asking ---- */

enum asked { ASKED_LOCKS, ASKED_ARTIFACTS, ASKED_KEYS, ASKED_API_KEYS, ASKED_INPUTS, ASKED_COUNT };

struct questions {
    int64_t *lock_keys;
    struct pg_array locks, api_keys;
    struct pg_params lock_params, api_key_params;
    struct named artifacts, keys, inputs;
    struct pg_call calls[ASKED_COUNT + 1]; /* and the caller's */
};

static void questions_free(struct questions *q)
{
    for (size_t i = 0; i < ASKED_COUNT; i++)
        PQclear(q->calls[i].result);
    free(q->lock_keys);
    pg_array_free(&q->locks);
    pg_array_free(&q->api_keys);
    named_free(&q->artifacts);
    named_free(&q->keys);
    named_free(&q->inputs);
}

static void add_item(struct questions *q, struct facts_item *const *items, size_t i)
{
    const struct facts_item *item = items[i];
    q->lock_keys[3 * i] = lock_of_artifact(item->tenant_id, &item->tool_sha256);
    q->lock_keys[3 * i + 1] = lock_of_key(item->tenant_id, item->kid);
    q->lock_keys[3 * i + 2] = lock_of_api_key(item->api_key_id);
    pg_array_text(&q->api_keys, item->api_key_id);
    if (first_alike(items, i, same_artifact) == i)
        named_add(&q->artifacts, i, item->tenant_id, span_of(item->tool_sha256.bytes, DIGEST_LEN));
    if (first_alike(items, i, same_key) == i)
        named_add(&q->keys, i, item->tenant_id, span_text(item->kid));
    for (size_t j = 0; j < item->input_count; j++)
        named_add(&q->inputs, i, item->tenant_id, span_of(item->inputs[j].bytes, DIGEST_LEN));
}

static int build(struct questions *q, struct facts_item *const *items, size_t count,
                 struct fault *fault)
{
    *q = (struct questions){.lock_keys = calloc(count * 3, sizeof *q->lock_keys),
                            .locks = pg_array_new(PG_ARRAY_INT8),
                            .api_keys = pg_array_new(PG_ARRAY_TEXT),
                            .artifacts = named_new(PG_ARRAY_BYTEA),
                            .keys = named_new(PG_ARRAY_TEXT),
                            .inputs = named_new(PG_ARRAY_BYTEA)};
    if (q->lock_keys == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    for (size_t i = 0; i < count; i++)
        add_item(q, items, i);
    pg_array_bind(&q->api_key_params, &q->api_keys);
    q->calls[ASKED_LOCKS] = locks_share_call(q->lock_keys, count * 3, &q->locks, &q->lock_params);
    q->calls[ASKED_ARTIFACTS] = named_call(&q->artifacts, &read_artifacts);
    q->calls[ASKED_KEYS] = named_call(&q->keys, &read_keys);
    q->calls[ASKED_API_KEYS] =
        (struct pg_call){.statement = &read_api_keys, .params = &q->api_key_params};
    q->calls[ASKED_INPUTS] = named_call(&q->inputs, &read_inputs);
    return 0;
}

int facts_read(struct pg *pg, struct facts_item *const *items, size_t count, struct pg_call *also,
               struct fault *fault)
{
    AUTO(questions_free) struct questions q;
    int status = build(&q, items, count, fault);
    size_t asked = q.inputs.numbers.count > 0 ? ASKED_COUNT : ASKED_INPUTS;
    struct pg_call *last = &q.calls[asked];
    if (also != NULL)
        *last = *also;
    if (status != 0 || pg_steps(pg, q.calls, also == NULL ? asked : asked + 1, fault) != 0)
        return -1;
    if (also != NULL)
        also->result = TAKE(last->result);
    for (size_t i = 0; i < count; i++) {
        items[i]->facts = (struct verdict_facts){.artifact_state = ARTIFACT_ABSENT};
        items[i]->descriptor_sha256 = (struct digest){0};
    }
    if (take_artifacts(items, count, q.calls[ASKED_ARTIFACTS].result, fault) != 0)
        return -1;
    take_keys(items, count, q.calls[ASKED_KEYS].result);
    take_api_keys(items, count, q.calls[ASKED_API_KEYS].result);
    if (asked > ASKED_INPUTS)
        take_inputs(items, q.calls[ASKED_INPUTS].result);
    return 0;
}
