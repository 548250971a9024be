/* SPDX-License-Identifier: Apache-2.0 */
/* For cgroup.c, cgroup_host.c and the versions only. */
#pragma once

#include "sandbox/cgroup.h"

#include <stdio.h>

#define CGROUP_FOLDERS_MAX 4

/* Where a worker stays that was given its own group: a name that no run has. */
#define CGROUP_OWN_LEAF "sallyport-worker"

/* A start of the runtime takes 150 ms of CPU on two of them: within the kernel's own 100 ms a
 * share of one CPU would be used up before its end, and every run be stopped for some 20 ms. */
#define CGROUP_CPU_PERIOD_US 250000

/* What differs between versions. `folders` are descriptors of one group's folders, in the
 * order of `controllers`. */
struct cgroup_version {
    int number;
    /* Folders below the root, one a hierarchy; "." where there is but one. */
    const char *const *controllers;
    size_t controller_count;
    /* The file by which a process of one thread joins: the one that is not waited for, if any. */
    const char *join_file;
    bool home; /* clone3(2) can make a process in the group */
    /* What cgroup_own_path() is asked for, of a hierarchy. NULL: its controller. */
    const char *own;
    /* Lets children of the group have limits. */
    int (*delegate)(int folder, struct fault *fault);
    /* Takes this process out of the group, which was given to it, so that its children may have
     * limits; NULL where it may stay. */
    int (*settle)(int folder, struct fault *fault);
    int (*limit)(const int *folders, const struct cgroup_limits *limits, struct fault *fault);
    /* Opens what cgroup_oom_fd() answers; *ret_watch is a second descriptor to be kept, or -1. */
    int (*watch_oom)(const int *folders, int *ret_fd, int *ret_watch, struct fault *fault);
    short oom_events;
    /* Makes the descriptor unready; true if memory ran out. */
    bool (*out_of_memory)(const int *folders, int fd);
    void (*usage)(const int *folders, struct cgroup_usage *ret_usage);
    /* Kills all in the group at one blow; NULL: one by one. */
    void (*kill)(const int *folders);
    /* NULL: its cgroup.procs tells. */
    size_t (*members)(pid_t *ret_pids, size_t max);
};

extern const struct cgroup_version cgroup_v1;
extern const struct cgroup_version cgroup_v2;
extern const struct cgroup_version cgroup_none;

struct cgroup_host {
    const struct cgroup_version *version;
    char *root;
    char *paths[CGROUP_FOLDERS_MAX]; /* the parent group's, below each hierarchy */
    int parents[CGROUP_FOLDERS_MAX]; /* the parent group's folders */
};

/* ---- cgroup_host.c ---- */

int cgroup_open_folder(int at, const char *name);
/* Kills what is in it and removes the group; waits 2 s at most. Gone already is success. */
int cgroup_folder_remove(const struct cgroup_version *version, int parent, const char *name,
                         struct fault *fault);
/* The path of the process whose /proc/self/cgroup is given, in the hierarchy of a controller ("":
 * in that of v2); owned by the caller, NULL if there is none. cgroups(7). */
char *cgroup_own_path(const char *text, const char *controller);

/* ---- cgroup_file.c ---- */

FILE *cgroup_open_members(int folder);

/* Writes a number (or text) to an existing control file. */
int cgroup_write(int folder, const char *file, const char *text, struct fault *fault);
int cgroup_write_number(int folder, const char *file, int64_t number, struct fault *fault);

/* The file's one number, or the number behind `key` at a line's start; -1 if there is none. */
int64_t cgroup_read_number(int folder, const char *file, const char *key);

/* ---- cgroup.c ---- */

/* Makes a group of these folders, which exist, without limits: takes them over. For tests of a
 * version over plain folders, too. */
int cgroup_adopt(const struct cgroup_version *version, const int *folders,
                 struct cgroup **ret_cgroup, struct fault *fault);
