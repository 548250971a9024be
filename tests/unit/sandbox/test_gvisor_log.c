/* SPDX-License-Identifier: Apache-2.0 */
/* What is believed about a run's end, case by case: the tool's own end only where the sentry
 * said so, and runsc agrees. */
#include "base/file.h"
#include "sandbox/gvisor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <string.h>

#define LINE(text) "{\"msg\":\"" text "\",\"level\":\"info\",\"time\":\"2026-01-02T03:04:05Z\"}\n"
#define STARTED LINE("Process should have started...")
#define ENDED(status) LINE("Exiting with status: " status)

static void test_sentry_log(void **state)
{
    (void)state;
    static const struct {
        const char *log;
        bool cut, started, ended;
        int status;
    } cases[] = {
        {"", false, false, false, 0},
        {LINE("EXEC: [/bin/x]"), false, false, false, 0},
        {STARTED, false, true, false, 0},
        {STARTED ENDED("0"), false, true, true, 0},
        {STARTED ENDED("768"), false, true, true, 768},
        {STARTED ENDED("9"), false, true, true, 9},
        {ENDED("512") LINE("Watchdog stopped"), false, true, true, 512}, /* order is not kept */
        {"tail of a line\"}\n" STARTED ENDED("0"), true, true, true, 0},
        {"tail of a line\"}\n", true, true, false, 0},
        {STARTED "{\"msg\":\"Exiting with status: 0\"", false, true, false, 0}, /* cut off */
        {STARTED ENDED("zero"), false, true, false, 0},
        {STARTED ENDED("-1"), false, true, false, 0},
        {STARTED ENDED("99999999999"), false, true, false, 0},
        {STARTED LINE("[ 1: 1] Exiting with status: 0"), false, true, false, 0},
        {STARTED "{\"msg\":[\"Exiting with status: 0\"]}\n", false, true, false, 0},
        {STARTED "[]\n{}\nnull\n\n\xff\n", false, true, false, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct gvisor_evidence evidence =
            gvisor_sentry_log_read(span_text(cases[i].log), cases[i].cut);
        if (evidence.started != cases[i].started || evidence.ended != cases[i].ended ||
            evidence.wait_status != cases[i].status)
            fail_msg("case %zu: started %d ended %d status %d", i, evidence.started, evidence.ended,
                     evidence.wait_status);
    }
}

static void test_complaint(void **state)
{
    (void)state;
    char text[20];
    gvisor_log_complaint(span_text(STARTED), text, sizeof text);
    assert_string_equal(text, "");
    gvisor_log_complaint(span_text(LINE("FATAL ERROR: no such file") LINE("later")), text,
                         sizeof text);
    assert_string_equal(text, "no such file");
    gvisor_log_complaint(span_text(LINE("FATAL ERROR: a reason that is too long")), text,
                         sizeof text);
    assert_string_equal(text, "a reason that is to");
}

/* ---- judging ---- */

struct judged {
    struct bundle *bundle;
    char folder[64];
};

static int setup(void **state)
{
    static struct judged judged;
    static const char *const argv[] = {"/bin/x", NULL};
    struct sandbox_job job = {
        .id = "01900000-0000-7000-8000-000000000002", .argv = argv, .limits = {.tmp_bytes = 4096}};
    struct fault fault = {0};
    (void)snprintf(judged.folder, sizeof judged.folder, "/tmp/sallyport-judge.XXXXXX");
    *state = &judged;
    return mkdtemp(judged.folder) == NULL ||
           bundle_make(judged.folder, &job, 1, 1, &judged.bundle, &fault) != 0;
}

static int teardown(void **state)
{
    struct judged *judged = *state;
    struct fault fault = {0};
    assert_int_equal(bundle_remove(judged->bundle, &fault), 0);
    return dir_remove(judged->folder, &fault);
}

static void write_runtime_file(const struct judged *judged, const char *name, const char *text)
{
    char path[256];
    struct fault fault = {0};
    (void)snprintf(path, sizeof path, "%s/%s", bundle_runtime(judged->bundle), name);
    assert_int_equal(file_replace(path, text, strlen(text), 0600, &fault), 0);
}

static struct sandbox_result judge(const struct judged *judged, enum process_end end, int status,
                                   const char *sentry_log, bool out_of_memory)
{
    struct process_result process = {.end = end, .status = status};
    tail_begin(&process.side, 4096);
    tail_feed(&process.side, sentry_log, strlen(sentry_log));
    struct sandbox_result result = {0};
    gvisor_judge(judged->bundle, &process, out_of_memory, &result);
    process_result_free(&process);
    return result;
}

static void expect(struct sandbox_result result, enum sandbox_end end, int code, int signal_number)
{
    assert_string_equal(sandbox_end_name(result.end), sandbox_end_name(end));
    assert_int_equal(result.exit_code, code);
    assert_int_equal(result.signal, signal_number);
    sandbox_result_free(&result);
}

static void test_the_tools_own_ends(void **state)
{
    const struct judged *judged = *state;
    expect(judge(judged, PROCESS_EXITED, 0, STARTED ENDED("0"), false), SANDBOX_EXITED, 0, 0);
    expect(judge(judged, PROCESS_EXITED, 3, STARTED ENDED("768"), false), SANDBOX_EXITED, 3, 0);
    expect(judge(judged, PROCESS_EXITED, 137, STARTED ENDED("9"), false), SANDBOX_SIGNALED, -1,
           SIGKILL);
    expect(judge(judged, PROCESS_EXITED, 137, STARTED ENDED("35072"), false), SANDBOX_EXITED, 137,
           0);
    struct sandbox_result large =
        judge(judged, PROCESS_EXITED, 128 + SIGXFSZ, STARTED ENDED("25"), false);
    assert_int_equal(large.limits_hit, SANDBOX_HIT_FILE_SIZE);
    expect(large, SANDBOX_SIGNALED, -1, SIGXFSZ);
}

static void test_the_runtimes_ends_are_never_the_tools(void **state)
{
    const struct judged *judged = *state;
    /* the sentry said nothing, whatever runsc says, 0 above all */
    expect(judge(judged, PROCESS_EXITED, 0, STARTED, false), SANDBOX_RUNTIME_DIED, -1, 0);
    expect(judge(judged, PROCESS_EXITED, 2, STARTED, false), SANDBOX_RUNTIME_DIED, -1, 0);
    expect(judge(judged, PROCESS_EXITED, 137, STARTED, false), SANDBOX_RUNTIME_DIED, -1, 0);
    /* they disagree */
    expect(judge(judged, PROCESS_EXITED, 0, STARTED ENDED("256"), false), SANDBOX_RUNTIME_DIED, -1,
           0);
    expect(judge(judged, PROCESS_EXITED, 128, STARTED ENDED("0"), false), SANDBOX_RUNTIME_DIED, -1,
           0);
    /* runsc itself was killed */
    expect(judge(judged, PROCESS_SIGNALED, SIGKILL, STARTED ENDED("9"), false),
           SANDBOX_RUNTIME_DIED, -1, 0);
    expect(judge(judged, PROCESS_EXITED, 128, "", false), SANDBOX_FAILED_TO_START, -1, 0);
}

static void test_the_reason_is_found(void **state)
{
    const struct judged *judged = *state;
    write_runtime_file(judged, GVISOR_LOG, LINE("FATAL ERROR: starting container: no such file"));
    struct sandbox_result result = judge(judged, PROCESS_EXITED, 128, "", false);
    assert_non_null(strstr(result.detail, "no such file"));
    expect(result, SANDBOX_FAILED_TO_START, -1, 0);
    write_runtime_file(judged, GVISOR_PANIC_LOG, "fatal error: newosproc\n\ngoroutine 1\n");
    result = judge(judged, PROCESS_EXITED, 2, STARTED, false);
    assert_non_null(strstr(result.detail, "fatal error: newosproc"));
    assert_null(strchr(result.detail, '\n'));
    expect(result, SANDBOX_RUNTIME_DIED, -1, 0);
}

static void test_ends_by_our_hand(void **state)
{
    const struct judged *judged = *state;
    struct sandbox_result result = judge(judged, PROCESS_TIMED_OUT, SIGKILL, STARTED, false);
    assert_int_equal(result.limits_hit, SANDBOX_HIT_WALL);
    expect(result, SANDBOX_TIMED_OUT, -1, 0);
    expect(judge(judged, PROCESS_CANCELLED, SIGKILL, STARTED, false), SANDBOX_CANCELLED, -1, 0);
    result = judge(judged, PROCESS_ALARMED, SIGKILL, STARTED, false);
    assert_int_equal(result.limits_hit, SANDBOX_HIT_MEMORY);
    expect(result, SANDBOX_OUT_OF_MEMORY, -1, 0);
    /* memory ran out, and what was seen is a consequence */
    expect(judge(judged, PROCESS_EXITED, 137, STARTED, true), SANDBOX_OUT_OF_MEMORY, -1, 0);
    expect(judge(judged, PROCESS_EXITED, 0, STARTED ENDED("0"), true), SANDBOX_OUT_OF_MEMORY, -1,
           0);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sentry_log), cmocka_unit_test(test_complaint),
        CASE(test_the_tools_own_ends),     CASE(test_the_runtimes_ends_are_never_the_tools),
        CASE(test_the_reason_is_found),    CASE(test_ends_by_our_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
