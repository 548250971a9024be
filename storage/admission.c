/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/admission.h"

#include "base/clock.h"
#include "storage/notify.h"

#include <string.h>

#define RACES_MAX 4

_Static_assert(ROOMS_TENANTS_MAX >= ADMISSION_BATCH_MAX, "each of a batch may be another tenant's");

/* Tenants of a batch, each once, NULL-terminated; how many. */
static size_t collect_tenants(struct admission *const *items, size_t count,
                              const char **ret_tenants)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        const char *tenant = items[i]->manifest->tenant_id;
        size_t at = 0;
        while (at < n && strcmp(ret_tenants[at], tenant) != 0)
            at++;
        if (at == n)
            ret_tenants[n++] = tenant;
    }
    ret_tenants[n] = NULL;
    return n;
}

static void refuse(struct admission *item, enum fault_code code, const char *detail)
{
    item->end = ADMISSION_REFUSED;
    (void)fault_set(&item->fault, code, "%s", detail);
}

/* The facts, and with them which of the nonces are spent. */
static int read_facts(struct pg *pg, struct admission *const *items, size_t count,
                      struct facts_item *const *facts, PGresult **ret_nonces, struct fault *fault)
{
    static const struct pg_statement read = {
        "admission_nonces",
        "SELECT u.n, x.token_sha256, x.execution_id"
        "  FROM unnest($1::text[], $2::text[]) WITH ORDINALITY u(tenant_id, nonce, n)"
        "  JOIN execution_nonce x ON x.tenant_id = u.tenant_id AND x.nonce = u.nonce"};
    AUTO_PG_ARRAY struct pg_array tenants = pg_array_new(PG_ARRAY_TEXT);
    AUTO_PG_ARRAY struct pg_array nonces = pg_array_new(PG_ARRAY_TEXT);
    for (size_t i = 0; i < count; i++) {
        pg_array_text(&tenants, items[i]->manifest->tenant_id);
        pg_array_text(&nonces, items[i]->manifest->nonce);
    }
    struct pg_params params = {0};
    pg_array_bind(&params, &tenants);
    pg_array_bind(&params, &nonces);
    struct pg_call call = {.statement = &read, .params = &params};
    int status = facts_read(pg, facts, count, &call, fault);
    *ret_nonces = call.result;
    return status;
}

/* In the order of judgement: a known token at any age, then the window, then a spent nonce. */
static void judge_nonces(struct admission *const *items, const PGresult *result, bool *ret_decided)
{
    for (int row = 0; row < PQntuples(result); row++) {
        size_t i = (size_t)pg_get_int(result, row, 0) - 1;
        struct digest spent_by = pg_get_digest(result, row, 1);
        ret_decided[i] = true;
        if (digest_equal(&spent_by, &items[i]->token_sha256)) {
            items[i]->end = ADMISSION_KNOWN;
            items[i]->known_id = pg_get_uuid(result, row, 2);
        } else if (items[i]->stale == NULL) {
            refuse(items[i], FAULT_NONCE_REUSED,
                   "nonce: already spent by another manifest of this tenant");
        }
    }
}

