/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a worker below the group it was given needs no other, and one on a host without groups runs
 * only where it was told to, holds all else, and says what it does not hold. */
#include "tests/sandbox/harness.h"

#include "sandbox/cgroup.h"

/* A second sandbox of the test's, in a state folder of its own. */
static struct sandbox *open_other(const struct harness *harness, const char *name,
                                  struct sandbox_config config)
{
    char state[128];
    struct sandbox *sandbox = NULL;
    struct fault fault = {0};
    (void)snprintf(state, sizeof state, "%s/%s", harness->folder, name);
    config.state_dir = state;
    if (sandbox_open(&sandbox_gvisor, &config, &sandbox, &fault) != 0)
        fail_msg("no sandbox: %s", fault.detail);
    return sandbox;
}

/* ---- none ---- */

static void expect_not_enforced(const struct sandbox *sandbox)
{
    const json_t *told = json_object_get(sandbox_isolation_checks(sandbox), "cgroup");
    AUTO_JSON json_t *expected = json_pack("[s, s]", "memory_mib", "cpu_percent");
    assert_string_equal(json_string_value(json_object_get(told, "mode")), "if_available");
    assert_true(json_is_false(json_object_get(told, "held")));
    assert_non_null(strstr(json_string_value(json_object_get(told, "reason")), "no cgroups"));
    assert_true(json_equal(json_object_get(told, "not_enforced"), expected));
    assert_null(json_object_get(told, "limits"));
}

static void test_without_groups(void **state)
{
    struct harness *harness = *state;
    struct sandbox_config config = harness->config;
    config.cgroup_root = harness->folder;
    config.cgroups_required = false;
    struct harness other = *harness;
    other.sandbox = open_other(harness, "none", config);
    expect_not_enforced(other.sandbox);

    AUTO_SANDBOX_RESULT struct sandbox_result said = harness_run(&other, HARNESS_JOB("fork"));
    harness_expect(&said, SANDBOX_EXITED, 0);
    assert_true((said.limits_hit & SANDBOX_HIT_PIDS) != 0); /* the sentry's word, as ever */
    assert_int_equal(said.usage.memory_peak_bytes, -1);
    assert_int_equal(said.usage.pids_peak, -1);

    struct sandbox_job job = HARNESS_JOB("wait");
    job.limits.wall_ms = 1500;
    AUTO_SANDBOX_RESULT struct sandbox_result killed = harness_run(&other, job);
    harness_expect(&killed, SANDBOX_TIMED_OUT, 0);
    char folder[128];
    (void)snprintf(folder, sizeof folder, "%s/none", harness->folder);
    assert_int_equal(harness_find_process(folder, NULL), 0);
    sandbox_free(other.sandbox);
    harness_assert_nothing_left(harness);
}

/* Not by a wrong setting, which is no word about the host. */
static void test_a_bad_parent_is_no_absence(void **state)
{
    struct harness *harness = *state;
    struct sandbox_config config = harness->config;
    struct sandbox *sandbox = NULL;
    struct fault fault = {0};
    char folder[128];
    (void)snprintf(folder, sizeof folder, "%s/bad", harness->folder);
    config.state_dir = folder;
    config.cgroups_required = false;
    config.cgroup_parent = "../up";
    assert_int_equal(sandbox_open(&sandbox_gvisor, &config, &sandbox, &fault), -1);
    assert_int_equal(fault.code, FAULT_MALFORMED_REQUEST);
    assert_null(sandbox);
}

/* ---- its own ---- */

struct service {
    const struct harness *harness;
    bool seen;
};

static void look(void *context, enum sandbox_stream stream, uint64_t offset, const void *data,
                 size_t len)
{
    struct service *service = context;
    (void)stream, (void)offset, (void)data, (void)len;
    char folder[128], path[64];
    AUTO_BUF struct buf groups = BUF(65536);
    struct fault fault = {0};
    (void)snprintf(folder, sizeof folder, "%s/own", service->harness->folder);
    pid_t pid = harness_find_process(folder, "runsc-sandbox");
    (void)snprintf(path, sizeof path, "/proc/%d/cgroup", (int)pid);
    service->seen = pid > 0 && file_read(path, &groups, &fault) == 0 &&
                    strstr(buf_text(&groups), "/the.service/") != NULL;
}

/* A process in the group it was given; what it exits with says how far it came. */
static void serve(const struct harness *harness, const struct cgroup *group)
{
    size_t count;
    const int *join = cgroup_join_fds(group, &count);
    for (size_t i = 0; i < count; i++) {
        if (write(join[i], "0", 1) != 1)
            _exit(2);
    }
    struct service service = {.harness = harness};
    struct sandbox_config config = harness->config;
    config.cgroup_parent = ".";
    struct harness own = *harness;
    own.sandbox = open_other(harness, "own", config);
    struct sandbox_job job = HARNESS_JOB("fork");
    job.sink = look;
    job.sink_context = &service;
    AUTO_SANDBOX_RESULT struct sandbox_result result = harness_run(&own, job);
    AUTO_SANDBOX_RESULT struct sandbox_result bomb =
        harness_run(&own, HARNESS_JOB("memory", "2000"));
    sandbox_free(own.sandbox);
    _exit(result.end != SANDBOX_EXITED        ? 3
          : !service.seen                     ? 4
          : bomb.end != SANDBOX_OUT_OF_MEMORY ? 5
                                              : 0);
}

static void test_below_its_own(void **state)
{
    struct harness *harness = *state;
    const struct cgroup_limits limits = {
        .memory_bytes = 4096 * MIB, .pids = 4096, .cpu_percent = 800};
    struct cgroup_host *host = NULL;
    struct cgroup *group = NULL;
    struct fault fault = {0};
    char parent[80], leaf[160];
    (void)snprintf(parent, sizeof parent, "%s/manager", harness->cgroups);
    if (cgroup_host_open("/sys/fs/cgroup", parent, &host, &fault) != 0 ||
        cgroup_new(host, "the.service", &limits, &group, &fault) != 0)
        fail_msg("%s", fault.detail);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        serve(harness, group);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    /* On v2 it stayed in a child of its group, which the manager takes away with the rest. */
    (void)snprintf(leaf, sizeof leaf, "/sys/fs/cgroup/%s/the.service/sallyport-worker", parent);
    assert_int_equal(rmdir(leaf), cgroup_host_version(host) == 2 ? 0 : -1);
    assert_int_equal(cgroup_remove(group, &fault), 0);
    cgroup_host_free(host);
    harness_assert_nothing_left(harness);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_groups),
        cmocka_unit_test(test_a_bad_parent_is_no_absence),
        cmocka_unit_test(test_below_its_own),
    };
    return cmocka_run_group_tests(tests, harness_setup, harness_teardown);
}
