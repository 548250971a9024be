/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/unpack.h"

#include "base/text.h"
#include "sandbox/process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#define PROGRAM_NAME "sallyport-unpack"
#define REASON_MAX 512
#define EXIT_REFUSED 10 /* unpack/main.c */
#define EXIT_TOO_LARGE 12

/* What the sandbox is mounted on; the bundle's own mounts need them in the read-only root. */
static const char *const mount_points[UNPACK_ENTRIES_ADDED] = {"proc", "dev", "sys",          "tmp",
                                                               "in",   "run", "run/sallyport"};

struct unpack_config unpack_config_defaults(void)
{
    return (struct unpack_config){
        .uid = 65533,
        .gid = 65533,
        .max_bytes = INT64_C(8) << 30,
        .max_entries = 250000,
        .cpu_seconds = 120,
        .wall_ms = 300000,
        .memory_bytes = 512 << 20,
    };
}

/* ---- the child ---- */

static char *find_program(const struct unpack_config *config, struct fault *fault)
{
    if (config->program != NULL) {
        char *copy = strdup(config->program);
        if (copy == NULL)
            (void)fault_set(fault, FAULT_INTERNAL, "out of memory");
        return copy;
    }
    char self[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    char *path = NULL;
    if (len > 0) {
        self[len] = '\0';
        *strrchr(self, '/') = '\0';
    }
    if (len <= 0 || asprintf(&path, "%s/" PROGRAM_NAME, self) < 0) {
        (void)fault_set(fault, FAULT_INTERNAL, "cannot find " PROGRAM_NAME);
        return NULL;
    }
    return path;
}

/* The child's one line, made harmless once more on this side. */
static void read_reason(const struct process_result *process, char *ret_reason, size_t size)
{
    const struct buf *said = &process->output[SANDBOX_STDERR].stored;
    size_t len = strcspn(buf_text(said), "\n");
    len = len < size - 1 ? len : size - 1;
    const char *text = buf_text(said);
    if (len == 0 || !utf8_valid(text, len) || text_has_control(text, len)) {
        (void)snprintf(ret_reason, size, "no reason given");
        return;
    }
    len = utf8_cut(text, len, len);
    memcpy(ret_reason, text, len);
    ret_reason[len] = '\0';
}

static int judge(const struct process_result *process, struct fault *fault)
{
    char reason[300];
    read_reason(process, reason, sizeof reason);
    switch (process->end) {
    case PROCESS_EXITED:
        if (process->status == 0)
            return 0;
        if (process->status == EXIT_REFUSED)
            return fault_set(fault, FAULT_ARTIFACT_INVALID, "%s", reason);
        if (process->status == EXIT_TOO_LARGE)
            return fault_set(fault, FAULT_TOO_LARGE, "%s", reason);
        return fault_set(fault, FAULT_INTERNAL, PROGRAM_NAME ": %s", reason);
    case PROCESS_SIGNALED:
        if (process->status == SIGKILL) /* short of memory, say: no fault of the archive's */
            return fault_set(fault, FAULT_INTERNAL, PROGRAM_NAME " was killed by this host");
        return fault_set(fault, FAULT_ARTIFACT_INVALID, "made the unpacker end by signal %d",
                         process->status);
    case PROCESS_TIMED_OUT:
        return fault_set(fault, FAULT_ARTIFACT_INVALID, "takes too long to unpack");
    case PROCESS_CANCELLED:
        return fault_set(fault, FAULT_SHUTTING_DOWN, "unpacking was cancelled");
    case PROCESS_ALARMED:
        break;
    }
    return fault_set(fault, FAULT_INTERNAL, PROGRAM_NAME " ended in no known way");
}

/* What the child is to say on standard output: nothing, or how an image is started. */
static int take_said(const struct process_result *process, struct buf *said, struct fault *fault)
{
    const struct sandbox_output *output = &process->output[SANDBOX_STDOUT];
    if (output->bytes > said->max)
        return fault_set(fault, FAULT_ARTIFACT_INVALID,
                         "made the unpacker say more than it may: %llu bytes",
                         (unsigned long long)output->bytes);
    buf_append(said, output->stored.data, output->stored.len);
    return buf_failed(said) ? fault_set(fault, FAULT_INTERNAL, "out of memory") : 0;
}

static int run_child(const struct unpack_config *config, const char *program,
                     enum artifact_kind kind, int archive_fd, int target_fd, int cancel_fd,
                     struct buf *said, struct fault *fault)
{
    const int64_t numbers[] = {3, /* the folder */
                               config->uid,
                               config->gid,
                               config->max_bytes,
                               config->max_entries,
                               config->cpu_seconds,
                               config->memory_bytes};
    char texts[ARRAY_LEN(numbers)][24];
    const char *argv[2 + ARRAY_LEN(numbers) + 1] = {PROGRAM_NAME, artifact_kind_name(kind)};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        (void)snprintf(texts[i], sizeof texts[i], "%lld", (long long)numbers[i]);
        argv[2 + i] = texts[i];
    }
    static const char *const env[] = {NULL};
    struct process_spec spec = {
        .program = program,
        .argv = argv,
        .env = env,
        .namespaces = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS,
        .stdin_fd = archive_fd,
        .keep = &target_fd,
        .keep_count = 1,
        .caps = {[SANDBOX_STDOUT] = said->max, [SANDBOX_STDERR] = REASON_MAX},
        .wall_ms = config->wall_ms,
        .cancel_fd = cancel_fd,
        .side_fd = -1,
    };
    AUTO_PROCESS_RESULT struct process_result process = {0};
    if (process_run(&spec, &process, fault) != 0 || judge(&process, fault) != 0)
        return -1;
    return take_said(&process, said, fault);
}

