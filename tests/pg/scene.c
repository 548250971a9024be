/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/pg/scene.h"

#include "base/clock.h"
#include "storage/blobs.h"
#include "storage/inputs.h"
#include "storage/keys.h"

#define SQL_MAX 8192

int scene_open(void **state)
{
    static struct scene scene;
    struct fault fault;
    if (pg_cluster_open(false, &scene.cluster, &fault) != 0 ||
        pg_cluster_connect(scene.cluster, NULL, &scene.super, &fault) != 0 ||
        pg_cluster_connect(scene.cluster, "sallyport_api", &scene.api, &fault) != 0 ||
        pg_cluster_connect(scene.cluster, "sallyport_worker", &scene.worker, &fault) != 0) {
        print_error("%s\n", fault.detail);
        return -1;
    }
    (void)pg_cluster_conninfo(scene.cluster, "sallyport_ledger"); /* threads only read them */
    (void)pg_cluster_conninfo(scene.cluster, "sallyport_read");
    scene.sql = PQconnectdb(pg_cluster_conninfo(scene.cluster, NULL));
    if (PQstatus(scene.sql) != CONNECTION_OK) {
        print_error("%s", PQerrorMessage(scene.sql));
        return -1;
    }
    PQclear(PQexec(scene.sql, "SET search_path = sallyport; SET client_min_messages = warning"));
    *state = &scene;
    return 0;
}

int scene_close(void **state)
{
    struct scene *scene = *state;
    PQfinish(TAKE(scene->sql));
    pg_free(TAKE(scene->super));
    pg_free(TAKE(scene->api));
    pg_free(TAKE(scene->worker));
    pg_cluster_free(TAKE(scene->cluster));
    return 0;
}

static void make_tenant(struct scene *scene, const char *tenant)
{
    struct fault fault;
    const struct tenant_policy policy = {.allow_hmac = -1};
    AUTO_EVENT struct event *event = scene_event(EVENT_TENANT_CREATED, tenant, tenant, NULL);
    assert_ok(tenants_create(scene->super, tenant, &policy, event, &fault));
}

int scene_begin(void **state)
{
    struct scene *scene = *state;
    static int number;
    number++;
    (void)snprintf(scene->names[0], sizeof scene->names[0], "acme-%d", number);
    (void)snprintf(scene->names[1], sizeof scene->names[1], "other-%d", number);
    struct fault ignored; /* a test before may have cut them off, or failed in a transaction */
    if (PQtransactionStatus(scene->sql) != PQTRANS_IDLE)
        PQclear(PQexec(scene->sql, "ROLLBACK"));
    (void)!pg_execute(scene->super, "SELECT 1", &ignored);
    (void)!pg_execute(scene->api, "SELECT 1", &ignored);
    (void)!pg_execute(scene->worker, "SELECT 1", &ignored);
    scene->tenant = scene->names[0];
    scene->other = scene->names[1];
    make_tenant(scene, scene->tenant);
    make_tenant(scene, scene->other);
    scene_sql(scene, "DELETE FROM execution_queue");
    scene_sql(scene, "DELETE FROM execution_active");
    scene_sql(scene, "DELETE FROM worker");
    return 0;
}

/* ---- plain SQL ---- */

static PGresult *run(PGconn *conn, const char *sql)
{
    PGresult *result = PQexec(conn, sql);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        print_error("%s\n%s", sql, PQresultErrorMessage(result));
        PQclear(result);
        fail();
    }
    return result;
}

#define FORMAT_SQL(sql, format)                                                                    \
    do {                                                                                           \
        va_list arguments;                                                                         \
        va_start(arguments, format);                                                               \
        assert_in_range(vsnprintf(sql, sizeof(sql), format, arguments), 1, sizeof(sql) - 1);       \
        va_end(arguments);                                                                         \
    } while (0)

void scene_sql(struct scene *scene, const char *format, ...)
{
    char sql[SQL_MAX];
    FORMAT_SQL(sql, format);
    PQclear(run(scene->sql, sql));
}

void scene_force(struct scene *scene, const char *format, ...)
{
    char sql[SQL_MAX];
    FORMAT_SQL(sql, format);
    PQclear(run(scene->sql, "SET session_replication_role = replica"));
    PQclear(run(scene->sql, sql));
    PQclear(run(scene->sql, "SET session_replication_role = origin"));
}

