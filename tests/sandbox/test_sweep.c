/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a worker that is killed takes its runs with it, the next one on the same state folder
 * removes what lies about, and a host that cannot hold a sandbox is refused at the start. */
#include "tests/sandbox/harness.h"

#include "sandbox/cgroup.h"

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>

static struct sandbox_config config_at(const struct harness *harness, const char *state)
{
    struct sandbox_config config = harness->config;
    config.state_dir = state;
    return config;
}

/* ---- a crash ---- */

static void tell(void *context, enum sandbox_stream stream, uint64_t offset, const void *data,
                 size_t len)
{
    (void)stream, (void)offset, (void)data, (void)len;
    assert_int_equal(write(*(int *)context, "r", 1), 1);
}

/* A worker of its own, with a run that never ends; never returns. */
static void crashing_worker(const struct harness *harness, const char *state, int ready)
{
    struct sandbox_config config = config_at(harness, state);
    struct sandbox *sandbox = NULL;
    struct fault fault = {0};
    struct sandbox_job job = HARNESS_JOB("wait");
    struct sandbox_result result = {0};
    job.id = "00000000-0000-7000-8000-00000000dead";
    job.rootfs = harness->root;
    job.limits.wall_ms = 600000;
    job.sink = tell;
    job.sink_context = &ready;
    if (sandbox_open(&sandbox_gvisor, &config, &sandbox, &fault) == 0)
        (void)!sandbox_run(sandbox, &job, &result, NULL, &fault);
    _exit(1);
}

static void wait_for_death(int pidfd)
{
    struct pollfd death = {.fd = pidfd, .events = POLLIN};
    assert_int_equal(poll(&death, 1, 5000), 1);
    (void)close(pidfd);
}

static void test_crash(void **state)
{
    struct harness *harness = *state;
    char crashed[128], run[160];
    (void)snprintf(crashed, sizeof crashed, "%s/crashed", harness->folder);
    (void)snprintf(run, sizeof run, "%s/run", crashed);
    int ready[2];
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    pid_t worker = fork();
    assert_true(worker >= 0);
    if (worker == 0)
        crashing_worker(harness, crashed, ready[1]);
    (void)close(ready[1]);
    char byte;
    assert_int_equal(read(ready[0], &byte, 1), 1);
    (void)close(ready[0]);

    static const char *const roles[] = {"runsc", "runsc-sandbox", "runsc-gofer"};
    int tree[ARRAY_LEN(roles)];
    for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
        pid_t pid = harness_find_process(crashed, roles[i]);
        assert_true(pid > 0);
        tree[i] = (int)syscall(SYS_pidfd_open, pid, 0);
        assert_true(tree[i] >= 0);
    }
    assert_int_equal(kill(worker, SIGKILL), 0);
    assert_int_equal(waitpid(worker, NULL, 0), worker);
    for (size_t i = 0; i < ARRAY_LEN(roles); i++)
        wait_for_death(tree[i]);
    assert_int_equal(harness_find_process(crashed, NULL), 0);
    assert_int_equal(harness_count_entries(run), 1); /* its bundle */
    assert_true(harness_count_cgroups(harness) > 0);

    struct sandbox_config config = config_at(harness, crashed);
    struct sandbox *next = NULL;
    struct fault fault = {0};
    if (sandbox_open(&sandbox_gvisor, &config, &next, &fault) != 0)
        fail_msg("%s", fault.detail);
    assert_int_equal(harness_count_entries(run), 0);
    assert_int_equal(harness_count_cgroups(harness), 0);
    sandbox_free(next);
}

/* ---- what lies about ---- */

/* A process in a group of its own below the parent, as if a run had survived. */
static void test_sweep_kills_and_removes(void **state)
{
    struct harness *harness = *state;
    char parent[64];
    (void)snprintf(parent, sizeof parent, "%s/swept", harness->cgroups);
    struct cgroup_host *host = NULL;
    struct cgroup *cgroup = NULL;
    struct cgroup_limits limits = {.memory_bytes = 32 * MIB, .pids = 16, .cpu_percent = 100};
    struct fault fault = {0};
    if (cgroup_host_open("/sys/fs/cgroup", parent, &host, &fault) != 0 ||
        cgroup_new(host, "left", &limits, &cgroup, &fault) != 0)
        fail_msg("%s", fault.detail);
    size_t count;
    const int *join = cgroup_join_fds(cgroup, &count);
    int ready[2];
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        for (size_t i = 0; i < count; i++)
            (void)!write(join[i], "0", 1);
        (void)!write(ready[1], "r", 1);
        for (;;)
            (void)pause();
    }
    char byte;
    assert_int_equal(read(ready[0], &byte, 1), 1);
    (void)close(ready[0]);
    (void)close(ready[1]);
    pid_t member;
    assert_int_equal(cgroup_members(cgroup, &member, 1), 1);
    assert_int_equal(member, pid);

    if (cgroup_host_sweep(host, &fault) != 0)
        fail_msg("%s", fault.detail);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_int_equal(harness_count_cgroups(harness), 0);
    assert_int_equal(cgroup_remove(cgroup, &fault), 0); /* gone already */
    cgroup_host_free(host);
}

