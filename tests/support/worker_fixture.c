/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/worker_fixture.h"

#include "base/clock.h"
#include "base/file.h"
#include "storage/blobs.h"
#include "storage/keys.h"
#include "storage/notify.h"
#include "trust/descriptor.h"
#include "trust/sign.h"
#include "trust/token.h"

#include <dirent.h>
#include <elf.h>
#include <libpq-fe.h>
#include <poll.h>

#define KID "signs"
#define PATIENCE_MS 120000 /* only a hang takes so long */

struct worker_fixture {
    struct scene *scene;
    char folder[64], cache_dir[80], inputs_dir[80], ends_dir[80];
    struct sandbox *sandbox;
    struct cache *cache;
    struct sign_key *key;
    struct digest tool_sha256;
    const char *api_key_id;
    int submitted;
    PGconn *listener;
    struct worker *worker;
};

/* ---- what jobs need ---- */

static void make_key(struct worker_fixture *fixture)
{
    struct fault fault;
    AUTO_BUF struct buf pem = BUF(4096);
    assert_ok(sign_key_generate(JWS_ES256, &fixture->key, &fault));
    assert_ok(sign_key_public_pem(fixture->key, &pem, &fault));
    const struct key_record record = {.kid = KID,
                                      .alg = JWS_ES256,
                                      .public_pem = buf_text(&pem),
                                      .not_before_ms = INT64_MIN,
                                      .not_after_ms = INT64_MIN,
                                      .created_by = "operator",
                                      .created_ms = clock_wall_ms()};
    AUTO_EVENT struct event *event =
        scene_event(EVENT_KEY_ADDED, fixture->scene->tenant, KID, NULL);
    assert_ok(keys_add(fixture->scene->api, fixture->scene->tenant, &record,
                       (const struct event *[]){event}, 1, &fault));
}

/* Enough of a program to be taken for one; nothing ever executes it. */
static struct span program(void)
{
    static const struct {
        Elf64_Ehdr header;
        Elf64_Phdr segment;
    } bytes = {.header = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
                                      EV_CURRENT},
                          .e_type = ET_EXEC,
                          .e_machine = EM_X86_64,
                          .e_version = EV_CURRENT,
                          .e_phoff = sizeof(Elf64_Ehdr),
                          .e_ehsize = sizeof(Elf64_Ehdr),
                          .e_phentsize = sizeof(Elf64_Phdr),
                          .e_phnum = 1},
               .segment = {.p_type = PT_LOAD, .p_flags = PF_R | PF_X}};
    return span_of(&bytes, sizeof bytes);
}

static void make_tool(struct worker_fixture *fixture)
{
    struct fault fault;
    struct scene *scene = fixture->scene;
    struct span bytes = program();
    AUTO_BUF struct buf json = BUF(DESCRIPTOR_JSON_MAX);
    AUTO_DESCRIPTOR struct descriptor *descriptor = NULL;
    const struct descriptor fields = {.kind = ARTIFACT_BINARY, .name = "null", .version = "1"};
    assert_ok(descriptor_new(&fields, &descriptor, &json, &fault));
    struct uuid blob = scene_upload(scene, scene->tenant, "");
    assert_ok(blobs_append(scene->api, scene->tenant, &blob, 0, bytes, &fault));
    fixture->tool_sha256 = digest_of_span(bytes);
    const struct artifact artifact = {.sha256 = fixture->tool_sha256,
                                      .blob_id = blob,
                                      .size = (int64_t)bytes.len,
                                      .kind = ARTIFACT_BINARY,
                                      .name = "null",
                                      .version = "1",
                                      .descriptor = buf_span(&json),
                                      .descriptor_sha256 =
                                          descriptor_digest(&fixture->tool_sha256, buf_span(&json)),
                                      .ingested_by = "ingester"};
    enum armory_ingest_end end;
    AUTO_EVENT struct event *event =
        scene_event(EVENT_ARTIFACT_INGESTED, scene->tenant, "null", NULL);
    assert_ok(armory_ingest(scene->api, scene->tenant, &artifact, event, &end, &fault));
    scene_inspected(scene, scene->tenant, &fixture->tool_sha256);
    scene_approve(scene, scene->tenant, &fixture->tool_sha256, "bob");
    scene_approve(scene, scene->tenant, &fixture->tool_sha256, "carol");
}

