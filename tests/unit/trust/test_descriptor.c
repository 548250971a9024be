/* SPDX-License-Identifier: Apache-2.0 */
#include "manifest_support.h"

#include "trust/descriptor.h"

static const char *const entrypoint[] = {"/usr/bin/yara", "-w", "\xc3\xa9"};
static const char *const env[] = {"TZ", "LANG", "LC_ALL"};

static struct descriptor fields_good(void)
{
    return (struct descriptor){
        .kind = ARTIFACT_ROOTFS,
        .name = "yara",
        .version = "4.2.3-4+deb12u1~x:1",
        .entrypoint = entrypoint,
        .entrypoint_count = ARRAY_LEN(entrypoint),
        .env_allowed = env,
        .env_allowed_count = ARRAY_LEN(env),
        .limits = {.timeout_seconds = 60, .memory_mib = 256, .pids = 8, .cpu_percent = 100},
    };
}

#define GOOD_JSON                                                                                  \
    "{\"kind\":\"rootfs\",\"entrypoint\":[\"/usr/bin/yara\",\"-w\",\"\xc3\xa9\"],"                 \
    "\"env_allowed\":[\"LANG\",\"LC_ALL\",\"TZ\"],\"limits\":{\"timeout_seconds\":60,"             \
    "\"memory_mib\":256,\"pids\":8,\"cpu_percent\":100},\"name\":\"yara\","                        \
    "\"version\":\"4.2.3-4+deb12u1~x:1\"}"

static void its_json_is_exact_and_reads_back(void **state)
{
    (void)state;
    const struct descriptor fields = fields_good();
    AUTO_DESCRIPTOR struct descriptor *made = NULL, *read = NULL;
    AUTO_BUF struct buf json = BUF(DESCRIPTOR_JSON_MAX);
    struct fault fault = {0};
    if (descriptor_new(&fields, &made, &json, &fault) != 0)
        fail_msg("%s", fault.detail);
    assert_string_equal(buf_text(&json), GOOD_JSON);
    assert_int_equal(descriptor_parse(buf_span(&json), &read, &fault), 0);
    const struct descriptor *const both[] = {made, read};
    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        assert_int_equal(both[i]->kind, ARTIFACT_ROOTFS);
        assert_string_equal(both[i]->name, "yara");
        assert_string_equal(both[i]->version, fields.version);
        assert_int_equal(both[i]->entrypoint_count, 3);
        assert_string_equal(both[i]->entrypoint[2], "\xc3\xa9");
        assert_int_equal(both[i]->env_allowed_count, 3);
        assert_string_equal(both[i]->env_allowed[0], "LANG");
        assert_string_equal(both[i]->env_allowed[2], "TZ");
        assert_int_equal(both[i]->limits.memory_mib, 256);
        assert_int_equal(both[i]->limits.tmp_mib, 0);
        assert_ptr_not_equal(both[i]->entrypoint[0], entrypoint[0]);
    }
}

static void the_least_of_them(void **state)
{
    (void)state;
    const struct descriptor fields = {.kind = ARTIFACT_BINARY, .name = "a", .version = "1"};
    AUTO_DESCRIPTOR struct descriptor *made = NULL;
    AUTO_BUF struct buf json = BUF(DESCRIPTOR_JSON_MAX);
    assert_int_equal(descriptor_new(&fields, &made, &json, NULL), 0);
    assert_string_equal(buf_text(&json),
                        "{\"kind\":\"binary\",\"entrypoint\":[],\"env_allowed\":[],"
                        "\"limits\":{},\"name\":\"a\",\"version\":\"1\"}");
    AUTO_DESCRIPTOR struct descriptor *read = NULL;
    assert_int_equal(descriptor_parse(buf_span(&json), &read, NULL), 0);
}

