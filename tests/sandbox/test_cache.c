/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: an artifact is fetched once, kept within the cache's size with all that is on its way into
 * it, and nothing half-made survives. */
#include "tests/sandbox/caching.h"

static void test_fetched_once(void **state)
{
    struct caching *caching = *state;
    struct source source = {.artifact = &caching->one};
    struct cache_entry *entry = NULL;
    struct fault fault = {0};
    for (int i = 0; i < 3; i++)
        use(caching, &source);
    assert_int_equal(source.fetches, 1);
    assert_int_equal(acquire(caching, &source, &entry, &fault), 0);
    AUTO_FREE char *path = NULL;
    struct stat stat;
    assert_true(asprintf(&path, "%s/data/file", cache_entry_root(entry)) > 0);
    assert_int_equal(lstat(path, &stat), 0);
    assert_int_equal(stat.st_size, MIB);
    assert_int_equal(lstat(caching->cache_folder, &stat), 0);
    assert_int_equal(stat.st_mode & 07777, 0700);
    cache_release(entry);
    struct cache_stats stats = cache_stats(caching->cache);
    assert_int_equal(stats.fetches, 1);
    assert_int_equal(stats.hits, 3);
    assert_int_equal(stats.entries, 1);
    assert_int_equal(stats.bytes, MIB);
}

static void test_what_fails_leaves_nothing(void **state)
{
    struct caching *caching = *state;
    struct source broken = {.artifact = &caching->one, .fail = true};
    expect_fault(caching, &broken, FAULT_UNAVAILABLE);
    struct source lying = {.artifact = &caching->one, .corrupt = true};
    expect_fault(caching, &lying, FAULT_CONTENT_MISMATCH);

    char text[] = "this is no archive";
    struct artifact bad = {text, sizeof text, digest_of(text, sizeof text)};
    struct source hostile = {.artifact = &bad};
    expect_fault(caching, &hostile, FAULT_ARTIFACT_INVALID);

    struct source good = {.artifact = &caching->one};
    use(caching, &good); /* and none of it is remembered */
}

static void test_too_large(void **state)
{
    struct caching *caching = *state;
    struct source source = {.artifact = &caching->one};
    caching->config.max_artifact_bytes = 1000;
    reopen(caching);
    expect_fault(caching, &source, FAULT_TOO_LARGE);
    caching->config.max_artifact_bytes = 8 * MIB;
    caching->config.max_bytes = MIB / 2;
    reopen(caching);
    expect_fault(caching, &source, FAULT_TOO_LARGE);
    assert_int_equal(source.fetches, 0);     /* nobody had to send it for that */
    caching->config.max_bytes = 3 * MIB / 2; /* packed it fits */
    reopen(caching);
    expect_fault(caching, &source, FAULT_TOO_LARGE);
    assert_int_equal(source.fetches, 1);
}

/* An inspection is final: what only this worker's cache is too small for must not be said of the
 * artifact. What unpacks to more than may be unpacked anywhere is. */
static void test_too_large_here_only(void **state)
{
    struct caching *caching = *state;
    struct source source = {.artifact = &caching->one, .elsewhere = true};
    caching->config.max_artifact_bytes = 1000;
    reopen(caching);
    expect_fault(caching, &source, FAULT_UNAVAILABLE);
    caching->config.max_artifact_bytes = 8 * MIB;
    caching->config.max_bytes = MIB / 2;
    reopen(caching);
    expect_fault(caching, &source, FAULT_UNAVAILABLE);
    caching->config.max_bytes = 3 * MIB / 2;
    reopen(caching);
    expect_fault(caching, &source, FAULT_UNAVAILABLE);
    caching->config.max_bytes = 64 * MIB;
    caching->config.unpack.max_bytes = MIB / 2;
    caching->config.unpack.max_entries = 100;
    reopen(caching);
    expect_fault(caching, &source, FAULT_TOO_LARGE);
    caching->config.unpack.max_bytes = MIB;
    reopen(caching);
    use(caching, &source);
}

