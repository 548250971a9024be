/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: an archive becomes exactly the tree it says, or is refused with a reason; and whatever
 * it says, nothing outside its folder is touched. The archives are made by archives.py. */
#include "tests/sandbox/unpacking.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

static int setup(void **state)
{
    static struct unpacking unpacking;
    unpacking_begin(&unpacking, TEST_DATA "/../sandbox/archives.py");
    *state = &unpacking;
    return 0;
}

/* Unpacks into a fresh folder. */
static int unpack(struct unpacking *unpacking, enum artifact_kind kind, const char *path,
                  struct tree_sum *sum, struct fault *fault)
{
    AUTO_CLOSE int fd = unpacking_open(unpacking, path, fault);
    return unpack_archive(&unpacking->config, kind, fd, unpacking->target, -1, sum, fault);
}

/* Only what the contract allows: types, modes, owner. */
static void assert_plain(const char *path)
{
    struct stat stat;
    assert_int_equal(lstat(path, &stat), 0);
    assert_int_equal(stat.st_uid | stat.st_gid, 0);
    if (S_ISREG(stat.st_mode))
        assert_true((stat.st_mode & 07777) == 0644 || (stat.st_mode & 07777) == 0755);
    else if (S_ISDIR(stat.st_mode))
        assert_int_equal(stat.st_mode & 07777, 0755);
    else
        assert_true(S_ISLNK(stat.st_mode));
    DIR *dir = S_ISDIR(stat.st_mode) ? opendir(path) : NULL;
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        AUTO_FREE char *inner = NULL;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        assert_true(asprintf(&inner, "%s/%s", path, entry->d_name) > 0);
        assert_plain(inner);
    }
    if (dir != NULL)
        (void)closedir(dir);
}

static void judge(struct unpacking *unpacking, const char *name, bool ok, const char *reason)
{
    struct tree_sum sum;
    struct fault fault = {0};
    AUTO_FREE char *path = NULL;
    assert_true(asprintf(&path, "%s/%s", unpacking->samples, name) > 0);
    int result = unpack(unpacking, ARTIFACT_ROOTFS, path, &sum, &fault);
    assert_canary_lives(unpacking, name);
    if (ok && result != 0)
        fail_msg("%s: refused: %s", name, fault.detail);
    if (ok) {
        assert_plain(unpacking->target);
        return;
    }
    if (result == 0)
        fail_msg("%s: unpacked", name);
    bool bomb = strcmp(reason, "unpacks to more") == 0 || strcmp(reason, "entries") == 0;
    enum fault_code code = bomb ? FAULT_TOO_LARGE : FAULT_ARTIFACT_INVALID;
    if (fault.code != code || strstr(fault.detail, reason) == NULL ||
        strcmp(fault.detail, "no reason given") == 0)
        fail_msg("%s: %s \"%s\", expected \"%s\"", name, fault_name(fault.code), fault.detail,
                 reason);
}

static void test_every_archive(void **state)
{
    struct unpacking *unpacking = *state;
    AUTO_FREE char *path = NULL;
    assert_true(asprintf(&path, "%s/index", unpacking->samples) > 0);
    AUTO_FILE FILE *index = fopen(path, "re");
    assert_non_null(index);
    char line[512];
    int judged = 0, refused = 0;
    for (; fgets(line, sizeof line, index) != NULL; judged++) {
        line[strcspn(line, "\n")] = '\0';
        char *rest = line;
        const char *name = strsep(&rest, "\t");
        const char *expected = strsep(&rest, "\t");
        assert_non_null(rest);
        judge(unpacking, name, strcmp(expected, "ok") == 0, rest);
        refused += strcmp(expected, "refused") == 0;
    }
    assert_true(judged >= 200 && refused >= 150); /* all of them were made */
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_CHILDREN, &usage), 0);
    assert_in_range(usage.ru_maxrss * 1024, 1, unpacking->config.memory_bytes);
}

