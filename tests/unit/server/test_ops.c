/* SPDX-License-Identifier: Apache-2.0 */
#include "server/ops.h"

#include "tests/unit/server/loopback.h"

#include <stdatomic.h>

static int ready(void *context, struct fault *fault)
{
    if (!atomic_load((atomic_bool *)context))
        return fault_set(fault, FAULT_INTERNAL, "the database does not answer");
    return 0;
}

static struct reply *get(const struct http *ops, const char *path)
{
    char request[256];
    (void)snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
    return ask(http_port(ops), request);
}

static void test_endpoints(void **state)
{
    (void)state;
    atomic_bool is_ready = false;
    struct metrics *metrics = metrics_new();
    metric_add(metric_counter(metrics, "jobs_total", "", "Jobs."), 3);
    const struct ops_config config = {.listen = "127.0.0.1:0",
                                      .role = "worker",
                                      .metrics = metrics,
                                      .ready = ready,
                                      .context = &is_ready};
    struct http *ops = NULL;
    struct fault fault = {0};
    assert_int_equal(ops_start(&config, &ops, &fault), 0);

    struct reply *reply = get(ops, "/livez");
    assert_int_equal(reply->status, 200);
    assert_string_equal(reply->body, "{\"status\":\"ok\"}");
    reply_free(reply);

    reply = get(ops, "/readyz");
    expect_problem(reply, FAULT_UNAVAILABLE);
    assert_non_null(strstr(reply->body, "the database does not answer"));
    reply_free(reply);
    atomic_store(&is_ready, true);
    reply = get(ops, "/readyz");
    assert_int_equal(reply->status, 200);
    assert_string_equal(reply->body, "{\"status\":\"ready\"}");
    reply_free(reply);

    reply = get(ops, "/metrics");
    assert_int_equal(reply->status, 200);
    assert_string_equal(reply_value(reply, "Content-Type"),
                        "text/plain; version=0.0.4; charset=utf-8");
    assert_string_equal(reply->body, "# HELP jobs_total Jobs.\n# TYPE jobs_total counter\n"
                                     "jobs_total 3\n");
    reply_free(reply);

    reply = get(ops, "/version");
    assert_string_equal(reply->body, "{\"name\":\"sallyport\",\"version\":\"" SALLYPORT_VERSION
                                     "\",\"role\":\"worker\"}");
    reply_free(reply);

    reply = get(ops, "/v1/executions");
    expect_problem(reply, FAULT_NOT_FOUND);
    reply_free(reply);
    http_stop(ops);
    metrics_free(metrics);
}

static void test_without_metrics_and_readiness(void **state)
{
    (void)state;
    const struct ops_config config = {.listen = "127.0.0.1:0", .role = "api"};
    struct http *ops = NULL;
    struct fault fault = {0};
    assert_int_equal(ops_start(&config, &ops, &fault), 0);
    struct reply *reply = get(ops, "/readyz");
    assert_int_equal(reply->status, 200);
    reply_free(reply);
    reply = get(ops, "/metrics");
    assert_int_equal(reply->status, 200);
    assert_int_equal(reply->body_len, 0);
    reply_free(reply);
    http_stop(ops);

    const struct ops_config bad = {.listen = "nowhere", .role = "api"};
    assert_int_equal(ops_start(&bad, &ops, &fault), -1);
    assert_true(strlen(fault.detail) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_endpoints),
        cmocka_unit_test(test_without_metrics_and_readiness),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
