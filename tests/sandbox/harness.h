/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the sandbox tests share: a real runtime over a private state folder, the tool in a
 * root of its own, one call to run it, and the proof that nothing is left. Needs root and
 * runsc; without them the tests fail and say so, for a skipped sandbox test proves nothing.
 */
#pragma once

#include "base/clock.h"
#include "base/file.h"
#include "base/uuid.h"
#include "sandbox/sandbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define TOOL "/bin/tool"
#define MIB (INT64_C(1) << 20)

struct harness {
    char folder[64]; /* all of it lies below */
    char state[80], root[80];
    char cgroups[40]; /* the parent of its groups: tests run side by side */
    struct sandbox_config config;
    struct sandbox *sandbox;
    size_t descriptors; /* open in this process once the sandbox is */
};

extern char **environ;

__attribute__((unused)) static void harness_need_root(void)
{
    if (geteuid() != 0)
        fail_msg("these tests start real sandboxes: run them as root");
}

/* The same as a group's setup. */
__attribute__((unused)) static int harness_group_needs_root(void **state)
{
    (void)state;
    harness_need_root();
    return 0;
}

__attribute__((unused)) static int harness_command(const char *const *argv)
{
    union {
        const char *const *in;
        char *const *out;
    } args = {.in = argv};
    pid_t pid;
    int status;
    if (posix_spawnp(&pid, argv[0], NULL, NULL, args.out, environ) != 0 ||
        waitpid(pid, &status, 0) != pid)
        return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

__attribute__((unused)) static void harness_make_folder(const char *at, const char *name)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s%s", at, name);
    struct fault fault = {0};
    if (dir_make(path, 0755, &fault) != 0)
        fail_msg("%s", fault.detail);
}

__attribute__((unused)) static size_t harness_count_entries(const char *path)
{
    DIR *dir = opendir(path);
    size_t count = 0;
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;)
        count += entry->d_name[0] != '.';
    if (dir != NULL)
        (void)closedir(dir);
    return count;
}

/* A folder with the static tool and the sandbox's mount points. */
__attribute__((unused)) static void harness_make_root(const char *root)
{
    static const char *const folders[] = {"/bin", "/proc", "/dev",          "/sys",
                                          "/tmp", "/in",   "/run/sallyport"};
    for (size_t i = 0; i < ARRAY_LEN(folders); i++)
        harness_make_folder(root, folders[i]);
    char tool[256];
    (void)snprintf(tool, sizeof tool, "%s" TOOL, root);
    const char *const compile[] = {
        "gcc", "-static", "-O1", "-pthread", "-o", tool, TEST_DATA "/../sandbox/tool/tool.c", NULL};
    if (harness_command(compile) != 0)
        fail_msg("cannot compile the tool");
}

__attribute__((unused)) static int harness_setup(void **state)
{
    harness_need_root();
    static struct harness harness;
    (void)snprintf(harness.folder, sizeof harness.folder, "/tmp/sallyport-sandbox.XXXXXX");
    assert_non_null(mkdtemp(harness.folder));
    assert_int_equal(chmod(harness.folder, 0755), 0);
    (void)snprintf(harness.state, sizeof harness.state, "%s/state", harness.folder);
    (void)snprintf(harness.root, sizeof harness.root, "%s/root", harness.folder);
    harness_make_root(harness.root);
    harness.config = sandbox_config_defaults();
    harness.config.state_dir = harness.state;
    (void)snprintf(harness.cgroups, sizeof harness.cgroups, "sallyport-test-%d", (int)getpid());
    harness.config.cgroup_parent = harness.cgroups;
    harness.config.apparmor = SANDBOX_APPARMOR_IF_AVAILABLE;
    struct fault fault = {0};
    if (sandbox_open(&sandbox_gvisor, &harness.config, &harness.sandbox, &fault) != 0)
        fail_msg("no sandbox: %s", fault.detail);
    harness.descriptors = harness_count_entries("/proc/self/fd");
    *state = &harness;
    return 0;
}

/* ---- what may be left ---- */

/* Finds a process whose command line begins with `role` (or any, NULL) and names the folder;
 * 0 if there is none. */
__attribute__((unused)) static pid_t harness_find_process(const char *folder, const char *role)
{
    DIR *dir = opendir("/proc");
    assert_non_null(dir);
    pid_t found = 0;
    for (struct dirent *entry; found == 0 && (entry = readdir(dir)) != NULL;) {
        char path[300];
        char command[4096] = "";
        long pid = strtol(entry->d_name, NULL, 10);
        if (pid <= 0 || pid == getpid())
            continue;
        (void)snprintf(path, sizeof path, "/proc/%ld/cmdline", pid);
        AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, command, sizeof command - 1);
        if (n > 0 && (role == NULL || strcmp(command, role) == 0) &&
            memmem(command, (size_t)n, folder, strlen(folder)) != NULL)
            found = (pid_t)pid;
    }
    (void)closedir(dir);
    return found;
}