/* ---- this side ---- */

static int add_mount_points(int root, struct fault *fault)
{
    for (size_t i = 0; i < ARRAY_LEN(mount_points); i++) {
        const char *name = mount_points[i];
        struct stat stat;
        if (mkdirat(root, name, 0755) == 0)
            continue;
        if (errno != EEXIST)
            return fault_errno(fault, "cannot make /%s", name);
        if (fstatat(root, name, &stat, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(stat.st_mode))
            return fault_set(fault, FAULT_ARTIFACT_INVALID,
                             "/%s is not a folder, where the sandbox needs one", name);
    }
    return 0;
}

static int unpack(const struct unpack_config *config, enum artifact_kind kind, int archive_fd,
                  const char *target, int cancel_fd, struct buf *said, struct tree_sum *ret_sum,
                  struct fault *fault)
{
    AUTO_FREE char *program = find_program(config, fault);
    if (program == NULL)
        return -1;
    AUTO_CLOSE int root = open(target, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (root < 0)
        return fault_errno(fault, "cannot open %s", target);
    if (lseek(archive_fd, 0, SEEK_SET) != 0)
        return fault_errno(fault, "cannot read the artifact from its start");
    if (fchown(root, config->uid, config->gid) != 0 || fchmod(root, 0700) != 0)
        return fault_errno(fault, "cannot hand over %s", target);
    if (run_child(config, program, kind, archive_fd, root, cancel_fd, said, fault) != 0)
        return -1;
    if (tree_seal(target, geteuid(), getegid(), (uint64_t)config->max_entries,
                  (uint64_t)config->max_bytes, fault) != 0 ||
        add_mount_points(root, fault) != 0)
        return -1;
    return tree_measure(target, ret_sum, fault);
}

int unpack_archive(const struct unpack_config *config, enum artifact_kind kind, int archive_fd,
                   const char *target, int cancel_fd, struct tree_sum *ret_sum, struct fault *fault)
{
    AUTO_BUF struct buf said = BUF(REASON_MAX);
    if (kind != ARTIFACT_BINARY && kind != ARTIFACT_ROOTFS)
        return fault_set(fault, FAULT_INTERNAL, "an artifact of kind %s is no plain archive",
                         artifact_kind_name(kind));
    return unpack(config, kind, archive_fd, target, cancel_fd, &said, ret_sum, fault);
}

int unpack_image(const struct unpack_config *config, int archive_fd, const char *target,
                 int cancel_fd, struct tree_sum *ret_sum, struct image **ret_image,
                 struct fault *fault)
{
    AUTO_BUF struct buf said = BUF(IMAGE_JSON_MAX);
    AUTO_IMAGE struct image *image = NULL;
    struct tree_sum sum;
    if (unpack(config, ARTIFACT_OCI, archive_fd, target, cancel_fd, &said, &sum, fault) != 0 ||
        image_parse(buf_span(&said), &image, fault) != 0)
        return -1;
    *ret_sum = sum;
    *ret_image = TAKE(image);
    return 0;
}