static void assert_content(const struct unpacking *unpacking, const char *name, mode_t mode,
                           const char *content)
{
    AUTO_FREE char *path = NULL;
    AUTO_BUF struct buf buf = BUF(4096);
    struct fault fault = {0};
    struct stat stat;
    assert_true(asprintf(&path, "%s/%s", unpacking->target, name) > 0);
    assert_int_equal(lstat(path, &stat), 0);
    assert_int_equal(stat.st_mode, mode);
    if (S_ISLNK(mode)) {
        char target[256] = "";
        assert_true(readlink(path, target, sizeof target - 1) > 0);
        assert_string_equal(target, content);
    } else if (S_ISREG(mode)) {
        assert_int_equal(file_read(path, &buf, &fault), 0);
        assert_string_equal(buf_text(&buf), content);
    }
}

static void test_the_tree_is_what_the_archive_says(void **state)
{
    struct unpacking *unpacking = *state;
    static const char *const names[] = {"plain.tar", "plain.tar.gz", "plain.tar.zst", "gnu.tar"};
    struct tree_sum first = {0};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct tree_sum sum;
        struct fault fault = {0};
        AUTO_FREE char *path = NULL;
        assert_true(asprintf(&path, "%s/%s", unpacking->samples, names[i]) > 0);
        if (unpack(unpacking, ARTIFACT_ROOTFS, path, &sum, &fault) != 0)
            fail_msg("%s: %s", names[i], fault.detail);
        assert_content(unpacking, "bin/program", S_IFREG | 0755, "#!x");
        assert_content(unpacking, "bin/second", S_IFREG | 0755, "#!x");
        assert_content(unpacking, "etc/implicit/file", S_IFREG | 0644, "content");
        assert_content(unpacking, "etc/implicit", S_IFDIR | 0755, NULL);
        assert_content(unpacking, "sbin", S_IFLNK | 0777, "bin");
        assert_content(unpacking, "etc/absolute", S_IFLNK | 0777, "/etc/passwd");
        assert_content(unpacking, "run/sallyport", S_IFDIR | 0755, NULL);
        assert_int_equal(sum.entries, 9 + 7);
        if (i > 0)
            assert_true(digest_equal(&sum.content, &first.content));
        first = sum;
    }
}

/* ---- programs ---- */

static void write_bytes(const char *path, const void *data, size_t len)
{
    struct fault fault = {0};
    assert_int_equal(file_replace(path, data, len, 0644, &fault), 0);
}

static void test_static_program(void **state)
{
    struct unpacking *unpacking = *state;
    AUTO_FREE char *root = NULL;
    AUTO_FREE char *tool = NULL;
    assert_true(asprintf(&root, "%s/root", unpacking->samples) > 0);
    assert_true(asprintf(&tool, "%s" TOOL, root) > 0);
    harness_make_root(root);
    struct tree_sum sum;
    struct fault fault = {0};
    if (unpack(unpacking, ARTIFACT_BINARY, tool, &sum, &fault) != 0)
        fail_msg("%s", fault.detail);
    assert_plain(unpacking->target);
    struct stat made, given;
    AUTO_FREE char *path = NULL;
    assert_true(asprintf(&path, "%s" ARTIFACT_BINARY_PATH, unpacking->target) > 0);
    assert_int_equal(stat(path, &made), 0);
    assert_int_equal(stat(tool, &given), 0);
    assert_int_equal(made.st_size, given.st_size);
    assert_int_equal(made.st_mode & 07777, 0755);
    assert_int_equal(dir_remove(root, &fault), 0);
}