static void assert_fields_refused(const struct descriptor *fields, const char *detail)
{
    struct descriptor *made = NULL;
    AUTO_BUF struct buf json = BUF(DESCRIPTOR_JSON_MAX);
    struct fault fault = {0};
    assert_int_equal(descriptor_new(fields, &made, &json, &fault), -1);
    assert_null(made);
    assert_int_equal(json.len, 0);
    assert_int_equal(fault.code, FAULT_ARTIFACT_INVALID);
    if (strncmp(fault.detail, detail, strlen(detail)) != 0)
        fail_msg("'%s' does not begin with '%s'", fault.detail, detail);
}

static void names_and_versions(void **state)
{
    (void)state;
    char longest[130];
    memset(longest, 'a', sizeof longest);
    longest[129] = '\0';
    const char *const bad[] = {NULL, "", "-a", ".a", "a b", "a/b", "a\n", "\xc3\xa9", longest};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct descriptor fields = fields_good();
        fields.name = bad[i];
        assert_fields_refused(&fields, "name: expected");
        fields = fields_good();
        fields.version = bad[i];
        assert_fields_refused(&fields, "version: expected");
    }
    struct descriptor fields = fields_good();
    fields.name = "a:b";
    assert_fields_refused(&fields, "name: expected");
    fields = fields_good();
    fields.kind = (enum artifact_kind)3;
    assert_fields_refused(&fields, "kind: expected");
}

static void entrypoints(void **state)
{
    (void)state;
    char longest[4098];
    memset(longest, '/', sizeof longest);
    longest[4097] = '\0';
    const char *const bad[] = {"",       "bin/x", "./x",   "/",     "/a\nb",
                               "/a\x7f", "~/x",   "/\xff", longest, NULL};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct descriptor fields = fields_good();
        fields.entrypoint = &bad[i];
        fields.entrypoint_count = 1;
        assert_fields_refused(&fields, "entrypoint[0]: expected");
    }
    const char *const second[] = {"/bin/x", "\xed\xa0\x80"};
    struct descriptor fields = fields_good();
    fields.entrypoint = second;
    fields.entrypoint_count = 2;
    assert_fields_refused(&fields, "entrypoint[1]: expected");
    fields = fields_good();
    fields.entrypoint_count = 0;
    assert_fields_refused(&fields, "entrypoint: expected at least one");
    const char *many[DESCRIPTOR_ENTRYPOINT_MAX + 1];
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        many[i] = "/x";
    fields = fields_good();
    fields.entrypoint = many;
    fields.entrypoint_count = ARRAY_LEN(many);
    assert_fields_refused(&fields, "entrypoint: expected at most 16");
    longest[4096] = '\0';
    for (size_t i = 0; i < 8; i++)
        many[i] = longest;
    fields.entrypoint_count = 8; /* each allowed, but not all together */
    assert_fields_refused(&fields, "descriptor: expected at most");
    for (int kind = ARTIFACT_BINARY; kind <= ARTIFACT_OCI; kind++) {
        fields = fields_good();
        fields.kind = (enum artifact_kind)kind;
        fields.entrypoint_count = 0;
        AUTO_DESCRIPTOR struct descriptor *made = NULL;
        AUTO_BUF struct buf json = BUF(DESCRIPTOR_JSON_MAX);
        assert_int_equal(descriptor_new(&fields, &made, &json, NULL),
                         kind == ARTIFACT_ROOTFS ? -1 : 0);
    }
}

static void environments(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "lang", "1A", "A=B", NULL};
    static const char *const forbidden[] = {"LD_PRELOAD", "LD_AUDIT", "GLIBC_TUNABLES",
                                            "GCONV_PATH", "PATH"};
    struct descriptor fields = fields_good();
    fields.env_allowed_count = 1;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        fields.env_allowed = &bad[i];
        assert_fields_refused(&fields, "env_allowed: expected names");
    }
    for (size_t i = 0; i < ARRAY_LEN(forbidden); i++) {
        fields.env_allowed = &forbidden[i];
        char detail[64];
        (void)snprintf(detail, sizeof detail, "env_allowed: %s can never", forbidden[i]);
        assert_fields_refused(&fields, detail);
    }
    static const char *const twice[] = {"TZ", "LANG", "TZ"};
    fields.env_allowed = twice;
    fields.env_allowed_count = 3;
    assert_fields_refused(&fields, "env_allowed: TZ is there twice");
    fields.env_allowed_count = DESCRIPTOR_ENV_MAX + 1;
    assert_fields_refused(&fields, "env_allowed: expected at most 32");
}

