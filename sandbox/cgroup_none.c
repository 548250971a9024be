/* SPDX-License-Identifier: Apache-2.0 */
/* A host without cgroups: nothing is limited or counted here, and a sandbox's processes are found
 * as those below our own. They die with their first one all the same (sandbox/process.h). */
#include "sandbox/cgroup_internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>

#define DEPTH_MAX 16

static int none_limit(const int *folders, const struct cgroup_limits *limits, struct fault *fault)
{
    (void)folders, (void)limits, (void)fault;
    return 0;
}

static int none_watch_oom(const int *folders, int *ret_fd, int *ret_watch, struct fault *fault)
{
    (void)folders, (void)fault;
    *ret_fd = *ret_watch = -1;
    return 0;
}

static bool none_out_of_memory(const int *folders, int fd)
{
    (void)folders, (void)fd;
    return false;
}

static void none_usage(const int *folders, struct cgroup_usage *ret_usage)
{
    (void)folders;
    *ret_usage = (struct cgroup_usage){-1, -1, -1, -1, -1, -1};
}

/* proc(5): the fourth field, behind the name, which may hold anything; 0 if it is gone. */
static pid_t parent_of(pid_t pid)
{
    char path[40], text[1024];
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    const char *name_end = strrchr(text, ')');
    return name_end == NULL || strlen(name_end) < 5 ? 0 : (pid_t)strtol(name_end + 4, NULL, 10);
}

static bool is_below_us(pid_t pid)
{
    for (int depth = 0; depth < DEPTH_MAX && pid > 1; depth++) {
        pid = parent_of(pid);
        if (pid == getpid())
            return true;
    }
    return false;
}

static void close_dir(DIR **dir)
{
    if (*dir != NULL)
        (void)closedir(*dir);
}

static size_t none_members(pid_t *ret_pids, size_t max)
{
    AUTO(close_dir) DIR *dir = opendir("/proc");
    size_t count = 0;
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid <= 1 || !is_below_us(pid))
            continue;
        if (count < max)
            ret_pids[count] = pid;
        count++;
    }
    return count;
}

const struct cgroup_version cgroup_none = {
    .number = 0,
    .controller_count = 0,
    .limit = none_limit,
    .watch_oom = none_watch_oom,
    .oom_events = POLLIN,
    .out_of_memory = none_out_of_memory,
    .usage = none_usage,
    .members = none_members,
};