int64_t scene_number(struct scene *scene, const char *format, ...)
{
    char sql[SQL_MAX];
    FORMAT_SQL(sql, format);
    AUTO_PGRESULT PGresult *result = run(scene->sql, sql);
    assert_int_equal(PQntuples(result), 1);
    return strtoll(PQgetvalue(result, 0, 0), NULL, 10);
}

void scene_try(struct scene *scene, const char *role, const char *tenant, const char *sqlstate,
               const char *format, ...)
{
    char sql[SQL_MAX], scope[256];
    FORMAT_SQL(sql, format);
    (void)snprintf(scope, sizeof scope,
                   "BEGIN; SET LOCAL ROLE %s; SELECT set_config('sallyport.tenants', '{%s}', true)",
                   role, tenant == NULL ? "" : tenant);
    PQclear(run(scene->sql, scope));
    AUTO_PGRESULT PGresult *result = PQexec(scene->sql, sql);
    const char *had = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    PQclear(run(scene->sql, "ROLLBACK"));
    if (strcmp(had == NULL ? "00000" : had, sqlstate) != 0) {
        print_error("%s, not %s, as %s: %s\n%s", had == NULL ? "00000" : had, sqlstate, role, sql,
                    PQresultErrorMessage(result));
        fail();
    }
}

void scene_cut_off(struct scene *scene, const char *role)
{
    scene_sql(scene,
              "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
              " WHERE usename = '%s' AND datname = current_database()",
              role);
}

void scene_let_in(struct scene *scene, bool open)
{
    scene_sql(
        scene,
        "DO $$ BEGIN EXECUTE format('%s ON DATABASE %%I %s PUBLIC', current_database()); END $$",
        open ? "GRANT CONNECT" : "REVOKE CONNECT", open ? "TO" : "FROM");
}

/* ---- what is there before a job ---- */

struct event *scene_event(enum event_type type, const char *tenant, const char *subject,
                          const struct uuid *execution_id)
{
    struct fault fault;
    AUTO_JSON json_t *data = json_pack("{s:s}", "about", subject);
    const struct event_head head = {.id = uuid_v7(),
                                    .type = type,
                                    .node = "test",
                                    .subject = subject,
                                    .tenant_id = tenant,
                                    .execution_id = execution_id,
                                    .time_ms = clock_wall_ms()};
    struct event *event = NULL;
    assert_ok(event_build(&head, data, &event, &fault));
    return event;
}

const char *scene_api_key(struct scene *scene, const char *tenant, const char *principal,
                          unsigned roles)
{
    static char ids[1000][API_KEY_ID_LEN + 1];
    static unsigned count;
    struct fault fault;
    struct api_key key = {.roles = roles, .expires_ms = INT64_MIN, .revoked_ms = INT64_MIN};
    assert_true(count < ARRAY_LEN(ids));
    char *id = ids[count++];
    (void)snprintf(id, sizeof ids[0], "%016x", count);
    (void)snprintf(key.id, sizeof key.id, "%s", id);
    (void)snprintf(key.tenant_id, sizeof key.tenant_id, "%s", tenant);
    (void)snprintf(key.principal, sizeof key.principal, "%s", principal);
    (void)snprintf(key.created_by, sizeof key.created_by, "operator");
    key.secret_hash = digest_of(id, API_KEY_ID_LEN);
    AUTO_EVENT struct event *event = scene_event(EVENT_APIKEY_CREATED, tenant, id, NULL);
    assert_ok(api_keys_create(scene->api, &key, event, &fault));
    return id;
}

void scene_key(struct scene *scene, const char *tenant, const char *kid)
{
    struct fault fault;
    const struct key_record record = {.kid = kid,
                                      .alg = JWS_ES256,
                                      .public_pem = "a public key",
                                      .not_before_ms = INT64_MIN,
                                      .not_after_ms = INT64_MIN,
                                      .created_by = "operator",
                                      .created_ms = clock_wall_ms()};
    AUTO_EVENT struct event *event = scene_event(EVENT_KEY_ADDED, tenant, kid, NULL);
    assert_ok(keys_add(scene->api, tenant, &record, (const struct event *[]){event}, 1, &fault));
}

