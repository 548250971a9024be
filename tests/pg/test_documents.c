/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: approvals count for the documents they were given for, and only beside what the tenant asks
 * for; nobody gets round it below the api. */
#include "base/clock.h"
#include "storage/documents.h"
#include "storage/events.h"
#include "tests/pg/scene.h"

/* What the event was told. */
static int note_effect(void *context, const struct document_effect *effect,
                       struct event **ret_event, struct fault *fault)
{
    struct scene *scene = *(struct scene **)context;
    char subject[64];
    (void)fault;
    (void)snprintf(subject, sizeof subject, "round %d, %d void", effect->round, effect->voided);
    *ret_event = scene_event(EVENT_ARTIFACT_ATTACHED, scene->tenant, subject, NULL);
    return 0;
}

static int attach_as(struct scene *scene, const char *tenant, const struct digest *tool,
                     enum document_kind kind, const char *body, enum severity highest,
                     enum documents_end *ret_end, struct fault *fault)
{
    const struct document_offer offer = {
        .kind = kind,
        .sha256 = digest_of(body, strlen(body)),
        .format = kind == DOCUMENT_SBOM ? "spdx" : "grype",
        .summary = "{\"format\":\"x\"}",
        .body = span_text(body),
        .highest = highest,
        .principal = "publisher",
        .api_key_id = scene_api_key(scene, tenant, "publisher", ROLE_PUBLISHER)};
    return documents_attach(scene->api, tenant, tool, &offer, note_effect, &scene, ret_end, fault);
}

static void attach(struct scene *scene, const struct digest *tool, enum document_kind kind,
                   const char *body, enum severity highest)
{
    struct fault fault;
    enum documents_end end = DOCUMENTS_PRESENT;
    assert_ok(attach_as(scene, scene->tenant, tool, kind, body, highest, &end, &fault));
    assert_int_equal(end, DOCUMENTS_ATTACHED);
}

static struct artifact artifact_of(struct scene *scene, const struct digest *tool)
{
    struct fault fault;
    struct artifact artifact;
    assert_ok(armory_find(scene->api, scene->tenant, tool, &artifact, &fault));
    return artifact;
}

static void assert_standing(struct scene *scene, const struct digest *tool, int approvals,
                            enum artifact_lack lacks)
{
    AUTO_ARTIFACT struct artifact artifact = artifact_of(scene, tool);
    assert_int_equal(artifact.approvals, approvals);
    assert_int_equal(artifact.lacks, lacks);
}

static int64_t events_about(struct scene *scene, const char *subject)
{
    return scene_number(scene,
                        "SELECT count(*) FROM event WHERE tenant_id = '%s' AND subject = '%s'",
                        scene->tenant, subject);
}

static struct digest pending(struct scene *scene, const char *name)
{
    struct digest tool = scene_artifact(scene, scene->tenant, name);
    scene_inspected(scene, scene->tenant, &tool);
    return tool;
}

struct seen {
    size_t count;
    struct document documents[4];
    char formats[4][16];
};

static int note_document(void *context, const struct document *document)
{
    struct seen *seen = context;
    assert_true(seen->count < 4);
    assert_string_equal(document->summary, "{\"format\":\"x\"}");
    assert_string_equal(document->attached_by, "publisher");
    assert_null(document->body.data);
    (void)snprintf(seen->formats[seen->count], sizeof seen->formats[0], "%s", document->format);
    seen->documents[seen->count++] = *document;
    return 0;
}

