/* SPDX-License-Identifier: Apache-2.0 */
/* A packed program: the same bytes each time, plain entries only, and it runs where nothing else
 * is. */
#include "base/digest.h"
#include "tests/unit/cli/fixture.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <locale.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#define YARA "/usr/bin/yara"

static void close_archive(struct archive **archive)
{
    (void)archive_read_free(*archive);
}

static struct archive *open_archive(const char *path)
{
    struct archive *archive = archive_read_new();
    assert_int_equal(archive_read_support_format_tar(archive), ARCHIVE_OK);
    assert_int_equal(archive_read_support_filter_zstd(archive), ARCHIVE_OK);
    assert_int_equal(archive_read_open_filename(archive, path, 65536), ARCHIVE_OK);
    return archive;
}

static void check_entry(struct archive_entry *entry, const char *before)
{
    const char *path = archive_entry_pathname(entry);
    mode_t perm = archive_entry_perm(entry);
    assert_true(path[0] != '/' && strstr(path, "..") == NULL);
    assert_true(strcmp(before, path) < 0); /* ordered, none twice */
    assert_int_equal(archive_entry_uid(entry), 0);
    assert_int_equal(archive_entry_gid(entry), 0);
    assert_int_equal(archive_entry_mtime(entry), 0);
    assert_null(archive_entry_hardlink(entry));
    assert_true(archive_entry_uname(entry) == NULL || *archive_entry_uname(entry) == '\0');
    switch (archive_entry_filetype(entry)) {
    case AE_IFDIR:
        assert_int_equal(perm, 0755);
        break;
    case AE_IFREG:
        assert_true(perm == 0755 || perm == 0644);
        break;
    case AE_IFLNK:
        assert_true(archive_entry_symlink(entry)[0] != '/');
        break;
    default:
        fail_msg("%s is neither file, folder nor link", path);
    }
}

static void test_entries_are_plain(void **state)
{
    struct fixture *fixture = *state;
    const char *file = fixture_path(fixture, "true.tar.zst");
    assert_int_equal(FIXTURE_RUN(fixture, "armory", "pack", "/usr/bin/true", "-o", file), 0);
    AUTO(close_archive) struct archive *archive = open_archive(file);
    struct archive_entry *entry;
    char before[4096] = "";
    size_t count = 0;
    bool program = false;
    while (archive_read_next_header(archive, &entry) == ARCHIVE_OK) {
        check_entry(entry, before);
        (void)snprintf(before, sizeof before, "%s", archive_entry_pathname(entry));
        program = program || strcmp(before, "usr/bin/true") == 0;
        count++;
    }
    assert_true(program);
    assert_true(count >= 8);
}

static void test_the_same_each_time(void **state)
{
    struct fixture *fixture = *state;
    AUTO_BUF struct buf first = BUF(64 * 1024 * 1024), second = BUF(64 * 1024 * 1024);
    const char *file = fixture_path(fixture, "a.tar.zst");
    assert_int_equal(
        FIXTURE_RUN(fixture, "armory", "pack", "/usr/bin/true", "-o", file, "--output", "json"), 0);
    fixture_read(file, &first);
    AUTO_JSON json_t *packed = json_loads(fixture->out, 0, NULL);
    struct digest digest = digest_of_span(buf_span(&first));
    assert_string_equal(json_string_value(json_object_get(packed, "sha256")),
                        digest_format(&digest).text);
    assert_int_equal(json_integer_value(json_object_get(packed, "size")), first.len);
    assert_int_equal(FIXTURE_RUN(fixture, "armory", "pack", "/usr/bin/true", "-o", file), 0);
    fixture_read(file, &second);
    assert_true(span_equal(buf_span(&first), buf_span(&second)));
}

