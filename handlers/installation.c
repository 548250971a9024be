/* SPDX-License-Identifier: Apache-2.0 */
/* What serves here: workers, liveness, version, the contract. */
#include "handlers/execution_json.h"
#include "handlers/gateway.h"
#include "handlers/handlers.h"
#include "handlers/media.h"
#include "storage/workers.h"

static int append_worker(void *context, const struct worker_row *worker)
{
    json_t *checks = json_loads(worker->checks, 0, NULL);
    json_t *item = json_pack(
        "{s:s, s:s, s:i, s:s, s:o, s:o, s:o}", "id", uuid_format(&worker->id).text, "node",
        worker->node, "slots", worker->slots, "version", worker->version, "checks",
        checks == NULL ? json_null() : checks, "started_at", json_time(worker->started_ms),
        "lease_expires_at", json_time(worker->lease_expires_ms));
    return json_array_append_new(context, item);
}

enum answer handle_worker_list(struct request *request)
{
    struct fault fault;
    AUTO_JSON json_t *items = json_array();
    if (request_check_query(request, NULL, NULL, &fault) != 0 ||
        workers_list(pg_of(request), append_worker, items, &fault) != 0)
        return reply_fault(request, &fault);
    return reply_page(request, TAKE(items), NULL);
}

enum answer handle_livez(struct request *request)
{
    return reply_bytes(request, 200, "text/plain; charset=utf-8", span_text("ok\n"));
}

enum answer handle_version(struct request *request)
{
    return reply_json(request, 200, json_pack("{s:s}", "version", SALLYPORT_VERSION));
}

enum answer handle_openapi(struct request *request)
{
    const struct buf *openapi = &gateway_of(request)->openapi;
    if (openapi->len == 0) {
        struct fault fault;
        (void)fault_set(&fault, FAULT_NOT_FOUND, "no contract is installed here");
        return reply_fault(request, &fault);
    }
    return reply_bytes(request, 200, "application/yaml", buf_span(openapi));
}
