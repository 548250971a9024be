/* SPDX-License-Identifier: Apache-2.0 */
#include "server/ops.h"

#define METRICS_BYTES_MAX (4U << 20)

static enum answer ops_livez(struct request *request)
{
    return reply_json(request, 200, json_pack("{s:s}", "status", "ok"));
}

static enum answer ops_readyz(struct request *request)
{
    const struct ops_config *ops = request_context(request);
    struct fault fault = {0};
    if (ops->ready != NULL && ops->ready(ops->context, &fault) != 0) {
        fault.code = FAULT_UNAVAILABLE; /* whatever it is, the probe is to come again */
        return reply_fault(request, &fault);
    }
    return reply_json(request, 200, json_pack("{s:s}", "status", "ready"));
}

static enum answer ops_metrics(struct request *request)
{
    const struct ops_config *ops = request_context(request);
    AUTO_BUF struct buf text = BUF(METRICS_BYTES_MAX);
    if (ops->metrics != NULL)
        metrics_write(ops->metrics, &text);
    return reply_buf(request, 200, "text/plain; version=0.0.4; charset=utf-8", &text);
}

static enum answer ops_version(struct request *request)
{
    const struct ops_config *ops = request_context(request);
    return reply_json(request, 200,
                      json_pack("{s:s, s:s, s:s}", "name", "sallyport", "version",
                                SALLYPORT_VERSION, "role", ops->role));
}

static const struct route ops_routes[] = {
    {.method = HTTP_GET, .path = "/livez", .handle = ops_livez},
    {.method = HTTP_GET, .path = "/readyz", .handle = ops_readyz},
    {.method = HTTP_GET, .path = "/metrics", .handle = ops_metrics},
    {.method = HTTP_GET, .path = "/version", .handle = ops_version},
};

int ops_start(const struct ops_config *config, struct http **ret_ops, struct fault *fault)
{
    AUTO_FREE struct ops_config *context = malloc(sizeof *context);
    if (context == NULL)
        return fault_set(fault, FAULT_INTERNAL, "no memory for the operations listener");
    *context = *config;
    struct http_config http = http_config_default();
    http.listen = config->listen;
    http.tells_reasons = true;
    http.routes = ops_routes;
    http.route_count = ARRAY_LEN(ops_routes);
    http.context = context;
    http.context_free = free;
    http.http_threads = 1;
    http.request_threads = 1;
    http.stream_threads = 0;
    http.queue_max = 16;
    http.connections_max = 32;
    http.bodies_max = 0;
    http.idle_seconds = 30;
    http.receive_seconds = 5;
    http.stream_seconds = 30;
    http.access_log = false; /* probes come every second */
    if (http_start(&http, ret_ops, fault) != 0)
        return -1;
    context = NULL; /* http_stop() frees it */
    return 0;
}
