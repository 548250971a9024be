/* SPDX-License-Identifier: Apache-2.0 */
/* Building events on one thread: what an accepted and a finished execution cost the writer. */
#include "base/clock.h"
#include "ledger/finished.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define EVENTS 50000

static double seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void must(int status, const struct fault *fault)
{
    if (status == 0)
        return;
    (void)fprintf(stderr, "bench: %s\n", fault->detail);
    exit(1);
}

static void report(const char *what, size_t count, size_t len, double since)
{
    double took = seconds() - since;
    printf("%-28s %6zu bytes %10.0f/s  %8.2f us each\n", what, len, (double)count / took,
           took * 1e6 / (double)count);
}

static struct event_head head_of(enum event_type type)
{
    return (struct event_head){.id = uuid_v7(),
                               .type = type,
                               .node = "bench-1",
                               .subject = "task-0001",
                               .tenant_id = "acme",
                               .time_ms = clock_wall_ms()};
}

static void bench_accepted(void)
{
    AUTO_JSON json_t *data = json_pack(
        "{s:s, s:s, s:s, s:s}", "task_id", "task-0001", "operator_id", "op-7", "tool_sha256",
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "manifest_sha256",
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    size_t len = 0;
    double since = seconds();
    for (size_t i = 0; i < EVENTS; i++) {
        struct event_head head = head_of(EVENT_EXECUTION_ACCEPTED);
        AUTO_EVENT struct event *event = NULL;
        struct fault fault;
        must(event_build(&head, data, &event, &fault), &fault);
        len = event->len;
    }
    report("accepted event", EVENTS, len, since);
}

static void bench_finished(size_t stream_len)
{
    static char stream[EVENT_STREAM_INLINE_MAX];
    static char jws[1024];
    memset(stream, 'x', sizeof stream);
    memset(jws, 'A', sizeof jws);
    static const char *const argv[] = {"/usr/bin/yara", "-s", "/in/rules.yar", "/in/sample"};
    AUTO_JSON json_t *object =
        json_pack("{s:s, s:s, s:b}", "runtime", "runsc", "apparmor", "absent", "network_none", 1);
    struct span out = span_of(stream, stream_len);
    struct digest none = digest_of("", 0);
    struct finished_facts facts = {.task_id = "task-0001",
                                   .tenant_id = "acme",
                                   .operator_id = "op-7",
                                   .correlation_id = "corr-1",
                                   .target_urn = "urn:acme:host-1",
                                   .state = EXECUTION_SUCCEEDED,
                                   .argv = argv,
                                   .argv_count = ARRAY_LEN(argv),
                                   .out = {true, out, digest_of_span(out), stream_len},
                                   .err = {true, {NULL, 0}, none, 0},
                                   .manifest_jws = span_of(jws, sizeof jws),
                                   .policy_decision = object,
                                   .runtime = "gVisor",
                                   .isolation_checks = object,
                                   .limits = object,
                                   .usage = object,
                                   .worker = "bench-1",
                                   .started_ms = 1,
                                   .finished_ms = 2};
    size_t len = 0;
    double since = seconds();
    for (size_t i = 0; i < EVENTS / 10; i++) {
        struct event_head head = head_of(EVENT_EXECUTION_FINISHED);
        AUTO_EVENT struct event *event = NULL;
        AUTO_JSON json_t *data = NULL;
        struct fault fault;
        must(finished_data(&facts, &data, &fault), &fault);
        must(event_build(&head, data, &event, &fault), &fault);
        len = event->len;
    }
    report("finished event", EVENTS / 10, len, since);
}

int main(void)
{
    bench_accepted();
    bench_finished(200);
    bench_finished(EVENT_STREAM_INLINE_MAX);
    return 0;
}