/* More bytes arrive than the row says: no more are taken. */
static void test_a_size_that_lies(void **state)
{
    struct caching *caching = *state;
    struct source source = {.artifact = &caching->one};
    static const int64_t sizes[] = {1, MIB / 2, 0, -1, INT64_MIN, INT64_MAX};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct cache_source from = {sizes[i], fetch, &source, -1, false};
        struct cache_entry *entry = NULL;
        struct fault fault = {0};
        assert_int_equal(cache_acquire(caching->cache, &caching->one.digest, ARTIFACT_ROOTFS, &from,
                                       &entry, &fault),
                         -1);
        assert_int_equal(fault.code, i < 2 ? FAULT_CONTENT_MISMATCH : FAULT_TOO_LARGE);
    }
    assert_int_equal(source.fetches, 2);
    assert_int_equal(harness_count_entries(caching->cache_folder), 0);
    assert_int_equal(cache_stats(caching->cache).reserved, 0);
}

/* What unpacks to a thousand times its size gets its room in steps; what passes the limit of all
 * unpacking is refused, wherever the steps end. */
static void test_room_grows(void **state)
{
    struct caching *caching = *state;
    struct artifact large = make_packed(caching, 'z', "40M", "zstd -q");
    struct source source = {.artifact = &large, .caching = caching};
    assert_in_range(large.len, 1, MIB / 64);
    use(caching, &source);
    assert_int_equal(source.fetches, 1);
    assert_int_equal(cache_stats(caching->cache).bytes, 40 * MIB);
    assert_int_equal(cache_stats(caching->cache).reserved, 0);

    caching->config.unpack.max_bytes = 40 * MIB - 1;
    assert_int_equal(dir_remove(caching->cache_folder, &(struct fault){0}), 0);
    reopen(caching);
    expect_fault(caching, &source, FAULT_TOO_LARGE);
    caching->config.unpack.max_bytes = 64 * MIB;
    caching->config.unpack.max_entries = 2;
    reopen(caching);
    expect_fault(caching, &source, FAULT_TOO_LARGE);
    free(large.bytes);
}

/* ---- two threads ---- */

struct taker {
    struct caching *caching;
    struct source *source;
    struct cache_entry *entry;
    int result;
};

static void *take(void *context)
{
    struct taker *taker = context;
    struct fault fault = {0};
    taker->result = acquire(taker->caching, taker->source, &taker->entry, &fault);
    return NULL;
}

/* The first stands in its fetch until the second has asked: the gate has room for exactly the
 * fetch and the test. */
static void test_one_fetch_for_all(void **state)
{
    struct caching *caching = *state;
    pthread_barrier_t gate;
    assert_int_equal(pthread_barrier_init(&gate, NULL, 2), 0);
    struct source source = {.artifact = &caching->one, .gate = &gate};
    struct taker takers[4];
    pthread_t threads[ARRAY_LEN(takers)];
    for (size_t i = 0; i < ARRAY_LEN(takers); i++) {
        takers[i] = (struct taker){.caching = caching, .source = &source};
        assert_int_equal(pthread_create(&threads[i], NULL, take, &takers[i]), 0);
    }
    (void)pthread_barrier_wait(&gate);
    for (size_t i = 0; i < ARRAY_LEN(takers); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(takers[i].result, 0);
        assert_ptr_equal(takers[i].entry, takers[0].entry);
    }
    assert_int_equal(source.fetches, 1);
    for (size_t i = 0; i < ARRAY_LEN(takers); i++)
        cache_release(takers[i].entry);
    (void)pthread_barrier_destroy(&gate);
}

/* ---- room ---- */