static void test_refused_programs(void **state)
{
    struct unpacking *unpacking = *state;
    uint8_t elf[1024] = {0x7f, 'E', 'L', 'F', 2, 1, 1, [16] = 2, [18] = 62};
    static const struct {
        size_t len;
        int at;
        uint8_t value;
        const char *reason;
    } cases[] = {
        {0, 0, 0x7f, "not an ELF"},
        {10, 0, 0x7f, "not an ELF"},
        {sizeof elf, 1, 'X', "not an ELF"},
        {sizeof elf, 4, 1, "another machine"},    /* 32 bit */
        {sizeof elf, 18, 243, "another machine"}, /* RISC-V */
        {sizeof elf, 16, 1, "not an executable"}, /* an object file */
        {sizeof elf, 4, 2, "program headers"},    /* none */
    };
    AUTO_FREE char *path = NULL;
    assert_true(asprintf(&path, "%s/elf", unpacking->samples) > 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint8_t bytes[sizeof elf];
        memcpy(bytes, elf, sizeof elf);
        bytes[cases[i].at] = cases[i].value;
        write_bytes(path, bytes, cases[i].len);
        struct tree_sum sum;
        struct fault fault = {0};
        assert_int_equal(unpack(unpacking, ARTIFACT_BINARY, path, &sum, &fault), -1);
        assert_int_equal(fault.code, FAULT_ARTIFACT_INVALID);
        if (strstr(fault.detail, cases[i].reason) == NULL)
            fail_msg("case %zu: %s", i, fault.detail);
    }
    struct tree_sum sum;
    struct fault fault = {0};
    assert_int_equal(unpack(unpacking, ARTIFACT_BINARY, "/bin/true", &sum, &fault), -1);
    assert_non_null(strstr(fault.detail, "interpreter"));
}

/* ---- the rest ---- */

static void test_cancel(void **state)
{
    struct unpacking *unpacking = *state;
    AUTO_CLOSE int cancel = eventfd(1, EFD_CLOEXEC);
    AUTO_FREE char *path = NULL;
    assert_true(asprintf(&path, "%s/gzip_bomb.tar.gz", unpacking->samples) > 0);
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct tree_sum sum;
    struct fault fault = {0};
    assert_int_equal(dir_remove(unpacking->target, &fault), 0);
    assert_int_equal(mkdir(unpacking->target, 0700), 0);
    assert_int_equal(unpack_archive(&unpacking->config, ARTIFACT_ROOTFS, fd, unpacking->target,
                                    cancel, &sum, &fault),
                     -1);
    assert_int_equal(fault.code, FAULT_SHUTTING_DOWN);
}

static void test_a_host_that_cannot(void **state)
{
    struct unpacking *unpacking = *state;
    struct unpack_config kept = unpacking->config;
    struct tree_sum sum;
    struct fault fault = {0};
    unpacking->config.program = "/nonexistent/sallyport-unpack";
    assert_int_equal(unpack(unpacking, ARTIFACT_ROOTFS, "/bin/true", &sum, &fault), -1);
    assert_int_equal(fault.code, FAULT_INTERNAL);
    unpacking->config = kept;
    unpacking->config.uid = 0; /* never as root */
    assert_int_equal(unpack(unpacking, ARTIFACT_ROOTFS, "/bin/true", &sum, &fault), -1);
    assert_int_equal(fault.code, FAULT_INTERNAL);
    unpacking->config = kept;
}

/* ---- the child, looked at while it works ---- */

/* 1 GiB of zeros, which keeps the unpacker busy long enough to be looked at. */
static char *make_long_archive(const struct unpacking *unpacking)
{
    char *path = NULL;
    AUTO_FREE char *script = NULL;
    assert_true(asprintf(&path, "%s/long.tar.zst", unpacking->samples) > 0);
    assert_true(asprintf(&script,
                         "cd %s && truncate -s 1G zeros && tar -c zeros | zstd -q -1 -f -o %s && "
                         "rm zeros",
                         unpacking->samples, path) > 0);
    const char *const make[] = {"sh", "-c", script, NULL};
    assert_int_equal(harness_command(make), 0);
    return path;
}

