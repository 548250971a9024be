/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: the database goes away while tools run, and no result is lost for it: what ends is kept on
 * disk and stored afterwards, by this worker or the next, once and truly; what was called lost
 * meanwhile keeps its late result as an event. (Over a sandbox that does as it is told.) */
#include "base/file.h"
#include "storage/executions.h"
#include "storage/workers.h"
#include "tests/support/worker_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#define JOBS 3

/* A worker with as many runs as slots, each waiting for the word to end. */
struct stage {
    struct scene *scene;
    struct worker_fixture *fixture;
    char folder[64], fifo[80], running[160], saved[80];
    int word;
};

static struct stage stage_begin(struct scene *scene)
{
    struct stage stage = {.scene = scene, .fixture = worker_fixture_open(scene)};
    char args[128];
    (void)snprintf(stage.folder, sizeof stage.folder, "/tmp/sallyport-outage.XXXXXX");
    assert_non_null(mkdtemp(stage.folder));
    (void)snprintf(stage.fifo, sizeof stage.fifo, "%s/fifo", stage.folder);
    (void)snprintf(stage.saved, sizeof stage.saved, "%s/saved", stage.folder);
    assert_int_equal(mkfifo(stage.fifo, 0600), 0);
    stage.word = open(stage.fifo, O_RDWR | O_CLOEXEC);
    assert_true(stage.word >= 0);
    (void)snprintf(args, sizeof args, "[\"await\",\"%s\"]", stage.fifo);
    worker_fixture_start(stage.fixture, JOBS);
    worker_fixture_submit(stage.fixture, args, JOBS);
    worker_fixture_await(stage.fixture,
                         "SELECT count(*) FROM execution_active WHERE state = 'running'", JOBS);
    return stage;
}

static void stage_end(struct stage *stage)
{
    struct fault fault;
    worker_fixture_close(stage->fixture);
    (void)close(stage->word);
    assert_ok(dir_remove(stage->folder, &fault));
}

static void database_goes(struct stage *stage)
{
    scene_let_in(stage->scene, false);
    scene_cut_off(stage->scene, "sallyport_worker");
}

static void database_comes_back(struct stage *stage)
{
    scene_let_in(stage->scene, true);
}

static void let_them_end(struct stage *stage)
{
    assert_int_equal(write(stage->word, "x", 1), 1);
}

static int64_t count(const struct stage *stage, const char *where)
{
    return scene_number(stage->scene,
                        "SELECT count(*) FROM execution WHERE tenant_id = '%s' AND %s",
                        stage->scene->tenant, where);
}

static int64_t events(const struct stage *stage, const char *type)
{
    return scene_number(stage->scene,
                        "SELECT count(*) FROM event WHERE tenant_id = '%s' AND"
                        " type = 'io.sallyport.execution.%s.v1'",
                        stage->scene->tenant, type);
}

/* Their true ends, once each, and nothing kept any more. */
static void assert_all_succeeded(struct stage *stage)
{
    worker_fixture_await(stage->fixture, "SELECT count(*) FROM execution_active", 0);
    worker_fixture_await_kept(stage->fixture, 0);
    assert_int_equal(count(stage, "state = 'succeeded' AND exit_code = 0"), JOBS);
    assert_int_equal(count(stage, "true"), JOBS);
    assert_int_equal(events(stage, "started"), JOBS);
    assert_int_equal(events(stage, "finished"), JOBS);
    assert_int_equal(events(stage, "result_late"), 0);
    assert_int_equal(scene_number(stage->scene,
                                  "SELECT count(*) FROM execution_output WHERE tenant_id = '%s' AND"
                                  " data = E'done\\n'",
                                  stage->scene->tenant),
                     JOBS);
    assert_int_equal(scene_number(stage->scene, "SELECT count(*) FROM execution_queue"), 0);
}

static void assert_still_works(struct stage *stage)
{
    worker_fixture_submit(stage->fixture, "[\"fail\",\"3\"]", JOBS);
    worker_fixture_await(stage->fixture, "SELECT count(*) FROM execution_active", 0);
    assert_int_equal(count(stage, "state = 'failed' AND exit_code = 3"), JOBS);
}

