/* SPDX-License-Identifier: Apache-2.0 */
#include "base/ttl_cache.h"

#include "base/clock.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define LONG_MS 3600000
#define PATIENCE_MS 20000

/* A value that counts who holds it; the test holds none itself. */
struct counted {
    atomic_int holders;
    int number;
};

static void *counted_copy(void *value)
{
    struct counted *counted = value;
    assert_non_null(counted);
    (void)atomic_fetch_add(&counted->holders, 1);
    return counted;
}

static void counted_destroy(void *value)
{
    struct counted *counted = value;
    assert_non_null(counted);
    assert_true(atomic_fetch_sub(&counted->holders, 1) > 0);
}

static struct ttl_cache *cache_new(int64_t ttl_ms)
{
    struct ttl_cache *cache = NULL;
    struct fault fault;
    assert_int_equal(ttl_cache_new(ttl_ms, counted_copy, counted_destroy, &cache, &fault), 0);
    return cache;
}

static void what_was_put_is_got(void **state)
{
    (void)state;
    struct counted one = {.number = 1}, two = {.number = 2};
    struct ttl_cache *cache = cache_new(LONG_MS);
    void *got = &two;
    assert_false(ttl_cache_get(cache, "key", &got));
    assert_ptr_equal(got, &two);
    ttl_cache_put(cache, "key", &one);
    assert_int_equal(one.holders, 1);
    assert_true(ttl_cache_get(cache, "key", &got));
    assert_ptr_equal(got, &one);
    assert_int_equal(one.holders, 2); /* the caller has one of its own */
    counted_destroy(got);
    static const char *const others[] = {"ke", "keys", "Key", "", " key", "key "};
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        assert_false(ttl_cache_get(cache, others[i], &got));
    ttl_cache_put(cache, "key", &two); /* takes the other's place */
    assert_int_equal(one.holders, 0);
    assert_true(ttl_cache_get(cache, "key", &got));
    assert_ptr_equal(got, &two);
    counted_destroy(got);
    ttl_cache_free(cache);
    assert_int_equal(two.holders, 0);
    ttl_cache_free(NULL);
}

static void that_there_is_none_is_remembered_too(void **state)
{
    (void)state;
    struct counted one = {.number = 1};
    struct ttl_cache *cache = cache_new(LONG_MS);
    void *got = &one;
    ttl_cache_put(cache, "key", NULL);
    assert_true(ttl_cache_get(cache, "key", &got));
    assert_null(got);
    ttl_cache_put(cache, "key", &one);
    assert_true(ttl_cache_get(cache, "key", &got));
    assert_ptr_equal(got, &one);
    counted_destroy(got);
    ttl_cache_put(cache, "key", NULL);
    assert_int_equal(one.holders, 0);
    assert_true(ttl_cache_get(cache, "key", &got));
    assert_null(got);
    ttl_cache_free(cache);
}

/* Polls until the key is gone; it must not go before its time. */
static void assert_expires(struct ttl_cache *cache, const char *key, int64_t ttl_ms, void *value)
{
    int64_t put_ms = clock_monotonic_ms();
    ttl_cache_put(cache, key, value);
    for (;;) {
        void *got = NULL;
        bool found = ttl_cache_get(cache, key, &got);
        int64_t passed = clock_monotonic_ms() - put_ms;
        if (found && got != NULL)
            counted_destroy(got);
        if (!found) {
            assert_true(passed >= ttl_ms);
            return;
        }
        assert_true(passed < PATIENCE_MS);
    }
}

static void an_entry_lives_as_long_as_it_may(void **state)
{
    (void)state;
    struct counted one = {.number = 1};
    struct ttl_cache *cache = cache_new(50);
    assert_expires(cache, "value", 50, &one);
    assert_expires(cache, "none", 50, NULL);
    assert_expires(cache, "value", 50, &one); /* put again, it lives again */
    ttl_cache_free(cache);
    assert_int_equal(one.holders, 0);
    struct ttl_cache *none = cache_new(0);
    void *got;
    ttl_cache_put(none, "key", &one);
    assert_false(ttl_cache_get(none, "key", &got));
    ttl_cache_free(none);
    assert_int_equal(one.holders, 0);
}

/* Asking does not prolong: a revoked key must be found out within its time to live. */
static void asking_does_not_prolong(void **state)
{
    (void)state;
    struct counted one = {.number = 1};
    struct ttl_cache *cache = cache_new(50);
    int64_t put_ms = clock_monotonic_ms();
    ttl_cache_put(cache, "key", &one);
    for (void *got = NULL; ttl_cache_get(cache, "key", &got);) {
        counted_destroy(got);
        assert_true(clock_monotonic_ms() - put_ms < PATIENCE_MS);
    }
    ttl_cache_free(cache);
    assert_int_equal(one.holders, 0);
}

