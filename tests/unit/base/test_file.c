/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include "tests/unit/base/folder.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* Sizes around the maximum and around what is read at once. */
static void a_file_is_read_whole_or_refused(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 65535, 65536, 65537, 200000};
    static uint8_t data[200001];
    struct fault fault = {0};
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        size_t size = sizes[i];
        const char *path = write_file("data", data, size, 0644);
        AUTO_BUF struct buf exact = BUF(size), roomy = BUF(300000), after = BUF(size + 4);
        assert_ok(file_read(path, &exact, &fault), &fault);
        assert_true(span_equal(buf_span(&exact), span_of(data, size)));
        assert_ok(file_read(path, &roomy, &fault), &fault);
        assert_true(span_equal(buf_span(&roomy), span_of(data, size)));
        buf_puts(&after, "kept");
        assert_ok(file_read(path, &after, &fault), &fault);
        assert_int_equal(after.len, size + 4);
        assert_memory_equal(after.data + 4, data, size);
        if (size == 0)
            continue;
        AUTO_BUF struct buf small = BUF(size - 1);
        assert_fault(file_read(path, &small, &fault), &fault, FAULT_TOO_LARGE, "larger than");
        fault = (struct fault){0};
    }
}

static void only_regular_files_are_read(void **state)
{
    (void)state;
    struct fault fault;
    AUTO_BUF struct buf buf = BUF(100);
    assert_fault(file_read(below("absent"), &buf, &fault), &fault, FAULT_NOT_FOUND, "no such file");
    const char *file = write_file("file", "x", 1, 0600);
    char inside[300];
    (void)snprintf(inside, sizeof inside, "%s/x", file);
    assert_fault(file_read(inside, &buf, &fault), &fault, FAULT_NOT_FOUND, "no such file");
    assert_fault(file_read(folder, &buf, &fault), &fault, FAULT_INTERNAL, "not a regular file");
    assert_int_equal(mkfifo(below("fifo"), 0600), 0);
    assert_fault(file_read(below("fifo"), &buf, &fault), &fault, FAULT_INTERNAL,
                 "not a regular file"); /* and it does not wait for a writer */
    assert_fault(file_read("/dev/zero", &buf, &fault), &fault, FAULT_INTERNAL,
                 "not a regular file");
    assert_int_equal(buf.len, 0);
    assert_int_equal(symlink("file", below("link")), 0);
    assert_ok(file_read(below("link"), &buf, &fault), &fault);
}

static void a_secret_is_its_owner_s_alone(void **state)
{
    (void)state;
    struct fault fault;
    AUTO_BUF struct buf buf = BUF(4096);
    for (mode_t mode = 0; mode <= 0777; mode++) {
        if ((mode & 0400) == 0)
            continue;
        const char *path = write_file("secret", "s", 1, mode);
        buf_reset(&buf);
        if ((mode & 077) == 0) {
            assert_ok(file_read_secret(path, &buf, &fault), &fault);
            assert_string_equal(buf_text(&buf), "s");
        } else {
            assert_fault(file_read_secret(path, &buf, &fault), &fault, FAULT_INTERNAL,
                         "expected 0600");
            assert_int_equal(buf.len, 0);
        }
    }
    assert_fault(file_read_secret(below("absent"), &buf, &fault), &fault, FAULT_NOT_FOUND,
                 "no such file");
    assert_int_equal(symlink("/etc/passwd", below("link")), 0); /* the file counts, not the link */
    assert_fault(file_read_secret(below("link"), &buf, &fault), &fault, FAULT_INTERNAL, "0600");
    if (geteuid() == 0) {
        const char *path = write_file("others", "s", 1, 0600);
        assert_int_equal(chown(path, 65534, 65534), 0);
        assert_fault(file_read_secret(path, &buf, &fault), &fault, FAULT_INTERNAL,
                     "belongs to another user");
    }
    assert_int_equal(buf.len, 0);
}

static void what_decides_is_out_of_others_reach(void **state)
{
    (void)state;
    struct fault fault;
    AUTO_BUF struct buf buf = BUF(64);
    for (mode_t mode = 0; mode <= 0777; mode++) {
        buf_reset(&buf);
        const char *path = write_file("keys", "k", 1, mode | 0400);
        assert_int_equal(file_read_guarded(path, &buf, &fault), (mode & 022) == 0 ? 0 : -1);
        assert_int_equal(buf.len, (mode & 022) == 0 ? 1 : 0);
        (void)write_file("keys", "k", 1, 0644);
        assert_int_equal(chmod(folder, mode | 0700), 0); /* who may write there may swap it */
        buf_reset(&buf);
        assert_int_equal(file_read_guarded(path, &buf, &fault), (mode & 022) == 0 ? 0 : -1);
        assert_int_equal(chmod(folder, 0700), 0);
    }
    buf_reset(&buf);
    assert_fault(file_read_guarded(below("absent"), &buf, &fault), &fault, FAULT_NOT_FOUND, "");
    if (geteuid() == 0) {
        assert_int_equal(chown(below("keys"), 65534, 65534), 0);
        assert_fault(file_read_guarded(below("keys"), &buf, &fault), &fault, FAULT_INTERNAL,
                     "others can change it");
    }
    assert_int_equal(buf.len, 0);
}