/* Times, owners and odd modes of what is packed leave no trace. */
static void test_only_content_counts(void **state)
{
    struct fixture *fixture = *state;
    AUTO_BUF struct buf first = BUF(64 * 1024 * 1024), second = BUF(64 * 1024 * 1024);
    const char *rules = fixture_file(fixture, "rules", "x", 1, 0600);
    const char *file = fixture_path(fixture, "a.tar.zst");
    const char *const words[] = {"armory", "pack", "/usr/bin/true", "--with", rules, "-o",
                                 file,     NULL};
    assert_int_equal(fixture_run(fixture, words), 0);
    fixture_read(file, &first);
    const struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    assert_int_equal(utimensat(AT_FDCWD, rules, times, 0), 0);
    assert_int_equal(chmod(rules, 0444), 0);
    assert_int_equal(fixture_run(fixture, words), 0);
    fixture_read(file, &second);
    assert_true(span_equal(buf_span(&first), buf_span(&second)));
    buf_reset(&second);
    (void)fixture_file(fixture, "rules", "y", 1, 0600);
    assert_int_equal(fixture_run(fixture, words), 0);
    fixture_read(file, &second);
    assert_false(span_equal(buf_span(&first), buf_span(&second)));
}

/* Packs true with what is in the folder `data`; the bytes. */
static void pack_data(struct fixture *fixture, const char *program, const char *data,
                      struct buf *ret_bytes)
{
    const char *file = fixture_path(fixture, "packed.tar.zst");
    int status = FIXTURE_RUN(fixture, "armory", "pack", program, "--with", data, "-o", file);
    if (status != 0)
        fail_msg("%d: %s", status, fixture->fault.detail);
    buf_reset(ret_bytes);
    fixture_read(file, ret_bytes);
}

/* Neither where it is done, nor when, nor by whom, nor in which language. */
static void test_surroundings_leave_no_trace(void **state)
{
    struct fixture *fixture = *state;
    AUTO_BUF struct buf first = BUF(64 * 1024 * 1024), other = BUF(64 * 1024 * 1024);
    static const char *const locales[] = {"C", "POSIX", "C.UTF-8", "", "en_US.UTF-8", "de_DE"};
    static const char *const zones[] = {"UTC", "Asia/Kathmandu", "<X>-14"};
    char before[4096], data[256], inner[256];
    (void)snprintf(data, sizeof data, "%s/data", fixture->folder);
    (void)snprintf(inner, sizeof inner, "%s/data/b", fixture->folder);
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(mkdir(data, 0755), 0);
    (void)fixture_file(fixture,
                       "data/Gr\xc3\xb6\xc3\x9f"
                       "e",
                       "x", 1, 0600);
    (void)fixture_file(fixture, "data/b", "y", 1, 0640);
    (void)fixture_file(fixture, "data/a", "z", 1, 0444);
    pack_data(fixture, "/usr/bin/true", data, &first);

    for (size_t i = 0; i < ARRAY_LEN(locales); i++) {
        (void)setlocale(LC_ALL, locales[i]); /* where the machine has it */
        pack_data(fixture, "/usr/bin/true", data, &other);
        assert_true(span_equal(buf_span(&first), buf_span(&other)));
    }
    assert_non_null(setlocale(LC_ALL, "C"));
    for (size_t i = 0; i < ARRAY_LEN(zones); i++) {
        assert_int_equal(setenv("TZ", zones[i], 1), 0);
        tzset();
        pack_data(fixture, "/usr/bin/true", data, &other);
        assert_true(span_equal(buf_span(&first), buf_span(&other)));
    }
    assert_int_equal(unsetenv("TZ"), 0);
    mode_t mask = umask(077);
    pack_data(fixture, "/usr/bin/true", data, &other);
    (void)umask(mask);
    assert_true(span_equal(buf_span(&first), buf_span(&other)));
    assert_int_equal(chdir("/usr"), 0);
    pack_data(fixture, "bin/true", data, &other);
    assert_int_equal(chdir(fixture->folder), 0);
    assert_true(span_equal(buf_span(&first), buf_span(&other)));
    pack_data(fixture, "/usr/bin/true", "data", &other);
    assert_int_equal(chdir(before), 0);
    assert_true(span_equal(buf_span(&first), buf_span(&other)));
    const struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    assert_int_equal(utimensat(AT_FDCWD, data, times, 0), 0);
    assert_int_equal(chmod(data, 0711), 0);
    if (geteuid() == 0)
        assert_int_equal(chown(inner, 1234, 1234) | chown(data, 1234, 0), 0);
    pack_data(fixture, "/usr/bin/true", data, &other);
    assert_true(span_equal(buf_span(&first), buf_span(&other)));
}

