/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/bundle.h"

#include "base/file.h"
#include "sandbox/path.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>

#define CONFIG_MAX (8u << 20)

struct bundle {
    char *folder, *rootfs, *in, *sallyport, *runtime;
};

/* ---- config.json ---- */

static json_t *strings_json(const char *const *texts)
{
    json_t *array = json_array();
    for (; texts != NULL && *texts != NULL; texts++) {
        if (json_array_append_new(array, json_string(*texts)) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

/* runsc adds a HOME where there is none: then it is to be the one place that can be written. */
static json_t *env_json(const char *const *env)
{
    json_t *array = strings_json(env);
    for (; env != NULL && *env != NULL; env++) {
        if (strncmp(*env, "HOME=", 5) == 0)
            return array;
    }
    if (json_array_append_new(array, json_string("HOME=/tmp")) == 0)
        return array;
    json_decref(array);
    return NULL;
}

static json_t *rlimit_json(const char *type, int64_t value)
{
    return json_pack("{s:s, s:I, s:I}", "type", type, "hard", (json_int_t)value, "soft",
                     (json_int_t)value);
}

/* All four sets empty: no capability can be had, whatever is executed. */
static json_t *process_json(const struct sandbox_job *job, uid_t uid, gid_t gid)
{
    return json_pack(
        "{s:b, s:{s:i, s:i}, s:o, s:o, s:s, s:{s:[], s:[], s:[], s:[], s:[]}, s:[o, o, o, o], "
        "s:b}",
        "terminal", 0, "user", "uid", (int)(job->uid > 0 ? job->uid : uid), "gid",
        (int)(job->gid > 0 ? job->gid : gid), "args", strings_json(job->argv), "env",
        env_json(job->env), "cwd", job->workdir == NULL ? "/" : job->workdir, "capabilities",
        "bounding", "effective", "inheritable", "permitted", "ambient", "rlimits",
        rlimit_json("RLIMIT_NOFILE", job->limits.open_files),
        rlimit_json("RLIMIT_FSIZE", job->limits.file_size_bytes),
        rlimit_json("RLIMIT_NPROC", job->limits.pids), rlimit_json("RLIMIT_CORE", 0),
        "noNewPrivileges", 1);
}

static json_t *mount_json(const char *destination, const char *type, const char *source,
                          const char *first_option)
{
    return json_pack("{s:s, s:s, s:s, s:[s, s, s, s]}", "destination", destination, "type", type,
                     "source", source, "options", first_option, "noexec", "nosuid", "nodev");
}

static json_t *mounts_json(const struct sandbox_job *job)
{
    char size[40];
    (void)snprintf(size, sizeof size, "size=%lld", (long long)job->limits.tmp_bytes);
    json_t *tmp = mount_json("/tmp", "tmpfs", "tmpfs", "mode=1777");
    if (json_array_append_new(json_object_get(tmp, "options"), json_string(size)) != 0) {
        json_decref(tmp);
        return NULL;
    }
    return json_pack("[o, o, o, o, o]", mount_json("/proc", "proc", "proc", "rw"),
                     mount_json("/sys", "sysfs", "sysfs", "ro"), tmp,
                     mount_json("/in", "bind", "in", "ro"),
                     mount_json("/run/sallyport", "bind", "sallyport", "ro"));
}

/* A user namespace of its own would make the tool root there, with every capability over it: raw
 * sockets and more of gVisor's kernel in reach. (Making any other namespace takes capabilities.
 * clone3, whose flags are out of a filter's sight, is not in the versions of runsc that are
 * allowed; answering it with EPERM, which is all their filters can, would keep glibc from making
 * threads.) io_uring is an experiment of theirs that no tool depends on. */
static json_t *seccomp_json(void)
{
    static const char *const calls[] = {"unshare", "clone"}; /* the flags are their first word */
    json_t *rules = json_array();
    for (size_t i = 0; i < ARRAY_LEN(calls); i++)
        (void)json_array_append_new(
            rules,
            json_pack("{s:[s], s:s, s:[{s:i, s:I, s:I, s:s}]}", "names", calls[i], "action",
                      "SCMP_ACT_ERRNO", "args", "index", 0, "value", (json_int_t)CLONE_NEWUSER,
                      "valueTwo", (json_int_t)CLONE_NEWUSER, "op", "SCMP_CMP_MASKED_EQ"));
    (void)json_array_append_new(
        rules, json_pack("{s:[s], s:s}", "names", "io_uring_setup", "action", "SCMP_ACT_ERRNO"));
    return json_pack("{s:s, s:[s], s:o}", "defaultAction", "SCMP_ACT_ALLOW", "architectures",
                     "SCMP_ARCH_X86_64", "syscalls", rules);
}

int bundle_config(const struct sandbox_job *job, uid_t uid, gid_t gid, json_t **ret_config,
                  struct fault *fault)
{
    json_t *config = json_pack(
        "{s:s, s:o, s:{s:s, s:b}, s:s, s:o, s:{s:[{s:s}, {s:s}, {s:s}, {s:s}, {s:s}, {s:s}], s:o}}",
        "ociVersion", "1.0.2", "process", process_json(job, uid, gid), "root", "path", "rootfs",
        "readonly", 1, "hostname", "sandbox", "mounts", mounts_json(job), "linux", "namespaces",
        "type", "pid", "type", "network", "type", "ipc", "type", "uts", "type", "mount", "type",
        "cgroup", "seccomp", seccomp_json());
    if (config == NULL)
        return fault_set(fault, FAULT_MANIFEST_INVALID,
                         "args, env and workdir have to be valid UTF-8 text");
    *ret_config = config;
    return 0;
}

/* A new file of exactly these bytes and this mode, whatever the umask. */
static int write_new(const char *folder, const char *name, struct span bytes, mode_t mode,
                     struct fault *fault)
{
    AUTO_FREE char *path = path_join(folder, name);
    if (path == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0 || fchmod(fd, mode) != 0 || write(fd, bytes.data, bytes.len) != (ssize_t)bytes.len)
        return fault_errno(fault, "cannot write %s", path);
    return 0;
}

static int write_config(const struct bundle *bundle, const struct sandbox_job *job, uid_t uid,
                        gid_t gid, struct fault *fault)
{
    AUTO_JSON json_t *config = NULL;
    if (bundle_config(job, uid, gid, &config, fault) != 0)
        return -1;
    AUTO_FREE char *text = json_dumps(config, JSON_COMPACT);
    if (text == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    if (strlen(text) > CONFIG_MAX)
        return fault_set(fault, FAULT_MANIFEST_INVALID, "args and env are too long");
    return write_new(bundle->folder, "config.json", span_text(text), 0600, fault);
}

/* ---- what is bound ---- */

static int copy_input(int from, const char *to, struct fault *fault)
{
    AUTO_CLOSE int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
    if (fd < 0 || fchmod(fd, 0444) != 0)
        return fault_errno(fault, "cannot make an input");
    for (;;) {
        ssize_t n = copy_file_range(from, NULL, fd, NULL, 1 << 20, 0);
        if (n == 0)
            return 0;
        if (n < 0)
            return fault_errno(fault, "cannot copy an input");
    }
}

/* The very file that was opened is linked, so that what was checked is what is bound. */
static int place_input(const char *in, const struct sandbox_input *input, struct fault *fault)
{
    AUTO_FREE char *to = path_join(in, input->name);
    AUTO_CLOSE int fd = open(input->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat stat;
    if (to == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    if (fd < 0 || fstat(fd, &stat) != 0)
        return fault_errno(fault, "cannot open input %s", input->name);
    if (!S_ISREG(stat.st_mode) || (stat.st_mode & 0006) != 0004)
        return fault_set(fault, FAULT_INTERNAL,
                         "input %s is not a regular file that others may read, and only read",
                         input->name);
    char from[40];
    (void)snprintf(from, sizeof from, "/proc/self/fd/%d", fd);
    if (linkat(AT_FDCWD, from, AT_FDCWD, to, AT_SYMLINK_FOLLOW) == 0)
        return 0;
    if (errno == EEXIST)
        return fault_set(fault, FAULT_MANIFEST_INVALID, "there are two inputs %s", input->name);
    return errno == EXDEV ? copy_input(fd, to, fault)
                          : fault_errno(fault, "cannot place input %s", input->name);
}

/* ---- the folder ---- */

static void bundle_free(struct bundle *bundle)
{
    if (bundle == NULL)
        return;
    free(bundle->folder);
    free(bundle->rootfs);
    free(bundle->in);
    free(bundle->sallyport);
    free(bundle->runtime);
    free(bundle);
}

static struct bundle *bundle_alloc(const char *run_folder, const char *id)
{
    struct bundle *bundle = calloc(1, sizeof *bundle);
    if (bundle == NULL)
        return NULL;
    bundle->folder = path_join(run_folder, id);
    if (bundle->folder != NULL) {
        bundle->rootfs = path_join(bundle->folder, "rootfs");
        bundle->in = path_join(bundle->folder, "in");
        bundle->sallyport = path_join(bundle->folder, "sallyport");
        bundle->runtime = path_join(bundle->folder, "runtime");
    }
    if (bundle->rootfs != NULL && bundle->in != NULL && bundle->sallyport != NULL &&
        bundle->runtime != NULL)
        return bundle;
    bundle_free(bundle);
    return NULL;
}

static int fill(const struct bundle *bundle, const struct sandbox_job *job, uid_t uid, gid_t gid,
                struct fault *fault)
{
    const struct {
        const char *path;
        mode_t mode;
    } folders[] = {{bundle->rootfs, 0755},
                   {bundle->in, 0755},
                   {bundle->sallyport, 0755},
                   {bundle->runtime, 0700}};
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        if (mkdir(folders[i].path, folders[i].mode) != 0 ||
            chmod(folders[i].path, folders[i].mode) != 0)
            return fault_errno(fault, "cannot make %s", folders[i].path);
    }
    if (write_config(bundle, job, uid, gid, fault) != 0 ||
        write_new(bundle->sallyport, "manifest.json", job->manifest, 0444, fault) != 0)
        return -1;
    for (size_t i = 0; i < job->input_count; i++) {
        if (place_input(bundle->in, &job->inputs[i], fault) != 0)
            return -1;
    }
    return 0;
}

int bundle_make(const char *run_folder, const struct sandbox_job *job, uid_t uid, gid_t gid,
                struct bundle **ret_bundle, struct fault *fault)
{
    struct bundle *bundle = bundle_alloc(run_folder, job->id);
    if (bundle == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    if (mkdir(bundle->folder, 0700) != 0) {
        (void)fault_errno(fault, "cannot make %s", bundle->folder);
        bundle_free(bundle);
        return -1;
    }
    if (fill(bundle, job, uid, gid, fault) != 0) {
        (void)bundle_remove(bundle, NULL);
        return -1;
    }
    *ret_bundle = bundle;
    return 0;
}

const char *bundle_folder(const struct bundle *bundle)
{
    return bundle->folder;
}

const char *bundle_rootfs(const struct bundle *bundle)
{
    return bundle->rootfs;
}

const char *bundle_runtime(const struct bundle *bundle)
{
    return bundle->runtime;
}

int bundle_remove(struct bundle *bundle, struct fault *fault)
{
    if (bundle == NULL)
        return 0;
    int result = dir_remove(bundle->folder, fault);
    bundle_free(bundle);
    return result;
}
