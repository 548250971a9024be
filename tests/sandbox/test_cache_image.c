/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: how an image is started is kept as carefully as its tree: read from the bytes once, the
 * same for every process after, and worth nothing once the record is not what was written. */
#include "tests/sandbox/harness.h"

#include "runner/cache.h"

struct caching {
    char folder[64], cache_folder[96], record[256];
    struct buf archive;
    struct digest digest;
    struct cache_config config;
    struct cache *cache;
    int fetches;
};

static int fetch(void *context, cache_write *write, void *sink, struct fault *fault)
{
    struct caching *caching = context;
    caching->fetches++;
    return write(sink, caching->archive.data, caching->archive.len, fault);
}

static void open_cache(struct caching *caching)
{
    struct fault fault = {0};
    if (cache_open(&caching->config, &caching->cache, &fault) != 0)
        fail_msg("%s", fault.detail);
}

static int setup(void **state)
{
    static struct caching caching;
    struct fault fault = {0};
    char path[128];
    harness_need_root();
    caching = (struct caching){.archive = BUF(1u << 20)};
    (void)snprintf(caching.folder, sizeof caching.folder, "/tmp/sallyport-cached.XXXXXX");
    assert_non_null(mkdtemp(caching.folder));
    assert_int_equal(chmod(caching.folder, 0755), 0);
    (void)snprintf(caching.cache_folder, sizeof caching.cache_folder, "%s/cache", caching.folder);
    (void)snprintf(path, sizeof path, "%s/images", caching.folder);
    harness_make_folder(path, "");
    const char *const make[] = {"/usr/bin/python3", TEST_DATA "/../sandbox/images.py", path, NULL};
    assert_int_equal(harness_command(make), 0);
    (void)snprintf(path, sizeof path, "%s/images/plain.tar", caching.folder);
    assert_int_equal(file_read(path, &caching.archive, &fault), 0);
    caching.digest = digest_of_span(buf_span(&caching.archive));
    (void)snprintf(caching.record, sizeof caching.record, "%s/%s-oci/record", caching.cache_folder,
                   digest_hex(&caching.digest).text);
    caching.config = (struct cache_config){
        .folder = caching.cache_folder,
        .max_bytes = 100 * MIB,
        .max_artifact_bytes = 8 * MIB,
        .unpack = unpack_config_defaults(),
    };
    open_cache(&caching);
    *state = &caching;
    return 0;
}

static int teardown(void **state)
{
    struct caching *caching = *state;
    struct fault fault = {0};
    cache_free(TAKE(caching->cache));
    buf_free(&caching->archive);
    assert_int_equal(dir_remove(caching->folder, &fault), 0);
    return 0;
}

static struct cache_entry *acquire(struct caching *caching)
{
    struct cache_entry *entry = NULL;
    struct fault fault = {0};
    struct cache_source source = {(int64_t)caching->archive.len, fetch, caching, -1, false};
    if (cache_acquire(caching->cache, &caching->digest, ARTIFACT_OCI, &source, &entry, &fault) != 0)
        fail_msg("%s", fault.detail);
    assert_int_equal(cache_entry_check(entry, &fault), 0);
    return entry;
}

static void assert_start(const struct cache_entry *entry)
{
    const struct image *image = cache_entry_image(entry);
    assert_non_null(image);
    assert_string_equal(image->entrypoint[0], "/bin/tool");
    assert_int_equal(image->cmd_count, 2);
    assert_string_equal(image->working_dir, "/srv");
    assert_int_equal(image->uid, 1000);
    assert_int_equal(image->gid, 1001);
}

static void test_it_outlives_the_process(void **state)
{
    struct caching *caching = *state;
    struct cache_entry *entry = acquire(caching);
    assert_start(entry);
    cache_release(entry);
    cache_free(TAKE(caching->cache));
    open_cache(caching);
    entry = acquire(caching);
    assert_start(entry);
    cache_release(entry);
    assert_int_equal(caching->fetches, 1);
}

/* The record with one text in place of another: it and its tree are not believed, but made again.
 */
static void assert_forgotten(struct caching *caching, const char *from, const char *to)
{
    AUTO_BUF struct buf record = BUF(1u << 20);
    AUTO_BUF struct buf forged = BUF(1u << 20);
    struct fault fault = {0};
    cache_release(acquire(caching));
    cache_free(TAKE(caching->cache));
    assert_int_equal(file_read(caching->record, &record, &fault), 0);
    const char *text = buf_text(&record), *at = strstr(text, from);
    assert_non_null(at);
    buf_append(&forged, text, (size_t)(at - text));
    buf_puts(&forged, to);
    buf_puts(&forged, at + strlen(from));
    assert_int_equal(file_replace(caching->record, forged.data, forged.len, 0600, &fault), 0);
    int fetches = caching->fetches;
    open_cache(caching);
    assert_int_equal(cache_stats(caching->cache).entries, 0);
    struct cache_entry *entry = acquire(caching);
    assert_start(entry);
    cache_release(entry);
    assert_int_equal(caching->fetches, fetches + 1);
}

static void test_a_changed_record_is_worth_nothing(void **state)
{
    struct caching *caching = *state;
    assert_forgotten(caching, "\"/bin/tool\"", "\"/bin/same\"");
    assert_forgotten(caching, "\"1000:1001\"", "\"1000:1002\"");
    assert_forgotten(caching, "\"1000:1001\"", "\"0:0\"");
    assert_forgotten(caching, "\"A\":", "\"LD_PRELOAD\":");
    assert_forgotten(caching, "\"image\":", "\"other\":");
    assert_forgotten(caching, "\"cmd\":[\"a\",", "\"cmd\":[");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_it_outlives_the_process, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_changed_record_is_worth_nothing, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
