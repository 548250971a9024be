/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: what the cache hands out is what the digest names, now and at every later run; it is
 * fetched once, kept within its size, and nothing half-made survives. */
#include "tests/sandbox/harness.h"

#include "runner/cache.h"

#include <pthread.h>

struct artifact {
    char *bytes;
    size_t len;
    struct digest digest;
};

struct caching {
    char folder[64], cache_folder[96];
    struct artifact one, two, three; /* tars of one file of 1 MiB each */
    struct cache_config config;
    struct cache *cache;
};

/* A fetch that counts itself and may fail or lie. */
struct source {
    const struct artifact *artifact;
    int fetches;
    bool fail, corrupt;
    pthread_barrier_t *gate; /* passed before the first byte */
};

static int fetch(void *context, cache_write *write, void *sink, struct fault *fault)
{
    struct source *source = context;
    const struct artifact *artifact = source->artifact;
    source->fetches++;
    if (source->gate != NULL)
        (void)pthread_barrier_wait(source->gate);
    for (size_t at = 0; at < artifact->len;) {
        size_t step = artifact->len - at < 70000 ? artifact->len - at : 70000;
        if (source->fail && at > 0)
            return fault_set(fault, FAULT_UNAVAILABLE, "the database is gone");
        if (write(sink, artifact->bytes + at, step, fault) != 0)
            return -1;
        at += step;
    }
    return source->corrupt ? write(sink, "x", 1, fault) : 0;
}

static struct artifact make_artifact(const struct caching *caching, char letter)
{
    AUTO_FREE char *script = NULL;
    AUTO_FREE char *path = NULL;
    assert_true(asprintf(&path, "%s/%c.tar", caching->folder, letter) > 0);
    assert_true(asprintf(&script,
                         "mkdir -p %s/%c/data && cd %s/%c && yes %c | head -c 1M >data/file && "
                         "ln -s file data/link && tar -c data >%s && rm -r %s/%c",
                         caching->folder, letter, caching->folder, letter, letter, path,
                         caching->folder, letter) > 0);
    const char *const make[] = {"sh", "-c", script, NULL};
    assert_int_equal(harness_command(make), 0);
    struct buf buf = BUF(8u << 20);
    struct fault fault = {0};
    assert_int_equal(file_read(path, &buf, &fault), 0);
    assert_int_equal(unlink(path), 0);
    struct artifact artifact = {.digest = digest_of_span(buf_span(&buf))};
    artifact.bytes = buf_take(&buf, &artifact.len);
    return artifact;
}

static void reopen(struct caching *caching)
{
    struct fault fault = {0};
    cache_free(TAKE(caching->cache));
    if (cache_open(&caching->config, &caching->cache, &fault) != 0)
        fail_msg("%s", fault.detail);
}

static int setup_group(void **state)
{
    static struct caching caching;
    harness_need_root();
    (void)snprintf(caching.folder, sizeof caching.folder, "/tmp/sallyport-cache.XXXXXX");
    assert_non_null(mkdtemp(caching.folder));
    assert_int_equal(chmod(caching.folder, 0755), 0);
    (void)snprintf(caching.cache_folder, sizeof caching.cache_folder, "%s/cache", caching.folder);
    caching.one = make_artifact(&caching, 'a');
    caching.two = make_artifact(&caching, 'b');
    caching.three = make_artifact(&caching, 'c');
    *state = &caching;
    return 0;
}

static int teardown_group(void **state)
{
    struct caching *caching = *state;
    struct fault fault = {0};
    free(caching->one.bytes);
    free(caching->two.bytes);
    free(caching->three.bytes);
    assert_int_equal(dir_remove(caching->folder, &fault), 0);
    return 0;
}

static int setup(void **state)
{
    struct caching *caching = *state;
    caching->config = (struct cache_config){
        .folder = caching->cache_folder,
        .max_bytes = 100 * MIB,
        .max_artifact_bytes = 8 * MIB,
        .unpack = unpack_config_defaults(),
    };
    reopen(caching);
    return 0;
}

