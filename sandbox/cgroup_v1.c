/* SPDX-License-Identifier: Apache-2.0 */
/* cgroup v1: a hierarchy a controller (Linux, Documentation/admin-guide/cgroup-v1). */
#include "sandbox/cgroup_internal.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>

enum { MEMORY, PIDS, CPU, CPUACCT, CONTROLLERS };

static const char *const controllers[CONTROLLERS] = {
    [MEMORY] = "memory", [PIDS] = "pids", [CPU] = "cpu", [CPUACCT] = "cpuacct"};

static int v1_limit(const int *folders, const struct cgroup_limits *limits, struct fault *fault)
{
    int memory = folders[MEMORY];
    if (cgroup_write_number(memory, "memory.limit_in_bytes", limits->memory_bytes, fault) != 0)
        return -1;
    /* Only there where the kernel counts swap; without it swap is not limited, so none may be
     * used instead. */
    if (faccessat(memory, "memory.memsw.limit_in_bytes", F_OK, 0) == 0) {
        if (cgroup_write_number(memory, "memory.memsw.limit_in_bytes", limits->memory_bytes,
                                fault) != 0)
            return -1;
    } else if (cgroup_write_number(memory, "memory.swappiness", 0, fault) != 0) {
        return -1;
    }
    if (cgroup_write_number(folders[PIDS], "pids.max", limits->pids, fault) != 0)
        return -1;
    if (cgroup_write_number(folders[CPU], "cpu.cfs_period_us", CGROUP_CPU_PERIOD_US, fault) != 0)
        return -1;
    return cgroup_write_number(folders[CPU], "cpu.cfs_quota_us",
                               limits->cpu_percent * (CGROUP_CPU_PERIOD_US / 100), fault);
}

/* The kernel signals the eventfd when a charge fails for good, before it picks a victim. */
static int v1_watch_oom(const int *folders, int *ret_fd, int *ret_watch, struct fault *fault)
{
    AUTO_CLOSE int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    AUTO_CLOSE int control = openat(folders[MEMORY], "memory.oom_control", O_RDONLY | O_CLOEXEC);
    if (event < 0 || control < 0)
        return fault_errno(fault, "cannot watch the memory of a cgroup");
    char text[32];
    (void)snprintf(text, sizeof text, "%d %d", event, control);
    if (cgroup_write(folders[MEMORY], "cgroup.event_control", text, fault) != 0)
        return -1;
    *ret_fd = TAKE_FD(event);
    *ret_watch = TAKE_FD(control);
    return 0;
}

static bool v1_out_of_memory(const int *folders, int fd)
{
    (void)folders;
    uint64_t times = 0;
    return read(fd, &times, sizeof times) == (ssize_t)sizeof times && times > 0;
}

static void v1_usage(const int *folders, struct cgroup_usage *ret_usage)
{
    int64_t cpu_ns = cgroup_read_number(folders[CPUACCT], "cpuacct.usage", NULL);
    *ret_usage = (struct cgroup_usage){
        .cpu_ms = cpu_ns < 0 ? -1 : cpu_ns / 1000000,
        .memory_peak_bytes = cgroup_read_number(folders[MEMORY], "memory.max_usage_in_bytes", NULL),
        .pids_peak = cgroup_read_number(folders[PIDS], "pids.peak", NULL),
        .oom_kills = cgroup_read_number(folders[MEMORY], "memory.oom_control", "oom_kill"),
        .pids_refused = cgroup_read_number(folders[PIDS], "pids.events", "max"),
        .cpu_throttled = cgroup_read_number(folders[CPU], "cpu.stat", "nr_throttled"),
    };
}

const struct cgroup_version cgroup_v1 = {
    .number = 1,
    .controllers = controllers,
    .controller_count = CONTROLLERS,
    /* A thread that moves itself alone takes no lock of the whole host; by cgroup.procs it would
     * wait for an RCU grace period, some 15 ms. */
    .join_file = "tasks",
    .limit = v1_limit,
    .watch_oom = v1_watch_oom,
    .oom_events = POLLIN,
    .out_of_memory = v1_out_of_memory,
    .usage = v1_usage,
};
