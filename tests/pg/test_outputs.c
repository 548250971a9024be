/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: output is stored once, in order and without holes, whether it is written while the run
 * goes on or with its end, and only by whoever holds the claim. */
#include "storage/outputs.h"
#include "tests/pg/held.h"

static struct output_chunk chunk_of(const struct held *held, int32_t at, const char *text)
{
    return (struct output_chunk){
        .claim = held->claim, .stream = "stdout", .at = at, .data = span_text(text)};
}

static bool write_live(struct scene *scene, const struct output_chunk *chunk)
{
    struct fault fault;
    bool stored = false;
    assert_ok(outputs_write_live(scene->worker, chunk, 1, &stored, &fault));
    return stored;
}

static void write_text(struct scene *scene, const struct held *held, int32_t at, const char *text)
{
    struct output_chunk chunk = chunk_of(held, at, text);
    assert_true(write_live(scene, &chunk));
}

static int64_t rows(struct scene *scene)
{
    return scene_number(scene, "SELECT count(*) FROM execution_output WHERE tenant_id = '%s'",
                        scene->tenant);
}

static void assert_reads(struct scene *scene, const struct held *held, int64_t offset, int32_t max,
                         const char *text)
{
    struct fault fault;
    AUTO_BUF struct buf bytes = BUF(1 << 20);
    assert_ok(outputs_read(scene->api, scene->tenant, &held->claim.execution_id, "stdout", offset,
                           max, &bytes, &fault));
    assert_string_equal(buf_text(&bytes), text);
}

static struct output_look look_at(struct scene *scene, const char *tenant, const struct held *held)
{
    struct fault fault;
    struct output_look look;
    struct output_asked asked = {tenant, held->claim.execution_id, "stdout"};
    assert_ok(outputs_look(scene->api, &asked, 1, &look, &fault));
    return look;
}

/* An end that knows of live chunks. */
static int finish_live(struct scene *scene, const struct held *held, const char *out,
                       struct fault *fault)
{
    AUTO_EVENT struct event *event =
        scene_event(EVENT_EXECUTION_FINISHED, scene->tenant, "task-1", &held->claim.execution_id);
    struct ending ending = {.claim = held->claim,
                            .tenant_id = scene->tenant,
                            .state = EXECUTION_SUCCEEDED,
                            .finished_ms = 1767323045678,
                            .worker = "test/worker",
                            .stdout_bytes = (int64_t)strlen(out),
                            .stdout_stored = span_text(out),
                            .live = true,
                            .event = event};
    return scene_store(scene->worker, &ending, false, fault);
}

static void an_end_stores_the_rest(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct held held = hold(scene, true);
    write_text(scene, &held, 0, "one ");
    write_text(scene, &held, 4, "two ");
    struct output_look look = look_at(scene, scene->tenant, &held);
    assert_true(look.known && look.state == EXECUTION_RUNNING && look.stored == 8);
    assert_ok(finish_live(scene, &held, "one two three", &fault));
    assert_ended(scene, "succeeded");
    assert_int_equal(rows(scene), 3);
    assert_reads(scene, &held, 0, 100, "one two three");
    look = look_at(scene, scene->tenant, &held);
    assert_true(look.state == EXECUTION_SUCCEEDED && look.stored == 13 && look.bytes == 13);
}

static void an_end_may_find_all_stored_or_nothing(void **state)
{
    static const char *const live[] = {"all of it", ""};
    for (size_t i = 0; i < ARRAY_LEN(live); i++) {
        struct fault fault;
        (void)scene_begin(state);
        struct scene *scene = *state;
        struct held held = hold(scene, true);
        if (live[i][0] != '\0')
            write_text(scene, &held, 0, live[i]);
        assert_ok(finish_live(scene, &held, "all of it", &fault));
        assert_int_equal(rows(scene), 1);
        assert_reads(scene, &held, 0, 100, "all of it");
    }
}

