/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "runner/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

struct trees {
    char folder[64], one[80], two[80];
};

static void make_file(const char *root, const char *name, const char *content, mode_t mode)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", root, name);
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, strlen(content)), strlen(content));
    assert_int_equal(fchmod(fd, mode), 0);
}

static void make_folder(const char *root, const char *name)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", root, name);
    assert_int_equal(mkdir(path, 0755), 0);
    assert_int_equal(chmod(path, 0755), 0);
}

static void make_link(const char *root, const char *name, const char *target)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", root, name);
    assert_int_equal(symlink(target, path), 0);
}

/* The same tree, made in another order each time. */
static void make_tree(const char *root, bool backwards)
{
    assert_int_equal(mkdir(root, 0755), 0);
    assert_int_equal(chmod(root, 0755), 0);
    if (backwards)
        make_file(root, "z", "last", 0644);
    make_folder(root, "dir");
    make_file(root, "dir/a", "content", 0755);
    make_link(root, "link", "dir/a");
    if (!backwards)
        make_file(root, "z", "last", 0644);
}

static int setup(void **state)
{
    static struct trees trees;
    (void)snprintf(trees.folder, sizeof trees.folder, "/tmp/sallyport-tree.XXXXXX");
    if (mkdtemp(trees.folder) == NULL)
        return -1;
    (void)snprintf(trees.one, sizeof trees.one, "%s/one", trees.folder);
    (void)snprintf(trees.two, sizeof trees.two, "%s/two", trees.folder);
    make_tree(trees.one, false);
    make_tree(trees.two, true);
    *state = &trees;
    return 0;
}

static int teardown(void **state)
{
    struct trees *trees = *state;
    struct fault fault = {0};
    return dir_remove(trees->folder, &fault);
}

static struct tree_sum measure(const char *path)
{
    struct tree_sum sum;
    struct fault fault = {0};
    if (tree_measure(path, &sum, &fault) != 0)
        fail_msg("%s", fault.detail);
    return sum;
}

static void test_content_is_of_the_tree_alone(void **state)
{
    const struct trees *trees = *state;
    struct tree_sum one = measure(trees->one);
    struct tree_sum two = measure(trees->two);
    assert_true(digest_equal(&one.content, &two.content));
    assert_false(digest_equal(&one.stamp, &two.stamp));
    assert_int_equal(one.entries, 4);
    assert_int_equal(one.bytes, 11);
}

static void test_stamp_is_the_measured_one(void **state)
{
    const struct trees *trees = *state;
    struct tree_sum sum = measure(trees->one);
    struct digest stamp;
    struct fault fault = {0};
    assert_int_equal(tree_stamp(trees->one, &stamp, &fault), 0);
    assert_true(digest_equal(&stamp, &sum.stamp));
    char moved[96]; /* the folder's name is not part of it, nor does moving change it */
    (void)snprintf(moved, sizeof moved, "%s/moved", trees->folder);
    assert_int_equal(rename(trees->one, moved), 0);
    struct tree_sum after = measure(moved);
    assert_true(digest_equal(&after.content, &sum.content));
    assert_int_equal(rename(moved, trees->one), 0);
}

static void test_every_difference_counts(void **state)
{
    const struct trees *trees = *state;
    struct digest seen[8];
    size_t count = 0;
    seen[count++] = measure(trees->one).content;
    make_file(trees->one, "dir/a", "Content", 0755);
    seen[count++] = measure(trees->one).content;
    make_file(trees->one, "dir/a", "content", 0644);
    seen[count++] = measure(trees->one).content;
    make_file(trees->one, "dir/b", "", 0644);
    seen[count++] = measure(trees->one).content;
    make_folder(trees->one, "empty");
    seen[count++] = measure(trees->one).content;
    make_link(trees->one, "second", "dir/a");
    seen[count++] = measure(trees->one).content;
    make_link(trees->one, "third", "dir/b");
    seen[count++] = measure(trees->one).content;
    /* content moved between a name and a file has to be another tree */
    make_file(trees->one, "dir/bc", "d", 0644);
    seen[count++] = measure(trees->one).content;
    for (size_t i = 0; i < count; i++) {
        for (size_t j = i + 1; j < count; j++)
            assert_false(digest_equal(&seen[i], &seen[j]));
    }
}

