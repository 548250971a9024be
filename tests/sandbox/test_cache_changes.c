/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: what the cache hands out is what the digest names, now, at every later run and after every
 * start: whatever is changed meanwhile is seen, by whoever it was. Root on the worker's host could
 * change the worker itself and is out of scope, as is a disk written to below its file system. */
#include "tests/sandbox/caching.h"

#include <pthread.h>

/* Each leaves `../old` to put times back from. None of them needs more than the worker's own user.
 */
static const char *const changes[] = {
    /* content */
    "printf X | dd of=data/file bs=1 seek=7 conv=notrunc status=none",
    "printf X | dd of=data/file bs=1 seek=7 conv=notrunc status=none && touch -r ../old data/file",
    "cat ../old >data/file && touch -r ../old data/file", /* to what it was */
    "truncate -s 0 data/file",
    "truncate -s +1 data/file",
    "truncate -s -1 data/file",
    "fallocate -p -o 0 -l 4096 data/file && touch -r ../old data/file",
    /* times alone */
    "touch data/file",
    "touch -h data/link",
    "touch data",
    "touch .",
    /* modes, owners, rights */
    "chmod 0755 data/file",
    "chmod u+s data/file",
    "chmod g+s data",
    "chmod +t data",
    "chmod 0777 .",
    "chmod 0755 data/file && chmod 0644 data/file",
    "chown 65534 data/file",
    "chown :65534 data",
    "chown -h 65534 data/link",
    "chown 65534 data/file && chown 0 data/file",
    "/usr/bin/python3 -c 'import os; os.setxattr(\"data/file\", \"trusted.x\", b\"x\")'",
    /* links */
    "rm data/link",
    "ln -sfn /etc data/link",
    "ln -sfn file data/link", /* the same target, another link */
    "rm data/link && cp -p data/file data/link",
    "ln data/file data/second",
    "ln data/file ../outside", /* a way to it from elsewhere */
    "mv data ../away && ln -s ../away data",
    "mv ../root ../away && ln -s away ../root",
    /* more and less */
    "touch data/more",
    "touch data/.hidden",
    "mkdir empty",
    "mkfifo pipe",
    "mknod disk b 8 0",
    "rm data/file",
    "rmdir tmp",
    "mv data/file data/moved",
    /* the same things, but not these */
    "cp -p data/file data/copy && mv data/copy data/file",
    "cp -a data ../copy && rm -r data && mv ../copy data",
    "cp -a . ../copy && rm -r ../root && mv ../copy ../root",
    "rm -r ../root",
};

static void change(const char *root, const char *script)
{
    AUTO_FREE char *text = NULL;
    assert_true(asprintf(&text, "cp -p data/file ../old && %s", script) > 0);
    tamper(root, text);
}

static void test_every_change_is_seen(void **state)
{
    struct caching *caching = *state;
    for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
        struct source source = {.artifact = &caching->one};
        struct cache_entry *entry = NULL;
        struct fault fault = {0};
        use(caching, &source);
        assert_int_equal(acquire(caching, &source, &entry, &fault), 0);
        change(cache_entry_root(entry), changes[i]);
        if (cache_entry_check(entry, &fault) == 0)
            fail_msg("not seen: %s", changes[i]);
        assert_int_equal(fault.code, FAULT_CONTENT_MISMATCH);
        assert_int_equal(cache_entry_check(entry, &fault), -1);
        int before = source.fetches;
        use(caching, &source); /* another copy, while the bad one is still held */
        assert_int_equal(source.fetches, before + 1);
        cache_release(entry);
        assert_int_equal(harness_count_entries(caching->cache_folder), 1);
    }
    assert_int_equal(cache_stats(caching->cache).refused, 2 * ARRAY_LEN(changes));
}

enum { CHECKERS = 8, CHECKS = 200 };

struct checker {
    struct cache_entry *entry;
    pthread_barrier_t *barrier;
    int passed, refused;
};