struct long_unpacking {
    struct unpacking *unpacking;
    const char *path;
    int cancel;
    int result;
    struct fault fault;
};

static void *unpack_long(void *context)
{
    struct long_unpacking *job = context;
    struct tree_sum sum;
    AUTO_CLOSE int fd = open(job->path, O_RDONLY | O_CLOEXEC);
    job->result = unpack_archive(&job->unpacking->config, ARTIFACT_ROOTFS, fd,
                                 job->unpacking->target, job->cancel, &sum, &job->fault);
    return NULL;
}

static bool read_of_child(pid_t pid, const char *name, struct buf *ret_text)
{
    char path[64];
    struct fault fault = {0};
    (void)snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    buf_reset(ret_text);
    return file_read(path, ret_text, &fault) == 0;
}

/* The process whose root is the target, once its filter holds; 0 if there is none. */
static pid_t find_child(const char *target, struct buf *ret_status)
{
    DIR *dir = opendir("/proc");
    pid_t found = 0;
    for (struct dirent *entry; found == 0 && (entry = readdir(dir)) != NULL;) {
        char path[300], root[128] = "";
        (void)snprintf(path, sizeof path, "/proc/%s/root", entry->d_name);
        if (readlink(path, root, sizeof root - 1) < 0 || strcmp(root, target) != 0)
            continue;
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (read_of_child(pid, "status", ret_status) &&
            strstr(buf_text(ret_status), "\nSeccomp:\t2\n") != NULL)
            found = pid;
    }
    (void)closedir(dir);
    return found;
}

/* Starts a long unpacking in a thread of its own and waits for its child. */
static pid_t start_long(struct long_unpacking *job, pthread_t *ret_thread, struct buf *ret_status)
{
    struct fault fault = {0};
    assert_int_equal(dir_remove(job->unpacking->target, &fault), 0);
    assert_int_equal(mkdir(job->unpacking->target, 0700), 0);
    assert_int_equal(pthread_create(ret_thread, NULL, unpack_long, job), 0);
    int64_t until = clock_monotonic_ms() + 20000;
    pid_t pid;
    while ((pid = find_child(job->unpacking->target, ret_status)) == 0 &&
           clock_monotonic_ms() < until)
        (void)sched_yield();
    return pid;
}

/* A line of /proc/<pid>/limits: its name, then soft and hard value. */
static void expect_limit(const struct buf *limits, const char *name, int64_t soft, int64_t hard)
{
    long long values[2];
    const char *line = strstr(buf_text(limits), name);
    if (line == NULL || sscanf(line + strlen(name), "%lld %lld", &values[0], &values[1]) != 2 ||
        values[0] != soft || values[1] != hard)
        fail_msg("%s: not %lld and %lld in %s", name, (long long)soft, (long long)hard,
                 buf_text(limits));
}

static void test_the_child_is_confined(void **state)
{
    struct unpacking *unpacking = *state;
    struct unpack_config kept = unpacking->config;
    AUTO_FREE char *path = make_long_archive(unpacking);
    AUTO_CLOSE int cancel = eventfd(0, EFD_CLOEXEC);
    unpacking->config.max_bytes = 2048 * MIB;
    struct long_unpacking job = {.unpacking = unpacking, .path = path, .cancel = cancel};
    pthread_t thread;
    AUTO_BUF struct buf status = BUF(65536), limits = BUF(65536);
    pid_t pid = start_long(&job, &thread, &status);
    bool found = pid != 0 && read_of_child(pid, "limits", &limits);
    uint64_t one = 1;
    assert_int_equal(write(cancel, &one, sizeof one), sizeof one);
    assert_int_equal(pthread_join(thread, NULL), 0);
    unpacking->config = kept;

    assert_true(found);
    static const char *const facts[] = {
        "\nUid:\t65533\t65533\t65533\t65533\n",
        "\nGid:\t65533\t65533\t65533\t65533\n",
        "\nGroups:\t \n",
        "\nNoNewPrivs:\t1\n",
        "\nCapPrm:\t0000000000000000\n",
        "\nCapEff:\t0000000000000000\n",
        "\nThreads:\t1\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(facts); i++) {
        if (strstr(buf_text(&status), facts[i]) == NULL)
            fail_msg("not%s in %s", facts[i], buf_text(&status));
    }
    expect_limit(&limits, "\nMax cpu time", kept.cpu_seconds, kept.cpu_seconds + 1);
    expect_limit(&limits, "\nMax file size", 2048 * MIB, 2048 * MIB);
    expect_limit(&limits, "\nMax core file size", 0, 0);
    expect_limit(&limits, "\nMax open files", 16, 16);
#if !defined(__SANITIZE_ADDRESS__) /* whose shadow is terabytes */
    expect_limit(&limits, "\nMax address space", kept.memory_bytes, kept.memory_bytes);
#endif
    assert_int_equal(job.result, -1);
    assert_int_equal(job.fault.code, FAULT_SHUTTING_DOWN);
    assert_int_equal(unlink(path), 0);
}