static int judge_facts(struct pg *pg, struct admission *const *items, size_t count,
                       bool *ret_decided, struct fault *fault)
{
    AUTO_FREE struct facts_item *facts = calloc(count, sizeof *facts);
    AUTO_FREE struct facts_item **pointers = calloc(count, sizeof(struct facts_item *));
    if (facts == NULL || pointers == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    for (size_t i = 0; i < count; i++) {
        pointers[i] = &facts[i];
        facts[i].tenant_id = items[i]->manifest->tenant_id;
        facts[i].api_key_id = items[i]->api_key_id;
        facts[i].kid = items[i]->kid;
        facts[i].tool_sha256 = items[i]->manifest->tool_sha256;
        facts[i].inputs = items[i]->inputs;
        facts[i].input_count = items[i]->manifest->input_count;
    }
    AUTO_PGRESULT PGresult *nonces = NULL;
    if (read_facts(pg, items, count, pointers, &nonces, fault) != 0)
        return -1;
    judge_nonces(items, nonces, ret_decided);
    for (size_t i = 0; i < count; i++) {
        struct fault why;
        if (ret_decided[i] && items[i]->end != ADMISSION_FAILED)
            continue;
        if (items[i]->stale != NULL)
            refuse(items[i], items[i]->stale->code, items[i]->stale->detail);
        else if (verdict_reach(&facts[i].facts, &why) != 0)
            refuse(items[i], why.code, why.detail);
        ret_decided[i] = items[i]->end == ADMISSION_REFUSED;
    }
    return 0;
}

/* Last, so that only what would be accepted takes room. */
static int judge_rooms(struct pg *pg, struct rooms *rooms, struct admission *const *items,
                       size_t count, const char *const *tenants, size_t tenant_count,
                       bool *ret_decided, struct fault *fault)
{
    if (rooms_count(rooms, pg, tenants, tenant_count, clock_monotonic_ms(), fault) != 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        struct fault why;
        if (ret_decided[i] || rooms_take(rooms, items[i]->manifest->tenant_id, &why) == 0)
            continue;
        refuse(items[i], why.code, why.detail);
        ret_decided[i] = true;
    }
    return 0;
}

/* What took room and was not accepted: a commit that failed, a race that was lost. */
static void give_rooms(struct rooms *rooms, struct admission *const *items, size_t count,
                       const bool *decided)
{
    for (size_t i = 0; i < count; i++)
        if (!decided[i] && items[i]->end != ADMISSION_ACCEPTED)
            rooms_give(rooms, items[i]->manifest->tenant_id);
}

enum column {
    C_EXECUTION,
    C_TENANT,
    C_NONCE,
    C_TOKEN_SHA256,
    C_SUBMITTED,
    C_TASK,
    C_OPERATOR,
    C_CORRELATION,
    C_SOURCE,
    C_ACTION,
    C_TARGET,
    C_TOOL,
    C_MANIFEST,
    C_API_KEY,
    C_KID,
    C_TOKEN,
    C_TRACEPARENT,
    C_EVENT,
    C_EVENT_HASH,
    C_EVENT_BODY,
    COLUMN_COUNT
};

static const enum pg_array_kind column_kinds[COLUMN_COUNT] = {
    [C_EXECUTION] = PG_ARRAY_UUID,     [C_TENANT] = PG_ARRAY_TEXT,      [C_NONCE] = PG_ARRAY_TEXT,
    [C_TOKEN_SHA256] = PG_ARRAY_BYTEA, [C_SUBMITTED] = PG_ARRAY_TIME,   [C_TASK] = PG_ARRAY_TEXT,
    [C_OPERATOR] = PG_ARRAY_TEXT,      [C_CORRELATION] = PG_ARRAY_TEXT, [C_SOURCE] = PG_ARRAY_TEXT,
    [C_ACTION] = PG_ARRAY_TEXT,        [C_TARGET] = PG_ARRAY_TEXT,      [C_TOOL] = PG_ARRAY_BYTEA,
    [C_MANIFEST] = PG_ARRAY_BYTEA,     [C_API_KEY] = PG_ARRAY_TEXT,     [C_KID] = PG_ARRAY_TEXT,
    [C_TOKEN] = PG_ARRAY_TEXT,         [C_TRACEPARENT] = PG_ARRAY_TEXT, [C_EVENT] = PG_ARRAY_UUID,
    [C_EVENT_HASH] = PG_ARRAY_BYTEA,   [C_EVENT_BODY] = PG_ARRAY_BYTEA,
};

static void add_row(struct pg_array *columns, const struct admission *item)
{
    const struct manifest *m = item->manifest;
    pg_array_uuid(&columns[C_EXECUTION], &item->execution_id);
    pg_array_text(&columns[C_TENANT], m->tenant_id);
    pg_array_text(&columns[C_NONCE], m->nonce);
    pg_array_bytes(&columns[C_TOKEN_SHA256], span_of(item->token_sha256.bytes, DIGEST_LEN));
    pg_array_int(&columns[C_SUBMITTED], item->submitted_ms);
    pg_array_text(&columns[C_TASK], m->task_id);
    pg_array_text(&columns[C_OPERATOR], m->operator_id);
    pg_array_text(&columns[C_CORRELATION], m->correlation_id);
    pg_array_text(&columns[C_SOURCE], m->source);
    pg_array_text(&columns[C_ACTION], m->action);
    pg_array_text(&columns[C_TARGET], m->target_urn);
    pg_array_bytes(&columns[C_TOOL], span_of(m->tool_sha256.bytes, DIGEST_LEN));
    pg_array_bytes(&columns[C_MANIFEST], span_of(m->sha256.bytes, DIGEST_LEN));
    pg_array_text(&columns[C_API_KEY], item->api_key_id);
    pg_array_text(&columns[C_KID], item->kid);
    pg_array_bytes(&columns[C_TOKEN], item->token);
    pg_array_text(&columns[C_TRACEPARENT], item->traceparent);
    pg_array_uuid(&columns[C_EVENT], &item->event->id);
    pg_array_bytes(&columns[C_EVENT_HASH], span_of(item->event->hash.bytes, DIGEST_LEN));
    pg_array_bytes(&columns[C_EVENT_BODY], span_of(item->event->bytes, item->event->len));
}

/* The nonce decides between transactions that run at once: whose row it is not is left out of every
 * other insert. Nonces are spent in one order, or two batches with some in common would wait for
 * each other. The event comes last, so that its place in the pending order is taken late. */
static const struct pg_statement insert_accepted = {
    "admission_insert",
    "WITH item AS ("
    "  SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[], $5::timestamptz[],"
    "    $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::bytea[],"
    "    $13::bytea[], $14::text[], $15::text[], $16::text[], $17::text[], $18::uuid[], "
    "$19::bytea[], $20::bytea[])"
    "  AS u(execution_id, tenant_id, nonce, token_sha256, submitted_at, task_id, operator_id, "
    "correlation_id,"
    "       source, action, target_urn, tool_sha256, manifest_sha256, api_key_id, kid, token, "
    "traceparent,"
    "       event_id, event_hash, event_body)"
    "), spent AS ("
    "  INSERT INTO execution_nonce (tenant_id, nonce, token_sha256, execution_id)"
    "  SELECT tenant_id, nonce, token_sha256, execution_id FROM item ORDER BY tenant_id, nonce"
    "  ON CONFLICT DO NOTHING RETURNING execution_id"
    "), active AS ("
    "  INSERT INTO execution_active (execution_id, tenant_id, submitted_at, task_id, operator_id, "
    "correlation_id,"
    "    source, action, target_urn, tool_sha256, manifest_sha256, api_key_id, kid, token, "
    "traceparent, accepted_event_id)"
    "  SELECT execution_id, tenant_id, submitted_at, task_id, operator_id, correlation_id, source, "
    "action,"
    "    target_urn, tool_sha256, manifest_sha256, api_key_id, kid, token, traceparent, event_id"
    "  FROM item JOIN spent USING (execution_id)"
    "), queue AS ("
    "  INSERT INTO execution_queue (execution_id, tenant_id)"
    "  SELECT execution_id, tenant_id FROM item JOIN spent USING (execution_id)"
    "), said AS ("
    "  INSERT INTO event (event_id, tenant_id, type, subject, execution_id, hash, body)"
    "  SELECT event_id, tenant_id, 'io.sallyport.execution.accepted.v1', task_id, execution_id, "
    "event_hash, event_body"
    "  FROM item JOIN spent USING (execution_id)"
    ") SELECT execution_id FROM spent"};

static void mark_accepted(struct admission *const *items, size_t count, const bool *decided,
                          const PGresult *result)
{
    for (int row = 0; row < PQntuples(result); row++) {
        struct uuid id = pg_get_uuid(result, row, 0);
        for (size_t i = 0; i < count; i++)
            if (!decided[i] && uuid_equal(&id, &items[i]->execution_id))
                items[i]->end = ADMISSION_ACCEPTED;
    }
}

static int insert_permitted(struct pg *pg, struct admission *const *items, size_t count,
                            const bool *decided, struct fault *fault)
{
    struct pg_array columns[COLUMN_COUNT];
    for (int c = 0; c < COLUMN_COUNT; c++)
        columns[c] = pg_array_new(column_kinds[c]);
    size_t permitted = 0;
    for (size_t i = 0; i < count; i++) {
        if (decided[i])
            continue;
        add_row(columns, items[i]);
        permitted++;
    }
    struct pg_params params = {0};
    for (int c = 0; c < COLUMN_COUNT; c++)
        pg_array_bind(&params, &columns[c]);
    AUTO_PGRESULT PGresult *result = NULL;
    if (permitted > 0)
        pg_tell(pg, NOTIFY_QUEUE);
    int status = permitted == 0 ? pg_commit(pg, NULL, NULL, NULL, fault)
                                : pg_commit(pg, &insert_accepted, &params, &result, fault);
    for (int c = 0; c < COLUMN_COUNT; c++)
        pg_array_free(&columns[c]);
    if (status == 0 && permitted > 0)
        mark_accepted(items, count, decided, result);
    return status;
}

/* One transaction. 0: every item but those that lost a race (left ADMISSION_FAILED with code
 * FAULT_NONE) has its end. */
static int commit_once(struct pg *pg, struct rooms *rooms, struct admission *const *items,
                       size_t count, struct fault *fault)
{
    const char *tenants[ADMISSION_BATCH_MAX + 1];
    bool decided[ADMISSION_BATCH_MAX] = {false};
    for (size_t i = 0; i < count; i++) {
        items[i]->end = ADMISSION_FAILED;
        items[i]->fault = (struct fault){.code = FAULT_NONE};
    }
    size_t tenant_count = collect_tenants(items, count, tenants);
    AUTO_PG_TX struct pg *tx = pg;
    pg_begin(tx, tenants);
    if (judge_facts(tx, items, count, decided, fault) != 0 ||
        judge_rooms(tx, rooms, items, count, tenants, tenant_count, decided, fault) != 0)
        return -1;
    int status = insert_permitted(tx, items, count, decided, fault);
    give_rooms(rooms, items, count, decided);
    return status;
}

static void fail_all(struct admission *const *items, size_t count, const struct fault *fault)
{
    for (size_t i = 0; i < count; i++) {
        items[i]->end = ADMISSION_FAILED;
        items[i]->fault = *fault;
    }
}

static void commit_split(struct pg *pg, struct rooms *rooms, struct admission *const *items,
                         size_t count)
{
    struct fault fault;
    if (commit_once(pg, rooms, items, count, &fault) == 0)
        return;
    if (count == 1 || fault.code == FAULT_UNAVAILABLE) {
        fail_all(items, count, &fault);
        return;
    }
    commit_split(pg, rooms, items, count / 2);
    commit_split(pg, rooms, items + count / 2, count - count / 2);
}

void admission_commit(struct pg *pg, struct rooms *rooms, struct admission *const *items,
                      size_t count)
{
    struct admission *left[ADMISSION_BATCH_MAX];
    if (count > ADMISSION_BATCH_MAX)
        abort();
    memcpy(left, items, count * sizeof(struct admission *));
    for (int race = 0; count > 0 && race < RACES_MAX; race++) {
        commit_split(pg, rooms, left, count);
        size_t again = 0; /* another transaction spent the nonce meanwhile: judged anew */
        for (size_t i = 0; i < count; i++)
            if (left[i]->end == ADMISSION_FAILED && left[i]->fault.code == FAULT_NONE)
                left[again++] = left[i];
        count = again;
    }
    struct fault fault;
    (void)fault_set(&fault, FAULT_UNAVAILABLE, "too many submissions of one nonce at once");
    fail_all(left, count, &fault);
}