static void *check_main(void *context)
{
    struct checker *checker = context;
    for (int i = 0; i < CHECKS; i++) {
        struct fault fault;
        bool same = cache_entry_check(checker->entry, &fault) == 0;
        checker->passed += same;
        checker->refused += !same && fault.code == FAULT_CONTENT_MISMATCH;
        if (i == CHECKS / 2 - 1) { /* nobody checks while it is changed, everybody after it */
            (void)pthread_barrier_wait(checker->barrier);
            (void)pthread_barrier_wait(checker->barrier);
        }
    }
    return NULL;
}

/* Checks that share their walks are no weaker: whoever asks after a change sees it. */
static void test_checks_at_once_see_the_change(void **state)
{
    struct caching *caching = *state;
    struct source source = {.artifact = &caching->one};
    struct cache_entry *entry = NULL;
    struct fault fault = {0};
    pthread_barrier_t barrier;
    pthread_t threads[CHECKERS];
    struct checker checkers[CHECKERS];
    assert_int_equal(acquire(caching, &source, &entry, &fault), 0);
    assert_int_equal(pthread_barrier_init(&barrier, NULL, CHECKERS + 1), 0);
    for (int i = 0; i < CHECKERS; i++) {
        checkers[i] = (struct checker){.entry = entry, .barrier = &barrier};
        assert_int_equal(pthread_create(&threads[i], NULL, check_main, &checkers[i]), 0);
    }
    (void)pthread_barrier_wait(&barrier);
    change(cache_entry_root(entry), "touch data/file");
    (void)pthread_barrier_wait(&barrier);
    for (int i = 0; i < CHECKERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(checkers[i].passed, CHECKS / 2);
        assert_int_equal(checkers[i].refused, CHECKS - CHECKS / 2);
    }
    (void)pthread_barrier_destroy(&barrier);
    cache_release(entry);
}

/* The same while no worker runs: what is changed is not taken up at the next start. */
static void test_every_change_is_seen_at_opening(void **state)
{
    struct caching *caching = *state;
    char root[256];
    (void)snprintf(root, sizeof root, "%s/%s-rootfs/root", caching->cache_folder,
                   digest_hex(&caching->one.digest).text);
    for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
        struct source source = {.artifact = &caching->one};
        use(caching, &source);
        cache_free(TAKE(caching->cache));
        change(root, changes[i]);
        reopen(caching);
        if (cache_stats(caching->cache).entries != 0)
            fail_msg("taken up: %s", changes[i]);
        assert_int_equal(harness_count_entries(caching->cache_folder), 0);
    }
}

/* The record beside the tree: without it, or with another's, the tree is worth nothing. */
static void test_records(void **state)
{
    static const char *const records[] = {
        "rm record",
        "echo >record",
        "echo '{}' >record",
        "echo '[]' >record",
        "head -c 9 record >r && mv r record",
        "head -c 9000 /dev/zero >record",
        "rm record && mkdir record",
        "rm record && ln -s /dev/zero record",
        "sed -i s/sha256:/sha512:/g record",
        "sed -i s/stamp/steam/ record",
        "sed -i s/content/contest/ record",
        "sed -i s/rootfs/binary/ record",
        "sed -i 's/[0-9a-f]\\{64\\}/0/' record",
    };
    struct caching *caching = *state;
    char folder[256];
    (void)snprintf(folder, sizeof folder, "%s/%s-rootfs", caching->cache_folder,
                   digest_hex(&caching->one.digest).text);
    for (size_t i = 0; i < ARRAY_LEN(records); i++) {
        struct source source = {.artifact = &caching->one};
        use(caching, &source);
        cache_free(TAKE(caching->cache));
        tamper(folder, records[i]);
        reopen(caching);
        if (cache_stats(caching->cache).entries != 0)
            fail_msg("taken up: %s", records[i]);
    }
}

