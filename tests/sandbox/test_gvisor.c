/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a tool in the sandbox sees what the contract says and nothing else, its end is told
 * as it was, and whatever happens nothing is left on the host. */
#include "tests/sandbox/harness.h"

#include "sandbox/runtime.h"

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>

static int nothing_left(void **state)
{
    harness_assert_nothing_left(*state);
    return 0;
}

/* ---- ends ---- */

static void test_exit_codes(void **state)
{
    static const char *const codes[] = {"0", "1", "3", "128", "137", "255"};
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        AUTO_SANDBOX_RESULT struct sandbox_result result =
            harness_run(*state, HARNESS_JOB("exit", codes[i]));
        harness_expect(&result, SANDBOX_EXITED, (int)strtol(codes[i], NULL, 10));
        assert_int_equal(result.limits_hit, 0);
        assert_string_equal(result.detail, "");
        assert_true(result.usage.wall_ms > 0 && result.usage.cpu_ms > 0);
        assert_true(result.usage.memory_peak_bytes > MIB);
        assert_true(result.finished_ms >= result.started_ms);
    }
}

static void test_signals(void **state)
{
    static const int signals[] = {SIGKILL, SIGSEGV, SIGTERM, SIGABRT, SIGUSR1};
    for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
        char number[12];
        (void)snprintf(number, sizeof number, "%d", signals[i]);
        AUTO_SANDBOX_RESULT struct sandbox_result result =
            harness_run(*state, HARNESS_JOB("signal", number));
        harness_expect(&result, SANDBOX_SIGNALED, signals[i]);
        assert_int_equal(result.exit_code, -1);
    }
}

static void test_missing_program(void **state)
{
    struct sandbox_job job = HARNESS_JOB("x");
    job.argv = (const char *const[]){"/bin/absent", NULL};
    AUTO_SANDBOX_RESULT struct sandbox_result result = harness_run(*state, job);
    harness_expect(&result, SANDBOX_FAILED_TO_START, 0);
    assert_non_null(strstr(result.detail, "absent"));
    assert_int_equal(result.output[SANDBOX_STDERR].bytes, 0); /* the runtime's own words */
}

/* ---- streams ---- */

static void test_streams(void **state)
{
    AUTO_SANDBOX_RESULT struct sandbox_result result = harness_run(*state, HARNESS_JOB("streams"));
    harness_expect(&result, SANDBOX_EXITED, 0);
    uint8_t all[256];
    for (int i = 0; i < 256; i++)
        all[i] = (uint8_t)i;
    struct digest expected = digest_of(all, sizeof all);
    const struct sandbox_output *out = &result.output[SANDBOX_STDOUT];
    assert_int_equal(out->bytes, sizeof all);
    assert_memory_equal(out->stored.data, all, sizeof all);
    assert_true(digest_equal(&out->sha256, &expected));
    assert_false(out->truncated);
    assert_string_equal(buf_text(&result.output[SANDBOX_STDERR].stored), "to stderr\n");
    assert_int_equal(result.usage.output_bytes, 256 + 10);
}

static void test_stdin(void **state)
{
    static char text[300000];
    memset(text, 'a', sizeof text - 1);
    struct sandbox_job job = HARNESS_JOB("cat", "-");
    job.stdin_data = span_of(text, sizeof text);
    AUTO_SANDBOX_RESULT struct sandbox_result result = harness_run(*state, job);
    struct digest expected = digest_of(text, sizeof text);
    assert_int_equal(result.output[SANDBOX_STDOUT].bytes, sizeof text);
    assert_true(digest_equal(&result.output[SANDBOX_STDOUT].sha256, &expected));
}

struct heard {
    char text[64];
    size_t len;
};

static void hear(void *context, enum sandbox_stream stream, uint64_t offset, const void *data,
                 size_t len)
{
    struct heard *heard = context;
    if (stream != SANDBOX_STDOUT)
        return;
    assert_int_equal(offset, heard->len);
    assert_true(heard->len + len <= sizeof heard->text);
    memcpy(heard->text + heard->len, data, len);
    heard->len += len;
}