static void documents_are_kept_and_given_back(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct digest tool = pending(scene, "tool"), other = pending(scene, "other");
    struct seen seen = {0}, none = {0}, theirs = {0};
    assert_ok(
        documents_list(scene->api, scene->tenant, &tool, &tool, note_document, &none, &fault));
    assert_int_equal(none.count, 0);
    attach(scene, &tool, DOCUMENT_SBOM, "{\"a\":1}", SEVERITY_NONE);
    attach(scene, &tool, DOCUMENT_REPORT, "{\"b\":1}", SEVERITY_LOW);
    attach(scene, &tool, DOCUMENT_SBOM, "{\"a\":2}", SEVERITY_NONE);
    attach(scene, &other, DOCUMENT_REPORT, "{\"b\":9}", SEVERITY_LOW);
    assert_ok(
        documents_list(scene->api, scene->tenant, &tool, &tool, note_document, &seen, &fault));
    assert_int_equal(seen.count, 2);
    assert_int_equal(seen.documents[0].kind, DOCUMENT_REPORT);
    assert_int_equal(seen.documents[1].kind, DOCUMENT_SBOM);
    struct digest latest = digest_of("{\"a\":2}", 7);
    assert_true(digest_equal(&seen.documents[1].sha256, &latest));
    assert_true(digest_equal(&seen.documents[1].artifact, &tool));
    assert_string_equal(seen.formats[1], "spdx");
    assert_true(seen.documents[1].attached_ms > clock_wall_ms() - 600000);
    AUTO_DOCUMENT struct document found = {0};
    struct document missing = {0};
    assert_ok(documents_find(scene->api, scene->tenant, &tool, DOCUMENT_SBOM, &found, &fault));
    assert_true(span_equal(found.body, span_text("{\"a\":2}")));
    assert_fault(documents_find(scene->api, scene->tenant, &other, DOCUMENT_SBOM, &missing, &fault),
                 FAULT_NOT_FOUND, "sbom");
    assert_fault(documents_find(scene->api, scene->other, &tool, DOCUMENT_SBOM, &missing, &fault),
                 FAULT_NOT_FOUND, "sbom");
    struct digest first = {{0}}, last;
    memset(last.bytes, 0xff, DIGEST_LEN);
    assert_ok(
        documents_list(scene->api, scene->other, &first, &last, note_document, &theirs, &fault));
    assert_int_equal(theirs.count, 0);
    assert_ok(
        documents_list(scene->api, scene->tenant, &first, &last, note_document, &theirs, &fault));
    assert_int_equal(theirs.count, 3);
    /* What was replaced stays. */
    assert_int_equal(scene_number(scene,
                                  "SELECT count(*) FROM artifact_document WHERE tenant_id = '%s'",
                                  scene->tenant),
                     4);
}

struct listed {
    char text[512];
};

static int note_approval(void *context, const struct approval *approval)
{
    struct listed *listed = context;
    size_t len = strlen(listed->text);
    (void)snprintf(listed->text + len, sizeof listed->text - len, "%s %d %s;", approval->principal,
                   approval->round, approval->void_because);
    return 0;
}

static void each_document_voids_what_was_approved(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct digest tool = pending(scene, "tool"), descriptor = scene_descriptor_digest("tool");
    scene_approve(scene, scene->tenant, &tool, "bob");
    scene_approve(scene, scene->tenant, &tool, "carol");
    assert_standing(scene, &tool, 2, ARTIFACT_LACKS_NOTHING);
    attach(scene, &tool, DOCUMENT_SBOM, "{\"a\":1}", SEVERITY_NONE);
    assert_standing(scene, &tool, 0, ARTIFACT_LACKS_NOTHING);
    assert_int_equal(events_about(scene, "round 1, 2 void"), 1);
    scene_approve(scene, scene->tenant, &tool, "bob"); /* again, in the next round */
    assert_standing(scene, &tool, 1, ARTIFACT_LACKS_NOTHING);
    attach(scene, &tool, DOCUMENT_REPORT, "{\"b\":1}", SEVERITY_CRITICAL);
    assert_int_equal(events_about(scene, "round 2, 1 void"), 1);
    scene_approve(scene, scene->tenant, &tool, "carol");
    scene_sql(scene,
              "INSERT INTO artifact_approval (tenant_id, sha256, descriptor_sha256, principal,"
              " api_key_id, comment, expires_at) SELECT '%s', '\\x%s', '\\x%s', 'dora', '%s', 'c',"
              " now() - interval '1 second'",
              scene->tenant, digest_hex(&tool).text, digest_hex(&descriptor).text,
              scene_api_key(scene, scene->tenant, "dora", ROLE_APPROVER));
    struct listed listed = {""};
    assert_ok(armory_approvals(scene->api, scene->tenant, &tool, note_approval, &listed, &fault));
    assert_string_equal(listed.text, "bob 0 earlier_round;carol 0 earlier_round;"
                                     "bob 1 earlier_round;carol 2 ;dora 2 expired;");
    assert_standing(scene, &tool, 1, ARTIFACT_LACKS_NOTHING);
    AUTO_ARTIFACT struct artifact artifact = artifact_of(scene, &tool);
    assert_int_equal(artifact.round, 2);
}