static void limits(void **state)
{
    (void)state;
    struct descriptor fields = fields_good();
    int64_t *const members[] = {&fields.limits.timeout_seconds, &fields.limits.memory_mib,
                                &fields.limits.pids, &fields.limits.cpu_percent,
                                &fields.limits.tmp_mib};
    static const char *const names[] = {"limits.timeout_seconds", "limits.memory_mib",
                                        "limits.pids", "limits.cpu_percent", "limits.tmp_mib"};
    static const int64_t most[] = {86400, 1 << 20, 65536, 10000, 1 << 20};
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        int64_t before = *members[i];
        *members[i] = most[i] + 1;
        assert_fields_refused(&fields, names[i]);
        *members[i] = -1;
        assert_fields_refused(&fields, names[i]);
        *members[i] = INT64_MIN;
        assert_fields_refused(&fields, names[i]);
        *members[i] = most[i];
        AUTO_DESCRIPTOR struct descriptor *made = NULL;
        AUTO_BUF struct buf json = BUF(DESCRIPTOR_JSON_MAX);
        assert_int_equal(descriptor_new(&fields, &made, &json, NULL), 0);
        *members[i] = before;
    }
}

static void another_form_of_the_json_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "{}",
        "[]",
        GOOD_JSON " ",
        " " GOOD_JSON,
        /* spaced, reordered, escaped, a member too many, too few, unsorted, out of range */
        "{\"kind\": \"binary\",\"entrypoint\":[],\"env_allowed\":[],\"limits\":{},\"name\":\"a\","
        "\"version\":\"1\"}",
        "{\"entrypoint\":[],\"kind\":\"binary\",\"env_allowed\":[],\"limits\":{},\"name\":\"a\","
        "\"version\":\"1\"}",
        "{\"kind\":\"binar\\u0079\",\"entrypoint\":[],\"env_allowed\":[],\"limits\":{},"
        "\"name\":\"a\",\"version\":\"1\"}",
        "{\"kind\":\"binary\",\"entrypoint\":[],\"env_allowed\":[],\"limits\":{},\"name\":\"a\","
        "\"version\":\"1\",\"x\":1}",
        "{\"kind\":\"binary\",\"entrypoint\":[],\"env_allowed\":[],\"limits\":{},\"name\":\"a\"}",
        "{\"kind\":\"binary\",\"entrypoint\":[],\"env_allowed\":[\"TZ\",\"LANG\"],\"limits\":{},"
        "\"name\":\"a\",\"version\":\"1\"}",
        "{\"kind\":\"binary\",\"entrypoint\":[],\"env_allowed\":[],\"limits\":{\"pids\":0},"
        "\"name\":\"a\",\"version\":\"1\"}",
        "{\"kind\":\"binary\",\"entrypoint\":[],\"env_allowed\":[],\"limits\":{\"disk\":1},"
        "\"name\":\"a\",\"version\":\"1\"}",
        "{\"kind\":\"elf\",\"entrypoint\":[],\"env_allowed\":[],\"limits\":{},\"name\":\"a\","
        "\"version\":\"1\"}",
        "{\"kind\":\"binary\",\"entrypoint\":[7],\"env_allowed\":[],\"limits\":{},\"name\":\"a\","
        "\"version\":\"1\"}",
        "{\"kind\":\"binary\",\"entrypoint\":[],\"env_allowed\":[null],\"limits\":{},"
        "\"name\":\"a\",\"version\":\"1\"}",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct descriptor *made = NULL;
        struct fault fault = {0};
        if (descriptor_parse(span_text(texts[i]), &made, &fault) == 0)
            fail_msg("accepted: %s", texts[i]);
        assert_null(made);
        assert_int_equal(fault.code, FAULT_ARTIFACT_INVALID);
    }
    AUTO_DESCRIPTOR struct descriptor *good = NULL;
    assert_int_equal(descriptor_parse(span_text(GOOD_JSON), &good, NULL), 0);
}

