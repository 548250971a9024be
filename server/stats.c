/* SPDX-License-Identifier: Apache-2.0 */
#include "server/http_internal.h"

#include "base/log.h"

#include <time.h>

/* Statuses that have a series of their own; others are counted as "other". 499 is ours: the
 * client left before there was an answer. */
static const int statuses[] = {200, 201, 202, 204, 206, 304, 400, 401, 403, 404, 405,
                               408, 409, 410, 412, 413, 415, 422, 429, 499, 500, 503};
#define STATUS_COUNT ARRAY_LEN(statuses)
#define CLIENT_LEFT 499

static const double duration_bounds[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                         0.25,  0.5,    1,     2.5,  5,     10,   30};

struct route_stats {
    const char *path;
    const char *method;
    struct metric *duration;
    _Atomic(struct metric *) codes[STATUS_COUNT + 1]; /* made on first use */
};

double stats_now_ms(void)
{
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0)
        abort();
    return (double)now.tv_sec * 1000 + (double)now.tv_nsec / 1000000;
}

int stats_start(struct http *http, struct fault *fault)
{
    size_t count = http->config.route_count;
    http->stats = calloc(count + 1, sizeof *http->stats);
    if (http->stats == NULL)
        return fault_set(fault, FAULT_INTERNAL, "no memory for the statistics of %zu routes",
                         count);
    for (size_t i = 0; i <= count; i++) {
        struct route_stats *stats = &http->stats[i];
        const struct route *route = i < count ? &http->config.routes[i] : NULL;
        stats->path = route == NULL ? "-" : route->path;
        stats->method = route == NULL ? "-" : route_method_name(route->method);
        char labels[256];
        (void)snprintf(labels, sizeof labels, "method=\"%s\",route=\"%s\"", stats->method,
                       stats->path);
        stats->duration =
            metric_histogram(http->config.metrics, "sallyport_http_request_duration_seconds",
                             labels, "From a request's first line to the end of its answer.",
                             duration_bounds, ARRAY_LEN(duration_bounds));
    }
    return 0;
}

void stats_stop(struct http *http)
{
    free(http->stats);
    http->stats = NULL;
}

static struct metric *stats_counter(struct http *http, struct route_stats *stats, int status)
{
    size_t at = 0;
    while (at < STATUS_COUNT && statuses[at] != status)
        at++;
    struct metric *metric = atomic_load(&stats->codes[at]);
    if (metric != NULL)
        return metric;
    char labels[256], code[16] = "other";
    if (at < STATUS_COUNT)
        (void)snprintf(code, sizeof code, "%d", status);
    (void)snprintf(labels, sizeof labels, "method=\"%s\",route=\"%s\",code=\"%s\"", stats->method,
                   stats->path, code);
    metric = metric_counter(http->config.metrics, "sallyport_http_requests_total", labels,
                            "Requests by route and status; 499: the client left.");
    atomic_store(&stats->codes[at], metric);
    return metric;
}

void stats_report(const struct request *request)
{
    struct http *http = request->http;
    size_t row = request->route == NULL ? http->config.route_count
                                        : (size_t)(request->route - http->config.routes);
    struct route_stats *stats = &http->stats[row];
    int status = request->answered ? request->response.status : CLIENT_LEFT;
    double duration_ms = stats_now_ms() - request->started_ms;
    if (http->config.metrics != NULL) {
        metric_add(stats_counter(http, stats, status), 1);
        metric_observe_ms(stats->duration, duration_ms);
    }
    if (http->config.access_log)
        log_info("request", "{s:s, s:s, s:i, s:f, s:s}", "route", stats->path, "method",
                 route_method_name(request->method), "status", status, "duration_ms", duration_ms,
                 "request_id", request->id);
}
