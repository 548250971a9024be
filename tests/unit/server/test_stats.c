/* SPDX-License-Identifier: Apache-2.0 */
/* The access log and the metrics of requests. */
#include "tests/unit/server/loopback.h"

#include <fcntl.h>
#include <sys/mman.h>

static enum answer answer_ok(struct request *request)
{
    return reply_empty(request, 204);
}

static enum answer answer_read(struct request *request)
{
    struct fault fault = {0};
    char byte;
    size_t len;
    if (request_read(request, &byte, 1, &len, &fault) != 0)
        return reply_fault(request, &fault);
    return reply_empty(request, 204);
}

static const struct route routes[] = {
    {.method = HTTP_GET, .path = "/item/{id}", .handle = answer_ok},
    {.method = HTTP_PUT,
     .path = "/read",
     .body = ROUTE_BODY_STREAMED,
     .body_max = 100,
     .handle = answer_read},
    {.method = HTTP_POST,
     .path = "/post",
     .body = ROUTE_BODY_BUFFERED,
     .body_max = 100,
     .handle = answer_ok},
};

/* Standard error into a file in memory, from here to log_end(). */
static int log_begin(int *ret_saved)
{
    int file = memfd_create("log", MFD_CLOEXEC);
    assert_true(file >= 0);
    *ret_saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    assert_true(*ret_saved >= 0);
    assert_true(dup2(file, STDERR_FILENO) >= 0);
    return file;
}

static char *log_end(int file, int saved)
{
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    (void)close(saved);
    off_t size = lseek(file, 0, SEEK_END);
    char *text = calloc(1, (size_t)size + 1);
    assert_non_null(text);
    assert_int_equal(pread(file, text, (size_t)size, 0), size);
    (void)close(file);
    return text;
}

#define HOST "Host: x\r\n"

static void run_requests(const struct http *http)
{
    static const char *const requests[] = {
        "GET /item/secret-1?token=secret-2 HTTP/1.1\r\n" HOST "X-Request-Id: one\r\n\r\n",
        "HEAD /item/7 HTTP/1.0\r\n\r\n",
        "GET /secret-3 HTTP/1.1\r\n" HOST "\r\n",
        "BREW /item/7 HTTP/1.1\r\n" HOST "\r\n",
        "GET /item/7 HTTP/1.1\r\n" HOST "no colon\r\n\r\n",
        "POST /post HTTP/1.1\r\n" HOST "Content-Length: 101\r\n\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        struct client *client = client_open(http_port(http));
        client_send(client, requests[i]);
        reply_free(client_reply_to(client, i == 1));
        client_close(client);
    }
    struct client *client = client_open(http_port(http)); /* vanishes in its head */
    client_send(client, "GET /item/8 HTTP/1.1\r\nHo");
    client_close(client);
    client = client_open(http_port(http)); /* ... and in its body */
    client_send(client,
                "POST /post HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 9\r\n\r\n");
    reply_free(client_reply(client));
    client_close(client);
}

static size_t occurrences(const char *text, const char *wanted)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, wanted)) != NULL; at += strlen(wanted))
        count++;
    return count;
}

static void test_access_log(void **state)
{
    (void)state;
    struct http_config config = test_config(routes, ARRAY_LEN(routes));
    config.access_log = true;
    struct http *http = test_start(&config);
    int saved;
    int file = log_begin(&saved);
    run_requests(http);
    http_stop(http);
    AUTO_FREE char *text = log_end(file, saved);

    assert_null(strstr(text, "secret"));
    assert_int_equal(occurrences(text, "\n"), 8);
    static const struct {
        const char *route, *method;
        int status;
        const char *id;
    } wanted[] = {{"/item/{id}", "GET", 204, "one"}, {"/item/{id}", "HEAD", 204, NULL},
                  {"-", "GET", 404, NULL},           {"-", "OTHER", 405, NULL},
                  {"-", "OTHER", 400, NULL},         {"/post", "POST", 413, NULL},
                  {"-", "OTHER", 499, NULL},         {"/post", "POST", 499, NULL}};
    bool seen[ARRAY_LEN(wanted)] = {false};
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        AUTO_JSON json_t *entry = json_loads(line, 0, NULL);
        const char *msg, *route, *method, *id;
        int status;
        double duration;
        assert_int_equal(json_unpack(entry, "{s:s, s:s, s:s, s:i, s:f, s:s}", "msg", &msg, "route",
                                     &route, "method", &method, "status", &status, "duration_ms",
                                     &duration, "request_id", &id),
                         0);
        assert_string_equal(msg, "request");
        assert_true(duration >= 0 && duration < 60000);
        for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
            if (!seen[i] && strcmp(route, wanted[i].route) == 0 && status == wanted[i].status &&
                strcmp(method, wanted[i].method) == 0 &&
                (wanted[i].id == NULL || strcmp(id, wanted[i].id) == 0)) {
                seen[i] = true;
                break;
            }
    }
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
        if (!seen[i])
            fail_msg("no line for %s %s %d", wanted[i].method, wanted[i].route, wanted[i].status);
}

static void test_metrics(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_new();
    struct http_config config = test_config(routes, ARRAY_LEN(routes));
    config.metrics = metrics;
    struct http *http = test_start(&config);
    run_requests(http);
    run_requests(http);
    http_stop(http);
    AUTO_BUF struct buf text = BUF(1 << 20);
    metrics_write(metrics, &text);
    static const char *const wanted[] = {
        "# TYPE sallyport_http_requests_total counter\n",
        "sallyport_http_requests_total{method=\"GET\",route=\"/item/{id}\",code=\"204\"} 4\n",
        "sallyport_http_requests_total{method=\"-\",route=\"-\",code=\"404\"} 2\n",
        "sallyport_http_requests_total{method=\"-\",route=\"-\",code=\"405\"} 2\n",
        "sallyport_http_requests_total{method=\"-\",route=\"-\",code=\"400\"} 2\n",
        "sallyport_http_requests_total{method=\"-\",route=\"-\",code=\"499\"} 2\n",
        "sallyport_http_requests_total{method=\"POST\",route=\"/post\",code=\"413\"} 2\n",
        "sallyport_http_requests_total{method=\"POST\",route=\"/post\",code=\"499\"} 2\n",
        "# TYPE sallyport_http_request_duration_seconds histogram\n",
        "sallyport_http_request_duration_seconds_count{method=\"GET\",route=\"/item/{id}\"} 4\n",
        ("sallyport_http_request_duration_seconds_bucket{method=\"GET\",route=\"/item/"
         "{id}\",le=\"+Inf\"} 4\n"),
        "sallyport_http_request_duration_seconds_count{method=\"PUT\",route=\"/read\"} 0\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
        if (strstr(buf_text(&text), wanted[i]) == NULL)
            fail_msg("%s is not in\n%s", wanted[i], buf_text(&text));
    metrics_free(metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_access_log),
        cmocka_unit_test(test_metrics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
