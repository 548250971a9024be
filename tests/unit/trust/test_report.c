/* SPDX-License-Identifier: Apache-2.0 */
#include "trust_support.h"

#include "trust/report.h"

static void assert_file(const char *name, const char *expected)
{
    AUTO_BUF struct buf bytes = BUF(DOCUMENT_MAX), text = BUF(DOCUMENT_SUMMARY_MAX);
    struct report report;
    struct fault fault = {0};
    buf_read(name, &bytes);
    if (report_read(buf_span(&bytes), &report, &fault) != 0)
        fail_msg("%s: %s", name, fault.detail);
    AUTO_JSON json_t *summary = report_summary(&report);
    json_append(&text, summary);
    assert_string_equal(buf_text(&text), expected);
}

/* One vulnerability of one package counts once, as bad as the worse of two matches says. */
static void a_report_of_grype(void **state)
{
    (void)state;
    assert_file("documents/grype.json",
                "{\"format\":\"grype\",\"tool\":\"grype\",\"tool_version\":\"0.74.1\","
                "\"generated_at\":\"2026-03-04T05:06:07.123Z\",\"counts\":{\"critical\":0,"
                "\"high\":2,\"medium\":0,\"low\":1,\"negligible\":1,\"unknown\":0},"
                "\"highest\":\"high\"}");
}

static void a_report_of_trivy(void **state)
{
    (void)state;
    assert_file("documents/trivy.json",
                "{\"format\":\"trivy\",\"tool\":\"trivy\",\"tool_version\":\"0.69.0\","
                "\"generated_at\":\"2026-03-04T05:06:07.000Z\",\"counts\":{\"critical\":1,"
                "\"high\":0,\"medium\":1,\"low\":0,\"negligible\":0,\"unknown\":1},"
                "\"highest\":\"critical\"}");
}

/* Scores before levels; suppressed ones count, passed and gone ones don't; rules by id, by place,
 * by the id above, in an extension. */
static void a_sarif_log(void **state)
{
    (void)state;
    assert_file("documents/sarif.json",
                "{\"format\":\"sarif\",\"tool\":\"Example Scanner\",\"tool_version\":\"3.2.1\","
                "\"generated_at\":\"2026-03-04T05:06:07.000Z\",\"counts\":{\"critical\":3,"
                "\"high\":2,\"medium\":2,\"low\":1,\"negligible\":0,\"unknown\":1},"
                "\"highest\":\"critical\"}");
}

#define DRIVER "\"tool\":{\"driver\":{\"name\":\"s\"}}"
#define RUN(more) "{\"version\":\"2.1.0\",\"runs\":[{" DRIVER more "}]}"
#define RESULT(more) RUN(",\"results\":[{\"message\":{}" more "}]")
#define GRYPE(matches) "{\"matches\":" matches ",\"descriptor\":{\"name\":\"grype\"}}"
#define TRIVY(more) "{\"SchemaVersion\":2,\"ArtifactName\":\"a\"" more "}"

static void nothing_found_is_none(void **state)
{
    (void)state;
    static const char *const good[] = {
        RUN(",\"results\":[]"),
        GRYPE("[]"),
        "{\"matches\":[],\"descriptor\":{\"name\":\"grype\",\"version\":\"\",\"timestamp\":\"\"}}",
        TRIVY(""),
        TRIVY(",\"Results\":null"),
        RESULT(",\"ruleId\":\"a\",\"kind\":\"notApplicable\""),
    };
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct report report;
        struct fault fault = {0};
        if (report_read(span_text(good[i]), &report, &fault) != 0)
            fail_msg("%s: %s", good[i], fault.detail);
        assert_int_equal(report.highest, SEVERITY_NONE);
        for (int s = 0; s < SEVERITY_COUNT; s++)
            assert_int_equal(report.counts[s], 0);
        assert_true(report.generated_ms == INT64_MIN);
    }
}

