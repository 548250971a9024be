/* SPDX-License-Identifier: Apache-2.0 */
/* SARIF 2.1.0; section numbers are of that standard. */
#include "trust/report_parts.h"

#include <string.h>

#define ID_LEVELS_MAX 8

/* One run, and what its results refer to. */
struct run {
    const json_t *object;
    char prefix[32];      /* "runs[0]." */
    const json_t *driver; /* its rules are what ruleIndex counts */
    json_t *rules;        /* id -> rule; owned */
};

static void run_free(struct run *run)
{
    json_decref(run->rules);
}

static bool one_of(const char *text, const char *const *list)
{
    for (; *list != NULL; list++)
        if (strcmp(text, *list) == 0)
            return true;
    return false;
}

/* Its property bag's security-severity: a string, from some tools a number. */
static enum severity scored(const json_t *described)
{
    const json_t *score =
        json_object_get(json_object_get(described, "properties"), "security-severity");
    double number = json_number_value(score);
    if (json_is_number(score) && number >= 0 && number <= 10) {
        char text[16];
        int hundredths = (int)(number * 100);
        (void)snprintf(text, sizeof text, "%d.%02d", hundredths / 100, hundredths % 100);
        return severity_of_score(text);
    }
    return severity_of_score(json_string_value(score));
}

static bool has_score(const json_t *described)
{
    return json_object_get(json_object_get(described, "properties"), "security-severity") != NULL;
}

/* ---- rules ---- */

/* Ids need not be unique (3.49.3): of several rules the worst stands for them all. */
static int note_rules(struct run *run, const json_t *component, const char *prefix,
                      struct fault *fault)
{
    size_t i;
    json_t *rules, *rule, *id;
    if (document_member(component, prefix, "rules", JSON_KIND_ARRAY, false, &rules, fault) != 0)
        return -1;
    json_array_foreach(rules, i, rule)
    {
        char inner[DOCUMENT_PREFIX_MAX];
        (void)snprintf(inner, sizeof inner, "%.200srules[%zu].", prefix, i);
        if (document_member(rule, inner, "id", JSON_KIND_STRING, true, &id, fault) != 0)
            return -1;
        const json_t *known = json_object_get(run->rules, json_string_value(id));
        if (known != NULL && severity_weight(scored(known)) >= severity_weight(scored(rule)))
            continue;
        if (json_object_set(run->rules, json_string_value(id), rule) != 0)
            return fault_set(fault, FAULT_INTERNAL, "out of memory");
    }
    return 0;
}

/* The rule of an id; a hierarchical one (3.27.5) may belong to a rule some levels above it. */
static const json_t *rule_by_id(const struct run *run, const char *id)
{
    const json_t *rule = json_object_get(run->rules, id);
    size_t len = strlen(id);
    for (int level = 0; rule == NULL && level < ID_LEVELS_MAX; level++) {
        const char *slash = memrchr(id, '/', len);
        if (slash == NULL)
            break;
        len = (size_t)(slash - id);
        rule = json_object_getn(run->rules, id, len);
    }
    return rule;
}

/* By its id where it has one: scanners were seen to write ruleIndex 0 for all. ret_rule is NULL
 * where the tool does not describe it. */
static int find_rule(const struct run *run, const json_t *result, const char *prefix,
                     const char **ret_id, const json_t **ret_rule, struct fault *fault)
{
    json_t *id, *reference, *index;
    if (document_member(result, prefix, "ruleId", JSON_KIND_STRING, false, &id, fault) != 0 ||
        document_member(result, prefix, "ruleIndex", JSON_KIND_INTEGER, false, &index, fault) !=
            0 ||
        document_member(result, prefix, "rule", JSON_KIND_OBJECT, false, &reference, fault) != 0)
        return -1;
    const json_t *rule = NULL;
    const char *name = json_string_value(id != NULL ? id : json_object_get(reference, "id"));
    json_int_t at = index == NULL ? -1 : json_integer_value(index);
    if (name != NULL)
        rule = rule_by_id(run, name);
    else if (at >= 0)
        rule = json_array_get(json_object_get(run->driver, "rules"), (size_t)at);
    if (name == NULL)
        name = json_string_value(json_object_get(rule, "id"));
    if (name == NULL)
        return fault_set(fault, FAULT_ARTIFACT_INVALID,
                         "%sruleId: expected a rule's id, or its place as ruleIndex", prefix);
    *ret_id = name;
    *ret_rule = rule;
    return 0;
}