static void the_same_document_again_changes_nothing(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    enum documents_end end = DOCUMENTS_ATTACHED;
    struct digest tool = pending(scene, "tool");
    attach(scene, &tool, DOCUMENT_REPORT, "{\"b\":1}", SEVERITY_HIGH);
    scene_approve(scene, scene->tenant, &tool, "bob");
    assert_ok(attach_as(scene, scene->tenant, &tool, DOCUMENT_REPORT, "{\"b\":1}", SEVERITY_HIGH,
                        &end, &fault));
    assert_int_equal(end, DOCUMENTS_PRESENT);
    assert_standing(scene, &tool, 1, ARTIFACT_LACKS_NOTHING);
    assert_int_equal(events_about(scene, "round 2, 1 void"), 0);
    /* One that was replaced is new again. */
    attach(scene, &tool, DOCUMENT_REPORT, "{\"b\":2}", SEVERITY_NONE);
    attach(scene, &tool, DOCUMENT_REPORT, "{\"b\":1}", SEVERITY_HIGH);
    assert_int_equal(scene_number(scene,
                                  "SELECT round * 10 + report_severity FROM artifact WHERE "
                                  "tenant_id = '%s'",
                                  scene->tenant),
                     34);
}

static void when_none_can_be_attached(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    enum documents_end end = DOCUMENTS_PRESENT;
    const char *tenant = scene->tenant;
    struct digest tool = scene_artifact(scene, tenant, "tool"), unknown = digest_of("?", 1);
    attach(scene, &tool, DOCUMENT_SBOM, "{\"a\":1}", SEVERITY_NONE); /* while it is inspected */
    assert_fault(
        attach_as(scene, tenant, &unknown, DOCUMENT_SBOM, "{}", SEVERITY_NONE, &end, &fault),
        FAULT_NOT_FOUND, "artifact");
    assert_fault(
        attach_as(scene, scene->other, &tool, DOCUMENT_SBOM, "{}", SEVERITY_NONE, &end, &fault),
        FAULT_NOT_FOUND, "artifact");
    scene_force(scene, "UPDATE artifact SET round = %d WHERE tenant_id = '%s'", DOCUMENT_ROUNDS_MAX,
                tenant);
    assert_fault(attach_as(scene, tenant, &tool, DOCUMENT_SBOM, "{}", SEVERITY_NONE, &end, &fault),
                 FAULT_QUOTA_EXCEEDED, "1000");
    scene_inspected(scene, tenant, &tool);
    scene_sql(scene,
              "UPDATE artifact SET state = 'revoked', revoked_at = now() WHERE tenant_id = '%s'",
              tenant);
    assert_fault(attach_as(scene, tenant, &tool, DOCUMENT_SBOM, "{}", SEVERITY_NONE, &end, &fault),
                 FAULT_STATE_CONFLICT, "revoked");
    assert_int_equal(end, DOCUMENTS_PRESENT);
    assert_int_equal(scene_number(scene,
                                  "SELECT count(*) FROM artifact_document WHERE tenant_id = '%s'",
                                  tenant),
                     1);
}

/* A key that is revoked attaches nothing, though it was admitted a moment ago. */
static void a_revoked_key_attaches_nothing(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    enum documents_end end = DOCUMENTS_PRESENT;
    struct digest tool = pending(scene, "tool");
    const char *key = scene_api_key(scene, scene->tenant, "publisher", ROLE_PUBLISHER);
    const struct document_offer offer = {.kind = DOCUMENT_SBOM,
                                         .sha256 = digest_of("{}", 2),
                                         .format = "spdx",
                                         .summary = "{}",
                                         .body = span_text("{}"),
                                         .principal = "publisher",
                                         .api_key_id = key};
    scene_sql(scene, "UPDATE api_key SET revoked_at = now() WHERE api_key_id = '%s'", key);
    assert_fault(documents_attach(scene->api, scene->tenant, &tool, &offer, note_effect, &scene,
                                  &end, &fault),
                 FAULT_NOT_AUTHENTICATED, "revoked");
    assert_standing(scene, &tool, 0, ARTIFACT_LACKS_NOTHING);
}

