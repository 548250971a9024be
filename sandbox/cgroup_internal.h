/* SPDX-License-Identifier: Apache-2.0 */
/* For cgroup.c and its two versions only. */
#pragma once

#include "sandbox/cgroup.h"

#define CGROUP_FOLDERS_MAX 4

/* What differs between versions. `folders` are descriptors of one group's folders, in the
 * order of `controllers`. */
struct cgroup_version {
    int number;
    /* Folders below the root, one a hierarchy; "." where there is but one. */
    const char *const *controllers;
    size_t controller_count;
    /* Lets children of the group have limits. */
    int (*delegate)(int folder, struct fault *fault);
    int (*limit)(const int *folders, const struct cgroup_limits *limits, struct fault *fault);
    /* Opens what cgroup_oom_fd() answers; *ret_watch is a second descriptor to be kept, or -1. */
    int (*watch_oom)(const int *folders, int *ret_fd, int *ret_watch, struct fault *fault);
    short oom_events;
    /* Makes the descriptor unready; true if memory ran out. */
    bool (*out_of_memory)(const int *folders, int fd);
    void (*usage)(const int *folders, struct cgroup_usage *ret_usage);
    /* Kills all in the group at one blow; NULL: one by one. */
    void (*kill)(const int *folders);
};

extern const struct cgroup_version cgroup_v1;
extern const struct cgroup_version cgroup_v2;

/* Writes a number (or text) to an existing control file. */
int cgroup_write(int folder, const char *file, const char *text, struct fault *fault);
int cgroup_write_number(int folder, const char *file, int64_t number, struct fault *fault);

/* The file's one number, or the number behind `key` at a line's start; -1 if there is none. */
int64_t cgroup_read_number(int folder, const char *file, const char *key);

/* Makes a group of these folders, which exist, without limits: takes them over. For tests of a
 * version over plain folders, too. */
int cgroup_adopt(const struct cgroup_version *version, const int *folders,
                 struct cgroup **ret_cgroup, struct fault *fault);