/* ---- results ---- */

/* 3.27.10: its level, else its rule's, else warning. */
static int level_of(const json_t *result, const json_t *rule, const char *prefix,
                    enum severity *ret_severity, struct fault *fault)
{
    static const struct {
        const char *level;
        enum severity severity;
    } levels[] = {{"error", SEVERITY_CRITICAL},
                  {"warning", SEVERITY_MEDIUM},
                  {"note", SEVERITY_LOW},
                  {"none", SEVERITY_UNKNOWN}}; /* of a failure: contradicts 3.27.9 */
    json_t *level;
    if (document_member(result, prefix, "level", JSON_KIND_STRING, false, &level, fault) != 0)
        return -1;
    if (level == NULL)
        level = json_object_get(json_object_get(rule, "defaultConfiguration"), "level");
    const char *text = level == NULL ? "warning" : json_string_value(level);
    for (size_t i = 0; text != NULL && i < ARRAY_LEN(levels); i++)
        if (strcmp(text, levels[i].level) == 0) {
            *ret_severity = levels[i].severity;
            return 0;
        }
    return fault_set(fault, FAULT_ARTIFACT_INVALID,
                     "%slevel: expected error, warning, note or none, here or in its rule", prefix);
}

static int rate(const json_t *result, const json_t *rule, const char *prefix,
                enum severity *ret_severity, struct fault *fault)
{
    enum severity level;
    if (level_of(result, rule, prefix, &level, fault) != 0)
        return -1;
    *ret_severity = has_score(rule) ? scored(rule) : has_score(result) ? scored(result) : level;
    return 0;
}

/* 3.27.9 and 3.27.24: does it tell of something that is wrong now? */
static int is_finding(const json_t *result, const char *prefix, bool *ret_finding,
                      struct fault *fault)
{
    static const char *const wrong[] = {"fail", "open", "review", NULL};
    static const char *const fine[] = {"pass", "notApplicable", "informational", NULL};
    static const char *const states[] = {"new", "unchanged", "updated", "absent", NULL};
    json_t *kind, *baseline;
    if (document_member(result, prefix, "kind", JSON_KIND_STRING, false, &kind, fault) != 0 ||
        document_member(result, prefix, "baselineState", JSON_KIND_STRING, false, &baseline,
                        fault) != 0)
        return -1;
    const char *text = kind == NULL ? "fail" : json_string_value(kind);
    if (!one_of(text, wrong) && !one_of(text, fine))
        return fault_set(fault, FAULT_ARTIFACT_INVALID, "%skind: not one of SARIF's", prefix);
    if (baseline != NULL && !one_of(json_string_value(baseline), states))
        return fault_set(fault, FAULT_ARTIFACT_INVALID, "%sbaselineState: not one of SARIF's",
                         prefix);
    bool gone = baseline != NULL && strcmp(json_string_value(baseline), "absent") == 0;
    *ret_finding = one_of(text, wrong) && !gone;
    return 0;
}

static int read_result(const struct run *run, const json_t *result, const char *prefix,
                       struct findings *findings, struct fault *fault)
{
    json_t *message, *locations;
    const json_t *rule = NULL;
    const char *id = NULL;
    bool finding;
    enum severity severity;
    if (document_member(result, prefix, "message", JSON_KIND_OBJECT, true, &message, fault) != 0 ||
        document_member(result, prefix, "locations", JSON_KIND_ARRAY, false, &locations, fault) !=
            0 ||
        is_finding(result, prefix, &finding, fault) != 0 ||
        find_rule(run, result, prefix, &id, &rule, fault) != 0 ||
        rate(result, rule, prefix, &severity, fault) != 0)
        return -1;
    if (!finding)
        return 0;
    buf_puts(&findings->key, id);
    findings_part(findings);
    json_append(&findings->key, message);
    findings_part(findings);
    if (json_array_size(locations) > 0)
        json_append(&findings->key, json_array_get(locations, 0));
    return findings_add(findings, severity, fault);
}

/* ---- runs ---- */