static void the_tenant_s_policy(void **state)
{
    struct scene *scene = *state;
    struct digest tool = pending(scene, "tool");
    const char *tenant = scene->tenant;
    scene_approve(scene, tenant, &tool, "bob");
    scene_sql(scene, "UPDATE tenant SET require_sbom = true WHERE tenant_id = '%s'", tenant);
    assert_standing(scene, &tool, 0, ARTIFACT_LACKS_SBOM);
    attach(scene, &tool, DOCUMENT_SBOM, "{\"a\":1}", SEVERITY_NONE);
    scene_approve(scene, tenant, &tool, "bob");
    assert_standing(scene, &tool, 1, ARTIFACT_LACKS_NOTHING);
    scene_sql(scene, "UPDATE tenant SET require_report = true WHERE tenant_id = '%s'", tenant);
    assert_standing(scene, &tool, 0, ARTIFACT_LACKS_REPORT);
    /* How bad it is nobody knows without a report: a worst finding asks for one by itself. */
    scene_sql(scene,
              "UPDATE tenant SET require_report = false, max_severity = %d WHERE tenant_id = '%s'",
              SEVERITY_MEDIUM, tenant);
    assert_standing(scene, &tool, 0, ARTIFACT_LACKS_REPORT);
    static const struct {
        enum severity highest;
        bool fine;
    } rows[] = {{SEVERITY_UNKNOWN, false}, {SEVERITY_CRITICAL, false}, {SEVERITY_HIGH, false},
                {SEVERITY_MEDIUM, true},   {SEVERITY_LOW, true},       {SEVERITY_NONE, true}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char body[32];
        (void)snprintf(body, sizeof body, "{\"b\":%zu}", i);
        attach(scene, &tool, DOCUMENT_REPORT, body, rows[i].highest);
        scene_approve(scene, tenant, &tool, "bob");
        assert_standing(scene, &tool, rows[i].fine ? 1 : 0,
                        rows[i].fine ? ARTIFACT_LACKS_NOTHING : ARTIFACT_LACKS_SEVERITY);
    }
}

/* Given for the document that was there when it was looked at. */
static void an_approval_names_what_was_seen(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct digest tool = pending(scene, "tool");
    attach(scene, &tool, DOCUMENT_SBOM, "{\"a\":1}", SEVERITY_NONE);
    const struct document_seen present = {true, true, digest_of("{\"a\":1}", 7)},
                               other = {true, true, digest_of("{\"a\":2}", 7)},
                               none = {.stated = true}, silent = {0};
    const struct {
        struct document_seen sbom, report;
        const char *word; /* NULL: approved */
    } rows[] = {{other, silent, "sbom_sha256: the artifact has another"},
                {none, silent, "sbom_sha256: the artifact has another"},
                {present, present, "report_sha256: the artifact has none"},
                {present, none, NULL},
                {silent, silent, NULL},
                {present, silent, NULL}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char principal[16];
        (void)snprintf(principal, sizeof principal, "p-%zu", i);
        const struct approval approval = {
            .principal = principal,
            .api_key_id = scene_api_key(scene, scene->tenant, principal, ROLE_APPROVER),
            .comment = "read it",
            .descriptor_sha256 = scene_descriptor_digest("tool"),
            .expires_ms = INT64_MIN,
            .sbom = rows[i].sbom,
            .report = rows[i].report};
        AUTO_EVENT struct event *event =
            scene_event(EVENT_ARTIFACT_APPROVED, scene->tenant, "approval", NULL);
        int status = armory_approve(scene->api, scene->tenant, &tool, &approval, event, &fault);
        if (rows[i].word == NULL)
            assert_ok(status);
        else
            assert_fault(status, FAULT_STATE_CONFLICT, rows[i].word);
    }
    assert_standing(scene, &tool, 3, ARTIFACT_LACKS_NOTHING);
}