static void test_sink(void **state)
{
    struct heard heard = {0};
    struct sandbox_job job = HARNESS_JOB("flood", "1");
    job.limits.stdout_bytes = 50;
    job.sink = hear;
    job.sink_context = &heard;
    AUTO_SANDBOX_RESULT struct sandbox_result result = harness_run(*state, job);
    harness_expect(&result, SANDBOX_EXITED, 0);
    assert_int_equal(heard.len, 50);
    assert_int_equal(heard.text[49], 'x');
    assert_int_equal(result.output[SANDBOX_STDOUT].bytes, MIB);
}

/* ---- what the tool sees ---- */

static void write_text(const char *path, const char *text)
{
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0444);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(fd, 0444), 0);
}

static void test_inputs_and_manifest(void **state)
{
    struct harness *harness = *state;
    char one[128], two[128];
    (void)snprintf(one, sizeof one, "%s/one", harness->folder);
    (void)snprintf(two, sizeof two, "%s/two", harness->folder);
    write_text(one, "first\n");
    write_text(two, "second\n");
    const struct sandbox_input inputs[] = {{"a.txt", one}, {"b c", two}};
    struct sandbox_job job =
        HARNESS_JOB("cat", "/in/a.txt", "/in/b c", "/in/none", "/run/sallyport/manifest.json");
    job.inputs = inputs;
    job.input_count = ARRAY_LEN(inputs);
    job.manifest = span_text("{\"exact\": \"bytes\"}");
    AUTO_SANDBOX_RESULT struct sandbox_result result = harness_run(harness, job);
    expect_stdout(&result, "first\nsecond\n/in/none: ENOENT\n{\"exact\": \"bytes\"}");
    assert_int_equal(unlink(one) | unlink(two), 0);
}

static void test_unsafe_inputs_are_refused(void **state)
{
    struct harness *harness = *state;
    char link_path[128], target[128];
    (void)snprintf(target, sizeof target, "%s/target", harness->folder);
    (void)snprintf(link_path, sizeof link_path, "%s/link", harness->folder);
    write_text(target, "x");
    assert_int_equal(symlink(target, link_path), 0);
    const struct sandbox_input refused[] = {
        {"link", link_path}, {"../up", target}, {"", target}, {"..", target}};
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        struct uuid id = uuid_v7();
        struct uuid_text text = uuid_format(&id);
        struct sandbox_job job = HARNESS_JOB("who");
        job.id = text.text;
        job.rootfs = harness->root;
        job.inputs = &refused[i];
        job.input_count = 1;
        struct sandbox_result result = {0};
        struct fault fault = {0};
        assert_int_equal(sandbox_run(harness->sandbox, &job, &result, NULL, &fault), -1);
        assert_true(fault.detail[0] != '\0');
    }
    assert_int_equal(unlink(target) | unlink(link_path), 0);
}

static void test_nothing_can_be_written(void **state)
{
    AUTO_SANDBOX_RESULT struct sandbox_result result = harness_run(
        *state, HARNESS_JOB("write", "/new", "/bin/tool", "/in/new", "/run/sallyport/new",
                            "/run/sallyport/manifest.json", "/proc/new", "/sys/new", "/dev/new",
                            "/dev/shm/new", "/proc/sys/kernel/hostname", "/tmp/new"));
    harness_expect(&result, SANDBOX_EXITED, 0);
    const char *text = buf_text(&result.output[SANDBOX_STDOUT].stored);
    const char *written = strstr(text, "written");
    assert_non_null(written);
    assert_null(strstr(written + 1, "written")); /* /tmp alone */
    assert_non_null(strstr(text, "/tmp/new: written"));
    struct stat stat;
    char path[128];
    (void)snprintf(path, sizeof path, "%s/new", ((struct harness *)*state)->root);
    assert_int_not_equal(lstat(path, &stat), 0);
}

static void test_tmp_and_inputs_do_not_execute(void **state)
{
    struct harness *harness = *state;
    char program[128];
    (void)snprintf(program, sizeof program, "%s" TOOL, harness->root);
    const struct sandbox_input inputs[] = {{"tool", program}};
    struct sandbox_job job = HARNESS_JOB("execute", "/in/tool", "who");
    job.inputs = inputs;
    job.input_count = 1;
    AUTO_SANDBOX_RESULT struct sandbox_result result = harness_run(harness, job);
    expect_stdout(&result, "/in/tool: EACCES\n");
}

