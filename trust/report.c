/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/report.h"

#include "trust/report_parts.h"

#define TRIVY_SCHEMA 2

/* One vulnerability of one version of one package. */
static int add_vulnerability(struct findings *findings, const json_t *id, const json_t *package,
                             const json_t *version, const json_t *severity, struct fault *fault)
{
    const json_t *const parts[] = {id, package, version};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        const char *text = json_string_value(parts[i]);
        buf_puts(&findings->key, text == NULL ? "" : text);
        findings_part(findings);
    }
    return findings_add(findings, severity_of_word(json_string_value(severity)), fault);
}

/* ---- Grype ---- */

static int grype_match(const json_t *match, const char *prefix, struct findings *findings,
                       struct fault *fault)
{
    char inner[DOCUMENT_PREFIX_MAX];
    json_t *vulnerability, *artifact, *id, *severity, *name, *version;
    if (document_member(match, prefix, "vulnerability", JSON_KIND_OBJECT, true, &vulnerability,
                        fault) != 0 ||
        document_member(match, prefix, "artifact", JSON_KIND_OBJECT, true, &artifact, fault) != 0)
        return -1;
    (void)snprintf(inner, sizeof inner, "%.200svulnerability.", prefix);
    if (document_member(vulnerability, inner, "id", JSON_KIND_STRING, true, &id, fault) != 0 ||
        document_member(vulnerability, inner, "severity", JSON_KIND_STRING, false, &severity,
                        fault) != 0)
        return -1;
    (void)snprintf(inner, sizeof inner, "%.200sartifact.", prefix);
    if (document_member(artifact, inner, "name", JSON_KIND_STRING, true, &name, fault) != 0 ||
        document_member(artifact, inner, "version", JSON_KIND_STRING, false, &version, fault) != 0)
        return -1;
    return add_vulnerability(findings, id, name, version, severity, fault);
}

static int read_grype(const json_t *object, struct report *report, struct findings *findings,
                      struct fault *fault)
{
    json_t *matches, *match, *descriptor;
    size_t i;
    report->format = "grype";
    if (document_member(object, "", "matches", JSON_KIND_ARRAY, true, &matches, fault) != 0 ||
        document_member(object, "", "descriptor", JSON_KIND_OBJECT, true, &descriptor, fault) !=
            0 ||
        document_text(descriptor, "descriptor.", "name", true, report->tool, fault) != 0 ||
        document_text(descriptor, "descriptor.", "version", false, report->tool_version, fault) !=
            0 ||
        document_time(descriptor, "descriptor.", "timestamp", false, &report->generated_ms,
                      fault) != 0)
        return -1;
    json_array_foreach(matches, i, match)
    {
        char prefix[DOCUMENT_PREFIX_MAX];
        (void)snprintf(prefix, sizeof prefix, "matches[%zu].", i);
        if (grype_match(match, prefix, findings, fault) != 0)
            return -1;
    }
    return 0;
}

/* ---- Trivy ---- */

static int trivy_result(const json_t *result, const char *prefix, struct findings *findings,
                        struct fault *fault)
{
    json_t *target, *list, *one, *id, *package, *version, *severity;
    size_t i;
    if (document_member(result, prefix, "Target", JSON_KIND_STRING, true, &target, fault) != 0 ||
        document_member(result, prefix, "Vulnerabilities", JSON_KIND_ARRAY, false, &list, fault) !=
            0)
        return -1;
    json_array_foreach(list, i, one)
    {
        char inner[DOCUMENT_PREFIX_MAX];
        (void)snprintf(inner, sizeof inner, "%.200sVulnerabilities[%zu].", prefix, i);
        if (document_member(one, inner, "VulnerabilityID", JSON_KIND_STRING, true, &id, fault) !=
                0 ||
            document_member(one, inner, "PkgName", JSON_KIND_STRING, true, &package, fault) != 0 ||
            document_member(one, inner, "InstalledVersion", JSON_KIND_STRING, false, &version,
                            fault) != 0 ||
            document_member(one, inner, "Severity", JSON_KIND_STRING, false, &severity, fault) !=
                0 ||
            add_vulnerability(findings, id, package, version, severity, fault) != 0)
            return -1;
    }
    return 0;
}

