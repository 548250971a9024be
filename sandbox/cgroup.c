/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/cgroup_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

struct cgroup {
    const struct cgroup_version *version;
    char *name;
    int parents[CGROUP_FOLDERS_MAX]; /* where it is to be removed; -1: stays */
    int folders[CGROUP_FOLDERS_MAX];
    int join[CGROUP_FOLDERS_MAX]; /* the version's join_file, for writing */
    int oom, oom_watch;
};

static void close_all(int *fds)
{
    for (size_t i = 0; i < CGROUP_FOLDERS_MAX; i++) {
        if (fds[i] >= 0)
            (void)close(TAKE_FD(fds[i]));
    }
}

static void no_fds(int *fds)
{
    for (size_t i = 0; i < CGROUP_FOLDERS_MAX; i++)
        fds[i] = -1;
}

static void cgroup_free(struct cgroup *cgroup)
{
    if (cgroup == NULL)
        return;
    close_all(cgroup->parents);
    close_all(cgroup->folders);
    close_all(cgroup->join);
    cleanup_close(&cgroup->oom);
    cleanup_close(&cgroup->oom_watch);
    free(cgroup->name);
    free(cgroup);
}

static struct cgroup *cgroup_alloc(const struct cgroup_version *version, const char *name)
{
    struct cgroup *cgroup = calloc(1, sizeof *cgroup);
    if (cgroup == NULL)
        return NULL;
    cgroup->version = version;
    cgroup->oom = cgroup->oom_watch = -1;
    no_fds(cgroup->parents);
    no_fds(cgroup->folders);
    no_fds(cgroup->join);
    cgroup->name = strdup(name);
    if (cgroup->name == NULL) {
        cgroup_free(cgroup);
        return NULL;
    }
    return cgroup;
}

static int cgroup_open_files(struct cgroup *cgroup, struct fault *fault)
{
    const struct cgroup_version *version = cgroup->version;
    for (size_t i = 0; i < version->controller_count; i++) {
        cgroup->join[i] = openat(cgroup->folders[i], version->join_file, O_WRONLY | O_CLOEXEC);
        if (cgroup->join[i] < 0)
            return fault_errno(fault, "cannot open %s of a cgroup", version->join_file);
    }
    return version->watch_oom(cgroup->folders, &cgroup->oom, &cgroup->oom_watch, fault);
}

int cgroup_adopt(const struct cgroup_version *version, const int *folders,
                 struct cgroup **ret_cgroup, struct fault *fault)
{
    struct cgroup *cgroup = cgroup_alloc(version, "adopted");
    if (cgroup == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    memcpy(cgroup->folders, folders, version->controller_count * sizeof *folders);
    if (cgroup_open_files(cgroup, fault) != 0) {
        cgroup_free(cgroup);
        return -1;
    }
    *ret_cgroup = cgroup;
    return 0;
}

/* v1 mounts may join controllers in one hierarchy: the second mkdir then finds the first's. */
static int make_folders(struct cgroup *cgroup, const struct cgroup_host *host, struct fault *fault)
{
    for (size_t i = 0; i < host->version->controller_count; i++) {
        if (mkdirat(host->parents[i], cgroup->name, 0755) != 0 && (errno != EEXIST || i == 0))
            return fault_errno(fault, "cannot make cgroup %s", cgroup->name);
        cgroup->parents[i] = fcntl(host->parents[i], F_DUPFD_CLOEXEC, 0);
        cgroup->folders[i] = cgroup_open_folder(host->parents[i], cgroup->name);
        if (cgroup->parents[i] < 0 || cgroup->folders[i] < 0)
            return fault_errno(fault, "cannot open cgroup %s", cgroup->name);
    }
    return 0;
}

int cgroup_new(struct cgroup_host *host, const char *name, const struct cgroup_limits *limits,
               struct cgroup **ret_cgroup, struct fault *fault)
{
    if (strchr(name, '/') != NULL || name[0] == '.' || name[0] == '\0')
        return fault_set(fault, FAULT_INTERNAL, "%s is not a cgroup's name", name);
    struct cgroup *cgroup = cgroup_alloc(host->version, name);
    if (cgroup == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    if (make_folders(cgroup, host, fault) != 0 || cgroup_open_files(cgroup, fault) != 0 ||
        host->version->limit(cgroup->folders, limits, fault) != 0) {
        (void)cgroup_remove(cgroup, NULL);
        return -1;
    }
    *ret_cgroup = cgroup;
    return 0;
}

const int *cgroup_join_fds(const struct cgroup *cgroup, size_t *ret_count)
{
    *ret_count = cgroup->version->controller_count;
    return cgroup->join;
}

int cgroup_home_fd(const struct cgroup *cgroup)
{
    return cgroup->version->home ? cgroup->folders[0] : 0;
}

int cgroup_oom_fd(const struct cgroup *cgroup, short *ret_events)
{
    *ret_events = cgroup->version->oom_events;
    return cgroup->oom;
}

bool cgroup_out_of_memory(struct cgroup *cgroup)
{
    return cgroup->version->out_of_memory(cgroup->folders, cgroup->oom);
}

struct cgroup_usage cgroup_usage(const struct cgroup *cgroup)
{
    struct cgroup_usage usage;
    cgroup->version->usage(cgroup->folders, &usage);
    return usage;
}

size_t cgroup_members(const struct cgroup *cgroup, pid_t *ret_pids, size_t max)
{
    if (cgroup->version->members != NULL)
        return cgroup->version->members(ret_pids, max);
    AUTO_FILE FILE *procs = cgroup_open_members(cgroup->folders[0]);
    size_t count = 0;
    for (long pid; procs != NULL && fscanf(procs, "%ld", &pid) == 1; count++) {
        if (count < max)
            ret_pids[count] = (pid_t)pid;
    }
    return count;
}

/* ---- its end ---- */

int cgroup_remove(struct cgroup *cgroup, struct fault *fault)
{
    if (cgroup == NULL)
        return 0;
    int result = 0;
    for (size_t i = 0; i < cgroup->version->controller_count; i++) {
        if (cgroup->parents[i] >= 0 &&
            cgroup_folder_remove(cgroup->version, cgroup->parents[i], cgroup->name, fault) != 0)
            result = -1;
    }
    cgroup_free(cgroup);
    return result;
}