/* A tree under another's name is not that other, with its own record beside it neither. */
static void test_names_cannot_be_swapped(void **state)
{
    struct caching *caching = *state;
    struct source one = {.artifact = &caching->one};
    struct source two = {.artifact = &caching->two};
    struct cache_entry *entry = NULL;
    struct fault fault = {0};
    char script[512];
    const char *name = digest_hex(&caching->one.digest).text;
    (void)snprintf(script, sizeof script, "mv %s-rootfs x && mv %s-rootfs %s-rootfs && rm -r x",
                   name, digest_hex(&caching->two.digest).text, name);
    use(caching, &one);
    use(caching, &two);
    assert_int_equal(acquire(caching, &one, &entry, &fault), 0);
    tamper(caching->cache_folder, script);
    assert_int_equal(cache_entry_check(entry, &fault), -1);
    assert_int_equal(fault.code, FAULT_CONTENT_MISMATCH);
    cache_release(entry);

    use(caching, &one);
    reopen(caching);
    use(caching, &two);
    cache_free(TAKE(caching->cache));
    tamper(caching->cache_folder, script);
    reopen(caching);
    assert_int_equal(cache_stats(caching->cache).entries, 0);
    (void)snprintf(script, sizeof script, "mv %s-rootfs %s-binary", name, name);
    use(caching, &one);
    cache_free(TAKE(caching->cache));
    tamper(caching->cache_folder, script);
    reopen(caching);
    assert_int_equal(cache_stats(caching->cache).entries, 0);
}

static void test_reading_changes_nothing(void **state)
{
    struct caching *caching = *state;
    struct source source = {.artifact = &caching->one};
    struct cache_entry *entry = NULL;
    struct fault fault = {0};
    assert_int_equal(acquire(caching, &source, &entry, &fault), 0);
    tamper(cache_entry_root(entry), "cat data/file >/dev/null && ls -lR >/dev/null");
    assert_int_equal(cache_entry_check(entry, &fault), 0);
    cache_release(entry);
}

/* ---- the next start ---- */

static void test_kept_over_a_restart(void **state)
{
    struct caching *caching = *state;
    struct source one = {.artifact = &caching->one};
    struct source two = {.artifact = &caching->two};
    use(caching, &one);
    use(caching, &two);
    char bad[256], good[256];
    (void)snprintf(bad, sizeof bad, "%s/%s-rootfs/root", caching->cache_folder,
                   digest_hex(&caching->two.digest).text);
    (void)snprintf(good, sizeof good, "%s/%s-rootfs/root", caching->cache_folder,
                   digest_hex(&caching->one.digest).text);
    cache_free(TAKE(caching->cache));
    tamper(good, "cat data/file >/dev/null"); /* reading is no change */
    tamper(bad, "printf X | dd of=data/file bs=1 seek=7 conv=notrunc status=none");
    harness_make_folder(caching->cache_folder, "/new-00000000-0000-7000-8000-000000000000/root");
    harness_make_folder(caching->cache_folder, "/old-00000000-0000-7000-8000-000000000000/root");
    harness_make_folder(caching->cache_folder, "/what");
    reopen(caching);
    assert_int_equal(harness_count_entries(caching->cache_folder), 1);
    use(caching, &one);
    use(caching, &two);
    assert_int_equal(one.fetches, 1);
    assert_int_equal(two.fetches, 2);
}

/* What an unpacker gone wrong may leave: so deep that no path reaches its end. It goes, and the
 * worker starts. */
static void test_no_garbage_is_too_deep(void **state)
{
    struct caching *caching = *state;
    cache_free(TAKE(caching->cache));
    harness_make_folder(caching->cache_folder, "/new-00000000-0000-7000-8000-000000000000/root");
    char root[256];
    (void)snprintf(root, sizeof root, "%s/new-00000000-0000-7000-8000-000000000000/root",
                   caching->cache_folder);
    AUTO_CLOSE int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int depth = 0; depth < 3000; depth++) {
        assert_int_equal(mkdirat(fd, "d", 0700), 0);
        int next = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(next >= 0);
        assert_int_equal(close(fd), 0);
        fd = next;
    }
    reopen(caching);
    assert_int_equal(harness_count_entries(caching->cache_folder), 0);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_every_change_is_seen),
        CASE(test_checks_at_once_see_the_change),
        CASE(test_every_change_is_seen_at_opening),
        CASE(test_records),
        CASE(test_names_cannot_be_swapped),
        CASE(test_reading_changes_nothing),
        CASE(test_kept_over_a_restart),
        CASE(test_no_garbage_is_too_deep),
    };
    return cmocka_run_group_tests(tests, setup_group, teardown_group);
}