static void test_identity(void **state)
{
    struct sandbox_job job = HARNESS_JOB("who");
    job.workdir = "/tmp";
    AUTO_SANDBOX_RESULT struct sandbox_result result = harness_run(*state, job);
    expect_stdout(&result, "uid 65534 gid 65534 groups 0 cwd /tmp host sandbox\n");
    AUTO_SANDBOX_RESULT struct sandbox_result status =
        harness_run(*state, HARNESS_JOB("cat", "/proc/self/status"));
    const char *text = buf_text(&status.output[SANDBOX_STDOUT].stored);
    assert_non_null(strstr(text, "CapPrm:\t0000000000000000\n"));
    assert_non_null(strstr(text, "CapBnd:\t0000000000000000\n"));
    assert_non_null(strstr(text, "\nPid:\t1\n"));
}

static void test_environment(void **state)
{
    struct sandbox_job job = HARNESS_JOB("env");
    job.env = (const char *const[]){"ONE=1", "EMPTY=", "HOME=/", NULL};
    AUTO_SANDBOX_RESULT struct sandbox_result result = harness_run(*state, job);
    const char *text = buf_text(&result.output[SANDBOX_STDOUT].stored); /* in any order */
    assert_int_equal(strlen(text), strlen("ONE=1\nEMPTY=\nHOME=/\n"));
    assert_true(strstr(text, "ONE=1\n") && strstr(text, "EMPTY=\n") && strstr(text, "HOME=/\n"));
    AUTO_SANDBOX_RESULT struct sandbox_result none = harness_run(*state, HARNESS_JOB("env"));
    expect_stdout(&none, "HOME=/tmp\n");
}

static void test_no_network(void **state)
{
    AUTO_CLOSE int host = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof address;
    assert_int_equal(bind(host, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(host, 1), 0);
    assert_int_equal(getsockname(host, (struct sockaddr *)&address, &len), 0);
    char port[12];
    (void)snprintf(port, sizeof port, "%d", ntohs(address.sin_port));

    AUTO_SANDBOX_RESULT struct sandbox_result loopback =
        harness_run(*state, HARNESS_JOB("connect", "127.0.0.1", port));
    expect_stdout(&loopback, "connect: ECONNREFUSED\n"); /* its own loopback, nobody there */
    AUTO_SANDBOX_RESULT struct sandbox_result outside =
        harness_run(*state, HARNESS_JOB("connect", "192.0.2.1", "80"));
    const char *text = buf_text(&outside.output[SANDBOX_STDOUT].stored);
    assert_true(strcmp(text, "connect: ENETUNREACH\n") == 0 ||
                strcmp(text, "connect: EHOSTUNREACH\n") == 0);
    struct pollfd waiting = {.fd = host, .events = POLLIN};
    assert_int_equal(poll(&waiting, 1, 0), 0);
}

/* ---- ends that come from outside ---- */

static void cancel_when_ready(void *context, enum sandbox_stream stream, uint64_t offset,
                              const void *data, size_t len)
{
    (void)stream, (void)offset, (void)data, (void)len;
    uint64_t one = 1;
    assert_int_equal(write(*(int *)context, &one, sizeof one), sizeof one);
}

static void test_cancel(void **state)
{
    static const char *const verbs[] = {"spin", "wait"};
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
        AUTO_CLOSE int cancel = eventfd(0, EFD_CLOEXEC);
        struct sandbox_job job = HARNESS_JOB(verbs[i]);
        job.cancel_fd = cancel;
        job.sink = cancel_when_ready;
        job.sink_context = &cancel;
        int64_t start = clock_monotonic_ms();
        AUTO_SANDBOX_RESULT struct sandbox_result result = harness_run(*state, job);
        harness_expect(&result, SANDBOX_CANCELLED, 0);
        expect_stdout(&result, "ready\n");
        assert_true(clock_monotonic_ms() - start < 10000);
        (void)close(TAKE_FD(cancel));
        nothing_left(state);
    }
}

