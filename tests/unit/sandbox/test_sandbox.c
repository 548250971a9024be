/* SPDX-License-Identifier: Apache-2.0 */
/* The common part in front of every backend, over one that only takes notes. */
#include "sandbox/sandbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

struct notes {
    char calls[64];
    bool fail_sweep, fail_probe, fail_clear;
    int runs;
};

static struct notes *note(void *state, const char *call)
{
    struct notes *notes = state;
    size_t len = strlen(notes->calls);
    (void)snprintf(notes->calls + len, sizeof notes->calls - len, "%s ", call);
    return notes;
}

static int note_open(const struct sandbox_config *config, void **ret_state, struct fault *fault)
{
    (void)fault;
    /* The configuration carries the notes: a backend has no other way in. */
    union {
        const char *in;
        void *out;
    } notes = {.in = config->state_dir};
    *ret_state = notes.out;
    (void)note(*ret_state, "open");
    return 0;
}

static int note_sweep(void *state, struct fault *fault)
{
    return note(state, "sweep")->fail_sweep ? fault_set(fault, FAULT_UNAVAILABLE, "no sweep") : 0;
}

static int note_probe(void *state, json_t **ret_checks, json_t **ret_runtime, struct fault *fault)
{
    if (note(state, "probe")->fail_probe)
        return fault_set(fault, FAULT_UNAVAILABLE, "no probe");
    *ret_checks = json_pack("{s:s}", "held", "all");
    *ret_runtime = json_pack("{s:s}", "name", "notes");
    return 0;
}

static int note_run(void *state, const struct sandbox_job *job, struct sandbox_result *ret_result,
                    void **ret_remains, struct fault *fault)
{
    (void)job, (void)fault;
    *ret_remains = state;
    struct notes *notes = state;
    notes->runs++;
    *ret_result = (struct sandbox_result){.end = SANDBOX_EXITED, .exit_code = 5};
    return 0;
}

static int note_clear(void *remains, struct fault *fault)
{
    return note(remains, "clear")->fail_clear ? fault_set(fault, FAULT_INTERNAL, "it stays") : 0;
}

static void note_close(void *state)
{
    (void)note(state, "close");
}

static const struct sandbox_backend backend = {
    .name = "notes",
    .open = note_open,
    .sweep = note_sweep,
    .probe = note_probe,
    .run = note_run,
    .clear = note_clear,
    .close = note_close,
};

static int open_with(struct notes *notes, struct sandbox **sandbox, struct fault *fault)
{
    struct sandbox_config config = sandbox_config_defaults();
    config.state_dir = (const char *)notes;
    return sandbox_open(&backend, &config, sandbox, fault);
}

static void test_sweeps_then_probes(void **state)
{
    (void)state;
    struct notes notes = {0};
    struct sandbox *sandbox = NULL;
    struct fault fault = {0};
    assert_int_equal(open_with(&notes, &sandbox, &fault), 0);
    assert_string_equal(notes.calls, "open sweep probe ");
    assert_string_equal(sandbox_name(sandbox), "notes");
    assert_non_null(json_object_get(sandbox_isolation_checks(sandbox), "held"));
    assert_non_null(json_object_get(sandbox_runtime(sandbox), "name"));
    sandbox_free(sandbox);
    assert_string_equal(notes.calls, "open sweep probe close ");
    sandbox_free(NULL);
}

static void test_a_failed_opening_closes(void **state)
{
    (void)state;
    struct notes swept = {.fail_sweep = true};
    struct notes probed = {.fail_probe = true};
    struct sandbox *sandbox = NULL;
    struct fault fault = {0};
    assert_int_equal(open_with(&swept, &sandbox, &fault), -1);
    assert_string_equal(swept.calls, "open sweep close ");
    assert_int_equal(open_with(&probed, &sandbox, &fault), -1);
    assert_string_equal(probed.calls, "open sweep probe close ");
    assert_null(sandbox);
}

/* ---- what no backend gets to see ---- */

static const char *const argv[] = {"/bin/x", NULL};

static struct sandbox_job good(void)
{
    return (struct sandbox_job){
        .id = "01900000-0000-7000-8000-000000000003",
        .rootfs = "/root/of/it",
        .argv = argv,
        .cancel_fd = -1,
        .limits = {1000, 1 << 20, 1, 1, 4096, 3, 1, 1, 1},
    };
}

static void expect(struct sandbox *sandbox, const struct sandbox_job *job, enum fault_code code)
{
    AUTO_SANDBOX_RESULT struct sandbox_result result = {0};
    struct fault fault = {0};
    int got = sandbox_run(sandbox, job, &result, NULL, &fault);
    if (fault.code != code || (got == 0) != (code == FAULT_NONE))
        fail_msg("%d %s (%s), expected %s", got, fault_name(fault.code), fault.detail,
                 fault_name(code));
}

