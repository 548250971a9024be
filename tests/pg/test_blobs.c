/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: uploads come back byte for byte, belong to one tenant, and go if nobody completes them. */
#include "storage/blobs.h"
#include "storage/inputs.h"
#include "tests/pg/scene.h"

static int gather(void *context, struct span data, struct fault *fault)
{
    struct buf *buf = context;
    buf_append(buf, data.data, data.len);
    return buf_failed(buf) ? fault_set(fault, FAULT_TOO_LARGE, "enough") : 0;
}

static size_t read_len(struct pg *pg, const char *tenant, const struct uuid *id)
{
    struct fault fault;
    AUTO_BUF struct buf buf = BUF(16 << 20);
    assert_ok(blobs_read(pg, tenant, id, gather, &buf, &fault));
    return buf.len;
}

static int64_t rows(struct scene *scene, const char *table, const struct uuid *id)
{
    return scene_number(scene, "SELECT count(*) FROM %s WHERE blob_id = '%s'", table,
                        uuid_format(id).text);
}

static void age(struct scene *scene, const struct uuid *id, const char *how_long)
{
    scene_sql(scene, "UPDATE blob SET touched_at = now() - interval '%s' WHERE blob_id = '%s'",
              how_long, uuid_format(id).text);
}

static void chunks_come_back_in_order(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct uuid id;
    AUTO_FREE uint8_t *data = malloc(3 * BLOB_CHUNK_MAX);
    assert_non_null(data);
    random_bytes(data, 3 * BLOB_CHUNK_MAX);
    static const size_t sizes[] = {BLOB_CHUNK_MAX, 1, BLOB_CHUNK_MAX - 1, 65537};
    assert_ok(blobs_begin(scene->api, scene->tenant, &id, &fault));
    size_t len = 0;
    for (int32_t n = 0; n < (int32_t)ARRAY_LEN(sizes); n++) {
        assert_ok(
            blobs_append(scene->api, scene->tenant, &id, n, span_of(data + len, sizes[n]), &fault));
        len += sizes[n];
    }
    struct pg *const readers[] = {scene->api, scene->worker};
    for (size_t i = 0; i < ARRAY_LEN(readers); i++) {
        AUTO_BUF struct buf buf = BUF(4 << 20);
        assert_ok(blobs_read(readers[i], scene->tenant, &id, gather, &buf, &fault));
        assert_true(span_equal(buf_span(&buf), span_of(data, len)));
    }
    AUTO_BUF struct buf small = BUF(BLOB_CHUNK_MAX);
    assert_fault(blobs_read(scene->api, scene->tenant, &id, gather, &small, &fault),
                 FAULT_TOO_LARGE, "enough");
    assert_int_equal(small.len, BLOB_CHUNK_MAX);
}

/* By cursor, in pieces that fit no chunk. */
static void pieces_come_back_in_order(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct uuid id;
    uint8_t data[10000];
    random_bytes(data, sizeof data);
    static const size_t sizes[] = {4000, 1, 5999}, mosts[] = {1, 999, 4000, 65536};
    assert_ok(blobs_begin(scene->api, scene->tenant, &id, &fault));
    size_t len = 0;
    for (int32_t n = 0; n < (int32_t)ARRAY_LEN(sizes); n++) {
        assert_ok(
            blobs_append(scene->api, scene->tenant, &id, n, span_of(data + len, sizes[n]), &fault));
        len += sizes[n];
    }
    for (size_t i = 0; i < ARRAY_LEN(mosts); i++) {
        struct blob_cursor cursor = {.id = id};
        AUTO_BUF struct buf all = BUF(sizeof data);
        size_t before;
        do {
            before = all.len;
            assert_ok(blobs_next(scene->api, scene->tenant, &cursor, mosts[i], &all, &fault));
            assert_in_range(all.len - before, 0, mosts[i]);
        } while (all.len > before && (mosts[i] > 1 || all.len < 20));
        assert_false(buf_failed(&all));
        assert_memory_equal(all.data, data, all.len);
        assert_true(mosts[i] == 1 || all.len == sizeof data);
    }
    struct blob_cursor cursor = {.id = id};
    AUTO_BUF struct buf none = BUF(10);
    assert_ok(blobs_next(scene->api, scene->other, &cursor, 10, &none, &fault)); /* theirs */
    assert_int_equal(none.len, 0);
}

static void a_chunk_has_its_bounds(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct uuid id = scene_upload(scene, scene->tenant, "zero");
    AUTO_FREE uint8_t *large = calloc(1, BLOB_CHUNK_MAX + 1);
    assert_non_null(large);
    assert_fault(blobs_append(scene->api, scene->tenant, &id, 1, span_of("", 0), &fault),
                 FAULT_INTERNAL, "23514");
    assert_fault(
        blobs_append(scene->api, scene->tenant, &id, 1, span_of(large, BLOB_CHUNK_MAX + 1), &fault),
        FAULT_INTERNAL, "23514");
    assert_fault(blobs_append(scene->api, scene->tenant, &id, -1, span_text("x"), &fault),
                 FAULT_INTERNAL, "23514");
    assert_fault(blobs_append(scene->api, scene->tenant, &id, 0, span_text("x"), &fault),
                 FAULT_STATE_CONFLICT, "exists");
    assert_int_equal(read_len(scene->api, scene->tenant, &id), 4);
}