static void test_cancelled_before_it_starts(void **state)
{
    AUTO_CLOSE int cancel = eventfd(1, EFD_CLOEXEC);
    struct sandbox_job job = HARNESS_JOB("spin");
    job.cancel_fd = cancel;
    AUTO_SANDBOX_RESULT struct sandbox_result result = harness_run(*state, job);
    harness_expect(&result, SANDBOX_CANCELLED, 0);
}

static void kill_sentry(void *context, enum sandbox_stream stream, uint64_t offset,
                        const void *data, size_t len)
{
    (void)stream, (void)offset, (void)data, (void)len;
    const struct harness *harness = context;
    pid_t sentry = harness_find_process(harness->state, "runsc-sandbox");
    assert_true(sentry > 0);
    assert_int_equal(kill(sentry, SIGKILL), 0);
}

struct executed {
    const struct harness *harness;
    int cancel;
    char names[3][80];
};

static void look_at_programs(void *context, enum sandbox_stream stream, uint64_t offset,
                             const void *data, size_t len)
{
    static const char *const roles[] = {"runsc", "runsc-sandbox", "runsc-gofer"};
    struct executed *executed = context;
    for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
        char path[40];
        (void)snprintf(path, sizeof path, "/proc/%d/exe",
                       (int)harness_find_process(executed->harness->state, roles[i]));
        (void)!readlink(path, executed->names[i], sizeof executed->names[i] - 1);
    }
    cancel_when_ready(&executed->cancel, stream, offset, data, len);
}

/* Not the file, which may be another by now. */
static void test_each_process_executes_the_copy(void **state)
{
    AUTO_CLOSE int cancel = eventfd(0, EFD_CLOEXEC);
    struct executed executed = {.harness = *state, .cancel = cancel};
    struct sandbox_job job = HARNESS_JOB("wait");
    job.cancel_fd = cancel;
    job.sink = look_at_programs;
    job.sink_context = &executed;
    AUTO_SANDBOX_RESULT struct sandbox_result result = harness_run(*state, job);
    harness_expect(&result, SANDBOX_CANCELLED, 0);
    for (size_t i = 0; i < ARRAY_LEN(executed.names); i++)
        assert_string_equal(executed.names[i], "/" RUNTIME_NAME);
}

/* runsc answers with 137 then, as if the tool had been killed. */
static void test_death_of_the_runtime_is_not_the_tools(void **state)
{
    struct sandbox_job job = HARNESS_JOB("wait");
    job.sink = kill_sentry;
    job.sink_context = *state;
    AUTO_SANDBOX_RESULT struct sandbox_result result = harness_run(*state, job);
    harness_expect(&result, SANDBOX_RUNTIME_DIED, 0);
    assert_true(result.detail[0] != '\0');
}

/* ---- many at once ---- */

static void *run_one(void *context)
{
    struct sandbox_result *result = calloc(1, sizeof *result);
    *result = harness_run(context, HARNESS_JOB("exit", "7"));
    return result;
}

static void test_in_parallel(void **state)
{
    pthread_t threads[6];
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_one, *state), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        void *result;
        assert_int_equal(pthread_join(threads[i], &result), 0);
        harness_expect(result, SANDBOX_EXITED, 7);
        sandbox_result_free(result);
        free(result);
    }
}

int main(void)
{
#define CASE(name) cmocka_unit_test_teardown(name, nothing_left)
    const struct CMUnitTest tests[] = {
        CASE(test_exit_codes),
        CASE(test_signals),
        CASE(test_missing_program),
        CASE(test_streams),
        CASE(test_stdin),
        CASE(test_sink),
        CASE(test_inputs_and_manifest),
        CASE(test_unsafe_inputs_are_refused),
        CASE(test_nothing_can_be_written),
        CASE(test_tmp_and_inputs_do_not_execute),
        CASE(test_identity),
        CASE(test_environment),
        CASE(test_no_network),
        CASE(test_cancel),
        CASE(test_cancelled_before_it_starts),
        CASE(test_each_process_executes_the_copy),
        CASE(test_death_of_the_runtime_is_not_the_tools),
        CASE(test_in_parallel),
    };
    return cmocka_run_group_tests(tests, harness_setup, harness_teardown);
}
