/* SPDX-License-Identifier: Apache-2.0 */
/* cgroup v2: one hierarchy (Linux, Documentation/admin-guide/cgroup-v2.rst). */
#include "sandbox/cgroup_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char *const controllers[] = {"."};

static bool is_enabled(int folder, const char *controller)
{
    char text[1024];
    AUTO_CLOSE int fd = openat(folder, "cgroup.subtree_control", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (n <= 0)
        return false;
    text[n] = '\0';
    char *rest = text;
    for (char *word; (word = strsep(&rest, " \n")) != NULL;) {
        if (strcmp(word, controller) == 0)
            return true;
    }
    return false;
}

/* What is enabled already may be in a group that is not ours to change; what cannot be enabled is
 * told by name. */
static int v2_delegate(int folder, struct fault *fault)
{
    static const char *const needed[] = {"+memory", "+pids", "+cpu"};
    for (size_t i = 0; i < ARRAY_LEN(needed); i++) {
        if (!is_enabled(folder, needed[i] + 1) &&
            cgroup_write(folder, "cgroup.subtree_control", needed[i], fault) != 0)
            return -1;
    }
    return 0;
}

/* A group whose children have limits has no processes of its own. */
static int v2_settle(int folder, struct fault *fault)
{
    if (mkdirat(folder, CGROUP_OWN_LEAF, 0755) != 0 && errno != EEXIST)
        return fault_errno(fault, "cannot make cgroup " CGROUP_OWN_LEAF);
    AUTO_CLOSE int leaf = cgroup_open_folder(folder, CGROUP_OWN_LEAF);
    if (leaf < 0)
        return fault_errno(fault, "cannot open cgroup " CGROUP_OWN_LEAF);
    return cgroup_write(leaf, "cgroup.procs", "0", fault);
}

static int v2_limit(const int *folders, const struct cgroup_limits *limits, struct fault *fault)
{
    if (cgroup_write_number(folders[0], "memory.max", limits->memory_bytes, fault) != 0)
        return -1;
    /* Absent where the kernel has no swap accounting, and then there is no swap for groups. */
    if (faccessat(folders[0], "memory.swap.max", F_OK, 0) == 0 &&
        cgroup_write_number(folders[0], "memory.swap.max", 0, fault) != 0)
        return -1;
    if (cgroup_write_number(folders[0], "memory.oom.group", 1, fault) != 0 ||
        cgroup_write_number(folders[0], "pids.max", limits->pids, fault) != 0)
        return -1;
    char text[64];
    (void)snprintf(text, sizeof text, "%lld %d",
                   (long long)limits->cpu_percent * (CGROUP_CPU_PERIOD_US / 100),
                   CGROUP_CPU_PERIOD_US);
    return cgroup_write(folders[0], "cpu.max", text, fault);
}

/* memory.events is polled by POLLPRI; each read makes it unready until the next event. */
static int v2_watch_oom(const int *folders, int *ret_fd, int *ret_watch, struct fault *fault)
{
    AUTO_CLOSE int events = openat(folders[0], "memory.events", O_RDONLY | O_CLOEXEC);
    char text[256];
    if (events < 0 || pread(events, text, sizeof text, 0) < 0)
        return fault_errno(fault, "cannot watch the memory of a cgroup");
    *ret_fd = TAKE_FD(events);
    *ret_watch = -1;
    return 0;
}

static bool v2_out_of_memory(const int *folders, int fd)
{
    char text[256];
    (void)!pread(fd, text, sizeof text, 0);
    return cgroup_read_number(folders[0], "memory.events", "oom") > 0 ||
           cgroup_read_number(folders[0], "memory.events", "oom_kill") > 0;
}

static void v2_usage(const int *folders, struct cgroup_usage *ret_usage)
{
    int64_t cpu_us = cgroup_read_number(folders[0], "cpu.stat", "usage_usec");
    *ret_usage = (struct cgroup_usage){
        .cpu_ms = cpu_us < 0 ? -1 : cpu_us / 1000,
        .memory_peak_bytes = cgroup_read_number(folders[0], "memory.peak", NULL),
        .pids_peak = cgroup_read_number(folders[0], "pids.peak", NULL),
        .oom_kills = cgroup_read_number(folders[0], "memory.events", "oom_kill"),
        .pids_refused = cgroup_read_number(folders[0], "pids.events", "max"),
        .cpu_throttled = cgroup_read_number(folders[0], "cpu.stat", "nr_throttled"),
    };
}

static void v2_kill(const int *folders)
{
    (void)cgroup_write_number(folders[0], "cgroup.kill", 1, NULL);
}

const struct cgroup_version cgroup_v2 = {
    .number = 2,
    .controllers = controllers,
    .controller_count = ARRAY_LEN(controllers),
    .join_file = "cgroup.procs",
    .home = true,
    .own = "",
    .delegate = v2_delegate,
    .settle = v2_settle,
    .limit = v2_limit,
    .watch_oom = v2_watch_oom,
    .oom_events = POLLPRI,
    .out_of_memory = v2_out_of_memory,
    .usage = v2_usage,
    .kill = v2_kill,
};