/* Attack: another tenant reads, feeds or removes an upload whose id it has guessed. */
static void an_upload_is_its_tenant_s(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct uuid id = scene_upload(scene, scene->tenant, "secret"), unknown = uuid_v7();
    assert_int_equal(read_len(scene->api, scene->other, &id), 0);
    assert_fault(blobs_append(scene->api, scene->other, &id, 1, span_text("x"), &fault),
                 FAULT_UNAVAILABLE, "swept");
    assert_ok(blobs_remove(scene->api, scene->other, &id, &fault));
    assert_int_equal(rows(scene, "blob", &id), 1);
    assert_fault(blobs_append(scene->api, scene->tenant, &unknown, 0, span_text("x"), &fault),
                 FAULT_UNAVAILABLE, "swept");
    assert_int_equal(rows(scene, "blob_chunk", &unknown), 0);
    assert_ok(blobs_remove(scene->api, scene->tenant, &id, &fault));
    assert_int_equal(rows(scene, "blob", &id), 0);
    assert_int_equal(rows(scene, "blob_chunk", &id), 0);
}

static void what_is_complete_stays_as_it_is(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct digest sha256 = scene_input(scene, scene->tenant, "content", INT64_MIN);
    struct input input;
    int64_t count;
    assert_ok(inputs_find(scene->api, scene->tenant, &sha256, &input, &fault));
    assert_fault(blobs_append(scene->api, scene->tenant, &input.blob_id, 1, span_text("x"), &fault),
                 FAULT_UNAVAILABLE, "swept");
    assert_ok(blobs_remove(scene->api, scene->tenant, &input.blob_id, &fault));
    age(scene, &input.blob_id, "2 days");
    assert_ok(blobs_sweep(scene->api, &count, &fault));
    assert_int_equal(read_len(scene->worker, scene->tenant, &input.blob_id), 7);
}

static void what_nobody_touches_is_swept(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    int64_t count = -1;
    struct uuid old = scene_upload(scene, scene->tenant, "old");
    struct uuid theirs = scene_upload(scene, scene->other, "theirs");
    struct uuid young = scene_upload(scene, scene->tenant, "young");
    struct uuid alive = scene_upload(scene, scene->tenant, "alive");
    assert_ok(blobs_sweep(scene->api, &count, &fault));
    assert_int_equal(count, 0);
    age(scene, &old, "61 minutes");
    age(scene, &theirs, "61 minutes");
    age(scene, &young, "59 minutes");
    age(scene, &alive, "61 minutes");
    assert_ok(
        blobs_append(scene->api, scene->tenant, &alive, 1, span_text("x"), &fault)); /* lives */
    assert_ok(blobs_sweep(scene->api, &count, &fault));
    assert_int_equal(count, 2);
    assert_int_equal(rows(scene, "blob", &old) + rows(scene, "blob_chunk", &old), 0);
    assert_int_equal(rows(scene, "blob", &theirs) + rows(scene, "blob_chunk", &theirs), 0);
    assert_int_equal(rows(scene, "blob_chunk", &young), 1);
    assert_int_equal(rows(scene, "blob_chunk", &alive), 2);
    assert_fault(blobs_append(scene->api, scene->tenant, &old, 1, span_text("x"), &fault),
                 FAULT_UNAVAILABLE, "swept");
    assert_fault(blobs_sweep(scene->worker, &count, &fault), FAULT_INTERNAL, "42501");
}

static void a_sweep_takes_a_hundred_and_waits_for_nobody(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    int64_t count = 0;
    struct uuid busy = scene_upload(scene, scene->tenant, "busy");
    scene_sql(scene,
              "INSERT INTO blob (blob_id, tenant_id, touched_at) SELECT gen_random_uuid(), '%s',"
              " now() - interval '2 hours' FROM generate_series(1, 130)",
              scene->tenant);
    age(scene, &busy, "3 hours");
    scene_sql(scene, "BEGIN");
    scene_sql(scene, "SELECT FROM blob WHERE blob_id = '%s' FOR UPDATE", uuid_format(&busy).text);
    assert_ok(blobs_sweep(scene->api, &count, &fault));
    assert_int_equal(count, 100);
    assert_ok(blobs_sweep(scene->api, &count, &fault));
    assert_int_equal(count, 30);
    scene_sql(scene, "ROLLBACK");
    assert_ok(blobs_sweep(scene->api, &count, &fault));
    assert_int_equal(count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(chunks_come_back_in_order),
        SCENE_TEST(a_chunk_has_its_bounds),
        SCENE_TEST(an_upload_is_its_tenant_s),
        SCENE_TEST(what_is_complete_stays_as_it_is),
        SCENE_TEST(what_nobody_touches_is_swept),
        SCENE_TEST(a_sweep_takes_a_hundred_and_waits_for_nobody),
        SCENE_TEST(pieces_come_back_in_order),
    };
    return cmocka_run_group_tests(tests, scene_open, scene_close);
}
