/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: every value goes to PostgreSQL and comes back as it was, nulls and empty ones apart. */
#include "tests/pg/scene.h"

#include "base/clock.h"

static PGresult *ask(struct scene *scene, const struct pg_statement *statement,
                     const struct pg_params *params)
{
    struct fault fault;
    PGresult *result = NULL;
    assert_ok(pg_query(scene->super, NULL, statement, params, &result, &fault));
    return result;
}

static void texts_and_bytes(void **state)
{
    static const struct pg_statement echo = {
        "echo_text", "SELECT $1::text, $2::bytea, octet_length($1::text), octet_length($2::bytea),"
                     " $1::text IS NULL, $2::bytea IS NULL"};
    static const struct {
        const char *text;
        struct span bytes;
    } cases[] = {
        {"", {(const uint8_t *)"", 0}},
        {"plain", {(const uint8_t *)"a\0b", 3}},
        {"caf\xc3\xa9 \xf0\x9f\x94\x92 '\"\\{}", {(const uint8_t *)"\xff\x00\\x41", 6}},
        {NULL, {NULL, 0}},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct pg_params params = {0};
        pg_text(&params, cases[i].text);
        pg_bytes(&params, cases[i].bytes);
        AUTO_PGRESULT PGresult *row = ask(*state, &echo, &params);
        bool null = cases[i].text == NULL;
        assert_int_equal(pg_get_bool(row, 0, 4), null);
        assert_int_equal(pg_get_bool(row, 0, 5), null);
        assert_int_equal(pg_is_null(row, 0, 0), null);
        assert_int_equal(pg_is_null(row, 0, 1), null);
        assert_string_equal(pg_get_text(row, 0, 0), null ? "" : cases[i].text);
        assert_true(span_equal(pg_get_bytes(row, 0, 1), cases[i].bytes));
        assert_int_equal(pg_get_int(row, 0, 2), null ? 0 : strlen(cases[i].text));
        assert_int_equal(pg_get_int(row, 0, 3), cases[i].bytes.len);
    }
}

static void numbers(void **state)
{
    static const struct pg_statement echo = {
        "echo_number", "SELECT $1::bigint, $2::integer, $3::boolean, $1::text, $2::text,"
                       " ($2::integer % 1000)::smallint, $4::integer IS NULL, $4::integer"};
    static const int64_t big[] = {0, 1, -1, INT64_MAX, INT64_MIN, INT64_C(0x0102030405060708)};
    static const int32_t small[] = {0, 1, -1, INT32_MAX, INT32_MIN, 0x01020304};
    for (size_t i = 0; i < ARRAY_LEN(big); i++) {
        char text[32];
        struct pg_params params = {0};
        pg_int8(&params, big[i]);
        pg_int4(&params, small[i]);
        pg_bool(&params, i % 2 == 0);
        pg_int4_null(&params);
        AUTO_PGRESULT PGresult *row = ask(*state, &echo, &params);
        assert_true(pg_get_int(row, 0, 0) == big[i]);
        assert_true(pg_get_int(row, 0, 1) == small[i]);
        assert_int_equal(pg_get_bool(row, 0, 2), i % 2 == 0);
        (void)snprintf(text, sizeof text, "%lld", (long long)big[i]);
        assert_string_equal(pg_get_text(row, 0, 3), text);
        (void)snprintf(text, sizeof text, "%ld", (long)small[i]);
        assert_string_equal(pg_get_text(row, 0, 4), text);
        assert_true(pg_get_int(row, 0, 5) == small[i] % 1000); /* int2, negative ones too */
        assert_true(pg_get_bool(row, 0, 6));
        assert_int_equal(pg_get_int(row, 0, 7), 0);
    }
}

static void ids_and_digests(void **state)
{
    static const struct pg_statement echo = {
        "echo_id", "SELECT $1::uuid, $1::text, $2::bytea, $3::uuid, $4::bytea, '\\x00'::bytea"};
    struct uuid uuid = uuid_v7(), none = {0};
    struct digest digest = digest_of("x", 1), zero = {0};
    struct pg_params params = {0};
    pg_uuid(&params, &uuid);
    pg_digest(&params, &digest);
    pg_uuid(&params, NULL);
    pg_digest(&params, NULL);
    AUTO_PGRESULT PGresult *row = ask(*state, &echo, &params);
    struct uuid back = pg_get_uuid(row, 0, 0), null = pg_get_uuid(row, 0, 3);
    assert_true(uuid_equal(&back, &uuid));
    assert_string_equal(pg_get_text(row, 0, 1), uuid_format(&uuid).text);
    struct digest digest_back = pg_get_digest(row, 0, 2);
    assert_true(digest_equal(&digest_back, &digest));
    assert_true(pg_is_null(row, 0, 3) && pg_is_null(row, 0, 4));
    assert_true(uuid_equal(&null, &none));
    for (int column = 4; column < 6; column++) { /* null, and one that is no digest */
        digest_back = pg_get_digest(row, 0, column);
        assert_true(digest_equal(&digest_back, &zero));
    }
}