static void test_sweep_of_the_run_folder(void **state)
{
    struct harness *harness = *state;
    char swept[128];
    (void)snprintf(swept, sizeof swept, "%s/swept", harness->folder);
    harness_make_folder(swept, "/run/00000000-0000-7000-8000-000000000001/runtime/state");
    harness_make_folder(swept, "/probe/bin");
    struct sandbox_config config = config_at(harness, swept);
    struct sandbox *sandbox = NULL;
    struct fault fault = {0};
    if (sandbox_open(&sandbox_gvisor, &config, &sandbox, &fault) != 0)
        fail_msg("%s", fault.detail);
    assert_int_equal(harness_count_entries(swept), 1);
    char run[160];
    (void)snprintf(run, sizeof run, "%s/run", swept);
    assert_int_equal(harness_count_entries(run), 0);
    sandbox_free(sandbox);
}

/* ---- refusals at the start ---- */

static void expect_refused(const struct sandbox_config *config, const char *why)
{
    struct sandbox *sandbox = NULL;
    struct fault fault = {0};
    assert_int_equal(sandbox_open(&sandbox_gvisor, config, &sandbox, &fault), -1);
    assert_null(sandbox);
    assert_int_equal(fault.code, FAULT_UNAVAILABLE);
    if (strstr(fault.detail, why) == NULL)
        fail_msg("refused for \"%s\", expected \"%s\"", fault.detail, why);
}

static void test_refusals(void **state)
{
    struct harness *harness = *state;
    char other[128];
    (void)snprintf(other, sizeof other, "%s/other", harness->folder);

    expect_refused(&harness->config, "another worker"); /* the state folder in use */

    struct sandbox_config config = config_at(harness, other);
    config.runsc_path = "/usr/bin/no-such-runsc";
    expect_refused(&config, "no sandbox runtime");
    config.runsc_path = "/bin/true";
    expect_refused(&config, "does not tell its version");

    config = config_at(harness, other);
    config.runsc_sha256 = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
    expect_refused(&config, "not the pinned digest");

    config = config_at(harness, other);
    config.runsc_versions = "0.0~20221219,0.0~20221219.0x, release-20221219.0";
    expect_refused(&config, "not an allowed version");

    config = config_at(harness, other);
    config.disk_min_bytes = INT64_C(1) << 60;
    expect_refused(&config, "MiB are free");

    config = config_at(harness, other);
    config.runsc_platform = "none-such";
    expect_refused(&config, "sandbox");

    config = config_at(harness, other);
    config.cgroup_root = harness->folder;
    expect_refused(&config, "no cgroups");

    config = config_at(harness, other);
    config.apparmor = SANDBOX_APPARMOR_REQUIRED;
    config.apparmor_profile = "sallyport-no-such-profile";
    expect_refused(&config, "AppArmor is required");

    config = config_at(harness, "relative");
    expect_refused(&config, "absolute");
}

static void test_what_holds_is_told(void **state)
{
    struct harness *harness = *state;
    const json_t *checks = sandbox_isolation_checks(harness->sandbox);
    const json_t *runtime = sandbox_runtime(harness->sandbox);
    const char *digest = json_string_value(json_object_get(runtime, "binary_sha256"));
    assert_string_equal(json_string_value(json_object_get(runtime, "name")), "gVisor");
    assert_non_null(digest);
    assert_string_equal(json_string_value(json_object_get(checks, "binary_sha256")), digest);
    assert_string_equal(json_string_value(json_object_get(checks, "network")), "none");
    assert_true(json_is_true(json_object_get(checks, "seccomp")));
    assert_true(json_is_true(json_object_get(checks, "root_read_only")));
    assert_int_equal(json_array_size(json_object_get(checks, "namespaces")), 6);
    const json_t *apparmor = json_object_get(checks, "apparmor");
    assert_string_equal(json_string_value(json_object_get(apparmor, "mode")), "if_available");
    assert_true(json_is_boolean(json_object_get(apparmor, "held")));

    char pinned[128];
    (void)snprintf(pinned, sizeof pinned, "%s/pinned", harness->folder);
    struct sandbox_config config = config_at(harness, pinned);
    config.runsc_sha256 = digest;
    struct sandbox *sandbox = NULL;
    struct fault fault = {0};
    if (sandbox_open(&sandbox_gvisor, &config, &sandbox, &fault) != 0)
        fail_msg("%s", fault.detail);
    sandbox_free(sandbox);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crash),
        cmocka_unit_test(test_sweep_kills_and_removes),
        cmocka_unit_test(test_sweep_of_the_run_folder),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_what_holds_is_told),
    };
    return cmocka_run_group_tests(tests, harness_setup, harness_teardown);
}
