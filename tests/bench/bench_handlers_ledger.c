/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proofs and receipts of a log of a million entries, read by storage/ and asked for over HTTP by
 * one caller, each beside the cheapest thing of its kind in the same run: one row by its key, an
 * answer without the database. The default size has as many unfinished tiles as there can be, and
 * as wide.
 *
 *   bench_handlers_ledger [entries] [questions]
 */
#include "base/clock.h"
#include "base/encode.h"
#include "handlers/gateway.h"
#include "handlers/routes.h"
#include "ledger/receipt.h"
#include "storage/api_keys.h"
#include "storage/events.h"
#include "storage/ledger_proofs.h"
#include "storage/tenants.h"
#include "tests/support/bench_log.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#define ENTRIES ((1 << 20) - 1)
#define QUESTIONS 1000
#define ROUNDS 5
#define BODY_BYTES 200
#define BATCH 8192
#define ANSWER_MAX ((size_t)64 * 1024)

struct bench {
    struct bench_log log;
    struct pg *api;
    struct gateway *gateway;
    struct http *http;
    struct metrics *metrics;
    int connection;
    struct api_key_text key;
    int entries, questions;
    struct uuid *ids;     /* one event a question, spread over the log */
    double *times, *best; /* ROUNDS for each question; one */
};

/* ---- what is measured ---- */

typedef int question(struct bench *bench, int n, struct fault *fault);

