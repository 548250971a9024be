/* SPDX-License-Identifier: Apache-2.0 */
#include "trust_support.h"

#include "trust/sbom.h"

static struct sbom sbom_of_file(const char *name)
{
    AUTO_BUF struct buf bytes = BUF(DOCUMENT_MAX);
    struct sbom sbom;
    struct fault fault = {0};
    buf_read(name, &bytes);
    if (sbom_read(buf_span(&bytes), &sbom, &fault) != 0)
        fail_msg("%s: %s", name, fault.detail);
    return sbom;
}

static void assert_summary(const struct sbom *sbom, const char *expected)
{
    AUTO_BUF struct buf text = BUF(DOCUMENT_SUMMARY_MAX);
    AUTO_JSON json_t *summary = sbom_summary(sbom);
    json_append(&text, summary);
    assert_string_equal(buf_text(&text), expected);
}

static void an_spdx_document(void **state)
{
    (void)state;
    struct sbom sbom = sbom_of_file("documents/spdx-2.3.json");
    assert_summary(&sbom, "{\"format\":\"spdx\",\"version\":\"2.3\",\"name\":\"hash-tool-1.4.0\","
                          "\"components\":3,\"created\":\"2026-03-04T05:06:07.000Z\"}");
}

/* Components inside a component count; what the document is about does not. */
static void a_cyclonedx_document(void **state)
{
    (void)state;
    struct sbom sbom = sbom_of_file("documents/cyclonedx-1.5.json");
    assert_summary(&sbom, "{\"format\":\"cyclonedx\",\"version\":\"1.5\",\"name\":\"hash-tool\","
                          "\"components\":4,\"created\":\"2026-03-04T05:06:07.000Z\"}");
}

static int read_text(const char *text, struct sbom *ret_sbom, struct fault *fault)
{
    return sbom_read(span_text(text), ret_sbom, fault);
}

#define SPDX(version, id, more)                                                                    \
    "{\"spdxVersion\":\"" version "\",\"SPDXID\":\"" id                                            \
    "\",\"name\":\"n\",\"creationInfo\":{\"created\":\"2026-01-02T03:04:05Z\"}" more "}"
#define CYCLONEDX(version, more)                                                                   \
    "{\"bomFormat\":\"CycloneDX\",\"specVersion\":\"" version "\"" more "}"

static void the_least_of_them(void **state)
{
    (void)state;
    static const char *const good[] = {
        SPDX("SPDX-2.2", "SPDXRef-DOCUMENT", ",\"packages\":[]"),
        SPDX("SPDX-2.3", "SPDXRef-DOCUMENT", ",\"packages\":[]"),
        CYCLONEDX("1.2", ",\"components\":[]"),
        CYCLONEDX("1.10", ",\"components\":[],\"metadata\":null"),
        CYCLONEDX("1.6", ",\"components\":[],\"metadata\":{\"timestamp\":\"\"}"),
    };
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct sbom sbom;
        struct fault fault = {0};
        if (read_text(good[i], &sbom, &fault) != 0)
            fail_msg("%s: %s", good[i], fault.detail);
        assert_int_equal(sbom.components, 0);
        assert_int_equal(fault.code, FAULT_NONE);
    }
    struct sbom sbom;
    assert_int_equal(read_text(good[2], &sbom, NULL), 0);
    assert_summary(&sbom, "{\"format\":\"cyclonedx\",\"version\":\"1.2\",\"name\":null,"
                          "\"components\":0,\"created\":null}");
}