/* Everybody's lease has run out, as after a long outage. */
static void leases_run_out(const struct stage *stage)
{
    scene_sql(stage->scene, "UPDATE worker SET lease_expires_at = now() - interval '1 hour'"
                            " WHERE lease_expires_at > '-infinity'");
}

static void kept_until_it_is_back(void **state)
{
    struct stage stage = stage_begin(*state);
    database_goes(&stage);
    let_them_end(&stage);
    worker_fixture_await_kept(stage.fixture, JOBS);
    assert_int_equal(scene_number(stage.scene, "SELECT count(*) FROM execution_active WHERE state ="
                                               " 'running'"),
                     JOBS);
    assert_int_equal(events(&stage, "finished"), 0);
    database_comes_back(&stage);
    assert_all_succeeded(&stage);
    assert_still_works(&stage);
    stage_end(&stage);
}

/* An outage longer than the lease kills no run: only somebody else's claim would. */
static void a_long_outage_kills_nothing(void **state)
{
    struct stage stage = stage_begin(*state);
    database_goes(&stage);
    leases_run_out(&stage);
    database_comes_back(&stage);
    worker_fixture_await(stage.fixture,
                         "SELECT count(*) FROM worker WHERE lease_expires_at > now()", 1);
    assert_int_equal(scene_number(stage.scene, "SELECT count(*) FROM execution_active WHERE state ="
                                               " 'running'"),
                     JOBS);
    let_them_end(&stage);
    assert_all_succeeded(&stage);
    stage_end(&stage);
}

/* A stop in the midst of it waits for the runs, not for the database; the next process stores. */
static void the_next_process_stores_it(void **state)
{
    struct stage stage = stage_begin(*state);
    database_goes(&stage);
    let_them_end(&stage);
    worker_fixture_stop(stage.fixture);
    worker_fixture_await_kept(stage.fixture, JOBS);
    leases_run_out(&stage);
    database_comes_back(&stage);
    worker_fixture_start(stage.fixture, JOBS);
    assert_all_succeeded(&stage);
    assert_int_equal(scene_number(stage.scene,
                                  "SELECT count(DISTINCT worker) FROM execution WHERE tenant_id ="
                                  " '%s' AND worker LIKE 'null/%%'",
                                  stage.scene->tenant),
                     1);
    assert_still_works(&stage);
    stage_end(&stage);
}

/* ---- one file of them ---- */

static void path_of_one(const struct stage *stage, char *ret_path, size_t size)
{
    DIR *dir = opendir(worker_fixture_ends(stage->fixture));
    ret_path[0] = '\0';
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        if (strlen(entry->d_name) == UUID_TEXT_LEN)
            (void)snprintf(ret_path, size, "%s/%s", worker_fixture_ends(stage->fixture),
                           entry->d_name);
    (void)closedir(dir);
    assert_true(ret_path[0] != '\0');
}

static void copy(const char *from, const char *to)
{
    struct fault fault;
    AUTO_BUF struct buf bytes = BUF(1 << 20);
    assert_ok(file_read(from, &bytes, &fault));
    assert_ok(file_replace(to, bytes.data, bytes.len, 0600, &fault));
}

/* Killed between the commit and the removal of the file: it is stored already, and says so. */
static void killed_after_the_commit(void **state)
{
    struct stage stage = stage_begin(*state);
    char path[256];
    database_goes(&stage);
    let_them_end(&stage);
    worker_fixture_await_kept(stage.fixture, JOBS);
    path_of_one(&stage, path, sizeof path);
    copy(path, stage.saved);
    database_comes_back(&stage);
    assert_all_succeeded(&stage);
    worker_fixture_stop(stage.fixture);
    copy(stage.saved, path);
    worker_fixture_start(stage.fixture, JOBS);
    assert_all_succeeded(&stage);
    stage_end(&stage);
}