static void test_links_are_not_followed(void **state)
{
    const struct trees *trees = *state;
    make_link(trees->one, "out", trees->two);
    make_link(trees->one, "nowhere", "/nonexistent");
    struct tree_sum sum = measure(trees->one);
    assert_int_equal(sum.entries, 6);
    assert_int_equal(sum.bytes, 11);
}

static void test_absent(void **state)
{
    (void)state;
    struct tree_sum sum;
    struct digest stamp;
    struct fault fault = {0};
    assert_int_equal(tree_measure("/nonexistent/tree", &sum, &fault), -1);
    assert_int_equal(tree_stamp("/nonexistent/tree", &stamp, &fault), -1);
}

/* ---- sealing ---- */

static mode_t mode_of(const char *root, const char *name)
{
    char path[256];
    struct stat stat;
    (void)snprintf(path, sizeof path, "%s/%s", root, name);
    assert_int_equal(lstat(path, &stat), 0);
    return stat.st_mode & 07777;
}

static int seal(const char *path, uint64_t max_entries, uint64_t max_bytes, struct fault *fault)
{
    return tree_seal(path, geteuid(), getegid(), max_entries, max_bytes, fault);
}

static void test_seal_leaves_plain_modes(void **state)
{
    const struct trees *trees = *state;
    struct fault fault = {0};
    make_file(trees->one, "odd", "", 06711);
    make_file(trees->one, "open", "", 0666);
    make_folder(trees->one, "closed");
    char path[128];
    (void)snprintf(path, sizeof path, "%s/closed", trees->one);
    assert_int_equal(chmod(path, 01700), 0);
    assert_int_equal(seal(trees->one, 100, 100, &fault), 0);
    assert_int_equal(mode_of(trees->one, ""), 0755);
    assert_int_equal(mode_of(trees->one, "closed"), 0755);
    assert_int_equal(mode_of(trees->one, "odd"), 0755);
    assert_int_equal(mode_of(trees->one, "open"), 0644);
    assert_int_equal(mode_of(trees->one, "dir/a"), 0755);
}

static void test_seal_refuses_what_is_not_plain(void **state)
{
    const struct trees *trees = *state;
    struct fault fault = {0};
    char path[128];
    (void)snprintf(path, sizeof path, "%s/dir/fifo", trees->one);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(seal(trees->one, 100, 100, &fault), -1);
    assert_int_equal(fault.code, FAULT_ARTIFACT_INVALID);
    assert_non_null(strstr(fault.detail, "/dir/fifo"));
}

/* No archive's doing, for the unpacker goes no deeper than half of that; then its own, and no
 * reason to try it again. */
static void test_seal_refuses_what_is_too_deep(void **state)
{
    const struct trees *trees = *state;
    struct fault fault = {0};
    AUTO_CLOSE int fd = open(trees->one, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int depth = 0; depth < 120; depth++) {
        assert_int_equal(mkdirat(fd, "d", 0755), 0);
        int next = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(next >= 0);
        assert_int_equal(close(fd), 0);
        fd = next;
    }
    assert_int_equal(seal(trees->one, 1000, 100, &fault), -1);
    assert_int_equal(fault.code, FAULT_ARTIFACT_INVALID);
}

static void test_seal_counts(void **state)
{
    const struct trees *trees = *state;
    struct fault fault = {0};
    assert_int_equal(seal(trees->one, 4, 11, &fault), 0);
    assert_int_equal(seal(trees->one, 3, 11, &fault), -1);
    assert_int_equal(seal(trees->one, 4, 10, &fault), -1);
    assert_int_equal(fault.code, FAULT_ARTIFACT_INVALID);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_content_is_of_the_tree_alone),
        CASE(test_stamp_is_the_measured_one),
        CASE(test_every_difference_counts),
        CASE(test_links_are_not_followed),
        cmocka_unit_test(test_absent),
        CASE(test_seal_leaves_plain_modes),
        CASE(test_seal_refuses_what_is_not_plain),
        CASE(test_seal_refuses_what_is_too_deep),
        CASE(test_seal_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