static void open_runner(struct worker_fixture *fixture)
{
    struct fault fault;
    struct sandbox_config sandbox = sandbox_config_defaults();
    (void)snprintf(fixture->folder, sizeof fixture->folder, "/tmp/sallyport-null.XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    (void)snprintf(fixture->cache_dir, sizeof fixture->cache_dir, "%s/cache", fixture->folder);
    (void)snprintf(fixture->inputs_dir, sizeof fixture->inputs_dir, "%s/inputs", fixture->folder);
    (void)snprintf(fixture->ends_dir, sizeof fixture->ends_dir, "%s/ends", fixture->folder);
    const struct cache_config cache = {.folder = fixture->cache_dir,
                                       .max_bytes = 64 << 20,
                                       .max_artifact_bytes = 1 << 20,
                                       .unpack = unpack_config_defaults()};
    sandbox.state_dir = fixture->folder;
    assert_ok(sandbox_open(&null_backend, &sandbox, &fixture->sandbox, &fault));
    assert_ok(cache_open(&cache, &fixture->cache, &fault));
}

struct worker_fixture *worker_fixture_open(struct scene *scene)
{
    struct worker_fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    fixture->scene = scene;
    fixture->api_key_id = scene_api_key(scene, scene->tenant, "soar", ROLE_SUBMITTER);
    make_key(fixture);
    make_tool(fixture);
    open_runner(fixture);
    fixture->listener = PQconnectdb(pg_cluster_conninfo(scene->cluster, NULL));
    assert_int_equal(PQstatus(fixture->listener), CONNECTION_OK);
    PQclear(PQexec(fixture->listener, "LISTEN " NOTIFY_ENDED "; SET search_path = sallyport"));
    return fixture;
}

void worker_fixture_close(struct worker_fixture *fixture)
{
    struct fault fault;
    worker_fixture_stop(fixture);
    PQfinish(fixture->listener);
    cache_free(fixture->cache);
    sandbox_free(fixture->sandbox);
    sign_key_free(fixture->key);
    assert_ok(dir_remove(fixture->folder, &fault));
    free(fixture);
}

/* ---- jobs ---- */

/* One accepted job on its way in; everything it borrows. */
struct submission {
    struct admission admission;
    struct manifest *manifest;
    struct token *token;
    struct event *event;
    struct buf text;
};

static void sign(struct worker_fixture *fixture, const char *args, struct submission *s)
{
    struct fault fault;
    AUTO_BUF struct buf payload = BUF(65536);
    struct time_text now = time_format(clock_wall_ms());
    buf_printf(&payload,
               "{\"manifest_version\":\"1.0.0\",\"issued_at\":\"%s\",\"nonce\":\"null-%08d\","
               "\"target_urn\":\"urn:target:host:db-01\",\"tool_sha256\":\"%s\",\"task_context\":{"
               "\"task_id\":\"task-1\",\"tenant_id\":\"%s\",\"operator_id\":\"operator-1\","
               "\"source\":\"soar\",\"action\":\"scan\",\"requested_at\":\"%s\","
               "\"correlation_id\":\"c-1\"},\"parameters\":{\"args\":%s}}",
               now.text, fixture->submitted++, digest_format(&fixture->tool_sha256).text,
               fixture->scene->tenant, now.text, args);
    assert_false(buf_failed(&payload));
    s->text = BUF(TOKEN_MAX);
    assert_ok(token_sign(fixture->key, KID, NULL, buf_span(&payload), &s->text, &fault));
    assert_ok(token_parse(buf_span(&s->text), &s->token, &fault));
    assert_ok(manifest_parse(s->token->payload, &s->manifest, &fault));
}

static void submission_make(struct worker_fixture *fixture, const char *args, struct submission *s)
{
    *s = (struct submission){0};
    sign(fixture, args, s);
    struct admission *admission = &s->admission;
    admission->execution_id = uuid_v7();
    s->event = scene_event(EVENT_EXECUTION_ACCEPTED, fixture->scene->tenant, s->manifest->task_id,
                           &admission->execution_id);
    admission->api_key_id = fixture->api_key_id;
    admission->kid = KID;
    admission->token = buf_span(&s->text);
    admission->token_sha256 = s->token->signing_digest;
    admission->manifest = s->manifest;
    admission->submitted_ms = clock_wall_ms();
    admission->event = s->event;
}

static void submission_free(struct submission *s)
{
    event_free(s->event);
    manifest_free(s->manifest);
    token_free(s->token);
    buf_free(&s->text);
}

static void submit_batch(struct worker_fixture *fixture, const char *args, int count)
{
    struct submission *batch = calloc((size_t)count, sizeof *batch);
    struct admission **items = calloc((size_t)count, sizeof(struct admission *));
    assert_true(batch != NULL && items != NULL);
    for (int i = 0; i < count; i++) {
        submission_make(fixture, args, &batch[i]);
        items[i] = &batch[i].admission;
    }
    scene_commit(fixture->scene->api, items, (size_t)count);
    for (int i = 0; i < count; i++) {
        if (items[i]->end != ADMISSION_ACCEPTED)
            fail_msg("not accepted: %s", items[i]->fault.detail);
        submission_free(&batch[i]);
    }
    free(items);
    free(batch);
}

void worker_fixture_submit(struct worker_fixture *fixture, const char *args, int count)
{
    static const char *const channels[] = {NOTIFY_QUEUE, NULL};
    struct fault fault;
    while (count > 0) {
        int batch = count < ADMISSION_BATCH_MAX ? count : ADMISSION_BATCH_MAX;
        submit_batch(fixture, args, batch);
        count -= batch;
    }
    assert_ok(notify_send(fixture->scene->api, channels, &fault));
}

/* ---- the worker ---- */

void worker_fixture_start(struct worker_fixture *fixture, int slots)
{
    struct fault fault;
    const struct worker_config config = {
        .database = pg_cluster_conninfo(fixture->scene->cluster, "sallyport_worker"),
        .node = "null",
        .slots = slots,
        .lease_ms = 60000,
        .drain_ms = PATIENCE_MS,
        .inputs_dir = fixture->inputs_dir,
        .ends_dir = fixture->ends_dir,
        .input_max = 1 << 20,
        .sandbox = fixture->sandbox,
        .cache = fixture->cache,
        .verify = verify_policy_default(),
        .limits = worker_limits_default(),
    };
    assert_ok(worker_start(&config, &fixture->worker, &fault));
}

void worker_fixture_stop(struct worker_fixture *fixture)
{
    worker_stop(TAKE(fixture->worker), -1);
}

static int64_t ask(PGconn *conn, const char *query)
{
    AUTO_PGRESULT PGresult *result = PQexec(conn, query);
    if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1)
        fail_msg("%s: %s", query, PQerrorMessage(conn));
    return strtoll(PQgetvalue(result, 0, 0), NULL, 10);
}