static int teardown(void **state)
{
    struct caching *caching = *state;
    struct fault fault = {0};
    assert_int_equal(cache_stats(caching->cache).in_use, 0);
    cache_free(TAKE(caching->cache));
    assert_int_equal(dir_remove(caching->cache_folder, &fault), 0);
    return 0;
}

static int acquire(struct caching *caching, struct source *source, struct cache_entry **entry,
                   struct fault *fault)
{
    return cache_acquire(caching->cache, &source->artifact->digest, ARTIFACT_ROOTFS, fetch, source,
                         -1, entry, fault);
}

/* Takes it, proves it, gives it back. */
static void use(struct caching *caching, struct source *source)
{
    struct cache_entry *entry = NULL;
    struct fault fault = {0};
    if (acquire(caching, source, &entry, &fault) != 0 || cache_entry_check(entry, &fault) != 0)
        fail_msg("%s", fault.detail);
    cache_release(entry);
}

static void expect_fault(struct caching *caching, struct source *source, enum fault_code code)
{
    struct cache_entry *entry = NULL;
    struct fault fault = {0};
    assert_int_equal(acquire(caching, source, &entry, &fault), -1);
    if (fault.code != code)
        fail_msg("%s: %s, expected %s", fault_name(fault.code), fault.detail, fault_name(code));
    assert_null(entry);
    assert_int_equal(harness_count_entries(caching->cache_folder),
                     cache_stats(caching->cache).entries); /* nothing half-made */
}

/* ---- */

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
    caching->config.max_bytes = 5 * MIB / 2; /* two of them */
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
    caching->config.max_bytes = 5 * MIB / 2;
    reopen(caching);
    assert_int_equal(acquire(caching, &one, &held[0], &fault), 0);
    assert_int_equal(acquire(caching, &two, &held[1], &fault), 0);
    expect_fault(caching, &three, FAULT_UNAVAILABLE);
    assert_int_equal(cache_entry_check(held[0], &fault), 0);
    assert_int_equal(cache_entry_check(held[1], &fault), 0);
    cache_release(held[0]);
    use(caching, &three);
    cache_release(held[1]);
}

/* ---- what was changed ---- */

static void tamper(const char *root, const char *script)
{
    AUTO_FREE char *text = NULL;
    assert_true(asprintf(&text, "cd %s && %s", root, script) > 0);
    const char *const run[] = {"sh", "-c", text, NULL};
    assert_int_equal(harness_command(run), 0);
}

static void test_every_change_is_seen(void **state)
{
    static const char *const changes[] = {
        "printf X | dd of=data/file bs=1 seek=7 conv=notrunc status=none",
        /* the same bytes, and the old time put back */
        "cp -p data/file ../c && cat ../c >data/file && touch -r ../c data/file",
        "chmod 0755 data/file",
        "chmod u+s data/file",
        "chown 65534 data/file",
        "rm data/link",
        "ln -sfn /etc data/link",
        "touch data/more",
        "mkdir empty",
        "mv data/file data/moved",
        "ln data/file data/second",
        "cp -p data/file data/copy && mv data/copy data/file",
    };
    struct caching *caching = *state;
    for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
        struct source source = {.artifact = &caching->one};
        struct cache_entry *entry = NULL;
        struct fault fault = {0};
        use(caching, &source);
        assert_int_equal(acquire(caching, &source, &entry, &fault), 0);
        tamper(cache_entry_root(entry), changes[i]);
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
    tamper(good, "touch data/file"); /* the time alone: still the same tree */
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
        CASE(test_one_fetch_for_all),
        CASE(test_the_longest_unused_goes),
        CASE(test_what_is_in_use_stays),
        CASE(test_every_change_is_seen),
        CASE(test_reading_changes_nothing),
        CASE(test_kept_over_a_restart),
        CASE(test_one_process_has_it),
        CASE(test_inputs),
    };
    return cmocka_run_group_tests(tests, setup_group, teardown_group);
}