static int read_trivy(const json_t *object, struct report *report, struct findings *findings,
                      struct fault *fault)
{
    json_t *schema, *artifact, *itself, *results, *result;
    size_t i;
    report->format = "trivy";
    (void)snprintf(report->tool, sizeof report->tool, "trivy");
    if (document_member(object, "", "SchemaVersion", JSON_KIND_INTEGER, true, &schema, fault) !=
            0 ||
        document_member(object, "", "ArtifactName", JSON_KIND_STRING, true, &artifact, fault) !=
            0 ||
        document_member(object, "", "Trivy", JSON_KIND_OBJECT, false, &itself, fault) != 0 ||
        document_text(itself, "Trivy.", "Version", false, report->tool_version, fault) != 0 ||
        document_time(object, "", "CreatedAt", false, &report->generated_ms, fault) != 0 ||
        document_member(object, "", "Results", JSON_KIND_ARRAY, false, &results, fault) != 0)
        return -1;
    if (json_integer_value(schema) != TRIVY_SCHEMA)
        return fault_set(fault, FAULT_ARTIFACT_INVALID, "SchemaVersion: expected %d", TRIVY_SCHEMA);
    json_array_foreach(results, i, result)
    {
        char prefix[DOCUMENT_PREFIX_MAX];
        (void)snprintf(prefix, sizeof prefix, "Results[%zu].", i);
        if (trivy_result(result, prefix, findings, fault) != 0)
            return -1;
    }
    return 0;
}

/* ---- any ---- */

typedef int read_fn(const json_t *object, struct report *report, struct findings *findings,
                    struct fault *fault);

/* Each format has a member that no other has. */
static int recognise(const json_t *object, read_fn **ret_read, struct fault *fault)
{
    static const struct {
        const char *member;
        read_fn *read;
    } marks[] = {
        {"runs", report_read_sarif}, {"matches", read_grype}, {"SchemaVersion", read_trivy}};
    read_fn *found = NULL;
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_LEN(marks); i++)
        if (json_object_get(object, marks[i].member) != NULL) {
            found = marks[i].read;
            count++;
        }
    if (count != 1)
        return fault_set(fault, FAULT_ARTIFACT_INVALID,
                         "the report: expected one of runs (SARIF), matches (Grype), "
                         "SchemaVersion (Trivy), found %zu of them",
                         count);
    *ret_read = found;
    return 0;
}

int report_read(struct span document, struct report *ret_report, struct fault *fault)
{
    struct report report = {.generated_ms = INT64_MIN};
    AUTO_JSON json_t *object = NULL;
    AUTO_FINDINGS struct findings findings = findings_new();
    read_fn *read;
    if (document_parse(document, "the report", &object, fault) != 0 ||
        recognise(object, &read, fault) != 0 || read(object, &report, &findings, fault) != 0)
        return -1;
    findings_count(&findings, report.counts, &report.highest);
    *ret_report = report;
    return 0;
}

json_t *report_summary(const struct report *report)
{
    static const enum severity shown[] = {SEVERITY_CRITICAL, SEVERITY_HIGH,       SEVERITY_MEDIUM,
                                          SEVERITY_LOW,      SEVERITY_NEGLIGIBLE, SEVERITY_UNKNOWN};
    json_t *counts = json_object();
    for (size_t i = 0; i < ARRAY_LEN(shown); i++)
        (void)json_object_set_new(counts, severity_name(shown[i]),
                                  json_integer((json_int_t)report->counts[shown[i]]));
    return json_pack("{s:s, s:s, s:o, s:o, s:o, s:s}", "format", report->format, "tool",
                     report->tool, "tool_version", document_text_json(report->tool_version),
                     "generated_at", document_time_json(report->generated_ms), "counts", counts,
                     "highest", severity_name(report->highest));
}
