/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One control group a run, below a parent of this worker's own: limits, membership, what
 * was used, and removal with whatever is still in it. cgroup v1 (one folder a controller),
 * v2 (one folder) and a host without them look the same from here.
 */
#pragma once

#include "base/fault.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct cgroup_host; /* where groups are made */
struct cgroup;
#define AUTO_CGROUP_HOST AUTO(cgroup_host_cleanup)

struct cgroup_limits {
    int64_t memory_bytes; /* swap included: there is none on top */
    int64_t pids;         /* processes and threads */
    int64_t cpu_percent;  /* 100 is one CPU */
};

/* -1 where the host does not tell. */
struct cgroup_usage {
    int64_t cpu_ms;
    int64_t memory_peak_bytes;
    int64_t pids_peak;
    int64_t oom_kills;
    int64_t pids_refused;  /* forks the pids limit refused */
    int64_t cpu_throttled; /* periods that were cut short */
};

/* Finds the version below `root` ("/sys/fs/cgroup"), makes the parent group (a path below the
 * root, no leading slash) and checks that memory, pids and cpu can be limited in it.
 *
 * A parent that begins with "./" is below the group this process is in, which a service manager has
 * given into its charge (systemd's Delegate=yes): nothing above that is changed, and on v2, where a
 * group with processes of its own cannot limit its children, this process moves into a child.
 *
 * FAULT_UNAVAILABLE says what is missing, FAULT_MALFORMED_REQUEST that the parent is no path. */
int cgroup_host_open(const char *root, const char *parent, struct cgroup_host **ret_host,
                     struct fault *fault) MUST_CHECK;
/* One without cgroups: its groups limit, count and hold nothing. All processes below this one are
 * taken for their members, so no two of them tell theirs apart. */
int cgroup_host_none(struct cgroup_host **ret_host, struct fault *fault) MUST_CHECK;
/* 1 or 2; 0: none. */
int cgroup_host_version(const struct cgroup_host *host);
/* Kills and removes every group below the parent: only while none of ours is in use. */
int cgroup_host_sweep(struct cgroup_host *host, struct fault *fault) MUST_CHECK;
/* Also removes the parent if it is empty. NULL-safe. */
void cgroup_host_free(struct cgroup_host *host);
void cgroup_host_cleanup(struct cgroup_host **host);

/* A new group `name` (one path component) with these limits; ends with cgroup_remove(). */
int cgroup_new(struct cgroup_host *host, const char *name, const struct cgroup_limits *limits,
               struct cgroup **ret_cgroup, struct fault *fault) MUST_CHECK;

/* Files a process that has one thread joins the group by, writing "0" to each (struct
 * process_spec.cgroups). */
const int *cgroup_join_fds(const struct cgroup *cgroup, size_t *ret_count);

/* Where a process can be born in the group (struct process_spec.home), which is not waited for: v2;
 * 0 where it has to join. */
int cgroup_home_fd(const struct cgroup *cgroup);

/* A descriptor that is ready (ret_events) when the group may have run out of memory;
 * cgroup_out_of_memory() then says whether it did, and makes it unready. -1 where there is none. */
int cgroup_oom_fd(const struct cgroup *cgroup, short *ret_events);
bool cgroup_out_of_memory(struct cgroup *cgroup);

struct cgroup_usage cgroup_usage(const struct cgroup *cgroup);

/* Its processes, at most max of them; returns how many there are. */
size_t cgroup_members(const struct cgroup *cgroup, pid_t *ret_pids, size_t max);

/* Kills what is still in it, waits for its end (2 s at most) and removes the group. Frees it
 * in any case. */
int cgroup_remove(struct cgroup *cgroup, struct fault *fault);