static void test_the_longest_unused_goes(void **state)
{
    struct caching *caching = *state;
    struct source one = {.artifact = &caching->one};
    struct source two = {.artifact = &caching->two};
    struct source three = {.artifact = &caching->three};
    caching->config.max_bytes = 29 * MIB / 2; /* two, with what the next may take while it comes */
    reopen(caching);
    use(caching, &one);
    use(caching, &two);
    use(caching, &one);
    use(caching, &three); /* so two has to go */
    use(caching, &one);
    assert_int_equal(one.fetches, 1);
    use(caching, &two);
    assert_int_equal(two.fetches, 2);
    assert_int_equal(cache_stats(caching->cache).evictions, 2);
    assert_int_equal(harness_count_entries(caching->cache_folder), 2);
}

static void test_what_is_in_use_stays(void **state)
{
    struct caching *caching = *state;
    struct source one = {.artifact = &caching->one};
    struct source two = {.artifact = &caching->two};
    struct source three = {.artifact = &caching->three};
    struct cache_entry *held[2] = {NULL};
    struct fault fault = {0};
    caching->config.max_bytes = 19 * MIB / 4;
    reopen(caching);
    assert_int_equal(acquire(caching, &one, &held[0], &fault), 0);
    assert_int_equal(acquire(caching, &two, &held[1], &fault), 0);
    expect_fault(caching, &three, FAULT_UNAVAILABLE);
    assert_int_equal(cache_stats(caching->cache).evictions, 0);
    assert_int_equal(cache_entry_check(held[0], &fault), 0);
    assert_int_equal(cache_entry_check(held[1], &fault), 0);
    cache_release(held[0]);
    use(caching, &three);
    cache_release(held[1]);
}

/* One stands in its fetch: what it may come to is not there for another, who is told so before a
 * byte of his is sent. Once the first is done there is room again. */
static void test_what_is_being_fetched_counts(void **state)
{
    struct caching *caching = *state;
    pthread_barrier_t gate, gate2;
    assert_int_equal(pthread_barrier_init(&gate, NULL, 2), 0);
    assert_int_equal(pthread_barrier_init(&gate2, NULL, 2), 0);
    caching->config.max_bytes = 15 * MIB;
    reopen(caching);
    struct source unused = {.artifact = &caching->three};
    use(caching, &unused);
    caching->config.max_bytes = 7 * MIB / 4; /* packed, one fits */
    caching->config.max_artifact_bytes = 7 * MIB / 4;
    reopen(caching);
    struct source one = {
        .artifact = &caching->one, .caching = caching, .gate = &gate, .gate2 = &gate2};
    struct source two = {.artifact = &caching->two};
    struct taker taker = {.caching = caching, .source = &one};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, take, &taker), 0);
    (void)pthread_barrier_wait(&gate);
    struct cache_stats stats = cache_stats(caching->cache);
    assert_int_equal(stats.reserved, caching->one.len);
    assert_int_equal(stats.entries, 0); /* what was unused has made room before it came */
    assert_int_equal(harness_count_entries(caching->cache_folder), 1);
    struct cache_entry *entry = NULL;
    struct fault fault = {0};
    assert_int_equal(acquire(caching, &two, &entry, &fault), -1);
    assert_int_equal(fault.code, FAULT_UNAVAILABLE);
    assert_int_equal(two.fetches, 0);
    (void)pthread_barrier_wait(&gate2);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(taker.result, -1); /* the cache is too small to unpack it */
    assert_int_equal(cache_stats(caching->cache).reserved, 0);
    expect_fault(caching, &two, FAULT_TOO_LARGE);
    assert_int_equal(two.fetches, 1);
    (void)pthread_barrier_destroy(&gate);
    (void)pthread_barrier_destroy(&gate2);
}

/* Many at once, in a cache for few: whatever becomes of each, the sum stays within. */
static void *take_often(void *context)
{
    struct taker *taker = context;
    taker->result = 0;
    for (int i = 0; i < 20; i++) {
        struct fault fault = {0};
        struct cache_entry *entry = NULL;
        if (acquire(taker->caching, taker->source, &entry, &fault) != 0)
            taker->result |= fault.code != FAULT_UNAVAILABLE;
        else
            taker->result |= cache_entry_check(entry, &fault) != 0;
        assert_within(taker->caching);
        cache_release(entry);
    }
    return NULL;
}