/* In whatever order and by whatever name a thing is named, it is packed once. */
static void test_named_more_than_once(void **state)
{
    struct fixture *fixture = *state;
    AUTO_BUF struct buf first = BUF(64 * 1024 * 1024), second = BUF(64 * 1024 * 1024);
    const char *a = fixture_file(fixture, "a", "x", 1, 0644);
    const char *b = fixture_file(fixture, "b", "y", 1, 0644);
    const char *odd = fixture_path(fixture, "./a");
    const char *file = fixture_path(fixture, "a.tar.zst");
    assert_int_equal(FIXTURE_RUN(fixture, "armory", "pack", "/usr/bin/true", "--with", a, "--with",
                                 b, "-o", file),
                     0);
    fixture_read(file, &first);
    assert_int_equal(FIXTURE_RUN(fixture, "armory", "pack", "/usr/bin/true", "--with", b, "--with",
                                 odd, "--with", a, "--with", "/usr/bin/true", "--with", b, "-o",
                                 file),
                     0);
    fixture_read(file, &second);
    assert_true(span_equal(buf_span(&first), buf_span(&second)));
}

/* What gives rights on this machine gives none in the archive, whose reader would refuse it. */
static void test_a_setuid_program(void **state)
{
    struct fixture *fixture = *state;
    AUTO_BUF struct buf program = BUF(64 * 1024 * 1024);
    fixture_read("/usr/bin/true", &program);
    const char *tool = fixture_file(fixture, "tool", program.data, program.len, 0755);
    const char *file = fixture_path(fixture, "a.tar.zst");
    assert_int_equal(chmod(tool, 06755), 0);
    assert_int_equal(FIXTURE_RUN(fixture, "armory", "pack", tool, "-o", file), 0);
    AUTO(close_archive) struct archive *archive = open_archive(file);
    struct archive_entry *entry;
    char before[4096] = "";
    bool there = false;
    while (archive_read_next_header(archive, &entry) == ARCHIVE_OK) {
        check_entry(entry, before);
        (void)snprintf(before, sizeof before, "%s", archive_entry_pathname(entry));
        there = there || strcmp(before, tool + 1) == 0;
    }
    assert_true(there);
}

/* Refused here rather than by the gateway, once it is pushed. */
static void test_names_nobody_would_unpack(void **state)
{
    struct fixture *fixture = *state;
    static const char *const names[] = {"data/\xff\xfe", "data/a\nb", "data/\x1b[31m"};
    const char *data = fixture_path(fixture, "data"), *file = fixture_path(fixture, "a.tar.zst");
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        assert_int_equal(mkdir(data, 0755), 0);
        (void)fixture_file(fixture, names[i], "x", 1, 0644);
        assert_int_equal(
            FIXTURE_RUN(fixture, "armory", "pack", "/usr/bin/true", "--with", data, "-o", file), 2);
        assert_int_equal(fixture->fault.code, FAULT_ARTIFACT_INVALID);
        assert_int_equal(dir_remove(data, NULL), 0);
        assert_int_not_equal(access(file, F_OK), 0);
    }
}

