/* SPDX-License-Identifier: Apache-2.0 */
#include "server/pool.h"

#include "tests/unit/server/loopback.h"

#include <stdatomic.h>
#include <stddef.h>

struct work {
    struct pool_job job;
    int number;
    bool blocks;
};

static sem_t started, go, done;
static atomic_int ran[16]; /* numbers in the order they ran */
static atomic_int ran_count;
static atomic_int refused_count;

static struct work *work_of(struct pool_job *job)
{
    return (struct work *)(void *)((char *)job - offsetof(struct work, job));
}

static void run(struct pool_job *job, void *thread)
{
    (void)thread;
    struct work *work = work_of(job);
    sem_post(&started);
    if (work->blocks)
        wait_for(&go);
    atomic_store(&ran[atomic_fetch_add(&ran_count, 1)], work->number);
    sem_post(&done);
}

static void refuse(struct pool_job *job)
{
    atomic_fetch_add(&refused_count, work_of(job)->number);
    sem_post(&go);
}

static int setup(void **state)
{
    (void)state;
    sem_init(&started, 0, 0);
    sem_init(&go, 0, 0);
    sem_init(&done, 0, 0);
    atomic_store(&ran_count, 0);
    atomic_store(&refused_count, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sem_destroy(&started);
    sem_destroy(&go);
    sem_destroy(&done);
    return 0;
}

static struct pool *pool_of(unsigned threads, unsigned queue_max)
{
    struct pool_config config = {
        .threads = threads, .queue_max = queue_max, .run = run, .refuse = refuse};
    struct pool *pool = NULL;
    struct fault fault = {0};
    assert_int_equal(pool_start(&config, &pool, &fault), 0);
    return pool;
}

static void test_first_come_first_served(void **state)
{
    (void)state;
    struct pool *pool = pool_of(1, 8);
    struct work works[5];
    for (int i = 0; i < 5; i++)
        works[i] = (struct work){.number = i, .blocks = i == 0};
    assert_true(pool_submit(pool, &works[0].job));
    wait_for(&started);
    for (int i = 1; i < 5; i++)
        assert_true(pool_submit(pool, &works[i].job));
    assert_int_equal(pool_waiting(pool), 4);
    sem_post(&go);
    for (int i = 0; i < 5; i++)
        wait_for(&done);
    for (int i = 0; i < 5; i++)
        assert_int_equal(atomic_load(&ran[i]), i);
    pool_free(pool);
}

static void test_queue_is_bounded(void **state)
{
    (void)state;
    struct pool *pool = pool_of(2, 1);
    struct work works[4];
    for (int i = 0; i < 4; i++)
        works[i] = (struct work){.number = i, .blocks = true};
    for (int i = 0; i < 2; i++) {
        assert_true(pool_submit(pool, &works[i].job));
        wait_for(&started);
    }
    assert_true(pool_submit(pool, &works[2].job));
    assert_false(pool_submit(pool, &works[3].job));
    for (int i = 0; i < 3; i++)
        sem_post(&go);
    for (int i = 0; i < 3; i++)
        wait_for(&done);
    pool_free(pool);
    assert_int_equal(atomic_load(&ran_count), 3);
}

/* Without a queue, a job is still taken where a thread is idle. */
static void test_no_queue(void **state)
{
    (void)state;
    struct pool *pool = pool_of(1, 0);
    struct work first = {.blocks = true}, second = {.number = 1};
    assert_true(pool_submit(pool, &first.job));
    wait_for(&started);
    assert_false(pool_submit(pool, &second.job));
    sem_post(&go);
    wait_for(&done);
    pool_free(pool);
}

static void test_withdraw(void **state)
{
    (void)state;
    struct pool *pool = pool_of(1, 8);
    struct work works[4];
    for (int i = 0; i < 4; i++)
        works[i] = (struct work){.number = i, .blocks = i == 0};
    assert_true(pool_submit(pool, &works[0].job));
    wait_for(&started);
    for (int i = 1; i < 4; i++)
        assert_true(pool_submit(pool, &works[i].job));
    assert_false(pool_withdraw(pool, &works[0].job)); /* it runs */
    assert_true(pool_withdraw(pool, &works[3].job));  /* the last */
    assert_false(pool_withdraw(pool, &works[3].job));
    assert_true(pool_withdraw(pool, &works[1].job)); /* the first */
    assert_true(pool_submit(pool, &works[3].job));   /* the queue's end is still right */
    sem_post(&go);
    for (int i = 0; i < 3; i++)
        wait_for(&done);
    static const int wanted[] = {0, 2, 3};
    for (int i = 0; i < 3; i++)
        assert_int_equal(atomic_load(&ran[i]), wanted[i]);
    pool_free(pool);
}

/* What runs ends after what waits was refused: here it is the refusals that let it end. */
static void test_stop_refuses_what_waits(void **state)
{
    (void)state;
    struct pool *pool = pool_of(1, 8);
    struct work works[3] = {{.blocks = true}, {.number = 10}, {.number = 100}};
    for (int i = 0; i < 3; i++)
        assert_true(pool_submit(pool, &works[i].job));
    wait_for(&started);
    pool_stop(pool);
    assert_int_equal(atomic_load(&refused_count), 110);
    assert_int_equal(atomic_load(&ran_count), 1);
    struct work late = {.number = 1};
    assert_false(pool_submit(pool, &late.job));
    pool_free(pool);
    pool_free(NULL);
}

#define THREADS 8
#define ROUNDS 1000

static int open_numbers(void *context, void **ret_thread, struct fault *fault)
{
    (void)fault;
    atomic_int *next = context;
    static const int numbers[THREADS] = {0, 1, 2, 3, 4, 5, 6, 7};
    *ret_thread = (void *)(uintptr_t)&numbers[atomic_fetch_add(next, 1)];
    return 0;
}

static atomic_int ran_by[THREADS];

static void run_counted(struct pool_job *job, void *thread)
{
    (void)job;
    atomic_fetch_add(&ran_by[*(const int *)thread], 1);
    sem_post(&done);
}

/* One job after the other keeps one thread busy; now and then two, where the next came before the
 * first was idle again. In turn they would have an eighth each. */
static void test_of_idle_threads_the_last_one_works(void **state)
{
    (void)state;
    atomic_int next = 0;
    struct pool_config config = {.threads = THREADS,
                                 .queue_max = 8,
                                 .context = &next,
                                 .thread_open = open_numbers,
                                 .run = run_counted,
                                 .refuse = refuse};
    struct pool *pool = NULL;
    struct fault fault = {0};
    assert_int_equal(pool_start(&config, &pool, &fault), 0);
    for (int i = 0; i < ROUNDS; i++) {
        struct work work = {.number = i};
        assert_true(pool_submit(pool, &work.job));
        wait_for(&done);
    }
    pool_free(pool);
    int first = 0, second = 0;
    for (int i = 0; i < THREADS; i++) {
        int count = atomic_exchange(&ran_by[i], 0);
        second = count > first ? first : count > second ? count : second;
        first = count > first ? count : first;
    }
    assert_in_range(first + second, ROUNDS / 2, ROUNDS);
}

static int open_fails(void *context, void **ret_thread, struct fault *fault)
{
    atomic_int *opened = context;
    if (atomic_fetch_add(opened, 1) == 1)
        return fault_set(fault, FAULT_UNAVAILABLE, "the second fails");
    *ret_thread = opened;
    return 0;
}

static void close_counts(void *thread)
{
    atomic_fetch_add((atomic_int *)thread, 100);
}

static void test_thread_that_cannot_open(void **state)
{
    (void)state;
    atomic_int opened = 0;
    struct pool_config config = {.threads = 3,
                                 .context = &opened,
                                 .thread_open = open_fails,
                                 .thread_close = close_counts,
                                 .run = run,
                                 .refuse = refuse};
    struct pool *untouched = (struct pool *)(void *)&config, *pool = untouched;
    struct fault fault = {0};
    assert_int_equal(pool_start(&config, &pool, &fault), -1);
    assert_int_equal(fault.code, FAULT_UNAVAILABLE);
    assert_string_equal(fault.detail, "the second fails");
    assert_ptr_equal(pool, untouched);
    assert_int_equal(atomic_load(&opened), 3 + 200); /* the other two were closed */
}

#define WITH_STATE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STATE(test_first_come_first_served),
        WITH_STATE(test_queue_is_bounded),
        WITH_STATE(test_no_queue),
        WITH_STATE(test_withdraw),
        WITH_STATE(test_stop_refuses_what_waits),
        WITH_STATE(test_of_idle_threads_the_last_one_works),
        WITH_STATE(test_thread_that_cannot_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