/* What the event's hash would not cover is not ended as if it did. */
static void an_end_does_not_contradict_what_is_stored(void **state)
{
    static const char *const ends[] = {"one TWO three", "one", ""};
    struct scene *scene = *state;
    struct held held = hold(scene, true);
    write_text(scene, &held, 0, "one two");
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        struct fault fault;
        assert_fault(finish_live(scene, &held, ends[i], &fault), FAULT_INTERNAL, "begins");
        assert_int_equal(scene_number(scene,
                                      "SELECT count(*) FROM execution WHERE tenant_id = '%s'",
                                      scene->tenant),
                         0);
        assert_int_equal(rows(scene), 1);
    }
}

/* The answer was lost: the same again is the same. */
static void a_chunk_is_stored_once(void **state)
{
    struct scene *scene = *state;
    struct held held = hold(scene, true);
    for (int i = 0; i < 3; i++)
        write_text(scene, &held, 0, "once");
    assert_int_equal(rows(scene), 1);
    write_text(scene, &held, 4, " more");
    assert_reads(scene, &held, 0, 100, "once more");
}

static void no_holes_and_no_overlaps(void **state)
{
    static const int32_t places[] = {1, 3, 5, 100};
    struct scene *scene = *state;
    struct held held = hold(scene, true);
    write_text(scene, &held, 0, "four");
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        struct fault fault;
        bool stored = false;
        struct output_chunk chunk = chunk_of(&held, places[i], "elsewhere");
        assert_fault(outputs_write_live(scene->worker, &chunk, 1, &stored, &fault), FAULT_INTERNAL,
                     "4 bytes are stored");
    }
    assert_int_equal(rows(scene), 1);
}

static void only_under_the_claim_and_while_it_runs(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct held held = hold(scene, false);
    struct output_chunk chunk = chunk_of(&held, 0, "early");
    assert_false(write_live(scene, &chunk)); /* claimed, not started */
    assert_ok(scene_start(scene->worker, &held.order, &held.claim, &fault));
    chunk.claim.fence++;
    assert_false(write_live(scene, &chunk));
    chunk.claim = held.claim;
    chunk.claim.worker_id = scene_worker(scene);
    assert_false(write_live(scene, &chunk));
    chunk.claim = held.claim;
    chunk.claim.execution_id = uuid_v7();
    assert_false(write_live(scene, &chunk));
    assert_int_equal(rows(scene), 0);
    assert_ok(scene_finish(scene->worker, &held.order, &held.claim, EXECUTION_SUCCEEDED, "all",
                           false, &fault));
    chunk = chunk_of(&held, 3, "late");
    assert_false(write_live(scene, &chunk));
    assert_reads(scene, &held, 0, 100, "all");
}

/* Neither waits for the other: live output is passed over while its end is on its way. */
static void an_end_under_way_is_not_waited_for(void **state)
{
    struct scene *scene = *state;
    struct held held = hold(scene, true);
    struct output_chunk chunk = chunk_of(&held, 0, "meanwhile");
    PQclear(PQexec(scene->sql, "BEGIN"));
    scene_sql(scene, "DELETE FROM execution_queue WHERE tenant_id = '%s'", scene->tenant);
    assert_false(write_live(scene, &chunk));
    PQclear(PQexec(scene->sql, "ROLLBACK"));
    assert_true(write_live(scene, &chunk));
    assert_int_equal(rows(scene), 1);
}

static void many_at_once_each_by_itself(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct held held = hold(scene, true);
    struct output_chunk chunks[] = {chunk_of(&held, 0, "out"), chunk_of(&held, 0, "err"),
                                    chunk_of(&held, 0, "stranger")};
    chunks[1].stream = "stderr";
    chunks[2].claim.fence++;
    bool stored[3];
    assert_ok(outputs_write_live(scene->worker, chunks, 3, stored, &fault));
    assert_true(stored[0] && stored[1] && !stored[2]);
    assert_int_equal(rows(scene), 2);
    assert_reads(scene, &held, 0, 100, "out");
}

