/* SPDX-License-Identifier: Apache-2.0 */
/* Where groups are made: the version, the parent group, and the sweep below it. */
#include "sandbox/cgroup_internal.h"

#include "base/clock.h"
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define REMOVE_WAIT_MS 2000
#define RETRY_NS 1000000
#define OWN_MAX 65536 /* of /proc/self/cgroup */

/* ---- where this process is ---- */

static bool is_of(const char *list, size_t len, const char *controller)
{
    size_t wanted = strlen(controller);
    if (len == 0 || wanted == 0)
        return len == wanted;
    for (const char *at = list; at < list + len;) {
        const char *comma = memchr(at, ',', len - (size_t)(at - list));
        size_t word = comma == NULL ? len - (size_t)(at - list) : (size_t)(comma - at);
        if (word == wanted && memcmp(at, controller, word) == 0)
            return true;
        at += word + 1;
    }
    return false;
}

char *cgroup_own_path(const char *text, const char *controller)
{
    for (const char *line = text; *line != '\0';) {
        size_t len = strcspn(line, "\n");
        const char *list = memchr(line, ':', len);
        const char *path =
            list == NULL ? NULL : memchr(list + 1, ':', len - (size_t)(list + 1 - line));
        if (path != NULL && path[1] == '/' &&
            is_of(list + 1, (size_t)(path - list - 1), controller)) {
            char *own = strndup(path + 2, len - (size_t)(path + 2 - line));
            char *leaf = own == NULL ? NULL : strrchr(own, '/');
            leaf = leaf == NULL ? own : leaf + 1;
            if (leaf != NULL && strcmp(leaf, CGROUP_OWN_LEAF) == 0) /* it has settled before */
                *(leaf == own ? own : leaf - 1) = '\0';
            return own;
        }
        line += len + (line[len] == '\n');
    }
    return NULL;
}

/* ---- the parent group ---- */