/* What cannot be told is never taken for less than it may be. */
static void one_finding_each(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum severity severity;
    } rows[] = {
        {GRYPE("[{\"vulnerability\":{\"id\":\"C\"},\"artifact\":{\"name\":\"a\"}}]"),
         SEVERITY_UNKNOWN},
        {GRYPE("[{\"vulnerability\":{\"id\":\"C\",\"severity\":\"Urgent\"},\"artifact\":{\"name\":"
               "\"a\"}}]"),
         SEVERITY_UNKNOWN},
        {TRIVY(",\"Results\":[{\"Target\":\"t\",\"Vulnerabilities\":[{\"VulnerabilityID\":\"C\","
               "\"PkgName\":\"p\"}]}]"),
         SEVERITY_UNKNOWN},
        {RESULT(",\"ruleId\":\"a\""), SEVERITY_MEDIUM},
        {RESULT(",\"ruleId\":\"a\",\"level\":\"note\""), SEVERITY_LOW},
        {RESULT(",\"ruleId\":\"a\",\"level\":\"error\""), SEVERITY_CRITICAL},
        {RESULT(",\"ruleId\":\"a\",\"level\":\"none\""), SEVERITY_UNKNOWN},
        {RESULT(",\"ruleId\":\"a\",\"kind\":\"review\",\"level\":\"none\""), SEVERITY_UNKNOWN},
        {RESULT(",\"ruleId\":\"a\",\"level\":\"note\",\"properties\":{\"security-severity\":"
                "\"9.1\"}"),
         SEVERITY_CRITICAL},
        {RESULT(",\"ruleId\":\"a\",\"level\":\"note\",\"properties\":{\"security-severity\":"
                "\"much\"}"),
         SEVERITY_UNKNOWN},
        {RESULT(
             ",\"ruleId\":\"a\",\"level\":\"note\",\"properties\":{\"security-severity\":1e300}"),
         SEVERITY_UNKNOWN},
        {RESULT(",\"rule\":{\"id\":\"a\"}"), SEVERITY_MEDIUM},
        {"{\"version\":\"2.1.0\",\"runs\":[{\"tool\":{\"driver\":{\"name\":\"s\",\"rules\":[{"
         "\"id\":\"a\",\"properties\":{\"security-severity\":\"2.0\"}},{\"id\":\"a\","
         "\"properties\":{\"security-severity\":\"8.0\"}}]}},\"results\":[{\"ruleId\":\"a\","
         "\"message\":{}}]}]}",
         SEVERITY_HIGH},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct report report;
        struct fault fault = {0};
        if (report_read(span_text(rows[i].text), &report, &fault) != 0)
            fail_msg("%s: %s", rows[i].text, fault.detail);
        if (report.highest != rows[i].severity || report.counts[rows[i].severity] != 1)
            fail_msg("%s is %s", rows[i].text, severity_name(report.highest));
    }
}

/* Critical is said before unknown, which weighs the same. */
static void the_highest_is_what_is_known(void **state)
{
    (void)state;
    static const char both[] =
        GRYPE("[{\"vulnerability\":{\"id\":\"C\",\"severity\":\"Unknown\"},\"artifact\":{\"name\":"
              "\"a\"}},{\"vulnerability\":{\"id\":\"D\",\"severity\":\"Critical\"},\"artifact\":{"
              "\"name\":\"a\"}},{\"vulnerability\":{\"id\":\"C\",\"severity\":\"High\"},"
              "\"artifact\":{\"name\":\"a\"}}]");
    struct report report;
    assert_int_equal(report_read(span_text(both), &report, NULL), 0);
    assert_int_equal(report.highest, SEVERITY_CRITICAL);
    assert_int_equal(report.counts[SEVERITY_UNKNOWN], 1);
    assert_int_equal(report.counts[SEVERITY_HIGH], 0);
}