static void a_lost_execution_keeps_what_was_stored(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct held held = hold(scene, true);
    write_text(scene, &held, 0, "last words");
    scene_expire(scene, &held.worker);
    assert_ok(
        scene_finish(scene->worker, &held.order, &held.claim, EXECUTION_LOST, "", true, &fault));
    assert_reads(scene, &held, 0, 100, "last words");
    struct output_look look = look_at(scene, scene->tenant, &held);
    assert_true(look.state == EXECUTION_LOST && look.stored == 10 && look.bytes == 0);
}

static void any_part_is_read(void **state)
{
    static const char whole[] = "abcdefghijklmnopqrstuvwxyz";
    static const int32_t ends[] = {1, 2, 9, 10, 26};
    struct scene *scene = *state;
    struct held held = hold(scene, true);
    for (size_t i = 0, at = 0; i < ARRAY_LEN(ends); at = (size_t)ends[i++]) {
        char piece[27] = {0};
        memcpy(piece, whole + at, (size_t)ends[i] - at);
        write_text(scene, &held, (int32_t)at, piece);
    }
    for (int offset = 0; offset <= 27; offset++) {
        for (int max = 1; max <= 28; max += 3) {
            char expected[27] = {0};
            if (offset < 26)
                (void)snprintf(expected, sizeof expected, "%.*s", max, whole + offset);
            assert_reads(scene, &held, offset, max, expected);
        }
    }
    assert_reads(scene, &held, OUTPUT_OFFSET_MAX, 10, "");
}

static void foreign_tenants_see_nothing(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct held held = hold(scene, true);
    AUTO_BUF struct buf bytes = BUF(100);
    write_text(scene, &held, 0, "ours");
    assert_ok(outputs_read(scene->api, scene->other, &held.claim.execution_id, "stdout", 0, 100,
                           &bytes, &fault));
    assert_int_equal(bytes.len, 0);
    assert_false(look_at(scene, scene->other, &held).known);
    /* In one question for both, too. */
    const struct output_asked asked[] = {{scene->other, held.claim.execution_id, "stdout"},
                                         {scene->tenant, held.claim.execution_id, "stdout"},
                                         {scene->tenant, uuid_v7(), "stdout"}};
    struct output_look looks[3];
    assert_ok(outputs_look(scene->api, asked, 3, looks, &fault));
    assert_true(!looks[0].known && looks[1].known && looks[1].stored == 4 && !looks[2].known);
}

/* A worker of the version before counts its chunks; they are understood. */
static void the_version_before_goes_on(void **state)
{
    struct scene *scene = *state;
    struct held held = hold(scene, true);
    static const char insert[] =
        "INSERT INTO execution_output (execution_id, stream, n, tenant_id, data)"
        " VALUES ('%s', 'stdout', %d, '%s', convert_to(repeat('%c', %d), 'UTF8'))";
    struct uuid_text id = uuid_format(&held.claim.execution_id);
    for (int n = 0; n < 3; n++)
        scene_sql(scene, insert, id.text, n, scene->tenant, 'a' + n, n == 2 ? 10 : 1048576);
    assert_int_equal(look_at(scene, scene->tenant, &held).stored, 2 * 1048576 + 10);
    assert_reads(scene, &held, 1048575, 2, "ab");
    assert_reads(scene, &held, 2097151, 100, "bcccccccccc");
    scene_try(scene, "sallyport_worker", NULL, "23000", insert, id.text, 7, scene->tenant, 'x', 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(an_end_stores_the_rest),
        SCENE_TEST(an_end_may_find_all_stored_or_nothing),
        SCENE_TEST(an_end_does_not_contradict_what_is_stored),
        SCENE_TEST(a_chunk_is_stored_once),
        SCENE_TEST(no_holes_and_no_overlaps),
        SCENE_TEST(only_under_the_claim_and_while_it_runs),
        SCENE_TEST(an_end_under_way_is_not_waited_for),
        SCENE_TEST(many_at_once_each_by_itself),
        SCENE_TEST(a_lost_execution_keeps_what_was_stored),
        SCENE_TEST(any_part_is_read),
        SCENE_TEST(foreign_tenants_see_nothing),
        SCENE_TEST(the_version_before_goes_on),
    };
    return cmocka_run_group_tests(tests, scene_open, scene_close);
}