static void test_jobs_that_cannot_be(void **state)
{
    (void)state;
    struct notes notes = {0};
    AUTO_SANDBOX struct sandbox *sandbox = NULL;
    struct fault fault = {0};
    assert_int_equal(open_with(&notes, &sandbox, &fault), 0);
    struct sandbox_job job = good();
    expect(sandbox, &job, FAULT_NONE);
    assert_int_equal(notes.runs, 1);

    job.id = "../01900000-0000-7000-8000-000000000003";
    expect(sandbox, &job, FAULT_INTERNAL);
    job = good(), job.rootfs = "relative";
    expect(sandbox, &job, FAULT_INTERNAL);
    job = good(), job.argv = NULL;
    expect(sandbox, &job, FAULT_MANIFEST_INVALID);
    job = good(), job.argv = (const char *const[]){NULL};
    expect(sandbox, &job, FAULT_MANIFEST_INVALID);
    job = good(), job.argv = (const char *const[]){"x", NULL};
    expect(sandbox, &job, FAULT_MANIFEST_INVALID);
    job = good(), job.env = (const char *const[]){"NAME", NULL};
    expect(sandbox, &job, FAULT_MANIFEST_INVALID);
    job = good(), job.env = (const char *const[]){"=value", NULL};
    expect(sandbox, &job, FAULT_MANIFEST_INVALID);
    job = good(), job.workdir = "tmp";
    expect(sandbox, &job, FAULT_MANIFEST_INVALID);
    job = good(), job.stdin_data = span_of(argv, SANDBOX_STDIN_MAX + 1);
    expect(sandbox, &job, FAULT_MANIFEST_INVALID);
    static const char *many[SANDBOX_ARGS_MAX + 2];
    for (size_t i = 0; i <= SANDBOX_ARGS_MAX; i++)
        many[i] = "/x";
    job = good(), job.argv = many;
    expect(sandbox, &job, FAULT_MANIFEST_INVALID);
    static const char *const names[] = {"", ".", "..", "a/b", "/a"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct sandbox_input input = {names[i], "/somewhere"};
        job = good(), job.inputs = &input, job.input_count = 1;
        expect(sandbox, &job, FAULT_MANIFEST_INVALID);
    }
    assert_int_equal(notes.runs, 1);
}

static void test_every_limit_is_wanted(void **state)
{
    (void)state;
    struct notes notes = {0};
    AUTO_SANDBOX struct sandbox *sandbox = NULL;
    struct fault fault = {0};
    assert_int_equal(open_with(&notes, &sandbox, &fault), 0);
    for (size_t i = 0; i < sizeof(struct sandbox_limits) / sizeof(int64_t); i++) {
        static const int64_t wrong[] = {0, -1, INT64_MIN, INT64_MAX};
        for (size_t j = 0; j < ARRAY_LEN(wrong); j++) {
            struct sandbox_job job = good();
            int64_t *limits[] = {
                &job.limits.wall_ms,         &job.limits.memory_bytes, &job.limits.pids,
                &job.limits.cpu_percent,     &job.limits.tmp_bytes,    &job.limits.open_files,
                &job.limits.file_size_bytes, &job.limits.stdout_bytes, &job.limits.stderr_bytes};
            *limits[i] = wrong[j];
            expect(sandbox, &job, FAULT_MANIFEST_INVALID);
        }
    }
    assert_int_equal(notes.runs, 0);
}

static void test_what_a_run_leaves(void **state)
{
    (void)state;
    struct notes notes = {0};
    AUTO_SANDBOX struct sandbox *sandbox = NULL;
    struct sandbox_job job = good();
    struct sandbox_result result;
    struct sandbox_remains remains;
    struct fault fault = {0};
    assert_int_equal(open_with(&notes, &sandbox, &fault), 0);
    assert_int_equal(sandbox_run(sandbox, &job, &result, NULL, &fault), 0);
    assert_string_equal(notes.calls, "open sweep probe clear ");
    assert_int_equal(sandbox_run(sandbox, &job, &result, &remains, &fault), 0);
    assert_string_equal(notes.calls, "open sweep probe clear ");
    assert_int_equal(sandbox_clear(&remains, &fault), 0);
    assert_int_equal(sandbox_clear(&remains, &fault), 0);
    assert_string_equal(notes.calls, "open sweep probe clear clear ");
    assert_string_equal(result.detail, "");

    notes.fail_clear = true;
    assert_int_equal(sandbox_run(sandbox, &job, &result, NULL, &fault), 0);
    assert_string_equal(result.detail, "left behind: it stays");
    assert_int_equal(sandbox_run(sandbox, &job, &result, &remains, &fault), 0);
    assert_int_equal(sandbox_clear(&remains, &fault), -1);
    assert_int_equal(fault.code, FAULT_INTERNAL);
    job.argv = NULL;
    assert_int_equal(sandbox_run(sandbox, &job, &result, &remains, &fault), -1);
    assert_int_equal(sandbox_clear(&remains, &fault), 0);
    assert_string_equal(notes.calls, "open sweep probe clear clear clear clear ");
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(sandbox_end_name(SANDBOX_TIMED_OUT), "timed_out");
    assert_string_equal(sandbox_end_name(SANDBOX_END_COUNT), "unknown");
    AUTO_JSON json_t *none = sandbox_hits_json(0);
    AUTO_JSON json_t *some = sandbox_hits_json(SANDBOX_HIT_TMP | SANDBOX_HIT_MEMORY);
    AUTO_FREE char *text = json_dumps(some, JSON_COMPACT);
    assert_int_equal(json_array_size(none), 0);
    assert_string_equal(text, "[\"memory\",\"tmp\"]");
    enum sandbox_apparmor mode = SANDBOX_APPARMOR_OFF;
    assert_int_equal(sandbox_apparmor_parse("if_available", &mode), 0);
    assert_int_equal(mode, SANDBOX_APPARMOR_IF_AVAILABLE);
    assert_int_equal(sandbox_apparmor_parse("no", &mode), -1);
    assert_int_equal(mode, SANDBOX_APPARMOR_IF_AVAILABLE);
    assert_ptr_equal(sandbox_backend_find("gvisor"), &sandbox_gvisor);
    assert_null(sandbox_backend_find("null"));
    assert_int_equal(sandbox_config_defaults().apparmor, SANDBOX_APPARMOR_REQUIRED);
    sandbox_result_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sweeps_then_probes),  cmocka_unit_test(test_a_failed_opening_closes),
        cmocka_unit_test(test_jobs_that_cannot_be), cmocka_unit_test(test_every_limit_is_wanted),
        cmocka_unit_test(test_what_a_run_leaves),   cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
