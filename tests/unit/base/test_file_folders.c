/* SPDX-License-Identifier: Apache-2.0 */
/* The folders of base/file.h. */
#include "tests/unit/base/folder.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>

static void folders_are_made_with_their_mode(void **state)
{
    (void)state;
    struct fault fault;
    struct stat stat_now;
    assert_ok(dir_make(below("a/b/c"), 0700, &fault), &fault);
    for (const char *const *path = (const char *const[]){"a", "a/b", "a/b/c", NULL}; *path;
         path++) {
        assert_int_equal(stat(below(*path), &stat_now), 0);
        assert_true(S_ISDIR(stat_now.st_mode));
        assert_int_equal(stat_now.st_mode & 07777, 0700);
    }
    assert_ok(dir_make(below("a/b/c"), 0755, &fault), &fault);
    assert_ok(dir_make(below("a/b/d/"), 0750, &fault), &fault);
    assert_int_equal(stat(below("a/b/c"), &stat_now), 0);
    assert_int_equal(stat_now.st_mode & 07777, 0700); /* what was there keeps its mode */
    assert_int_equal(stat(below("a/b/d"), &stat_now), 0);
    assert_int_equal(stat_now.st_mode & 07777, 0750);
    assert_ok(dir_make("/", 0700, &fault), &fault);
}

static void a_folder_cannot_be_made_where_a_file_is(void **state)
{
    (void)state;
    struct fault fault;
    (void)write_file("file", "x", 1, 0600);
    assert_fault(dir_make(below("file"), 0700, &fault), &fault, FAULT_INTERNAL, "file");
    assert_fault(dir_make(below("file/"), 0700, &fault), &fault, FAULT_INTERNAL, "file");
    assert_fault(dir_make(below("file/x"), 0700, &fault), &fault, FAULT_INTERNAL, "file");
    assert_int_equal(symlink("nowhere", below("dangling")), 0);
    assert_fault(dir_make(below("dangling"), 0700, &fault), &fault, FAULT_INTERNAL, "dangling");
    assert_fault(dir_make("", 0700, &fault), &fault, FAULT_INTERNAL, "");
    assert_int_equal(entries_of(folder), 2);
}

static void a_tree_is_removed_whole(void **state)
{
    (void)state;
    struct fault fault;
    assert_ok(dir_make(below("tree/a/b/c"), 0700, &fault), &fault);
    assert_ok(dir_make(below("tree/locked/in"), 0700, &fault), &fault);
    for (int i = 0; i < 500; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "tree/a/b/file %d\n\xff", i);
        (void)write_file(name, "x", 1, 0000);
    }
    assert_int_equal(mkfifo(below("tree/a/fifo"), 0600), 0);
    assert_int_equal(symlink("nowhere", below("tree/a/dangling")), 0);
    assert_int_equal(symlink(".", below("tree/a/loop")), 0);
    (void)write_file("tree/locked/in/file", "x", 1, 0400);
    assert_int_equal(chmod(below("tree/locked/in"), 0000), 0);
    assert_int_equal(chmod(below("tree/locked"), 0500), 0);
    assert_int_equal(chmod(below("tree"), 0500), 0);
    assert_ok(dir_remove(below("tree"), &fault), &fault);
    assert_int_equal(entries_of(folder), 0);
    assert_ok(dir_remove(below("tree"), &fault), &fault); /* absent is success */
    assert_ok(dir_remove(below("no/such/tree"), &fault), &fault);
}

static void removing_follows_no_link(void **state)
{
    (void)state;
    struct fault fault;
    assert_ok(dir_make(below("outside"), 0755, &fault), &fault);
    (void)write_file("outside/kept", "kept", 4, 0644);
    (void)write_file("kept", "kept", 4, 0644);
    assert_ok(dir_make(below("tree/in"), 0700, &fault), &fault);
    assert_int_equal(symlink("../../outside", below("tree/in/relative")), 0);
    assert_int_equal(symlink(below("outside"), below("tree/absolute")), 0);
    assert_int_equal(symlink(below("kept"), below("tree/file")), 0);
    assert_int_equal(link(below("kept"), below("tree/hard")), 0);
    assert_ok(dir_remove(below("tree"), &fault), &fault);
    assert_int_equal(symlink("outside", below("link")), 0);
    assert_ok(dir_remove(below("link"), &fault), &fault); /* the link itself goes */
    assert_int_equal(entries_of(folder), 2);
    assert_int_equal(entries_of(below("outside")), 1);
    struct stat stat_now;
    assert_int_equal(stat(below("outside"), &stat_now), 0);
    assert_int_equal(stat_now.st_mode & 07777, 0755);
    assert_int_equal(stat(below("kept"), &stat_now), 0);
    assert_int_equal(stat_now.st_nlink, 1);
    assert_int_equal(stat_now.st_mode & 07777, 0644);
}

static bool write_text(const char *path, const char *text)
{
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

/* A mount in a namespace of the child's own: what is on it must stay. */
static int remove_with_mount(void)
{
    struct fault fault;
    struct stat stat_now;
    char uid[32], gid[32];
    (void)snprintf(uid, sizeof uid, "0 %u 1", (unsigned)geteuid());
    (void)snprintf(gid, sizeof gid, "0 %u 1", (unsigned)getegid());
    bool root = geteuid() == 0;
    if (unshare(root ? CLONE_NEWNS : CLONE_NEWNS | CLONE_NEWUSER) != 0 ||
        (!root &&
         (!write_text("/proc/self/uid_map", uid) || !write_text("/proc/self/setgroups", "deny") ||
          !write_text("/proc/self/gid_map", gid))) ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", below("tree/mount"), "tmpfs", 0, NULL) != 0)
        return 2;
    int fd = open(below("tree/mount/kept"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || close(fd) != 0)
        return 3;
    if (dir_remove(below("tree"), &fault) != -1)
        return 4;
    return stat(below("tree/mount/kept"), &stat_now) == 0 ? 0 : 5;
}

static void removing_stays_on_its_file_system(void **state)
{
    (void)state;
    struct fault fault;
    assert_ok(dir_make(below("tree/mount"), 0700, &fault), &fault);
    pid_t child = fork();
    if (child == 0)
        _exit(remove_with_mount());
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* Whoever could write there may have made it deeper than a path can say, or than there are
 * descriptors for. */
static void a_bottomless_tree_is_removed(void **state)
{
    (void)state;
    static const int depths[] = {255, 256, 257, 300, 5000};
    for (size_t i = 0; i < ARRAY_LEN(depths); i++) {
        assert_int_equal(mkdir(below("deep"), 0700), 0);
        AUTO_CLOSE int fd = open(below("deep"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        for (int depth = 0; depth < depths[i]; depth++) {
            assert_int_equal(mkdirat(fd, "lifted-0", 0700), 0);
            assert_int_equal(mkdirat(fd, "lifted-1", 0), 0);
            int next = openat(fd, "lifted-0", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
            assert_true(next >= 0);
            assert_int_equal(close(fd), 0);
            fd = next;
        }
        struct fault fault = {0};
        if (dir_remove(below("deep"), &fault) != 0)
            fail_msg("%d: %s", depths[i], fault.detail);
        assert_int_equal(access(below("deep"), F_OK), -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_IN_FOLDER(folders_are_made_with_their_mode),
        TEST_IN_FOLDER(a_folder_cannot_be_made_where_a_file_is),
        TEST_IN_FOLDER(a_tree_is_removed_whole),
        TEST_IN_FOLDER(removing_follows_no_link),
        TEST_IN_FOLDER(removing_stays_on_its_file_system),
        TEST_IN_FOLDER(a_bottomless_tree_is_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