/* Attack: a taken-over api counts otherwise; the tables know the rules too. */
static void the_tables_hold_the_rounds(void **state)
{
    struct scene *scene = *state;
    struct digest tool = pending(scene, "tool");
    const char *tenant = scene->tenant;
    attach(scene, &tool, DOCUMENT_SBOM, "{\"a\":1}", SEVERITY_NONE);
    attach(scene, &tool, DOCUMENT_REPORT, "{\"b\":1}", SEVERITY_CRITICAL);
    scene_approve(scene, tenant, &tool, "bob");
    static const struct {
        const char *change, *sqlstate;
    } changes[] = {
        {"UPDATE artifact SET round = 0", "23514"},
        {"UPDATE artifact SET round = 1", "23514"},
        {"UPDATE artifact SET round = 3", "23514"},
        {"UPDATE artifact SET report_severity = 0", "23514"},
        {"UPDATE artifact SET report_sha256 = NULL, report_severity = NULL", "23514"},
        {"UPDATE artifact SET sbom_sha256 = NULL", "23514"},
        {"UPDATE artifact SET round = 3, sbom_sha256 = sha256('x')", "23514"},
        {"UPDATE artifact_document SET round = 3", "42501"},
        {"DELETE FROM artifact_document", "42501"},
        {"TRUNCATE artifact_document", "42501"},
        {"UPDATE artifact_approval SET round = 7", "42501"},
        {"UPDATE tenant SET require_sbom = false", "42501"},
    };
    for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
        scene_try(scene, "sallyport_api", tenant, changes[i].sqlstate, "%s", changes[i].change);
        scene_try(scene, "sallyport_worker", tenant, "42501", "%s", changes[i].change);
    }
    static const char row[] =
        "INSERT INTO artifact_document (tenant_id, sha256, round, kind, document_sha256, format,"
        " summary, body, attached_by) VALUES ('%s', '\\x%s', %d, 'report', sha256('%s'), 'grype',"
        " '{}', '{}', 'x')";
    scene_try(scene, "sallyport_api", tenant, "23514", row, tenant, digest_hex(&tool).text, 3, "x");
    scene_try(scene, "sallyport_api", tenant, "23514", row, tenant, digest_hex(&tool).text, 1001,
              "{}");
    scene_try(scene, "sallyport_api", tenant, "23505", row, tenant, digest_hex(&tool).text, 2,
              "{}");
    scene_try(scene, "sallyport_api", scene->other, "42501", row, tenant, digest_hex(&tool).text, 3,
              "{}");
    scene_try(scene, "sallyport_worker", tenant, "42501", row, tenant, digest_hex(&tool).text, 3,
              "{}");
    scene_try(scene, "sallyport_api", tenant, "00000", row, tenant, digest_hex(&tool).text, 3,
              "{}");
    /* An approval is of the present round whatever it says. */
    scene_try(scene, "sallyport_api", tenant, "23505",
              "INSERT INTO artifact_approval (tenant_id, sha256, descriptor_sha256, principal,"
              " api_key_id, comment, round) SELECT tenant_id, sha256, descriptor_sha256, principal,"
              " api_key_id, comment, 7 FROM artifact_approval WHERE tenant_id = '%s'",
              tenant);
    assert_standing(scene, &tool, 1, ARTIFACT_LACKS_NOTHING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(documents_are_kept_and_given_back),
        SCENE_TEST(each_document_voids_what_was_approved),
        SCENE_TEST(the_same_document_again_changes_nothing),
        SCENE_TEST(when_none_can_be_attached),
        SCENE_TEST(a_revoked_key_attaches_nothing),
        SCENE_TEST(the_tenant_s_policy),
        SCENE_TEST(an_approval_names_what_was_seen),
        SCENE_TEST(the_tables_hold_the_rounds),
    };
    return cmocka_run_group_tests(tests, scene_open, scene_close);
}
