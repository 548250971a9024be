/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/common.h"
#include "daemon/roles.h"

#include "base/log.h"
#include "handlers/gateway.h"
#include "handlers/routes.h"
#include "server/ops.h"

#define QUERY_LIMIT_MS 45000 /* longer than any statement may take */

static int ready(void *context, struct fault *fault)
{
    return gateway_ready(context, fault);
}

static void configure(const struct settings *settings, struct gateway *gateway,
                      struct metrics *metrics, struct http_config *ret_config)
{
    struct http_config config = http_config_default();
    config.listen = settings->listen;
    config.routes = routes;
    config.route_count = route_count;
    config.context = gateway;
    config.thread_open = gateway_thread_open;
    config.thread_close = gateway_thread_close;
    config.admit = gateway_admit;
    config.request_threads = (unsigned)settings->request_threads;
    config.stream_threads = (unsigned)settings->stream_threads;
    config.connections_max = (unsigned)settings->connections;
    config.access_log = settings->access_log;
    config.metrics = metrics;
    *ret_config = config;
}

static int open_gateway(const struct settings *settings, const struct master_key *master_key,
                        struct metrics *metrics, struct gateway **ret_gateway, struct fault *fault)
{
    struct gateway_config config = {
        .database = settings->database,
        .node = settings->node,
        .master_key = master_key,
        .window = {settings->manifest_max_age * 1000, settings->manifest_max_ahead * 1000},
        .queue_max = settings->queue_max,
        .queue_total_max = settings->queue_total_max,
        .wait_max_ms = settings->wait_max * 1000,
        .waiters_max = (size_t)settings->connections / 2,
        .artifact_max = settings->artifact_max_mib << 20,
        .input_max = settings->input_max_mib << 20,
        .input_ttl_ms = settings->input_ttl_hours * 3600 * 1000,
        .ledger_public_rate = settings->ledger_public ? settings->ledger_public_rate : 0,
        .openapi_path = settings->openapi[0] == '\0' ? NULL : settings->openapi,
        .metrics = metrics,
    };
    if (read_verify_policy(settings, &config.verify, fault) != 0)
        return -1;
    return gateway_open(&config, ret_gateway, fault);
}

static int serve(const struct settings *settings, struct gateway *gateway, struct metrics *metrics,
                 int stop_fd)
{
    struct fault fault;
    struct http_config config;
    struct http *http = NULL, *ops = NULL;
    configure(settings, gateway, metrics, &config);
    struct ops_config ops_config = {.listen = settings->ops_listen,
                                    .role = "api",
                                    .metrics = metrics,
                                    .ready = ready,
                                    .context = gateway};
    if (ops_start(&ops_config, &ops, &fault) != 0)
        return failed("operations listener", &fault);
    if (http_start(&config, &http, &fault) != 0) {
        http_stop(ops);
        return failed("listener", &fault);
    }
    log_info("serving", "{s:s, s:i}", "listen", settings->listen, "port", (int)http_port(http));
    wait_readable(stop_fd);
    log_info("draining", NULL);
    http_drain(http);
    gateway_hurry(gateway);
    if (!http_wait_idle(http, QUERY_LIMIT_MS))
        log_warn("requests are still in flight", NULL);
    http_stop(http);
    http_stop(ops);
    return 0;
}

int run_api(const struct settings *settings, int stop_fd)
{
    struct fault fault;
    struct master_key master_key;
    bool has_master_key;
    struct gateway *gateway = NULL;
    struct metrics *metrics = metrics_new();
    int status = 1;
    if (metrics != NULL && read_master_key(settings, &master_key, &has_master_key, &fault) == 0 &&
        open_gateway(settings, has_master_key ? &master_key : NULL, metrics, &gateway, &fault) == 0)
        status = serve(settings, gateway, metrics, stop_fd);
    else
        (void)failed("api", &fault);
    gateway_free(gateway);
    metrics_free(metrics);
    return status;
}