/* An announcement may have come before the last look: all that are here are one. */
static void forget_announcements(PGconn *conn)
{
    PGnotify *notify;
    assert_int_equal(PQconsumeInput(conn), 1);
    while ((notify = PQnotifies(conn)) != NULL)
        PQfreemem(notify);
}

void worker_fixture_await(struct worker_fixture *fixture, const char *query, int64_t number)
{
    int64_t until = clock_monotonic_ms() + PATIENCE_MS;
    for (;;) {
        forget_announcements(fixture->listener);
        int64_t is = ask(fixture->listener, query);
        if (is == number)
            return;
        struct pollfd wait = {.fd = PQsocket(fixture->listener), .events = POLLIN};
        if (clock_monotonic_ms() > until || poll(&wait, 1, 20) < 0)
            fail_msg("%s: %lld, expected %lld", query, (long long)is, (long long)number);
    }
}

struct worker *worker_fixture_worker(struct worker_fixture *fixture)
{
    return fixture->worker;
}

void worker_fixture_idle(struct worker_fixture *fixture)
{
    worker_fixture_await(fixture, "SELECT count(*) FROM execution_active", 0);
}

const char *worker_fixture_ends(const struct worker_fixture *fixture)
{
    return fixture->ends_dir;
}

/* Whole ones: named by an execution and nothing more. */
static size_t count_kept(const struct worker_fixture *fixture)
{
    size_t count = 0;
    DIR *dir = opendir(fixture->ends_dir);
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;)
        count += strlen(entry->d_name) == UUID_TEXT_LEN;
    if (dir != NULL)
        (void)closedir(dir);
    return count;
}

void worker_fixture_await_kept(struct worker_fixture *fixture, size_t count)
{
    int64_t until = clock_monotonic_ms() + PATIENCE_MS;
    while (count_kept(fixture) != count)
        if (clock_monotonic_ms() > until || poll(NULL, 0, 20) < 0)
            fail_msg("%zu ends are kept, expected %zu", count_kept(fixture), count);
}
