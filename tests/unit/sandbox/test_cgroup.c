/* SPDX-License-Identifier: Apache-2.0 */
/* Both versions of cgroups over plain folders that look like theirs: what is written where,
 * and what is read back. The real ones are used by the sandbox tests. */
#include "base/file.h"
#include "sandbox/cgroup_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char folder[64];

static int setup(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/sallyport-cgroup.XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int teardown(void **state)
{
    (void)state;
    struct fault fault = {0};
    return dir_remove(folder, &fault);
}

static void put(const char *name, const char *text)
{
    char path[256];
    struct fault fault = {0};
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(file_replace(path, text, strlen(text), 0600, &fault), 0);
}

static void expect_file(const char *name, const char *text)
{
    char path[256];
    struct fault fault = {0};
    AUTO_BUF struct buf buf = BUF(4096);
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(file_read(path, &buf, &fault), 0);
    assert_string_equal(buf_text(&buf), text);
}

static int make_folder(const char *name)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    if (mkdir(path, 0700) != 0)
        assert_int_equal(errno, EEXIST);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static const struct cgroup_limits limits = {
    .memory_bytes = 134217728, .pids = 200, .cpu_percent = 150};

/* ---- version 2 ---- */

static void make_v2(void)
{
    static const char *const files[] = {
        "memory.max", "memory.swap.max", "memory.oom.group",      "pids.max",
        "cpu.max",    "cgroup.procs",    "cgroup.subtree_control"};
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        put(files[i], "");
    put("memory.events", "low 0\nhigh 0\nmax 3\noom 0\noom_kill 0\noom_group_kill 0\n");
    put("memory.peak", "25165824\n");
    put("pids.peak", "41\n");
    put("pids.events", "max 2\n");
    put("cpu.stat", "usage_usec 1234567\nuser_usec 1\nsystem_usec 2\nnr_periods 9\n"
                    "nr_throttled 4\nthrottled_usec 5\n");
}

static void test_v2_limits(void **state)
{
    (void)state;
    make_v2();
    AUTO_CLOSE int fd = make_folder(".");
    struct fault fault = {0};
    assert_int_equal(cgroup_v2.limit(&fd, &limits, &fault), 0);
    expect_file("memory.max", "134217728");
    expect_file("memory.swap.max", "0");
    expect_file("memory.oom.group", "1");
    expect_file("pids.max", "200");
    expect_file("cpu.max", "375000 250000");
    assert_int_equal(unlinkat(fd, "memory.swap.max", 0), 0); /* a kernel without swap accounting */
    assert_int_equal(cgroup_v2.limit(&fd, &limits, &fault), 0);
    assert_int_equal(unlinkat(fd, "pids.max", 0), 0);
    assert_int_equal(cgroup_v2.limit(&fd, &limits, &fault), -1);
    assert_non_null(strstr(fault.detail, "pids.max"));
}

static void test_v2_usage(void **state)
{
    (void)state;
    make_v2();
    AUTO_CLOSE int fd = make_folder(".");
    struct cgroup_usage usage;
    cgroup_v2.usage(&fd, &usage);
    assert_int_equal(usage.cpu_ms, 1234);
    assert_int_equal(usage.memory_peak_bytes, 25165824);
    assert_int_equal(usage.pids_peak, 41);
    assert_int_equal(usage.oom_kills, 0);
    assert_int_equal(usage.pids_refused, 2);
    assert_int_equal(usage.cpu_throttled, 4);
    assert_int_equal(unlinkat(fd, "memory.peak", 0), 0); /* before Linux 5.19 */
    put("pids.peak", "what\n");
    cgroup_v2.usage(&fd, &usage);
    assert_int_equal(usage.memory_peak_bytes, -1);
    assert_int_equal(usage.pids_peak, -1);
}

static void test_v2_out_of_memory(void **state)
{
    (void)state;
    make_v2();
    int fd = make_folder(".");
    struct cgroup *cgroup = NULL;
    struct fault fault = {0};
    assert_int_equal(cgroup_adopt(&cgroup_v2, &fd, &cgroup, &fault), 0);
    short events;
    assert_true(cgroup_oom_fd(cgroup, &events) >= 0);
    assert_int_equal(events, POLLPRI);
    assert_false(cgroup_out_of_memory(cgroup)); /* reclaimed at its maximum is not out of it */
    put("memory.events", "low 0\nhigh 0\nmax 3\noom 1\noom_kill 0\n");
    assert_true(cgroup_out_of_memory(cgroup));
    put("memory.events", "low 0\nhigh 0\nmax 3\noom 0\noom_kill 1\n");
    assert_true(cgroup_out_of_memory(cgroup));
    assert_int_equal(cgroup_usage(cgroup).oom_kills, 1);
    size_t count;
    (void)cgroup_join_fds(cgroup, &count);
    assert_int_equal(count, 1);
    assert_int_equal(cgroup_remove(cgroup, &fault), 0); /* an adopted one stays */
    expect_file("pids.max", "");
}

/* ---- version 1 ---- */

static void make_v1(int *folders)
{
    for (size_t i = 0; i < cgroup_v1.controller_count; i++) {
        char procs[64];
        folders[i] = make_folder(cgroup_v1.controllers[i]);
        (void)snprintf(procs, sizeof procs, "%s/cgroup.procs", cgroup_v1.controllers[i]);
        put(procs, "");
        (void)snprintf(procs, sizeof procs, "%s/tasks", cgroup_v1.controllers[i]);
        put(procs, "");
    }
    put("memory/memory.limit_in_bytes", "");
    put("memory/memory.memsw.limit_in_bytes", "");
    put("memory/memory.swappiness", "60\n");
    put("memory/memory.max_usage_in_bytes", "777\n");
    put("memory/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
    put("pids/pids.max", "max\n");
    put("pids/pids.events", "max 5\n");
    put("cpu/cpu.cfs_period_us", "");
    put("cpu/cpu.cfs_quota_us", "-1\n");
    put("cpu/cpu.stat", "nr_periods 0\nnr_throttled 6\nthrottled_time 0\n");
    put("cpuacct/cpuacct.usage", "9876543210\n");
}

static void close_v1(const int *folders)
{
    for (size_t i = 0; i < cgroup_v1.controller_count; i++)
        (void)close(folders[i]);
}

static void test_v1_limits(void **state)
{
    (void)state;
    int folders[CGROUP_FOLDERS_MAX];
    struct fault fault = {0};
    make_v1(folders);
    assert_int_equal(cgroup_v1.limit(folders, &limits, &fault), 0);
    expect_file("memory/memory.limit_in_bytes", "134217728");
    expect_file("memory/memory.memsw.limit_in_bytes", "134217728");
    expect_file("memory/memory.swappiness", "60\n");
    expect_file("pids/pids.max", "200\n"); /* over "max\n": no truncation, as in a real one */
    close_v1(folders);
}

static void test_v1_without_swap_accounting(void **state)
{
    (void)state;
    int folders[CGROUP_FOLDERS_MAX];
    struct fault fault = {0};
    make_v1(folders);
    assert_int_equal(unlinkat(folders[0], "memory.memsw.limit_in_bytes", 0), 0);
    put("memory/memory.swappiness", "");
    assert_int_equal(cgroup_v1.limit(folders, &limits, &fault), 0);
    expect_file("memory/memory.swappiness", "0");
    expect_file("cpu/cpu.cfs_period_us", "250000");
    close_v1(folders);
}

static void test_v1_usage(void **state)
{
    (void)state;
    int folders[CGROUP_FOLDERS_MAX];
    struct cgroup_usage usage;
    make_v1(folders);
    cgroup_v1.usage(folders, &usage);
    assert_int_equal(usage.cpu_ms, 9876);
    assert_int_equal(usage.memory_peak_bytes, 777);
    assert_int_equal(usage.pids_peak, -1); /* before Linux 6.11 */
    assert_int_equal(usage.oom_kills, 2);
    assert_int_equal(usage.pids_refused, 5);
    assert_int_equal(usage.cpu_throttled, 6);
    close_v1(folders);
}

/* ---- the host ---- */

static void test_host(void **state)
{
    (void)state;
    struct cgroup_host *host = NULL;
    struct fault fault = {0};
    assert_int_equal(cgroup_host_open(folder, "a", &host, &fault), -1);
    assert_int_equal(fault.code, FAULT_UNAVAILABLE);
    assert_int_equal(cgroup_host_open("/nonexistent", "a", &host, &fault), -1);
    put("cgroup.controllers", "cpu memory pids\n");
    assert_int_equal(cgroup_host_open(folder, "a", &host, &fault), -1); /* nothing to delegate by */
    assert_non_null(strstr(fault.detail, "cgroup.subtree_control"));
    static const char *const bad[] = {"", "/a", "a//b", "..", "a/../b"};
    put("cgroup.subtree_control", "");
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(cgroup_host_open(folder, bad[i], &host, &fault), -1);
    assert_null(host);
}

static void test_host_v1(void **state)
{
    (void)state;
    int folders[CGROUP_FOLDERS_MAX];
    make_v1(folders);
    close_v1(folders);
    struct cgroup_host *host = NULL;
    struct fault fault = {0};
    assert_int_equal(cgroup_host_open(folder, "parent/worker", &host, &fault), 0);
    assert_int_equal(cgroup_host_version(host), 1);
    assert_int_equal(cgroup_host_sweep(host, &fault), 0);
    struct cgroup *cgroup = NULL;
    assert_int_equal(cgroup_new(host, "../up", &limits, &cgroup, &fault), -1);
    assert_int_equal(cgroup_new(host, "one", &limits, &cgroup, &fault), -1); /* no control files */
    char path[256];
    struct stat stat;
    (void)snprintf(path, sizeof path, "%s/memory/parent/worker/one", folder);
    assert_int_not_equal(lstat(path, &stat), 0);
    cgroup_host_free(host);
    (void)snprintf(path, sizeof path, "%s/memory/parent", folder);
    assert_int_not_equal(lstat(path, &stat), 0); /* removed, as far as empty */
}

/* ---- the group a process was given ---- */

static void expect_own(const char *text, const char *controller, const char *expected)
{
    AUTO_FREE char *path = cgroup_own_path(text, controller);
    if (expected == NULL)
        assert_null(path);
    else
        assert_string_equal(path, expected);
}

static void test_own_path(void **state)
{
    (void)state;
    static const char v1[] = "12:cpu,cpuacct:/a\n11:memory:/a/b:c\n10:cpuset:/\n1:name=systemd:/s\n"
                             "0::/u";
    expect_own(v1, "memory", "a/b:c");
    expect_own(v1, "cpu", "a");
    expect_own(v1, "cpuacct", "a");
    expect_own(v1, "cpuset", "");
    expect_own(v1, "pids", NULL);
    expect_own(v1, "cpua", NULL);
    expect_own(v1, "", "u");
    expect_own("0::/system.slice/x.service\n", "", "system.slice/x.service");
    expect_own("0::/system.slice/x.service/" CGROUP_OWN_LEAF "\n", "", "system.slice/x.service");
    expect_own("0::/" CGROUP_OWN_LEAF "\n", "", "");
    expect_own("0::/a" CGROUP_OWN_LEAF "\n", "", "a" CGROUP_OWN_LEAF);
    static const char *const broken[] = {"", "0", "0:", "0::", "0::relative", ":\n::\n", "\n\n"};
    for (size_t i = 0; i < ARRAY_LEN(broken); i++)
        expect_own(broken[i], "", NULL);
}

/* A v2 tree in which this process's group is what /proc says it is. */
static void make_own(char *ret_own, size_t size)
{
    AUTO_BUF struct buf text = BUF(65536);
    struct fault fault = {0};
    assert_int_equal(file_read("/proc/self/cgroup", &text, &fault), 0);
    AUTO_FREE char *own = cgroup_own_path(buf_text(&text), "");
    if (own == NULL)
        skip(); /* a host with v1 alone */
    (void)snprintf(ret_own, size, "%s%s", own, *own == '\0' ? "" : "/");
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/%s" CGROUP_OWN_LEAF, folder, ret_own);
    assert_int_equal(dir_make(path, 0700, &fault), 0);
}

static void put_own(const char *own, const char *name, const char *text)
{
    char path[4096];
    (void)snprintf(path, sizeof path, "%s%s", own, name);
    put(path, text);
}

static void test_own_group(void **state)
{
    (void)state;
    char own[2048], path[4096];
    struct cgroup_host *host = NULL;
    struct fault fault = {0};
    make_own(own, sizeof own);
    put("cgroup.controllers", "cpu memory pids\n");
    assert_int_equal(cgroup_host_open(folder, "./runs", &host, &fault), -1); /* nowhere to stay */
    assert_non_null(strstr(fault.detail, "cgroup.procs"));
    put_own(own, CGROUP_OWN_LEAF "/cgroup.procs", "");
    put_own(own, "cgroup.subtree_control", "");
    (void)snprintf(path, sizeof path, "%s/%sruns", folder, own);
    assert_int_equal(dir_make(path, 0700, &fault), 0);
    put_own(own, "runs/cgroup.subtree_control", "cpu memory pids\n"); /* nothing to be written */
    assert_int_equal(cgroup_host_open(folder, "./runs", &host, &fault), 0);
    assert_int_equal(cgroup_host_version(host), 2);
    (void)snprintf(path, sizeof path, "%s" CGROUP_OWN_LEAF "/cgroup.procs", own);
    expect_file(path, "0");
    (void)snprintf(path, sizeof path, "%scgroup.subtree_control", own);
    expect_file(path, "+cpusry"); /* one over the other: a plain file, not a real one */
    (void)snprintf(path, sizeof path, "%sruns/cgroup.subtree_control", own);
    expect_file(path, "cpu memory pids\n");
    cgroup_host_free(host);
}

/* ---- none ---- */

static void test_none(void **state)
{
    (void)state;
    struct cgroup_host *host = NULL;
    struct cgroup *cgroup = NULL;
    struct fault fault = {0};
    size_t count = 1;
    short events;
    assert_int_equal(cgroup_host_none(&host, &fault), 0);
    assert_int_equal(cgroup_host_version(host), 0);
    assert_int_equal(cgroup_host_sweep(host, &fault), 0);
    assert_int_equal(cgroup_new(host, "one", &limits, &cgroup, &fault), 0);
    (void)cgroup_join_fds(cgroup, &count);
    assert_int_equal(count, 0);
    assert_int_equal(cgroup_oom_fd(cgroup, &events), -1);
    assert_false(cgroup_out_of_memory(cgroup));
    struct cgroup_usage usage = cgroup_usage(cgroup);
    assert_true(usage.cpu_ms == -1 && usage.memory_peak_bytes == -1 && usage.pids_peak == -1);
    assert_true(usage.oom_kills == -1 && usage.pids_refused == -1 && usage.cpu_throttled == -1);

    pid_t members[2];
    assert_int_equal(cgroup_members(cgroup, members, 2), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)pause();
        _exit(0);
    }
    assert_int_equal(cgroup_members(cgroup, members, 2), 1);
    assert_int_equal(members[0], child);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(cgroup_remove(cgroup, &fault), 0);
    cgroup_host_free(host);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_v2_limits),
        CASE(test_v2_usage),
        CASE(test_v2_out_of_memory),
        CASE(test_v1_limits),
        CASE(test_v1_without_swap_accounting),
        CASE(test_v1_usage),
        CASE(test_host),
        CASE(test_host_v1),
        CASE(test_own_path),
        CASE(test_own_group),
        CASE(test_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