static void test_many_at_once(void **state)
{
    struct caching *caching = *state;
    const struct artifact *artifacts[] = {&caching->one, &caching->two, &caching->three};
    struct source sources[6];
    struct taker takers[ARRAY_LEN(sources)];
    pthread_t threads[ARRAY_LEN(sources)];
    caching->config.max_bytes = 15 * MIB;
    reopen(caching);
    for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
        sources[i] = (struct source){.artifact = artifacts[i % 3], .caching = caching};
        takers[i] = (struct taker){.caching = caching, .source = &sources[i]};
        assert_int_equal(pthread_create(&threads[i], NULL, take_often, &takers[i]), 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(takers[i].result, 0);
    }
    struct cache_stats stats = cache_stats(caching->cache);
    assert_int_equal(stats.reserved, 0);
    assert_int_equal(stats.in_use, 0);
    assert_int_equal(harness_count_entries(caching->cache_folder), stats.entries);
}

static void test_one_process_has_it(void **state)
{
    struct caching *caching = *state;
    struct cache *second = NULL;
    struct fault fault = {0};
    assert_int_equal(cache_open(&caching->config, &second, &fault), -1);
    assert_int_equal(fault.code, FAULT_UNAVAILABLE);
}

/* ---- inputs ---- */

static void test_inputs(void **state)
{
    struct caching *caching = *state;
    struct source source = {.artifact = &caching->one};
    struct fault fault = {0};
    struct stat stat;
    AUTO_FREE char *path = NULL;
    assert_true(asprintf(&path, "%s/rule.yar", caching->folder) > 0);
    assert_int_equal(cache_input(caching->folder, "rule.yar", &caching->one.digest, 8 * MIB, fetch,
                                 &source, &fault),
                     0);
    assert_int_equal(lstat(path, &stat), 0);
    assert_int_equal(stat.st_mode, S_IFREG | 0444);
    assert_int_equal(stat.st_size, caching->one.len);
    assert_int_equal(cache_input(caching->folder, "rule.yar", &caching->one.digest, 8 * MIB, fetch,
                                 &source, &fault),
                     -1); /* never over another */
    assert_int_equal(unlink(path), 0);

    static const struct {
        const char *name;
        bool corrupt;
        int64_t max;
        enum fault_code code;
    } cases[] = {
        {"rule.yar", true, 8 * MIB, FAULT_CONTENT_MISMATCH},
        {"rule.yar", false, 1000, FAULT_TOO_LARGE},
        {"../rule.yar", false, 8 * MIB, FAULT_MANIFEST_INVALID},
        {"..", false, 8 * MIB, FAULT_MANIFEST_INVALID},
        {"", false, 8 * MIB, FAULT_MANIFEST_INVALID},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        source.corrupt = cases[i].corrupt;
        assert_int_equal(cache_input(caching->folder, cases[i].name, &caching->one.digest,
                                     cases[i].max, fetch, &source, &fault),
                         -1);
        assert_int_equal(fault.code, cases[i].code);
        assert_int_not_equal(lstat(path, &stat), 0);
    }
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_fetched_once),
        CASE(test_what_fails_leaves_nothing),
        CASE(test_too_large),
        CASE(test_too_large_here_only),
        CASE(test_a_size_that_lies),
        CASE(test_room_grows),
        CASE(test_one_fetch_for_all),
        CASE(test_the_longest_unused_goes),
        CASE(test_what_is_in_use_stays),
        CASE(test_what_is_being_fetched_counts),
        CASE(test_many_at_once),
        CASE(test_one_process_has_it),
        CASE(test_inputs),
    };
    return cmocka_run_group_tests(tests, setup_group, teardown_group);
}