/* When it ended, if it says; a scan that failed is no report (3.20.14). */
static int read_invocations(const struct run *run, struct report *report, struct fault *fault)
{
    size_t i;
    json_t *list, *one, *successful;
    if (document_member(run->object, run->prefix, "invocations", JSON_KIND_ARRAY, false, &list,
                        fault) != 0)
        return -1;
    json_array_foreach(list, i, one)
    {
        char prefix[DOCUMENT_PREFIX_MAX];
        int64_t ended;
        (void)snprintf(prefix, sizeof prefix, "%sinvocations[%zu].", run->prefix, i);
        if (document_member(one, prefix, "executionSuccessful", JSON_KIND_BOOL, false, &successful,
                            fault) != 0 ||
            document_time(one, prefix, "endTimeUtc", false, &ended, fault) != 0)
            return -1;
        if (json_is_false(successful))
            return fault_set(fault, FAULT_ARTIFACT_INVALID,
                             "%sexecutionSuccessful: the scan says that it failed", prefix);
        if (ended > report->generated_ms)
            report->generated_ms = ended;
    }
    return 0;
}

static int read_tool(struct run *run, struct report *report, struct fault *fault)
{
    char prefix[DOCUMENT_PREFIX_MAX];
    char name[DOCUMENT_TEXT_MAX + 1], version[DOCUMENT_TEXT_MAX + 1],
        semantic[DOCUMENT_TEXT_MAX + 1];
    json_t *tool, *driver, *extensions, *extension;
    size_t i;
    if (document_member(run->object, run->prefix, "tool", JSON_KIND_OBJECT, true, &tool, fault) !=
        0)
        return -1;
    (void)snprintf(prefix, sizeof prefix, "%stool.", run->prefix);
    if (document_member(tool, prefix, "driver", JSON_KIND_OBJECT, true, &driver, fault) != 0 ||
        document_member(tool, prefix, "extensions", JSON_KIND_ARRAY, false, &extensions, fault) !=
            0)
        return -1;
    (void)snprintf(prefix, sizeof prefix, "%stool.driver.", run->prefix);
    if (document_text(driver, prefix, "name", true, name, fault) != 0 ||
        document_text(driver, prefix, "version", false, version, fault) != 0 ||
        document_text(driver, prefix, "semanticVersion", false, semantic, fault) != 0 ||
        note_rules(run, driver, prefix, fault) != 0)
        return -1;
    json_array_foreach(extensions, i, extension)
    {
        (void)snprintf(prefix, sizeof prefix, "%stool.extensions[%zu].", run->prefix, i);
        if (note_rules(run, extension, prefix, fault) != 0)
            return -1;
    }
    run->driver = driver;
    if (report->tool[0] != '\0') /* a later run */
        return 0;
    memcpy(report->tool, name, sizeof name);
    memcpy(report->tool_version, version[0] == '\0' ? semantic : version, sizeof version);
    return 0;
}

static int read_run(const json_t *object, size_t number, struct report *report,
                    struct findings *findings, struct fault *fault)
{
    AUTO(run_free) struct run run = {.object = object, .rules = json_object()};
    json_t *results, *result;
    size_t i;
    (void)snprintf(run.prefix, sizeof run.prefix, "runs[%zu].", number);
    if (run.rules == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    if (read_tool(&run, report, fault) != 0 || read_invocations(&run, report, fault) != 0 ||
        document_member(object, run.prefix, "results", JSON_KIND_ARRAY, true, &results, fault) !=
            0) /* 3.14.23: absent or null, the tool did not look */
        return -1;
    json_array_foreach(results, i, result)
    {
        char prefix[DOCUMENT_PREFIX_MAX];
        (void)snprintf(prefix, sizeof prefix, "%sresults[%zu].", run.prefix, i);
        if (read_result(&run, result, prefix, findings, fault) != 0)
            return -1;
    }
    return 0;
}

int report_read_sarif(const json_t *object, struct report *report, struct findings *findings,
                      struct fault *fault)
{
    json_t *version, *runs, *run;
    size_t i;
    report->format = "sarif";
    if (document_member(object, "", "version", JSON_KIND_STRING, true, &version, fault) != 0 ||
        document_member(object, "", "runs", JSON_KIND_ARRAY, true, &runs, fault) != 0)
        return -1;
    if (strcmp(json_string_value(version), "2.1.0") != 0)
        return fault_set(fault, FAULT_ARTIFACT_INVALID, "version: expected 2.1.0");
    if (json_array_size(runs) == 0)
        return fault_set(fault, FAULT_ARTIFACT_INVALID, "runs: expected at least one");
    json_array_foreach(runs, i, run)
    {
        if (read_run(run, i, report, findings, fault) != 0)
            return -1;
    }
    return 0;
}