/* By somebody else, as the kernel does when memory is short: that says nothing of the archive,
 * which must not be rejected for ever by it. */
static void test_killed_by_the_host(void **state)
{
    struct unpacking *unpacking = *state;
    struct unpack_config kept = unpacking->config;
    AUTO_FREE char *path = make_long_archive(unpacking);
    unpacking->config.max_bytes = 2048 * MIB;
    struct long_unpacking job = {.unpacking = unpacking, .path = path, .cancel = -1};
    pthread_t thread;
    AUTO_BUF struct buf status = BUF(65536);
    pid_t pid = start_long(&job, &thread, &status);
    if (pid != 0)
        assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    unpacking->config = kept;
    assert_int_not_equal(pid, 0);
    assert_int_equal(job.result, -1);
    assert_int_equal(job.fault.code, FAULT_INTERNAL);
    assert_int_equal(unlink(path), 0);
}

static void test_cpu_limit(void **state)
{
    struct unpacking *unpacking = *state;
    struct unpack_config kept = unpacking->config;
    AUTO_FREE char *path = NULL;
    assert_true(asprintf(&path, "%s/slow.tar", unpacking->samples) > 0);
    unpacking->config.cpu_seconds = 1;
    struct tree_sum sum;
    struct fault fault = {0};
    assert_int_equal(unpack(unpacking, ARTIFACT_ROOTFS, path, &sum, &fault), -1);
    unpacking->config = kept;
    assert_int_equal(fault.code, FAULT_ARTIFACT_INVALID);
    assert_string_equal(fault.detail, "takes too long to unpack");
}

static void test_time_limit(void **state)
{
    struct unpacking *unpacking = *state;
    struct unpack_config kept = unpacking->config;
    AUTO_FREE char *path = make_long_archive(unpacking);
    unpacking->config.max_bytes = 2048 * MIB;
    unpacking->config.wall_ms = 50;
    struct tree_sum sum;
    struct fault fault = {0};
    assert_int_equal(unpack(unpacking, ARTIFACT_ROOTFS, path, &sum, &fault), -1);
    unpacking->config = kept;
    assert_int_equal(fault.code, FAULT_ARTIFACT_INVALID);
    assert_string_equal(fault.detail, "takes too long to unpack");
    assert_int_equal(unlink(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_archive),
        cmocka_unit_test(test_the_tree_is_what_the_archive_says),
        cmocka_unit_test(test_static_program),
        cmocka_unit_test(test_refused_programs),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_a_host_that_cannot),
        cmocka_unit_test(test_the_child_is_confined),
        cmocka_unit_test(test_killed_by_the_host),
        cmocka_unit_test(test_cpu_limit),
        cmocka_unit_test(test_time_limit),
    };
    return cmocka_run_group_tests(tests, setup, unpacking_end);
}