static void times(void **state)
{
    static const struct pg_statement echo = {
        "echo_time", "SELECT $1::timestamptz, to_char($1::timestamptz AT TIME ZONE 'UTC',"
                     " 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"};
    static const int64_t cases[] = {0,
                                    1,
                                    -1,
                                    1767323045678,
                                    946684800000, /* PostgreSQL's epoch */
                                    946684799999,
                                    253402300799999,
                                    -62135596800000};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct pg_params params = {0};
        pg_time(&params, cases[i]);
        AUTO_PGRESULT PGresult *row = ask(*state, &echo, &params);
        assert_true(pg_get_time(row, 0, 0) == cases[i]);
        assert_string_equal(pg_get_text(row, 0, 1), time_format(cases[i]).text);
    }
    static const int64_t nulls[] = {INT64_MIN, INT64_MAX};
    for (size_t i = 0; i < ARRAY_LEN(nulls); i++) {
        struct pg_params params = {0};
        pg_time(&params, nulls[i]);
        AUTO_PGRESULT PGresult *row = ask(*state, &echo, &params);
        assert_true(pg_is_null(row, 0, 0));
        assert_true(pg_get_time(row, 0, 0) == INT64_MIN);
    }
}

/* Microseconds are cut downwards on both sides of the epoch; what has no end is far away. */
static void times_finer_or_longer_than_ours(void **state)
{
    static const struct pg_statement read = {"odd_times",
                                             "SELECT '2000-01-01T00:00:00.000999Z'::timestamptz,"
                                             " '1999-12-31T23:59:59.999999Z'::timestamptz,"
                                             " '1999-12-31T23:59:59.999000Z'::timestamptz,"
                                             " 'infinity'::timestamptz, '-infinity'::timestamptz"};
    AUTO_PGRESULT PGresult *row = ask(*state, &read, NULL);
    assert_true(pg_get_time(row, 0, 0) == 946684800000);
    assert_true(pg_get_time(row, 0, 1) == 946684799999);
    assert_true(pg_get_time(row, 0, 2) == 946684799999);
    assert_true(pg_get_time(row, 0, 3) > 253402300799999);
    assert_true(pg_get_time(row, 0, 4) < -62135596800000);
}

static void arrays_of_each_kind(void **state)
{
    static const struct pg_statement echo = {
        "echo_arrays", "SELECT t, b, u, n, m, t IS NULL FROM unnest($1::text[], $2::bytea[],"
                       " $3::uuid[], $4::bigint[], $5::timestamptz[]) x(t, b, u, n, m)"};
    AUTO_PG_ARRAY struct pg_array texts = pg_array_new(PG_ARRAY_TEXT);
    AUTO_PG_ARRAY struct pg_array bytes = pg_array_new(PG_ARRAY_BYTEA);
    AUTO_PG_ARRAY struct pg_array uuids = pg_array_new(PG_ARRAY_UUID);
    AUTO_PG_ARRAY struct pg_array numbers_of = pg_array_new(PG_ARRAY_INT8);
    AUTO_PG_ARRAY struct pg_array moments = pg_array_new(PG_ARRAY_TIME);
    struct uuid uuid = uuid_v7();
    static const char *const words[] = {"", "one", NULL, "{\"a\",NULL}", "caf\xc3\xa9"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        pg_array_text(&texts, words[i]);
        pg_array_bytes(&bytes, words[i] == NULL ? span_of(NULL, 0) : span_of("\0\xff", i % 3));
        if (i % 2 == 0)
            pg_array_uuid(&uuids, &uuid);
        else
            pg_array_null(&uuids);
        pg_array_int(&numbers_of, (int64_t)i - 2);
        pg_array_int(&moments, i == 3 ? INT64_MIN : (int64_t)i * 1000);
    }
    struct pg_params params = {0};
    pg_array_bind(&params, &texts);
    pg_array_bind(&params, &bytes);
    pg_array_bind(&params, &uuids);
    pg_array_bind(&params, &numbers_of);
    pg_array_bind(&params, &moments);
    AUTO_PGRESULT PGresult *rows = ask(*state, &echo, &params);
    assert_int_equal(PQntuples(rows), ARRAY_LEN(words));
    for (int i = 0; i < PQntuples(rows); i++) {
        bool null = words[i] == NULL;
        assert_string_equal(pg_get_text(rows, i, 0), null ? "" : words[i]);
        assert_int_equal(pg_get_bool(rows, i, 5), null);
        assert_int_equal(pg_is_null(rows, i, 1), null);
        if (!null)
            assert_true(span_equal(pg_get_bytes(rows, i, 1), span_of("\0\xff", (size_t)i % 3)));
        struct uuid back = pg_get_uuid(rows, i, 2);
        assert_int_equal(pg_is_null(rows, i, 2), i % 2 != 0);
        assert_int_equal(uuid_equal(&back, &uuid), i % 2 == 0);
        assert_int_equal(pg_get_int(rows, i, 3), i - 2);
        assert_true(pg_get_time(rows, i, 4) == (i == 3 ? INT64_MIN : i * 1000));
    }
}