static void its_digest_covers_artifact_and_json(void **state)
{
    (void)state;
    struct digest artifact = digest_of("abc", 3), other = digest_of("abd", 3);
    struct digest digest = descriptor_digest(&artifact, span_text("{}"));
    const char text[] = "sallyport-descriptor-v1\n"
                        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n{}";
    struct digest expected = digest_of(text, strlen(text));
    assert_true(digest_equal(&digest, &expected));
    struct digest a = descriptor_digest(&other, span_text("{}"));
    struct digest b = descriptor_digest(&artifact, span_text("{} "));
    assert_false(digest_equal(&digest, &a));
    assert_false(digest_equal(&digest, &b));
}

static void a_manifest_sets_what_is_allowed_only(void **state)
{
    (void)state;
    const struct descriptor fields = fields_good();
    AUTO_DESCRIPTOR struct descriptor *descriptor = NULL;
    AUTO_BUF struct buf json = BUF(DESCRIPTOR_JSON_MAX);
    assert_int_equal(descriptor_new(&fields, &descriptor, &json, NULL), 0);
    static const struct {
        const char *env;
        const char *refused;
    } rows[] = {{"{}", NULL},
                {"{\"TZ\":\"UTC\"}", NULL},
                {"{\"TZ\":\"UTC\",\"LANG\":\"C\",\"LC_ALL\":\"C\"}", NULL},
                {"{\"TZ\":\"UTC\",\"HOME\":\"/\"}", "parameters.env.HOME: is not allowed"},
                {"{\"LC\":\"C\"}", "parameters.env.LC: is not allowed"},
                {"{\"TZZ\":\"C\"}", "parameters.env.TZZ: is not allowed"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO_BUF struct buf text = manifest_with("parameters.env", rows[i].env);
        AUTO_MANIFEST struct manifest *manifest = manifest_good(buf_span(&text));
        struct fault fault = {0};
        assert_int_equal(descriptor_check_env(descriptor, manifest, &fault),
                         rows[i].refused == NULL ? 0 : -1);
        if (rows[i].refused == NULL)
            continue;
        assert_int_equal(fault.code, FAULT_MANIFEST_INVALID);
        assert_non_null(strstr(fault.detail, rows[i].refused));
    }
    /* even where the row in the database was forged to allow it */
    static const char *const forged[] = {"LD_PRELOAD"};
    const struct manifest_env preload = {"LD_PRELOAD", "/in/x.so"};
    const struct manifest manifest = {.env = &preload, .env_count = 1};
    const struct descriptor permissive = {.env_allowed = forged, .env_allowed_count = 1};
    assert_int_equal(descriptor_check_env(&permissive, &manifest, NULL), -1);
}

static void kinds_have_names(void **state)
{
    (void)state;
    static const char *const names[] = {"binary", "rootfs", "oci"};
    for (int i = 0; i < 3; i++) {
        enum artifact_kind kind;
        assert_string_equal(artifact_kind_name((enum artifact_kind)i), names[i]);
        assert_int_equal(artifact_kind_parse(names[i], &kind), 0);
        assert_int_equal(kind, i);
    }
    enum artifact_kind kind;
    assert_int_equal(artifact_kind_parse("OCI", &kind), -1);
    assert_int_equal(artifact_kind_parse("", &kind), -1);
    assert_string_equal(artifact_kind_name((enum artifact_kind)3), "");
    descriptor_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_json_is_exact_and_reads_back),
        cmocka_unit_test(the_least_of_them),
        cmocka_unit_test(names_and_versions),
        cmocka_unit_test(entrypoints),
        cmocka_unit_test(environments),
        cmocka_unit_test(limits),
        cmocka_unit_test(another_form_of_the_json_is_refused),
        cmocka_unit_test(its_digest_covers_artifact_and_json),
        cmocka_unit_test(a_manifest_sets_what_is_allowed_only),
        cmocka_unit_test(kinds_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