struct uuid scene_upload(struct scene *scene, const char *tenant, const char *bytes)
{
    struct fault fault;
    struct uuid id;
    assert_ok(blobs_begin(scene->api, tenant, &id, &fault));
    if (bytes[0] != '\0')
        assert_ok(blobs_append(scene->api, tenant, &id, 0, span_text(bytes), &fault));
    return id;
}

struct digest scene_descriptor_digest(const char *name)
{
    return digest_of(name, strlen(name));
}

struct digest scene_artifact(struct scene *scene, const char *tenant, const char *name)
{
    struct fault fault;
    char bytes[128];
    (void)snprintf(bytes, sizeof bytes, "the bytes of %s", name);
    const struct artifact artifact = {.sha256 = digest_of(bytes, strlen(bytes)),
                                      .blob_id = scene_upload(scene, tenant, bytes),
                                      .size = (int64_t)strlen(bytes),
                                      .kind = ARTIFACT_BINARY,
                                      .name = name,
                                      .version = "1",
                                      .descriptor = span_text("{}"),
                                      .descriptor_sha256 = scene_descriptor_digest(name),
                                      .ingested_by = "ingester"};
    enum armory_ingest_end end;
    AUTO_EVENT struct event *event = scene_event(EVENT_ARTIFACT_INGESTED, tenant, name, NULL);
    assert_ok(armory_ingest(scene->api, tenant, &artifact, event, &end, &fault));
    assert_int_equal(end, ARMORY_CREATED);
    return artifact.sha256;
}

int scene_inspection(struct pg *pg, const char *tenant, const struct digest *sha256,
                     const char *rejected_because, const char *image, struct fault *fault)
{
    AUTO_EVENT struct event *event =
        scene_event(EVENT_ARTIFACT_INSPECTED, tenant, digest_format(sha256).text, NULL);
    return armory_inspected(pg, tenant, sha256, rejected_because, image, event, fault);
}

void scene_inspected(struct scene *scene, const char *tenant, const struct digest *sha256)
{
    struct fault fault;
    assert_ok(scene_inspection(scene->worker, tenant, sha256, NULL, NULL, &fault));
}

void scene_approve(struct scene *scene, const char *tenant, const struct digest *sha256,
                   const char *principal)
{
    struct fault fault;
    AUTO_ARTIFACT struct artifact artifact = {0};
    assert_ok(armory_find(scene->api, tenant, sha256, &artifact, &fault));
    const struct approval approval = {.principal = principal,
                                      .api_key_id =
                                          scene_api_key(scene, tenant, principal, ROLE_APPROVER),
                                      .comment = "read it",
                                      .descriptor_sha256 = artifact.descriptor_sha256,
                                      .expires_ms = INT64_MIN};
    AUTO_EVENT struct event *event = scene_event(EVENT_ARTIFACT_APPROVED, tenant, principal, NULL);
    assert_ok(armory_approve(scene->api, tenant, sha256, &approval, event, &fault));
}

static int say_revoked(void *context, const struct cancels_count *count, struct event **ret_event,
                       struct fault *fault)
{
    char words[64];
    (void)fault;
    (void)snprintf(words, sizeof words, "queued %d, running %d", (int)count->queued,
                   (int)count->running);
    *ret_event = scene_event(EVENT_ARTIFACT_REVOKED, context, words, NULL);
    return 0;
}

int scene_revoke(struct pg *pg, const char *tenant, const struct digest *sha256,
                 const char *asked_by_key, bool cancel_running, struct fault *fault)
{
    char name[64];
    (void)snprintf(name, sizeof name, "%s", tenant);
    const struct artifact_revocation order = {.principal = "admin",
                                              .api_key_id = asked_by_key,
                                              .reason = "a hole",
                                              .cancel_running = cancel_running,
                                              .say = say_revoked,
                                              .context = name};
    return armory_revoke(pg, tenant, sha256, &order, fault);
}

struct digest scene_input(struct scene *scene, const char *tenant, const char *bytes,
                          int64_t expires_ms)
{
    struct fault fault;
    bool created;
    struct input stored;
    const struct input input = {.sha256 = digest_of(bytes, strlen(bytes)),
                                .blob_id = scene_upload(scene, tenant, bytes),
                                .size = (int64_t)strlen(bytes),
                                .expires_ms = expires_ms};
    assert_ok(inputs_add(scene->api, tenant, &input, "soar", &created, &stored, &fault));
    assert_true(created);
    return input.sha256;
}