static void empty_arrays_are_empty(void **state)
{
    static const struct pg_statement measure = {
        "measure_array", "SELECT cardinality($1::text[]), $1::text[] = '{}', $1::text[] IS NULL,"
                         " 'x' = ANY ($1::text[])"};
    AUTO_PG_ARRAY struct pg_array empty = pg_array_new(PG_ARRAY_TEXT);
    struct pg_params params = {0};
    pg_array_bind(&params, &empty);
    AUTO_PGRESULT PGresult *row = ask(*state, &measure, &params);
    assert_int_equal(pg_get_int(row, 0, 0), 0);
    assert_true(pg_get_bool(row, 0, 1));
    assert_false(pg_get_bool(row, 0, 2));
    assert_false(pg_get_bool(row, 0, 3));
    AUTO_PG_ARRAY struct pg_array one = pg_array_new(PG_ARRAY_TEXT);
    pg_array_text(&one, "x");
    struct pg_params with_one = {0};
    pg_array_bind(&with_one, &one);
    AUTO_PGRESULT PGresult *again = ask(*state, &measure, &with_one);
    assert_int_equal(pg_get_int(again, 0, 0), 1);
    assert_true(pg_get_bool(again, 0, 3));
}

static void what_does_not_fit_is_not_sent(void **state)
{
    struct scene *scene = *state;
    static const struct pg_statement one = {"one", "SELECT 1"}, wide = {"wide", "SELECT 1"};
    struct fault fault;
    struct pg_params params = {0};
    for (int i = 0; i < PG_PARAMS_MAX; i++)
        pg_int4(&params, i);
    assert_false(params.failed);
    pg_int4(&params, 41);
    assert_true(params.failed);
    assert_int_equal(params.count, PG_PARAMS_MAX);
    PGresult *untouched = NULL;
    assert_fault(pg_query(scene->super, NULL, &wide, &params, &untouched, &fault), FAULT_INTERNAL,
                 "do not fit");
    assert_null(untouched);
    AUTO_PG_ARRAY struct pg_array array = pg_array_new(PG_ARRAY_TEXT);
    array.body.max = 100;
    for (int i = 0; i < 20; i++)
        pg_array_text(&array, "0123456789");
    struct pg_params with_array = {0};
    pg_array_bind(&with_array, &array);
    assert_true(with_array.failed);
    assert_fault(pg_query(scene->super, NULL, &one, &with_array, NULL, &fault), FAULT_INTERNAL,
                 "do not fit");
    assert_ok(pg_query(scene->super, NULL, &one, NULL, NULL, &fault));
}

static void rows_touched_are_counted(void **state)
{
    struct scene *scene = *state;
    static const struct pg_statement update = {
        "touch", "UPDATE worker SET lease_expires_at = now() WHERE node = $1"};
    for (int i = 0; i < 3; i++)
        (void)scene_worker(scene);
    struct pg_params params = {0};
    pg_text(&params, "test");
    AUTO_PGRESULT PGresult *three = ask(scene, &update, &params);
    assert_int_equal(pg_affected(three), 3);
    struct pg_params others = {0};
    pg_text(&others, "nobody");
    AUTO_PGRESULT PGresult *none = ask(scene, &update, &others);
    assert_int_equal(pg_affected(none), 0);
}

/* Names of different kinds or tenants never share a lock by being put together. */
static void lock_keys_tell_names_apart(void **state)
{
    (void)state;
    const int64_t keys[] = {pg_lock_key("artifact", "acme", span_text("x")),
                            pg_lock_key("key", "acme", span_text("x")),
                            pg_lock_key("artifact", "acm", span_text("ex")),
                            pg_lock_key("artifact", "acme", span_text("")),
                            pg_lock_key("artifact", "", span_text("acmex")),
                            pg_lock_key("artifactacme", "", span_text("x")),
                            pg_lock_key("artifact", "acme", span_of("x\0", 2))};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        for (size_t j = 0; j < i; j++)
            assert_true(keys[i] != keys[j]);
    assert_true(keys[0] == pg_lock_key("artifact", "acme", span_text("x")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(texts_and_bytes),
        SCENE_TEST(numbers),
        SCENE_TEST(ids_and_digests),
        SCENE_TEST(times),
        SCENE_TEST(times_finer_or_longer_than_ours),
        SCENE_TEST(arrays_of_each_kind),
        SCENE_TEST(empty_arrays_are_empty),
        SCENE_TEST(what_does_not_fit_is_not_sent),
        SCENE_TEST(rows_touched_are_counted),
        SCENE_TEST(lock_keys_tell_names_apart),
    };
    return cmocka_run_group_tests(tests, scene_open, scene_close);
}