static double now_us(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

static int compare_times(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double percentile(double *times, int count, int percent)
{
    qsort(times, (size_t)count, sizeof times[0], compare_times);
    return times[(int64_t)count * percent / 100] / 1e3;
}

/* CPU seconds of this process, which is client and api, so far. */
static double own_seconds(void)
{
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* Each question is asked in each round. The best of its times leaves out what else the machine was
 * doing, and what only the first asking costs. */
static int measure(struct bench *bench, const char *what, question *ask, struct fault *fault)
{
    int count = bench->questions;
    double own = own_seconds(), server = bench_log_server_seconds(&bench->log);
    for (int round = 0; round < ROUNDS; round++)
        for (int n = 0; n < count; n++) {
            double began = now_us();
            if (ask(bench, n, fault) != 0)
                return -1;
            double took = now_us() - began;
            bench->times[round * count + n] = took;
            if (round == 0 || took < bench->best[n])
                bench->best[n] = took;
        }
    own = own_seconds() - own;
    server = bench_log_server_seconds(&bench->log) - server;
    (void)printf("%-32s all: p50 %7.3f ms  p99 %7.3f ms   best of %d: p50 %7.3f ms  p99 %7.3f ms   "
                 "CPU: %.0f us, PostgreSQL %.0f us\n",
                 what, percentile(bench->times, ROUNDS * count, 50),
                 percentile(bench->times, ROUNDS * count, 99), ROUNDS,
                 percentile(bench->best, count, 50), percentile(bench->best, count, 99),
                 own * 1e6 / ROUNDS / count, server * 1e6 / ROUNDS / count);
    return 0;
}

static int ask_event(struct bench *bench, int n, struct fault *fault)
{
    AUTO_BUF struct buf body = BUF(EVENT_MAX);
    return events_get(bench->api, BENCH_TENANT, &bench->ids[n], false, &body, fault);
}

static int ask_receipt(struct bench *bench, int n, struct fault *fault)
{
    struct ledger_inclusion inclusion;
    AUTO_BUF struct buf note = BUF(NOTE_MAX), text = BUF(RECEIPT_MAX);
    if (ledger_inclusion_read(bench->api, BENCH_TENANT, &bench->ids[n], false, &inclusion, &note,
                              fault) != 0)
        return -1;
    return receipt_format(inclusion.index, &inclusion.proof, buf_span(&note), &text, fault);
}

static int ask_consistency(struct bench *bench, int n, struct fault *fault)
{
    struct ledger_consistency consistency;
    AUTO_BUF struct buf note = BUF(NOTE_MAX);
    int64_t from = 1 + (int64_t)n * bench->entries / bench->questions;
    return ledger_consistency_read(bench->api, from, -1, &consistency, &note, fault);
}

/* ---- over HTTP ---- */

/* One GET on the kept connection; its answer must be 200 and whole. */
static int get(struct bench *bench, const char *path, struct fault *fault)
{
    AUTO_BUF struct buf head = BUF(4096), answer = BUF(ANSWER_MAX);
    buf_printf(&head, "GET %s HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer %s\r\n\r\n", path,
               bench->key.text);
    if (send(bench->connection, head.data, head.len, MSG_NOSIGNAL) != (ssize_t)head.len)
        return fault_errno(fault, "send");
    for (;;) {
        char chunk[16384];
        ssize_t got = recv(bench->connection, chunk, sizeof chunk, 0);
        if (got <= 0)
            return fault_errno(fault, "recv");
        buf_append(&answer, chunk, (size_t)got);
        const char *body = strstr(buf_text(&answer), "\r\n\r\n");
        const char *length = strcasestr(buf_text(&answer), "\r\nContent-Length:");
        if (body == NULL || length == NULL)
            continue;
        if (memcmp(buf_text(&answer), "HTTP/1.1 200 ", 13) != 0)
            return fault_set(fault, FAULT_INTERNAL, "%s: %.100s", path, buf_text(&answer));
        size_t whole = (size_t)(body + 4 - buf_text(&answer)) + strtoul(length + 17, NULL, 10);
        if (answer.len >= whole)
            return 0;
    }
}

static int get_of_event(struct bench *bench, const char *before, int n, const char *behind,
                        struct fault *fault)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s%s%s", before, uuid_format(&bench->ids[n]).text, behind);
    return get(bench, path, fault);
}

static int ask_http_floor(struct bench *bench, int n, struct fault *fault)
{
    (void)n;
    return get(bench, "/v1/whoami", fault);
}

static int ask_http_proof(struct bench *bench, int n, struct fault *fault)
{
    return get_of_event(bench, "/v1/ledger/proof?event_id=", n, "", fault);
}

static int ask_http_receipt(struct bench *bench, int n, struct fault *fault)
{
    return get_of_event(bench, "/v1/events/", n, "/receipt", fault);
}

static int ask_http_consistency(struct bench *bench, int n, struct fault *fault)
{
    char path[256];
    (void)snprintf(path, sizeof path, "/v1/ledger/proof?from=%d",
                   1 + (int)((int64_t)n * bench->entries / bench->questions));
    return get(bench, path, fault);
}

/* The last tile of the leaves' level or of the one above, at its whole width. */
static int ask_http_tile(struct bench *bench, int n, struct fault *fault)
{
    uint64_t size = (uint64_t)bench->entries;
    struct tile tile = {.level = (unsigned)n % 2};
    tile.n = tile_full(tile.level, size);
    tile.width = tile_width(tile.level, tile.n, size);
    if (tile.width == 0)
        return get(bench, "/v1/whoami", fault);
    char path[256];
    (void)snprintf(path, sizeof path, "/v1/ledger/tile/%s", tile_format(&tile).text);
    return get(bench, path, fault);
}

/* ---- what it is measured on ---- */

static int make_event(enum event_type type, const char *subject, struct event **ret_event,
                      struct fault *fault)
{
    AUTO_JSON json_t *data = json_object();
    const struct event_head head = {.id = uuid_v7(),
                                    .type = type,
                                    .node = "bench",
                                    .subject = subject,
                                    .tenant_id = BENCH_TENANT,
                                    .time_ms = clock_wall_ms()};
    return event_build(&head, data, ret_event, fault);
}

/* Two events of the log. */
static int make_caller(struct bench *bench, struct fault *fault)
{
    uint8_t id[8], secret[32];
    struct api_key key = {.tenant_id = BENCH_TENANT,
                          .principal = "bench",
                          .created_by = "operator",
                          .roles = ROLE_AUDITOR,
                          .expires_ms = INT64_MIN,
                          .revoked_ms = INT64_MIN};
    const struct tenant_policy policy = {.allow_hmac = -1};
    AUTO_EVENT struct event *tenant = NULL;
    AUTO_EVENT struct event *created = NULL;
    random_bytes(id, sizeof id);
    random_bytes(secret, sizeof secret);
    hex_encode(id, sizeof id, key.id);
    key.secret_hash = digest_of(secret, sizeof secret);
    bench->key = api_key_format(id, secret);
    if (make_event(EVENT_TENANT_CREATED, BENCH_TENANT, &tenant, fault) != 0 ||
        make_event(EVENT_APIKEY_CREATED, key.id, &created, fault) != 0 ||
        tenants_create(bench->log.super, BENCH_TENANT, &policy, tenant, fault) != 0)
        return -1;
    return api_keys_create(bench->log.super, &key, created, fault);
}

static int choose_events(struct bench *bench, struct fault *fault)
{
    static const struct pg_statement read = {
        "bench_choose", "SELECT event_id FROM ledger_entry WHERE idx = ANY ($1)"};
    AUTO_PG_ARRAY struct pg_array places = pg_array_new(PG_ARRAY_INT8);
    AUTO_PGRESULT PGresult *rows = NULL;
    struct pg_params params = {0};
    for (int n = 0; n < bench->questions; n++)
        pg_array_int(&places, (int64_t)n * bench->entries / bench->questions);
    pg_array_bind(&params, &places);
    if (pg_query(bench->log.super, NULL, &read, &params, &rows, fault) != 0)
        return -1;
    if (PQntuples(rows) != bench->questions)
        return fault_set(fault, FAULT_INTERNAL, "%d events were found", PQntuples(rows));
    for (int n = 0; n < bench->questions; n++)
        bench->ids[n] = pg_get_uuid(rows, (int)((int64_t)n * 7919 % bench->questions), 0);
    return 0;
}

static int fill(struct bench *bench, struct fault *fault)
{
    struct sequencer_status status;
    int64_t began = clock_monotonic_ms();
    if (bench_log_open(&bench->log, fault) != 0 || make_caller(bench, fault) != 0 ||
        bench_log_fill(&bench->log, bench->entries - 2, BODY_BYTES, fault) != 0 ||
        bench_log_order(&bench->log, BATCH, bench->entries, &status, fault) != 0 ||
        pg_execute(bench->log.super, "VACUUM ANALYZE", fault) != 0 ||
        pg_execute(bench->log.super, "CHECKPOINT", fault) != 0)
        return -1;
    (void)printf("a log of %d entries, %.0f s to make\n", bench->entries,
                 (double)(clock_monotonic_ms() - began) / 1e3);
    return choose_events(bench, fault);
}

static int serve(struct bench *bench, struct fault *fault)
{
    const int on = 1;
    struct gateway_config config = {.database =
                                        pg_cluster_conninfo(bench->log.cluster, "sallyport_api"),
                                    .node = "bench",
                                    .queue_max = 1000,
                                    .queue_total_max = 1000,
                                    .wait_max_ms = 1000,
                                    .waiters_max = 10,
                                    .metrics = bench->metrics};
    struct http_config server = http_config_default();
    if (gateway_open(&config, &bench->gateway, fault) != 0)
        return -1;
    server.listen = "127.0.0.1:0";
    server.routes = routes;
    server.route_count = route_count;
    server.context = bench->gateway;
    server.thread_open = gateway_thread_open;
    server.thread_close = gateway_thread_close;
    server.admit = gateway_admit;
    server.metrics = bench->metrics;
    server.access_log = false;
    if (http_start(&server, &bench->http, fault) != 0)
        return -1;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)http_port(bench->http)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    bench->connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bench->connection < 0 ||
        connect(bench->connection, (struct sockaddr *)&address, sizeof address) != 0 ||
        setsockopt(bench->connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
        return fault_errno(fault, "connect");
    return 0;
}

static int run(struct bench *bench, struct fault *fault)
{
    if (fill(bench, fault) != 0 ||
        pg_cluster_connect(bench->log.cluster, "sallyport_api", &bench->api, fault) != 0 ||
        measure(bench, "storage: one event by its id", ask_event, fault) != 0 ||
        measure(bench, "storage: inclusion, as a receipt", ask_receipt, fault) != 0 ||
        measure(bench, "storage: consistency", ask_consistency, fault) != 0 ||
        serve(bench, fault) != 0 || measure(bench, "HTTP: whoami", ask_http_floor, fault) != 0 ||
        measure(bench, "HTTP: proof?event_id=", ask_http_proof, fault) != 0 ||
        measure(bench, "HTTP: events/{id}/receipt", ask_http_receipt, fault) != 0 ||
        measure(bench, "HTTP: proof?from=", ask_http_consistency, fault) != 0 ||
        measure(bench, "HTTP: tile, unfinished", ask_http_tile, fault) != 0)
        return -1;
    return 0;
}

static void teardown(struct bench *bench)
{
    if (bench->connection >= 0)
        (void)close(bench->connection);
    if (bench->http != NULL)
        http_drain(bench->http);
    if (bench->gateway != NULL)
        gateway_hurry(bench->gateway);
    http_stop(bench->http);
    gateway_free(bench->gateway);
    metrics_free(bench->metrics);
    pg_free(bench->api);
    bench_log_close(&bench->log);
    free(bench->ids);
    free(bench->times);
    free(bench->best);
}

int main(int argc, char **argv)
{
    struct bench bench = {
        .connection = -1,
        .entries = argc > 1 ? (int)strtol(argv[1], NULL, 10) : ENTRIES,
        .questions = argc > 2 ? (int)strtol(argv[2], NULL, 10) : QUESTIONS,
        .metrics = metrics_new(),
    };
    struct fault fault;
    if (bench.questions < 100 || bench.entries < bench.questions) {
        (void)fprintf(stderr, "usage: bench_handlers_ledger [entries] [questions, 100 or more]\n");
        return 2;
    }
    bench.ids = calloc((size_t)bench.questions, sizeof *bench.ids);
    bench.times = calloc((size_t)bench.questions * ROUNDS, sizeof *bench.times);
    bench.best = calloc((size_t)bench.questions, sizeof *bench.best);
    if (bench.ids == NULL || bench.times == NULL || bench.best == NULL || bench.metrics == NULL)
        return 1;
    int status = run(&bench, &fault);
    if (status != 0)
        (void)fprintf(stderr, "bench_handlers_ledger: %s\n", fault.detail);
    teardown(&bench);
    return status == 0 ? 0 : 1;
}