static void what_was_changed_is_not_believed(void **state)
{
    struct stage stage = stage_begin(*state);
    char path[256], aside[300];
    database_goes(&stage);
    let_them_end(&stage);
    worker_fixture_stop(stage.fixture);
    path_of_one(&stage, path, sizeof path);
    assert_int_equal(truncate(path, 200), 0);
    database_comes_back(&stage);
    worker_fixture_start(stage.fixture, JOBS);
    worker_fixture_await_kept(stage.fixture, 0);
    (void)snprintf(aside, sizeof aside, "%s.bad", path);
    assert_int_equal(access(aside, F_OK), 0);
    assert_int_equal(count(&stage, "state = 'succeeded'"), JOBS - 1);
    assert_int_equal(events(&stage, "finished"), JOBS - 1);
    assert_int_equal(scene_number(stage.scene, "SELECT count(*) FROM execution_active WHERE state ="
                                               " 'running'"),
                     1); /* until its lease has run out */
    stage_end(&stage);
}

/* Puts a folder where the file of each of their ends would be, or takes it away. */
static void block(const struct stage *stage, bool blocked)
{
    AUTO_PGRESULT PGresult *rows =
        PQexec(stage->scene->sql, "SELECT execution_id FROM execution_all ORDER BY 1 DESC LIMIT 3");
    assert_int_equal(PQntuples(rows), JOBS);
    for (int row = 0; row < JOBS; row++) {
        char path[256];
        (void)snprintf(path, sizeof path, "%s/%s", worker_fixture_ends(stage->fixture),
                       PQgetvalue(rows, row, 0));
        assert_int_equal(blocked ? mkdir(path, 0700) : rmdir(path), 0);
    }
}

/* Neither database nor disk: it stays where it is, and the worker goes on trying. */
static void no_disk_either(void **state)
{
    struct stage stage = stage_begin(*state);
    AUTO_CLOSE int watch = inotify_init1(IN_CLOEXEC);
    assert_true(inotify_add_watch(watch, worker_fixture_ends(stage.fixture), IN_DELETE) >= 0);
    block(&stage, true);
    database_goes(&stage);
    let_them_end(&stage);
    struct pollfd given_up = {.fd = watch,
                              .events = POLLIN}; /* a draft that could not be settled */
    assert_int_equal(poll(&given_up, 1, 120000), 1);
    assert_int_equal(scene_number(stage.scene, "SELECT count(*) FROM execution_active WHERE state ="
                                               " 'running'"),
                     JOBS);
    database_comes_back(&stage);
    worker_fixture_await(stage.fixture, "SELECT count(*) FROM execution_active", 0);
    block(&stage, false);
    assert_all_succeeded(&stage);
    assert_still_works(&stage);
    stage_end(&stage);
}

/* A database that is back, but not as it should be, refuses every end: they are kept until it is.
 */
static void refused_for_a_while(void **state)
{
    struct stage stage = stage_begin(*state);
    database_goes(&stage);
    let_them_end(&stage);
    worker_fixture_await_kept(stage.fixture, JOBS);
    scene_sql(stage.scene, "CREATE SEQUENCE refusals");
    scene_sql(stage.scene, "GRANT USAGE ON SEQUENCE refusals TO sallyport_worker");
    scene_sql(stage.scene,
              "CREATE FUNCTION refuse_end() RETURNS trigger LANGUAGE plpgsql AS $$"
              " BEGIN PERFORM nextval('sallyport.refusals');"
              " RAISE EXCEPTION 'no' USING ERRCODE = 'insufficient_privilege'; END $$");
    scene_sql(stage.scene, "CREATE TRIGGER refuse_end BEFORE INSERT ON execution FOR EACH ROW"
                           " EXECUTE FUNCTION refuse_end()");
    database_comes_back(&stage);
    worker_fixture_await(stage.fixture, "SELECT (last_value > 6)::integer FROM refusals", 1);
    worker_fixture_await_kept(stage.fixture, JOBS);
    scene_sql(stage.scene, "DROP TRIGGER refuse_end ON execution");
    assert_all_succeeded(&stage);
    scene_sql(stage.scene, "DROP FUNCTION refuse_end()");
    scene_sql(stage.scene, "DROP SEQUENCE refusals");
    stage_end(&stage);
}

/* ---- called lost meanwhile ---- */