static void test_failures_leave_nothing(void **state)
{
    struct fixture *fixture = *state;
    const char *file = fixture_path(fixture, "a.tar.zst");
    struct stat stat;
    assert_int_equal(FIXTURE_RUN(fixture, "armory", "pack", "/usr/bin/no-such-program", "-o", file),
                     3);
    assert_int_equal(FIXTURE_RUN(fixture, "armory", "pack", "/etc/passwd", "-o", file), 2);
    assert_int_equal(FIXTURE_RUN(fixture, "armory", "pack", "/usr/bin/true"), 2);
    assert_int_equal(
        FIXTURE_RUN(fixture, "armory", "pack", "/usr/bin/true", "--with", "/dev/null", "-o", file),
        2);
    assert_int_equal(lstat(file, &stat), -1);
}

static void unpack(const char *file, const char *folder)
{
    AUTO(close_archive) struct archive *archive = open_archive(file);
    struct archive *disk = archive_write_disk_new();
    struct archive_entry *entry;
    assert_int_equal(archive_write_disk_set_options(disk, ARCHIVE_EXTRACT_PERM), ARCHIVE_OK);
    while (archive_read_next_header(archive, &entry) == ARCHIVE_OK) {
        char path[4096];
        (void)snprintf(path, sizeof path, "%s/%s", folder, archive_entry_pathname(entry));
        archive_entry_set_pathname(entry, path);
        if (archive_read_extract2(archive, entry, disk) != ARCHIVE_OK)
            fail_msg("%s: %s", path, archive_error_string(archive));
    }
    assert_int_equal(archive_write_free(disk), ARCHIVE_OK);
}

/* Runs a program with nothing around it but the folder; its stdout, its exit code. */
static int run_in(const char *folder, char *const *argv, struct buf *out)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char *const environment[] = {NULL};
        if (dup2(ends[1], 1) < 0 || dup2(ends[1], 2) < 0 || chroot(folder) != 0 || chdir("/") != 0)
            _exit(126);
        (void)execve(argv[0], argv, environment);
        _exit(127);
    }
    assert_int_equal(close(ends[1]), 0);
    char chunk[4096];
    ssize_t n;
    while ((n = read(ends[0], chunk, sizeof chunk)) > 0)
        buf_append(out, chunk, (size_t)n);
    assert_int_equal(close(ends[0]), 0);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_yara_runs_in_it(void **state)
{
    struct fixture *fixture = *state;
    AUTO_BUF struct buf out = BUF(65536);
    if (geteuid() != 0 || access(YARA, X_OK) != 0)
        skip(); /* chroot needs root */
    const char *file = fixture_path(fixture, "yara.tar.zst"), *root = fixture_path(fixture, "root");
    const char *rule = TEST_DATA "/yara/rule.yar", *sample = TEST_DATA "/yara/sample.txt";
    assert_int_equal(
        FIXTURE_RUN(fixture, "armory", "pack", YARA, "-o", file, "--with", rule, "--with", sample),
        0);
    assert_int_equal(mkdir(root, 0755), 0);
    unpack(file, root);
    char *const version[] = {(char *)(uintptr_t)YARA, (char *)(uintptr_t) "--version", NULL};
    assert_int_equal(run_in(root, version, &out), 0);
    assert_non_null(strchr(buf_text(&out), '.'));
    buf_reset(&out);
    AUTO_FREE char *rule_path = realpath(rule, NULL), *sample_path = realpath(sample, NULL);
    char *const match[] = {(char *)(uintptr_t)YARA, rule_path, sample_path, NULL};
    assert_int_equal(run_in(root, match, &out), 0);
    assert_non_null(strstr(buf_text(&out), "sallyport_first_job"));
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_entries_are_plain),         TEST(test_the_same_each_time),
        TEST(test_only_content_counts),       TEST(test_surroundings_leave_no_trace),
        TEST(test_named_more_than_once),      TEST(test_a_setuid_program),
        TEST(test_names_nobody_would_unpack), TEST(test_failures_leave_nothing),
        TEST(test_yara_runs_in_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