static void what_is_none_is_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *text, *word;
    } bad[] = {
        {"", "the SBOM"},
        {"[]", "object"},
        {"{}", "neither"},
        {"{\"runs\":[]}", "neither"},
        {"{\"spdxVersion\":\"SPDX-2.3\",\"bomFormat\":\"CycloneDX\"}", "both"},
        {SPDX("SPDX-2.1", "SPDXRef-DOCUMENT", ",\"packages\":[]"), "spdxVersion"},
        {SPDX("SPDX-3.0", "SPDXRef-DOCUMENT", ",\"packages\":[]"), "spdxVersion"},
        {"{\"spdxVersion\":2.3}", "spdxVersion"},
        {SPDX("SPDX-2.3", "SPDXRef-Other", ",\"packages\":[]"), "SPDXID"},
        {SPDX("SPDX-2.3", "SPDXRef-DOCUMENT", ""), "packages"},
        {SPDX("SPDX-2.3", "SPDXRef-DOCUMENT", ",\"packages\":{}"), "packages"},
        {SPDX("SPDX-2.3", "SPDXRef-DOCUMENT", ",\"packages\":null"), "packages"},
        {SPDX("SPDX-2.3", "SPDXRef-DOCUMENT", ",\"packages\":[7]"), "packages[0].name"},
        {SPDX("SPDX-2.3", "SPDXRef-DOCUMENT", ",\"packages\":[{\"name\":\"a\"}]"),
         "packages[0].SPDXID"},
        {SPDX("SPDX-2.3", "SPDXRef-DOCUMENT",
              ",\"packages\":[{\"name\":\"a\",\"SPDXID\":\"x\"},{\"name\":\"b\",\"SPDXID\":"
              "\"y\"},{\"name\":\"c\",\"SPDXID\":\"x\"}]"),
         "x names two"},
        {"{\"spdxVersion\":\"SPDX-2.3\",\"SPDXID\":\"SPDXRef-DOCUMENT\",\"name\":\"\"}", "name"},
        {"{\"spdxVersion\":\"SPDX-2.3\",\"SPDXID\":\"SPDXRef-DOCUMENT\",\"name\":\"n\","
         "\"creationInfo\":{\"created\":\"yesterday\"}}",
         "creationInfo.created"},
        {"{\"bomFormat\":\"cyclonedx\",\"specVersion\":\"1.5\",\"components\":[]}", "bomFormat"},
        {CYCLONEDX("1.1", ",\"components\":[]"), "specVersion"},
        {CYCLONEDX("1.02", ",\"components\":[]"), "specVersion"},
        {CYCLONEDX("1.", ",\"components\":[]"), "specVersion"},
        {CYCLONEDX("2.0", ",\"components\":[]"), "specVersion"},
        {CYCLONEDX("1.5", ""), "components"},
        {CYCLONEDX("1.5", ",\"components\":[{\"type\":\"library\"}]"), "components[0].name"},
        {CYCLONEDX("1.5", ",\"components\":[{\"type\":\"library\",\"name\":7}]"),
         "components[0].name"},
        {CYCLONEDX("1.5", ",\"components\":[{\"type\":\"a\",\"name\":\"b\",\"components\":"
                          "[{\"name\":\"c\"}]}]"),
         "components[0].components[0].type"},
        {CYCLONEDX("1.5", ",\"components\":[{\"type\":\"a\",\"name\":\"b\",\"bom-ref\":\"r\"},"
                          "{\"type\":\"a\",\"name\":\"c\",\"components\":[{\"type\":\"a\","
                          "\"name\":\"d\",\"bom-ref\":\"r\"}]}]"),
         "r names two"},
        {CYCLONEDX("1.5", ",\"components\":[],\"metadata\":{\"timestamp\":\"2026\"}"),
         "metadata.timestamp"},
        {CYCLONEDX("1.5", ",\"components\":[],\"metadata\":{\"component\":{}}"),
         "metadata.component.name"},
        {CYCLONEDX("1.5", ",\"components\":[],\"components\":[]"), "duplicate"},
        {CYCLONEDX("1.5", ",\"components\":[]") "x", "JSON"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct sbom sbom = {.components = 77};
        struct fault fault = {0};
        assert_int_equal(read_text(bad[i].text, &sbom, &fault), -1);
        assert_int_equal(fault.code, FAULT_ARTIFACT_INVALID);
        assert_int_equal(sbom.components, 77);
        if (strstr(fault.detail, bad[i].word) == NULL)
            fail_msg("%s: '%s' does not say '%s'", bad[i].text, fault.detail, bad[i].word);
    }
}

/* Attack: documents made to cost memory, or to pass a bound. */
static void hostile_ones_cost_little(void **state)
{
    (void)state;
    static const struct {
        const char *unit, *word;
    } floods[] = {{"{},", "objects and arrays"}, {"[],", "objects and arrays"}, {"1,", "commas"}};
    struct fault fault = {0};
    struct sbom sbom;
    for (size_t i = 0; i < ARRAY_LEN(floods); i++) {
        AUTO_BUF struct buf text = BUF(DOCUMENT_MAX);
        buf_puts(&text, "{\"bomFormat\":\"CycloneDX\",\"components\":[");
        while (text.len + 8 < DOCUMENT_MAX)
            buf_puts(&text, floods[i].unit);
        buf_puts(&text, "1]}");
        assert_int_equal(sbom_read(buf_span(&text), &sbom, &fault), -1);
        if (strstr(fault.detail, floods[i].word) == NULL)
            fail_msg("'%s' does not say '%s'", fault.detail, floods[i].word);
    }
    AUTO_BUF struct buf large = BUF(DOCUMENT_MAX + 1), deep = BUF(4096);
    while (large.len < DOCUMENT_MAX + 1)
        buf_puts(&large, " ");
    assert_int_equal(sbom_read(buf_span(&large), &sbom, &fault), -1);
    assert_non_null(strstr(fault.detail, "larger"));
    buf_puts(&deep, "{\"bomFormat\":\"CycloneDX\",\"specVersion\":\"1.5\"");
    for (int i = 0; i < 40; i++)
        buf_puts(&deep, ",\"components\":[{\"type\":\"a\",\"name\":\"b\"");
    for (int i = 0; i < 40; i++)
        buf_puts(&deep, "}]");
    buf_puts(&deep, "}");
    assert_int_equal(sbom_read(buf_span(&deep), &sbom, &fault), -1);
    assert_non_null(strstr(fault.detail, "nested"));
}

static void a_long_name_is_cut_at_a_character(void **state)
{
    (void)state;
    AUTO_BUF struct buf text = BUF(4096);
    buf_puts(&text, "{\"spdxVersion\":\"SPDX-2.3\",\"SPDXID\":\"SPDXRef-DOCUMENT\",\"packages\":[],"
                    "\"creationInfo\":{\"created\":\"2026-01-02T03:04:05Z\"},\"name\":\"x");
    for (int i = 0; i < 200; i++)
        buf_puts(&text, "\xc3\xa9");
    buf_puts(&text, "\"}");
    struct sbom sbom;
    assert_int_equal(sbom_read(buf_span(&text), &sbom, NULL), 0);
    assert_int_equal(strlen(sbom.name), 255);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_spdx_document),
        cmocka_unit_test(a_cyclonedx_document),
        cmocka_unit_test(the_least_of_them),
        cmocka_unit_test(what_is_none_is_refused_by_name),
        cmocka_unit_test(hostile_ones_cost_little),
        cmocka_unit_test(a_long_name_is_cut_at_a_character),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
