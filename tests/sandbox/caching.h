/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the cache share: a cache in a folder of its own, three artifacts, and a source
 * that fetches them, or fails, or lies. */
#pragma once

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
    struct caching *caching; /* the accounts are looked at before each piece; may be NULL */
    int fetches;
    bool fail, corrupt, elsewhere;
    pthread_barrier_t *gate;  /* passed before the first byte */
    pthread_barrier_t *gate2; /* and then this */
};

/* Everything together: what is there, and what is kept for those who are fetching. */
__attribute__((unused)) static void assert_within(const struct caching *caching)
{
    struct cache_stats stats = cache_stats(caching->cache);
    assert_in_range(stats.bytes + stats.reserved, 0, caching->config.max_bytes);
}

__attribute__((unused)) static int fetch(void *context, cache_write *write, void *sink,
                                         struct fault *fault)
{
    struct source *source = context;
    const struct artifact *artifact = source->artifact;
    source->fetches++;
    if (source->gate != NULL)
        (void)pthread_barrier_wait(source->gate);
    if (source->gate2 != NULL)
        (void)pthread_barrier_wait(source->gate2);
    for (size_t at = 0; at < artifact->len;) {
        if (source->caching != NULL)
            assert_within(source->caching);
        size_t step = artifact->len - at < 70000 ? artifact->len - at : 70000;
        if (source->fail && at > 0)
            return fault_set(fault, FAULT_UNAVAILABLE, "the database is gone");
        if (write(sink, artifact->bytes + at, step, fault) != 0)
            return -1;
        at += step;
    }
    return source->corrupt ? write(sink, "x", 1, fault) : 0;
}

/* A tar of data/file, of that size, and a link to it; packed by a command, "cat" for none. */
__attribute__((unused)) static struct artifact
make_packed(const struct caching *caching, char letter, const char *size, const char *pack)
{
    AUTO_FREE char *script = NULL;
    AUTO_FREE char *path = NULL;
    assert_true(asprintf(&path, "%s/%c.tar", caching->folder, letter) > 0);
    assert_true(asprintf(&script,
                         "mkdir -p %s/%c/data && cd %s/%c && yes %c | head -c %s >data/file && "
                         "ln -s file data/link && tar -c data | %s >%s && rm -r %s/%c",
                         caching->folder, letter, caching->folder, letter, letter, size, pack, path,
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

__attribute__((unused)) static struct artifact make_artifact(const struct caching *caching,
                                                             char letter)
{
    return make_packed(caching, letter, "1M", "cat");
}

__attribute__((unused)) static void reopen(struct caching *caching)
{
    struct fault fault = {0};
    cache_free(TAKE(caching->cache));
    if (cache_open(&caching->config, &caching->cache, &fault) != 0)
        fail_msg("%s", fault.detail);
}

__attribute__((unused)) static int setup_group(void **state)
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

__attribute__((unused)) static int teardown_group(void **state)
{
    struct caching *caching = *state;
    struct fault fault = {0};
    free(caching->one.bytes);
    free(caching->two.bytes);
    free(caching->three.bytes);
    assert_int_equal(dir_remove(caching->folder, &fault), 0);
    return 0;
}

__attribute__((unused)) static int setup(void **state)
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

__attribute__((unused)) static int teardown(void **state)
{
    struct caching *caching = *state;
    struct fault fault = {0};
    assert_int_equal(cache_stats(caching->cache).in_use, 0);
    cache_free(TAKE(caching->cache));
    assert_int_equal(dir_remove(caching->cache_folder, &fault), 0);
    return 0;
}

__attribute__((unused)) static int acquire(struct caching *caching, struct source *source,
                                           struct cache_entry **entry, struct fault *fault)
{
    struct cache_source from = {(int64_t)source->artifact->len, fetch, source, -1,
                                source->elsewhere};
    return cache_acquire(caching->cache, &source->artifact->digest, ARTIFACT_ROOTFS, &from, entry,
                         fault);
}

/* Takes it, proves it, gives it back. */
__attribute__((unused)) static void use(struct caching *caching, struct source *source)
{
    struct cache_entry *entry = NULL;
    struct fault fault = {0};
    if (acquire(caching, source, &entry, &fault) != 0 || cache_entry_check(entry, &fault) != 0)
        fail_msg("%s", fault.detail);
    cache_release(entry);
}

__attribute__((unused)) static void expect_fault(struct caching *caching, struct source *source,
                                                 enum fault_code code)
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

__attribute__((unused)) static void tamper(const char *root, const char *script)
{
    AUTO_FREE char *text = NULL;
    assert_true(asprintf(&text, "cd %s && %s", root, script) > 0);
    const char *const run[] = {"sh", "-c", text, NULL};
    assert_int_equal(harness_command(run), 0);
}