/* Far more keys than places: what is displaced is let go, what is found is never another's. */
static void newcomers_displace(void **state)
{
    (void)state;
    enum { KEYS = 5000 };
    static struct counted values[KEYS];
    struct ttl_cache *cache = cache_new(LONG_MS);
    for (int i = 0; i < KEYS; i++) {
        char key[32];
        values[i].number = i;
        (void)snprintf(key, sizeof key, "tenant-%d kid", i);
        ttl_cache_put(cache, key, &values[i]);
        void *got = NULL;
        assert_true(ttl_cache_get(cache, key, &got)); /* the newest is always here */
        counted_destroy(got);
    }
    int kept = 0;
    for (int i = 0; i < KEYS; i++) {
        char key[32];
        void *got = NULL;
        (void)snprintf(key, sizeof key, "tenant-%d kid", i);
        if (ttl_cache_get(cache, key, &got)) {
            assert_ptr_equal(got, &values[i]);
            counted_destroy(got);
            kept++;
        }
        assert_int_equal(values[i].holders, got != NULL);
    }
    assert_in_range(kept, 512, 1024);
    ttl_cache_free(cache);
    for (int i = 0; i < KEYS; i++)
        assert_int_equal(values[i].holders, 0);
}

static void a_key_too_long_is_not_kept(void **state)
{
    (void)state;
    struct counted one = {.number = 1};
    struct ttl_cache *cache = cache_new(LONG_MS);
    char key[1000];
    for (size_t len = 200; len < sizeof key; len += 5) {
        void *got = NULL;
        memset(key, 'k', len);
        key[len] = '\0';
        ttl_cache_put(cache, key, &one);
        bool kept = ttl_cache_get(cache, key, &got);
        assert_int_equal(kept, len < 256);
        if (kept)
            counted_destroy(got);
        key[len - 1] = '\0'; /* and is never found as a shorter one */
        if (len >= 256)
            assert_false(ttl_cache_get(cache, key, &got));
    }
    ttl_cache_free(cache);
    assert_int_equal(one.holders, 0);
}

static int copies_left;

static void *copy_fails(void *value)
{
    return copies_left-- > 0 ? counted_copy(value) : NULL;
}

static void without_memory_nothing_is_claimed(void **state)
{
    (void)state;
    struct ttl_cache *cache = NULL;
    struct fault fault;
    assert_int_equal(ttl_cache_new(LONG_MS, copy_fails, counted_destroy, &cache, &fault), 0);
    struct counted one = {.number = 1};
    void *got = &one;
    ttl_cache_put(cache, "key", &one);
    assert_false(ttl_cache_get(cache, "key", &got)); /* not "there is none": it is not known */
    copies_left = 1;                                 /* for the place, but not for who asks */
    ttl_cache_put(cache, "key", &one);
    assert_int_equal(one.holders, 1);
    assert_false(ttl_cache_get(cache, "key", &got));
    ttl_cache_free(cache);
    assert_int_equal(one.holders, 0);
}

enum { THREADS = 4, ROUNDS = 20000, SHARED = 64 };
static struct counted shared[SHARED];

static void *use(void *context)
{
    struct ttl_cache *cache = context;
    unsigned seed = (unsigned)(uintptr_t)&seed;
    for (int i = 0; i < ROUNDS; i++) {
        char key[16];
        void *got = NULL;
        seed = seed * 1103515245u + 12345u;
        int n = (int)(seed >> 16) % SHARED;
        (void)snprintf(key, sizeof key, "%d", n);
        if ((seed >> 8) % 4 == 0)
            ttl_cache_put(cache, key, (seed >> 9) % 8 == 0 ? NULL : &shared[n]);
        else if (ttl_cache_get(cache, key, &got) && got != NULL) {
            if (got != &shared[n])
                return cache;
            counted_destroy(got);
        }
    }
    return NULL;
}

static void threads_share_it(void **state)
{
    (void)state;
    struct ttl_cache *cache = cache_new(1);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use, cache), 0);
    for (int i = 0; i < THREADS; i++) {
        void *wrong;
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
    ttl_cache_free(cache);
    for (int i = 0; i < SHARED; i++)
        assert_int_equal(shared[i].holders, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_put_is_got),
        cmocka_unit_test(that_there_is_none_is_remembered_too),
        cmocka_unit_test(an_entry_lives_as_long_as_it_may),
        cmocka_unit_test(asking_does_not_prolong),
        cmocka_unit_test(newcomers_displace),
        cmocka_unit_test(a_key_too_long_is_not_kept),
        cmocka_unit_test(without_memory_nothing_is_claimed),
        cmocka_unit_test(threads_share_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