/* Groups of runs below the test's parent, in any hierarchy. */
__attribute__((unused)) static size_t harness_count_cgroups(const struct harness *harness)
{
    static const char *const hierarchies[] = {"", "/memory", "/pids", "/cpu", "/cpuacct"};
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_LEN(hierarchies); i++) {
        char path[512];
        (void)snprintf(path, sizeof path, "/sys/fs/cgroup%s/%s", hierarchies[i], harness->cgroups);
        DIR *dir = opendir(path);
        for (struct dirent *worker; dir != NULL && (worker = readdir(dir)) != NULL;) {
            if (worker->d_name[0] == '.' || worker->d_type != DT_DIR)
                continue;
            (void)snprintf(path, sizeof path, "/sys/fs/cgroup%s/%s/%s", hierarchies[i],
                           harness->cgroups, worker->d_name);
            DIR *runs = opendir(path);
            for (struct dirent *run; runs != NULL && (run = readdir(runs)) != NULL;)
                count += run->d_name[0] != '.' && run->d_type == DT_DIR;
            if (runs != NULL)
                (void)closedir(runs);
        }
        if (dir != NULL)
            (void)closedir(dir);
    }
    return count;
}

__attribute__((unused)) static void harness_assert_nothing_left(const struct harness *harness)
{
    char run[128];
    (void)snprintf(run, sizeof run, "%s/run", harness->state);
    assert_int_equal(harness_count_entries(run), 0);
    assert_int_equal(harness_count_entries(harness->state), 1);
    assert_int_equal(harness_find_process(harness->state, NULL), 0);
    assert_int_equal(harness_count_cgroups(harness), 0);
    AUTO_BUF struct buf mounts = BUF(16u << 20);
    AUTO_CLOSE int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
    for (;;) {
        void *place = buf_reserve(&mounts, 65536);
        assert_non_null(place);
        ssize_t n = read(fd, place, 65536);
        assert_true(n >= 0);
        if (n == 0)
            break;
        buf_commit(&mounts, (size_t)n);
    }
    assert_null(strstr(buf_text(&mounts), harness->folder));
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child, dead or alive */
    (void)close(TAKE_FD(fd));
    assert_int_equal(harness_count_entries("/proc/self/fd"), harness->descriptors);
}

__attribute__((unused)) static int harness_teardown(void **state)
{
    struct harness *harness = *state;
    harness_assert_nothing_left(harness);
    sandbox_free(harness->sandbox);
    struct fault fault = {0};
    if (dir_remove(harness->folder, &fault) != 0)
        fail_msg("%s", fault.detail);
    return 0;
}

/* ---- one run ---- */

__attribute__((unused)) static struct sandbox_limits harness_limits(void)
{
    return (struct sandbox_limits){
        .wall_ms = 30000,
        .memory_bytes = 64 * MIB,
        .pids = 32,
        .cpu_percent = 400,
        .tmp_bytes = 4 * MIB,
        .open_files = 64,
        .file_size_bytes = 16 * MIB,
        .stdout_bytes = MIB,
        .stderr_bytes = 65536,
    };
}

#define HARNESS_JOB(...)                                                                           \
    (struct sandbox_job)                                                                           \
    {                                                                                              \
        .manifest = span_text("{}"), .limits = harness_limits(), .cancel_fd = -1,                  \
        .argv = (const char *const[])                                                              \
        {                                                                                          \
            TOOL, __VA_ARGS__, NULL                                                                \
        }                                                                                          \
    }

/* Runs it to its end, with an id of its own; fails the test where nothing could be started. */
__attribute__((unused)) static struct sandbox_result harness_run(struct harness *harness,
                                                                 struct sandbox_job job)
{
    struct uuid id = uuid_v7();
    struct uuid_text text = uuid_format(&id);
    struct sandbox_result result = {0};
    struct fault fault = {0};
    job.id = text.text;
    job.rootfs = harness->root;
    if (sandbox_run(harness->sandbox, &job, &result, NULL, &fault) != 0)
        fail_msg("not run: %s: %s", fault_name(fault.code), fault.detail);
    return result;
}

/* Its end, with what is useful where it is another. */
__attribute__((unused)) static void harness_expect(const struct sandbox_result *result,
                                                   enum sandbox_end end, int code_or_signal)
{
    int got = result->end == SANDBOX_SIGNALED ? result->signal : result->exit_code;
    if (result->end != end ||
        ((end == SANDBOX_EXITED || end == SANDBOX_SIGNALED) && got != code_or_signal))
        fail_msg("%s %d (%s), expected %s %d; stdout: %.200s; stderr: %.200s",
                 sandbox_end_name(result->end), got, result->detail, sandbox_end_name(end),
                 code_or_signal, buf_text(&result->output[SANDBOX_STDOUT].stored),
                 buf_text(&result->output[SANDBOX_STDERR].stored));
}

#define expect_stdout(result, text)                                                                \
    assert_string_equal(buf_text(&(result)->output[SANDBOX_STDOUT].stored), (text))
