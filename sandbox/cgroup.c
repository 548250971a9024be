/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/cgroup_internal.h"

#include "base/clock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define REMOVE_WAIT_MS 2000
#define RETRY_NS 1000000

struct cgroup_host {
    const struct cgroup_version *version;
    char *root, *parent;
    int parents[CGROUP_FOLDERS_MAX]; /* the parent group's folders */
};

struct cgroup {
    const struct cgroup_version *version;
    char *name;
    int parents[CGROUP_FOLDERS_MAX]; /* where it is to be removed; -1: stays */
    int folders[CGROUP_FOLDERS_MAX];
    int join[CGROUP_FOLDERS_MAX]; /* cgroup.procs, for writing */
    int oom, oom_watch;
};

/* ---- the host ---- */

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

static int open_folder(int at, const char *name)
{
    return openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static const struct cgroup_version *find_version(int root)
{
    if (faccessat(root, "cgroup.controllers", F_OK, 0) == 0)
        return &cgroup_v2;
    return faccessat(root, "memory/cgroup.procs", F_OK, 0) == 0 ? &cgroup_v1 : NULL;
}

/* Walks from a hierarchy's root to the parent group, making what is not there. */
static int make_parent(const struct cgroup_version *version, int hierarchy, const char *path,
                       int *ret_fd, struct fault *fault)
{
    AUTO_FREE char *copy = strdup(path);
    AUTO_CLOSE int at = fcntl(hierarchy, F_DUPFD_CLOEXEC, 0);
    if (copy == NULL || at < 0)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    char *rest = copy;
    for (char *name; (name = strsep(&rest, "/")) != NULL;) {
        if (*name == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
            return fault_set(fault, FAULT_UNAVAILABLE, "%s is not a path of a cgroup", path);
        if (version->delegate != NULL && version->delegate(at, fault) != 0)
            return -1;
        if (mkdirat(at, name, 0755) != 0 && errno != EEXIST)
            return fault_errno(fault, "cannot make cgroup %s", path);
        int next = open_folder(at, name);
        if (next < 0)
            return fault_errno(fault, "cannot open cgroup %s", path);
        (void)close(at);
        at = next;
    }
    if (version->delegate != NULL && version->delegate(at, fault) != 0)
        return -1;
    *ret_fd = TAKE_FD(at);
    return 0;
}

int cgroup_host_open(const char *root, const char *parent, struct cgroup_host **ret_host,
                     struct fault *fault)
{
    AUTO_CGROUP_HOST struct cgroup_host *host = calloc(1, sizeof *host);
    if (host == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    no_fds(host->parents);
    host->root = strdup(root);
    host->parent = strdup(parent);
    AUTO_CLOSE int top = open_folder(AT_FDCWD, root);
    host->version = top < 0 ? NULL : find_version(top);
    if (host->root == NULL || host->parent == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    if (host->version == NULL)
        return fault_set(fault, FAULT_UNAVAILABLE,
                         "no cgroups at %s: expected v2, or v1 with memory", root);
    for (size_t i = 0; i < host->version->controller_count; i++) {
        const char *controller = host->version->controllers[i];
        AUTO_CLOSE int hierarchy = open_folder(top, controller);
        if (hierarchy < 0)
            return fault_set(fault, FAULT_UNAVAILABLE, "no %s controller in the cgroups at %s",
                             controller, root);
        struct fault why = {0};
        if (make_parent(host->version, hierarchy, parent, &host->parents[i], &why) != 0)
            return fault_set(fault, FAULT_UNAVAILABLE, "%s", why.detail);
    }
    *ret_host = TAKE(host);
    return 0;
}

int cgroup_host_version(const struct cgroup_host *host)
{
    return host->version->number;
}

/* From the parent upwards, while empty. */
static void remove_parents(const char *hierarchy, const char *parent)
{
    AUTO_FREE char *path = NULL;
    if (asprintf(&path, "%s/%s", hierarchy, parent) < 0) {
        path = NULL;
        return;
    }
    size_t stop = strlen(hierarchy);
    while (strlen(path) > stop && rmdir(path) == 0)
        *strrchr(path, '/') = '\0';
}

void cgroup_host_free(struct cgroup_host *host)
{
    if (host == NULL)
        return;
    close_all(host->parents);
    for (size_t i = 0; host->version != NULL && i < host->version->controller_count; i++) {
        AUTO_FREE char *hierarchy = NULL;
        if (asprintf(&hierarchy, "%s/%s", host->root, host->version->controllers[i]) < 0)
            hierarchy = NULL;
        else
            remove_parents(hierarchy, host->parent);
    }
    free(host->root);
    free(host->parent);
    free(host);
}

void cgroup_host_cleanup(struct cgroup_host **host)
{
    cgroup_host_free(*host);
}

/* ---- one group ---- */

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
        cgroup->join[i] = openat(cgroup->folders[i], "cgroup.procs", O_WRONLY | O_CLOEXEC);
        if (cgroup->join[i] < 0)
            return fault_errno(fault, "cannot open cgroup.procs");
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
        cgroup->folders[i] = open_folder(host->parents[i], cgroup->name);
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

static FILE *open_members(int folder)
{
    AUTO_CLOSE int fd = openat(folder, "cgroup.procs", O_RDONLY | O_CLOEXEC);
    FILE *procs = fd < 0 ? NULL : fdopen(fd, "re");
    if (procs != NULL)
        (void)TAKE_FD(fd);
    return procs;
}

size_t cgroup_members(const struct cgroup *cgroup, pid_t *ret_pids, size_t max)
{
    AUTO_FILE FILE *procs = open_members(cgroup->folders[0]);
    size_t count = 0;
    for (long pid; procs != NULL && fscanf(procs, "%ld", &pid) == 1; count++) {
        if (count < max)
            ret_pids[count] = (pid_t)pid;
    }
    return count;
}

/* ---- its end ---- */

/* Kills each process of the folder's group once; some may be born meanwhile, so the caller
 * comes again until the group can be removed. */
static void kill_members(int folder)
{
    AUTO_FILE FILE *procs = open_members(folder);
    for (long pid; procs != NULL && fscanf(procs, "%ld", &pid) == 1;) {
        if (pid > 1)
            (void)kill((pid_t)pid, SIGKILL);
    }
}

static int remove_folder(const struct cgroup_version *version, int parent, const char *name,
                         struct fault *fault)
{
    int64_t until = clock_monotonic_ms() + REMOVE_WAIT_MS;
    while (unlinkat(parent, name, AT_REMOVEDIR) != 0) {
        if (errno == ENOENT)
            return 0;
        if (errno != EBUSY || clock_monotonic_ms() > until)
            return fault_errno(fault, "cannot remove cgroup %s", name);
        AUTO_CLOSE int folder = open_folder(parent, name);
        if (folder >= 0 && version->kill != NULL)
            version->kill(&folder);
        if (folder >= 0)
            kill_members(folder);
        (void)nanosleep(&(struct timespec){.tv_nsec = RETRY_NS}, NULL);
    }
    return 0;
}

int cgroup_remove(struct cgroup *cgroup, struct fault *fault)
{
    if (cgroup == NULL)
        return 0;
    int result = 0;
    for (size_t i = 0; i < cgroup->version->controller_count; i++) {
        if (cgroup->parents[i] >= 0 &&
            remove_folder(cgroup->version, cgroup->parents[i], cgroup->name, fault) != 0)
            result = -1;
    }
    cgroup_free(cgroup);
    return result;
}

static void close_dir(DIR **dir)
{
    if (*dir != NULL)
        (void)closedir(*dir);
}

static int sweep_folder(const struct cgroup_version *version, int parent, struct fault *fault)
{
    int fd = open_folder(parent, ".");
    AUTO(close_dir) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL) {
        cleanup_close(&fd);
        return fault_errno(fault, "cannot list cgroups");
    }
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
            continue;
        if (remove_folder(version, parent, entry->d_name, fault) != 0)
            return -1;
    }
    return 0;
}

int cgroup_host_sweep(struct cgroup_host *host, struct fault *fault)
{
    for (size_t i = 0; i < host->version->controller_count; i++) {
        if (sweep_folder(host->version, host->parents[i], fault) != 0)
            return -1;
    }
    return 0;
}