static void replacing_sets_bytes_and_mode(void **state)
{
    (void)state;
    struct fault fault;
    const char *path = below("state");
    static const mode_t modes[] = {0600, 0644, 0400, 0640};
    mode_t old = umask(077); /* the mode asked is the mode had */
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        char text[32];
        (void)snprintf(text, sizeof text, "version %zu", i);
        assert_ok(file_replace(path, text, strlen(text), modes[i], &fault), &fault);
        struct stat stat_now;
        assert_int_equal(stat(path, &stat_now), 0);
        assert_int_equal(stat_now.st_mode & 07777, modes[i]);
        AUTO_BUF struct buf buf = BUF(64);
        assert_ok(file_read(path, &buf, &fault), &fault);
        assert_string_equal(buf_text(&buf), text);
        assert_int_equal(entries_of(folder), 1);
    }
    (void)umask(old);
    assert_ok(file_replace(path, NULL, 0, 0600, &fault), &fault);
    AUTO_BUF struct buf empty = BUF(64);
    assert_ok(file_read(path, &empty, &fault), &fault);
    assert_int_equal(empty.len, 0);
}

/* Whoever has the old file open goes on reading the old bytes: it is a new file, not an edit. */
static void replacing_is_a_rename(void **state)
{
    (void)state;
    struct fault fault;
    const char *path = write_file("state", "old", 3, 0600);
    AUTO_CLOSE int old = open(path, O_RDONLY | O_CLOEXEC);
    assert_ok(file_replace(path, "new!", 4, 0600, &fault), &fault);
    char kept[8] = "";
    assert_int_equal(read(old, kept, sizeof kept), 3);
    assert_string_equal(kept, "old");
    /* A link in its place is replaced, what it names is not written. */
    const char *victim = write_file("victim", "mine", 4, 0600);
    assert_int_equal(symlink("victim", below("link")), 0);
    assert_ok(file_replace(below("link"), "yours", 5, 0600, &fault), &fault);
    AUTO_BUF struct buf buf = BUF(64);
    assert_ok(file_read(victim, &buf, &fault), &fault);
    assert_string_equal(buf_text(&buf), "mine");
}

static void a_failed_replacement_leaves_what_was_there(void **state)
{
    (void)state;
    struct fault fault;
    assert_fault(file_replace(below("no/such"), "x", 1, 0600, &fault), &fault, FAULT_INTERNAL,
                 "cannot create");
    assert_ok(dir_make(below("dir/inner"), 0700, &fault), &fault);
    assert_fault(file_replace(below("dir"), "x", 1, 0600, &fault), &fault, FAULT_INTERNAL,
                 "cannot write"); /* rename over a folder */
    assert_int_equal(entries_of(folder), 1);
    assert_int_equal(entries_of(below("dir")), 1);
}

/* A file that may not grow stands for a full disk: the old bytes stay, no temporary file does. */
static void a_full_disk_loses_nothing(void **state)
{
    (void)state;
    struct fault fault;
    const char *path = write_file("state", "old", 3, 0600);
    pid_t child = fork();
    if (child == 0) {
        static const char large[65536];
        const struct rlimit limit = {1024, 1024};
        (void)signal(SIGXFSZ, SIG_IGN);
        if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
            _exit(2);
        _exit(file_replace(path, large, sizeof large, 0600, &fault) == -1 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    AUTO_BUF struct buf buf = BUF(64);
    assert_ok(file_read(path, &buf, &fault), &fault);
    assert_string_equal(buf_text(&buf), "old");
    assert_int_equal(entries_of(folder), 1);
}

static void a_draft_is_whole_or_nothing(void **state)
{
    (void)state;
    struct fault fault;
    AUTO_BUF struct buf buf = BUF(100);
    const char *path = below("kept");
    assert_int_equal(file_replace(path, "old", 3, 0600, &fault), 0);
    struct file_draft draft;
    assert_int_equal(file_draft_open(path, &draft, &fault), 0);
    assert_int_equal(file_draft_write(&draft, "ne", 2, &fault), 0);
    file_draft_drop(&draft); /* given up: nothing beside it, nothing of it */
    assert_int_equal(file_read(path, &buf, &fault), 0);
    assert_string_equal(buf_text(&buf), "old");
    assert_int_equal(file_draft_open(path, &draft, &fault), 0);
    assert_int_equal(file_draft_write(&draft, "ne", 2, &fault), 0);
    assert_int_equal(file_draft_write(&draft, "w!", 2, &fault), 0);
    assert_int_equal(file_draft_settle(&draft, path, 0640, &fault), 0);
    file_draft_drop(&draft);
    file_draft_drop(&draft);
    buf_reset(&buf);
    assert_int_equal(file_read(path, &buf, &fault), 0);
    assert_string_equal(buf_text(&buf), "new!");
    struct stat stat_of;
    assert_int_equal(stat(path, &stat_of), 0);
    assert_int_equal(stat_of.st_mode & 07777, 0640);
    DIR *entries = opendir(folder);
    assert_non_null(entries);
    int count = 0;
    for (const struct dirent *entry; (entry = readdir(entries)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(entries);
    assert_int_equal(count, 1);
    assert_int_equal(file_draft_open(below("no/such"), &draft, &fault), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_IN_FOLDER(a_file_is_read_whole_or_refused),
        TEST_IN_FOLDER(only_regular_files_are_read),
        TEST_IN_FOLDER(a_secret_is_its_owner_s_alone),
        TEST_IN_FOLDER(what_decides_is_out_of_others_reach),
        TEST_IN_FOLDER(replacing_sets_bytes_and_mode),
        TEST_IN_FOLDER(replacing_is_a_rename),
        TEST_IN_FOLDER(a_failed_replacement_leaves_what_was_there),
        TEST_IN_FOLDER(a_full_disk_loses_nothing),
        TEST_IN_FOLDER(a_draft_is_whole_or_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