/* As another worker would, had their worker's lease run out long enough ago. */
static void call_them_lost(const struct stage *stage)
{
    struct fault fault;
    struct held_claim held[JOBS + 1];
    struct uuid worker;
    size_t found = 0;
    AUTO_PGRESULT PGresult *row =
        PQexec(stage->scene->sql, "SELECT DISTINCT worker_id FROM execution_queue");
    assert_int_equal(PQntuples(row), 1);
    assert_int_equal(uuid_parse(PQgetvalue(row, 0, 0), UUID_TEXT_LEN, &worker), 0);
    assert_ok(queue_held(stage->scene->worker, &worker, JOBS + 1, held, &found, &fault));
    assert_int_equal(found, JOBS);
    for (size_t i = 0; i < found; i++) {
        AUTO_QUEUED struct queued queued = {0};
        assert_ok(queue_load(stage->scene->worker, &held[i].claim, &queued, &fault));
        AUTO_EVENT struct event *event = scene_event(EVENT_EXECUTION_FINISHED, stage->scene->tenant,
                                                     "task-1", &held[i].claim.execution_id);
        struct ending ending = {.claim = held[i].claim,
                                .tenant_id = stage->scene->tenant,
                                .state = EXECUTION_LOST,
                                .reason = "worker_vanished",
                                .exit_code = -1,
                                .finished_ms = queued.started_ms,
                                .worker = queued.worker,
                                .event = event};
        assert_ok(scene_store(stage->scene->worker, &ending, false, &fault));
    }
}

/* The state stays, and each result is one event that says what became of it. */
static void assert_late(const struct stage *stage)
{
    assert_int_equal(count(stage, "state = 'lost'"), JOBS);
    assert_int_equal(events(stage, "finished"), JOBS);
    assert_int_equal(events(stage, "result_late"), JOBS);
    assert_int_equal(
        scene_number(stage->scene,
                     "SELECT count(*) FROM event e JOIN execution_late l USING (event_id,"
                     " execution_id), LATERAL (SELECT convert_from(body, 'UTF8')::jsonb->'data' AS"
                     " data) b WHERE e.tenant_id = '%s' AND data->>'state' = 'succeeded' AND"
                     " data->>'stdout' = E'done\\n' AND data->>'exit_code' = '0' AND"
                     " data ? 'manifest_jws'",
                     stage->scene->tenant),
        JOBS);
}

static void a_late_result_is_an_event(void **state)
{
    struct stage stage = stage_begin(*state);
    char path[256];
    database_goes(&stage);
    let_them_end(&stage);
    worker_fixture_stop(stage.fixture);
    path_of_one(&stage, path, sizeof path);
    copy(path, stage.saved);
    database_comes_back(&stage);
    call_them_lost(&stage);
    worker_fixture_start(stage.fixture, JOBS);
    worker_fixture_await_kept(stage.fixture, 0);
    assert_late(&stage);
    worker_fixture_stop(stage.fixture);
    copy(stage.saved, path); /* killed before the file was gone */
    worker_fixture_start(stage.fixture, JOBS);
    worker_fixture_await_kept(stage.fixture, 0);
    assert_late(&stage);
    stage_end(&stage);
}

/* The worker was there all the time, and only took too long. */
static void late_without_an_outage(void **state)
{
    struct stage stage = stage_begin(*state);
    call_them_lost(&stage);
    let_them_end(&stage);
    char late[128];
    (void)snprintf(late, sizeof late, "SELECT count(*) FROM execution_late WHERE tenant_id = '%s'",
                   stage.scene->tenant);
    worker_fixture_await(stage.fixture, late, JOBS);
    assert_late(&stage);
    worker_fixture_await_kept(stage.fixture, 0);
    assert_still_works(&stage);
    stage_end(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(kept_until_it_is_back),
        SCENE_TEST(a_long_outage_kills_nothing),
        SCENE_TEST(the_next_process_stores_it),
        SCENE_TEST(killed_after_the_commit),
        SCENE_TEST(what_was_changed_is_not_believed),
        SCENE_TEST(no_disk_either),
        SCENE_TEST(refused_for_a_while),
        SCENE_TEST(a_late_result_is_an_event),
        SCENE_TEST(late_without_an_outage),
    };
    return cmocka_run_group_tests(tests, scene_open, scene_close);
}
