/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/locks.h"

int64_t lock_of_artifact(const char *tenant, const struct digest *sha256)
{
    return pg_lock_key("artifact", tenant, span_of(sha256->bytes, DIGEST_LEN));
}

int64_t lock_of_key(const char *tenant, const char *kid)
{
    return pg_lock_key("key", tenant, span_text(kid));
}

int64_t lock_of_api_key(const char *api_key_id)
{
    return pg_lock_key("api-key", "", span_text(api_key_id));
}

static int compare_keys(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Each key once, in ascending order, so that all transactions lock in the same order: the statement
 * keeps the order of its array (WITH ORDINALITY). */
static void bind(struct pg_params *params, struct pg_array *array, int64_t *keys, size_t count)
{
    qsort(keys, count, sizeof keys[0], compare_keys);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || keys[i] != keys[i - 1])
            pg_array_int(array, keys[i]);
    pg_array_bind(params, array);
}

struct pg_call locks_share_call(int64_t *keys, size_t count, struct pg_array *array,
                                struct pg_params *params)
{
    static const struct pg_statement share = {
        "locks_share", "SELECT count(pg_advisory_xact_lock_shared(k)) FROM "
                       "(SELECT k FROM unnest($1::bigint[]) WITH ORDINALITY u(k, n) ORDER BY n) s"};
    bind(params, array, keys, count);
    return (struct pg_call){.statement = &share, .params = params};
}

int locks_share(struct pg *pg, int64_t *keys, size_t count, struct fault *fault)
{
    AUTO_PG_ARRAY struct pg_array array = pg_array_new(PG_ARRAY_INT8);
    struct pg_params params = {0};
    struct pg_call call = locks_share_call(keys, count, &array, &params);
    return pg_step(pg, call.statement, call.params, NULL, fault);
}

int locks_exclude(struct pg *pg, int64_t key, const int64_t *shared, struct fault *fault)
{
    static const struct pg_statement exclude = {
        "locks_exclude",
        "SELECT count(CASE WHEN k = $2 THEN pg_advisory_xact_lock(k)"
        " ELSE pg_advisory_xact_lock_shared(k) END) FROM "
        "(SELECT k FROM unnest($1::bigint[]) WITH ORDINALITY u(k, n) ORDER BY n) s"};
    int64_t keys[] = {key, shared == NULL ? key : *shared};
    AUTO_PG_ARRAY struct pg_array array = pg_array_new(PG_ARRAY_INT8);
    struct pg_params params = {0};
    bind(&params, &array, keys, ARRAY_LEN(keys));
    pg_int8(&params, key);
    return pg_step(pg, &exclude, &params, NULL, fault);
}