static void what_is_none_is_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *text, *word;
    } bad[] = {
        {"", "the report"},
        {"[]", "object"},
        {"{}", "found 0"},
        {"{\"bomFormat\":\"CycloneDX\"}", "found 0"},
        {"{\"runs\":[],\"matches\":[]}", "found 2"},
        {"{\"runs\":[],\"version\":\"2.1.0\"}", "runs"},
        {"{\"runs\":[{}],\"version\":\"2.0.0\"}", "version"},
        {"{\"runs\":[{}]}", "version"},
        {"{\"runs\":{},\"version\":\"2.1.0\"}", "runs"},
        {"{\"version\":\"2.1.0\",\"runs\":[{}]}", "runs[0].tool"},
        {"{\"version\":\"2.1.0\",\"runs\":[{\"tool\":{\"driver\":{}}}]}",
         "runs[0].tool.driver.name"},
        {RUN(""), "runs[0].results"},
        {RUN(",\"results\":null"), "runs[0].results"},
        {RUN(",\"results\":[],\"invocations\":[{\"executionSuccessful\":false}]"),
         "runs[0].invocations[0].executionSuccessful"},
        {RUN(",\"results\":[],\"invocations\":[{\"endTimeUtc\":\"now\"}]"),
         "runs[0].invocations[0].endTimeUtc"},
        {RUN(",\"results\":[7]"), "runs[0].results[0].message"},
        {RESULT(""), "runs[0].results[0].ruleId"},
        {RESULT(",\"ruleIndex\":0"), "runs[0].results[0].ruleId"},
        {RESULT(",\"ruleIndex\":9223372036854775807"), "runs[0].results[0].ruleId"},
        {RESULT(",\"ruleId\":7"), "runs[0].results[0].ruleId"},
        {RESULT(",\"ruleId\":\"a\",\"level\":\"notice\""), "runs[0].results[0].level"},
        {RESULT(",\"ruleId\":\"a\",\"kind\":\"bad\""), "runs[0].results[0].kind"},
        {RESULT(",\"ruleId\":\"a\",\"baselineState\":\"gone\""),
         "runs[0].results[0].baselineState"},
        {"{\"version\":\"2.1.0\",\"runs\":[{\"tool\":{\"driver\":{\"name\":\"s\",\"rules\":[{}]}},"
         "\"results\":[]}]}",
         "runs[0].tool.driver.rules[0].id"},
        {"{\"matches\":[]}", "descriptor"},
        {"{\"matches\":{},\"descriptor\":{\"name\":\"grype\"}}", "matches"},
        {GRYPE("[{}]"), "matches[0].vulnerability"},
        {GRYPE("[{\"vulnerability\":{},\"artifact\":{}}]"), "matches[0].vulnerability.id"},
        {GRYPE("[{\"vulnerability\":{\"id\":\"C\",\"severity\":9},\"artifact\":{}}]"),
         "matches[0].vulnerability.severity"},
        {GRYPE("[{\"vulnerability\":{\"id\":\"C\"},\"artifact\":{}}]"), "matches[0].artifact.name"},
        {"{\"SchemaVersion\":1,\"ArtifactName\":\"a\"}", "SchemaVersion"},
        {"{\"SchemaVersion\":\"2\",\"ArtifactName\":\"a\"}", "SchemaVersion"},
        {"{\"SchemaVersion\":2}", "ArtifactName"},
        {TRIVY(",\"CreatedAt\":\"now\""), "CreatedAt"},
        {TRIVY(",\"Results\":{}"), "Results"},
        {TRIVY(",\"Results\":[{}]"), "Results[0].Target"},
        {TRIVY(",\"Results\":[{\"Target\":\"t\",\"Vulnerabilities\":[{}]}]"),
         "Results[0].Vulnerabilities[0].VulnerabilityID"},
        {TRIVY(
             ",\"Results\":[{\"Target\":\"t\",\"Vulnerabilities\":[{\"VulnerabilityID\":\"C\"}]}]"),
         "Results[0].Vulnerabilities[0].PkgName"},
        {TRIVY(",\"Trivy\":{\"Version\":7}"), "Trivy.Version"},
        {"{\"matches\":[],\"descriptor\":{\"name\":\"a\\u0000b\"}}", "JSON"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct report report = {.highest = SEVERITY_LOW};
        struct fault fault = {0};
        assert_int_equal(report_read(span_text(bad[i].text), &report, &fault), -1);
        assert_int_equal(fault.code, FAULT_ARTIFACT_INVALID);
        assert_int_equal(report.highest, SEVERITY_LOW);
        if (strstr(fault.detail, bad[i].word) == NULL)
            fail_msg("%s: '%s' does not say '%s'", bad[i].text, fault.detail, bad[i].word);
    }
}

/* Attack: an id of nothing but levels, which must not be looked up once for each of them. */
static void a_long_hierarchical_id(void **state)
{
    (void)state;
    AUTO_BUF struct buf text = BUF(DOCUMENT_MAX);
    buf_puts(&text, "{\"version\":\"2.1.0\",\"runs\":[{" DRIVER ",\"results\":[{\"message\":{},"
                    "\"ruleId\":\"");
    while (text.len + 64 < DOCUMENT_MAX)
        buf_puts(&text, "////////////////");
    buf_puts(&text, "\"}]}]}");
    struct report report;
    assert_int_equal(report_read(buf_span(&text), &report, NULL), 0);
    assert_int_equal(report.counts[SEVERITY_MEDIUM], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_report_of_grype),
        cmocka_unit_test(a_report_of_trivy),
        cmocka_unit_test(a_sarif_log),
        cmocka_unit_test(nothing_found_is_none),
        cmocka_unit_test(one_finding_each),
        cmocka_unit_test(the_highest_is_what_is_known),
        cmocka_unit_test(what_is_none_is_refused_by_name),
        cmocka_unit_test(a_long_hierarchical_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