int cgroup_open_folder(int at, const char *name)
{
    return openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static const struct cgroup_version *find_version(int root)
{
    if (faccessat(root, "cgroup.controllers", F_OK, 0) == 0)
        return &cgroup_v2;
    return faccessat(root, "memory/cgroup.procs", F_OK, 0) == 0 ? &cgroup_v1 : NULL;
}

/* One step down from *at, closing it; the group is made where it may be. */
static int step_down(int *at, const char *name, bool make, const char *path, struct fault *fault)
{
    if (*name == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "%s is not a path of a cgroup", path);
    if (make && mkdirat(*at, name, 0755) != 0 && errno != EEXIST)
        return fault_errno(fault, "cannot make cgroup %s", path);
    int next = cgroup_open_folder(*at, name);
    if (next < 0)
        return fault_errno(fault, "cannot open cgroup %s", path);
    (void)close(*at);
    *at = next;
    return 0;
}

/* From *at along the path, making what is not there: each group lets the next have limits. */
static int make_groups(const struct cgroup_version *version, int *at, const char *path,
                       struct fault *fault)
{
    AUTO_FREE char *copy = strdup(path);
    if (copy == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    char *rest = copy;
    for (char *name; (name = strsep(&rest, "/")) != NULL;) {
        if (version->delegate != NULL && version->delegate(*at, fault) != 0)
            return -1;
        if (step_down(at, name, true, path, fault) != 0)
            return -1;
    }
    return version->delegate == NULL ? 0 : version->delegate(*at, fault);
}

/* To the group this process is in, of which it has been given the charge: nothing above it is
 * changed. */
static int go_to_own(const struct cgroup_version *version, int *at, const char *own,
                     struct fault *fault)
{
    AUTO_FREE char *copy = strdup(own);
    if (copy == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    char *rest = copy;
    for (char *name; *own != '\0' && (name = strsep(&rest, "/")) != NULL;) {
        if (step_down(at, name, false, own, fault) != 0)
            return -1;
    }
    return version->settle == NULL ? 0 : version->settle(*at, fault);
}

static int read_own_path(const struct cgroup_version *version, size_t i, char **ret_path,
                         struct fault *fault)
{
    AUTO_BUF struct buf text = BUF(OWN_MAX);
    if (file_read("/proc/self/cgroup", &text, fault) != 0)
        return -1;
    const char *controller = version->own != NULL ? version->own : version->controllers[i];
    char *path = cgroup_own_path(buf_text(&text), controller);
    if (path == NULL)
        return fault_set(fault, FAULT_UNAVAILABLE, "this process is in no cgroup of %s",
                         version->controllers[i]);
    *ret_path = path;
    return 0;
}

/* The parent group in the i-th hierarchy, its folder open and its path kept. */
static int open_parent(struct cgroup_host *host, size_t i, int top, const char *parent,
                       struct fault *fault)
{
    const struct cgroup_version *version = host->version;
    AUTO_CLOSE int at = cgroup_open_folder(top, version->controllers[i]);
    AUTO_FREE char *own = NULL;
    if (at < 0)
        return fault_set(fault, FAULT_UNAVAILABLE, "no %s controller in the cgroups at %s",
                         version->controllers[i], host->root);
    bool below_own = strncmp(parent, "./", 2) == 0;
    if (below_own &&
        (read_own_path(version, i, &own, fault) != 0 || go_to_own(version, &at, own, fault) != 0))
        return -1;
    const char *path = below_own ? parent + 2 : parent;
    if (make_groups(version, &at, path, fault) != 0)
        return -1;
    const char *above = below_own ? own : "";
    if (asprintf(&host->paths[i], "%s%s/%s", *above == '\0' ? "" : "/", above, path) < 0) {
        host->paths[i] = NULL;
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    }
    host->parents[i] = TAKE_FD(at);
    return 0;
}

static struct cgroup_host *host_alloc(const char *root)
{
    struct cgroup_host *host = calloc(1, sizeof *host);
    if (host == NULL)
        return NULL;
    for (size_t i = 0; i < CGROUP_FOLDERS_MAX; i++)
        host->parents[i] = -1;
    host->root = strdup(root);
    if (host->root != NULL)
        return host;
    free(host);
    return NULL;
}

int cgroup_host_open(const char *root, const char *parent, struct cgroup_host **ret_host,
                     struct fault *fault)
{
    AUTO_CGROUP_HOST struct cgroup_host *host = host_alloc(root);
    if (host == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    AUTO_CLOSE int top = cgroup_open_folder(AT_FDCWD, root);
    host->version = top < 0 ? NULL : find_version(top);
    if (host->version == NULL)
        return fault_set(fault, FAULT_UNAVAILABLE,
                         "no cgroups at %s: expected v2, or v1 with memory", root);
    for (size_t i = 0; i < host->version->controller_count; i++) {
        struct fault why = {0};
        if (open_parent(host, i, top, parent, &why) != 0)
            return fault_set(fault,
                             why.code == FAULT_MALFORMED_REQUEST ? why.code : FAULT_UNAVAILABLE,
                             "%s", why.detail);
    }
    *ret_host = TAKE(host);
    return 0;
}

int cgroup_host_none(struct cgroup_host **ret_host, struct fault *fault)
{
    struct cgroup_host *host = host_alloc("");
    if (host == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    host->version = &cgroup_none;
    *ret_host = host;
    return 0;
}

int cgroup_host_version(const struct cgroup_host *host)
{
    return host->version->number;
}

/* From the parent upwards, while empty. */
static void remove_parents(const struct cgroup_host *host, size_t i)
{
    AUTO_FREE char *path = NULL;
    int len = asprintf(&path, "%s/%s%s", host->root, host->version->controllers[i], host->paths[i]);
    if (len < 0) {
        path = NULL;
        return;
    }
    size_t hierarchy = (size_t)len - strlen(host->paths[i]);
    while (strlen(path) > hierarchy && rmdir(path) == 0)
        *strrchr(path, '/') = '\0';
}

void cgroup_host_free(struct cgroup_host *host)
{
    if (host == NULL)
        return;
    for (size_t i = 0; i < CGROUP_FOLDERS_MAX; i++) {
        cleanup_close(&host->parents[i]);
        if (host->paths[i] != NULL)
            remove_parents(host, i);
        free(host->paths[i]);
    }
    free(host->root);
    free(host);
}

void cgroup_host_cleanup(struct cgroup_host **host)
{
    cgroup_host_free(*host);
}

/* ---- the end of groups ---- */

/* Kills each process of the folder's group once; some may be born meanwhile, so the caller
 * comes again until the group can be removed. */
static void kill_members(int folder)
{
    AUTO_FILE FILE *procs = cgroup_open_members(folder);
    for (long pid; procs != NULL && fscanf(procs, "%ld", &pid) == 1;) {
        if (pid > 1)
            (void)kill((pid_t)pid, SIGKILL);
    }
}

int cgroup_folder_remove(const struct cgroup_version *version, int parent, const char *name,
                         struct fault *fault)
{
    int64_t until = clock_monotonic_ms() + REMOVE_WAIT_MS;
    while (unlinkat(parent, name, AT_REMOVEDIR) != 0) {
        if (errno == ENOENT)
            return 0;
        if (errno != EBUSY || clock_monotonic_ms() > until)
            return fault_errno(fault, "cannot remove cgroup %s", name);
        AUTO_CLOSE int folder = cgroup_open_folder(parent, name);
        if (folder >= 0 && version->kill != NULL)
            version->kill(&folder);
        if (folder >= 0)
            kill_members(folder);
        (void)nanosleep(&(struct timespec){.tv_nsec = RETRY_NS}, NULL);
    }
    return 0;
}

static void close_dir(DIR **dir)
{
    if (*dir != NULL)
        (void)closedir(*dir);
}

static int sweep_folder(const struct cgroup_version *version, int parent, struct fault *fault)
{
    int fd = cgroup_open_folder(parent, ".");
    AUTO(close_dir) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL) {
        cleanup_close(&fd);
        return fault_errno(fault, "cannot list cgroups");
    }
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
            continue;
        if (cgroup_folder_remove(version, parent, entry->d_name, fault) != 0)
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
