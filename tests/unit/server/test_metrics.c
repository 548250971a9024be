/* SPDX-License-Identifier: Apache-2.0 */
#include "server/metrics.h"

#include "tests/unit/server/loopback.h"

#include <math.h>

static const double bounds[] = {0.01, 0.5, 2};

static void expect_text(const struct metrics *metrics, const char *wanted)
{
    AUTO_BUF struct buf text = BUF(1 << 20);
    metrics_write(metrics, &text);
    assert_false(buf_failed(&text));
    assert_string_equal(buf_text(&text), wanted);
}

static void test_text(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_new();
    expect_text(metrics, "");
    metric_add(metric_counter(metrics, "jobs_total", "state=\"ok\"", "Jobs."), 3);
    metric_set(metric_gauge(metrics, "queue_length", "", "Waiting."), -7);
    metric_add(metric_counter(metrics, "jobs_total", "state=\"bad\"", "Not kept."), UINT64_C(1)
                                                                                        << 40);
    metric_add(metric_counter(metrics, "jobs_total", "state=\"ok\"", "Jobs."), 2);
    expect_text(metrics, "# HELP jobs_total Jobs.\n"
                         "# TYPE jobs_total counter\n"
                         "jobs_total{state=\"ok\"} 5\n"
                         "jobs_total{state=\"bad\"} 1099511627776\n"
                         "# HELP queue_length Waiting.\n"
                         "# TYPE queue_length gauge\n"
                         "queue_length -7\n");
    metrics_free(metrics);
}

static void test_histogram(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_new();
    struct metric *bare = metric_histogram(metrics, "run_seconds", "", "Runs.", bounds, 3);
    struct metric *labelled =
        metric_histogram(metrics, "run_seconds", "tool=\"a\"", "Runs.", bounds, 3);
    static const double milliseconds[] = {0.5, 10, 10.5, 500, 1999, 2001, 60000, -5, NAN};
    for (size_t i = 0; i < ARRAY_LEN(milliseconds); i++)
        metric_observe_ms(bare, milliseconds[i]);
    metric_observe_ms(labelled, 1);
    expect_text(metrics, "# HELP run_seconds Runs.\n"
                         "# TYPE run_seconds histogram\n"
                         "run_seconds_bucket{le=\"0.01\"} 4\n"
                         "run_seconds_bucket{le=\"0.5\"} 6\n"
                         "run_seconds_bucket{le=\"2\"} 7\n"
                         "run_seconds_bucket{le=\"+Inf\"} 9\n"
                         "run_seconds_sum 64.521000\n"
                         "run_seconds_count 9\n"
                         "run_seconds_bucket{tool=\"a\",le=\"0.01\"} 1\n"
                         "run_seconds_bucket{tool=\"a\",le=\"0.5\"} 1\n"
                         "run_seconds_bucket{tool=\"a\",le=\"2\"} 1\n"
                         "run_seconds_bucket{tool=\"a\",le=\"+Inf\"} 1\n"
                         "run_seconds_sum{tool=\"a\"} 0.001000\n"
                         "run_seconds_count{tool=\"a\"} 1\n");
    metrics_free(metrics);
}

static void test_absent_and_wrong_kind(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_new();
    assert_null(metric_counter(NULL, "a", "", ""));
    assert_null(metric_gauge(NULL, "a", "", ""));
    assert_null(metric_histogram(NULL, "a", "", "", bounds, 3));
    metric_add(NULL, 1);
    metric_set(NULL, 1);
    metric_observe_ms(NULL, 1);

    struct metric *counter = metric_counter(metrics, "a", "", "A.");
    metric_add(counter, 1);
    metric_set(counter, 77);
    metric_observe_ms(counter, 77);
    struct metric *clash = metric_gauge(metrics, "a", "", "A.");
    assert_non_null(clash);
    metric_set(clash, 77);
    expect_text(metrics, "# HELP a A.\n# TYPE a counter\na 1\n");
    metrics_free(metrics);
    metrics_free(NULL);
}

static void test_series_are_bounded(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_new();
    struct metric *last = NULL;
    for (int i = 0; i < 2000; i++) {
        char labels[32];
        (void)snprintf(labels, sizeof labels, "n=\"%d\"", i);
        last = metric_counter(metrics, "many_total", labels, "Many.");
        assert_non_null(last);
        metric_add(last, 1);
    }
    AUTO_BUF struct buf text = BUF(1 << 20);
    metrics_write(metrics, &text);
    assert_false(buf_failed(&text));
    size_t lines = 0;
    for (const char *at = buf_text(&text); (at = strchr(at, '\n')) != NULL; at++)
        lines++;
    assert_int_equal(lines, 2 + 1024);
    assert_non_null(strstr(buf_text(&text), "many_total{n=\"1023\"} 1\n"));
    assert_null(strstr(buf_text(&text), "many_total{n=\"1024\"}"));
    metrics_free(metrics);
}

#define ADDERS 4
#define ADDS 50000

static void *add_many(void *context)
{
    struct metrics *metrics = context;
    struct metric *counter = metric_counter(metrics, "shared_total", "", "Shared.");
    struct metric *histogram = metric_histogram(metrics, "shared_seconds", "", "S.", bounds, 3);
    for (int i = 0; i < ADDS; i++) {
        metric_add(counter, 1);
        metric_observe_ms(histogram, 100);
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_new();
    pthread_t threads[ADDERS];
    for (int i = 0; i < ADDERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_many, metrics), 0);
    AUTO_BUF struct buf meanwhile = BUF(1 << 20);
    metrics_write(metrics, &meanwhile);
    for (int i = 0; i < ADDERS; i++)
        pthread_join(threads[i], NULL);
    AUTO_BUF struct buf text = BUF(1 << 20);
    metrics_write(metrics, &text);
    assert_non_null(strstr(buf_text(&text), "shared_total 200000\n"));
    assert_non_null(strstr(buf_text(&text), "shared_seconds_count 200000\n"));
    assert_non_null(strstr(buf_text(&text), "shared_seconds_sum 20000.000000\n"));
    metrics_free(metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_histogram),
        cmocka_unit_test(test_absent_and_wrong_kind),
        cmocka_unit_test(test_series_are_bounded),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
