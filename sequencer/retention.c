/* SPDX-License-Identifier: Apache-2.0 */
#include "sequencer/retention.h"

#include "base/clock.h"
#include "base/log.h"
#include "storage/retention.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>

/* How soon a leader finds out that it is one. */
#define LEADS_EVERY_MS 1000

struct retention {
    struct retention_config config;
    struct pg *pg;
    pthread_t thread;
    bool again;    /* this pass follows one that left more: what failed has been said */
    bool troubled; /* a tenant's events could not expire in this pass */
    struct retention_counts counts;
};

static int build(const char *node, const char *tenant, const struct retention_batch *batch,
                 struct event **ret_event, struct fault *fault)
{
    struct time_text before = time_format(batch->before_ms);
    AUTO_JSON json_t *data =
        json_pack("{s:I, s:I, s:I, s:s, s:I}", "count", (json_int_t)batch->count, "first_index",
                  (json_int_t)batch->first, "last_index", (json_int_t)batch->last, "before",
                  before.text, "retention_days", (json_int_t)batch->days);
    const struct event_head head = {.id = uuid_v7(),
                                    .type = EVENT_EVENTS_EXPIRED,
                                    .node = node,
                                    .subject = tenant,
                                    .tenant_id = tenant,
                                    .time_ms = clock_wall_ms()};
    if (data == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    return event_build(&head, data, ret_event, fault);
}

int retention_expire(struct pg *pg, const char *node, const char *tenant, int most,
                     int64_t *ret_count, bool *ret_more, struct fault *fault)
{
    struct retention_batch batch;
    AUTO_EVENT struct event *event = NULL;
    AUTO_PG_TX struct pg *tx = pg;
    if (retention_take(tx, tenant, most, &batch, fault) != 0 ||
        (batch.count > 0 && build(node, tenant, &batch, &event, fault) != 0) ||
        retention_commit(tx, event, fault) != 0)
        return -1;
    if (batch.count > 0)
        log_info("events expired", "{s:s, s:I, s:I, s:I, s:s}", "tenant", tenant, "count",
                 (json_int_t)batch.count, "first_index", (json_int_t)batch.first, "last_index",
                 (json_int_t)batch.last, "before", time_format(batch.before_ms).text);
    *ret_count = batch.count;
    *ret_more = batch.more;
    return 0;
}

/* True once the process is to stop; false after so many milliseconds. */
static bool is_stopping(const struct retention *retention, int milliseconds)
{
    struct pollfd stop = {.fd = retention->config.stop_fd, .events = POLLIN};
    return poll(&stop, 1, milliseconds) > 0;
}

static bool leads(const struct retention *retention)
{
    struct sequencer_status status;
    sequencer_status(retention->config.sequencer, &status);
    return status.role == SEQUENCER_LEADER;
}

static void tell(const struct retention *retention)
{
    if (retention->config.observer != NULL)
        retention->config.observer(retention->config.context, &retention->counts);
}

/* One tenant's next batch; true if it has more. What is wrong with its events, or holds its policy,
 * does not hold up the others. */
static bool expire(struct retention *retention, const char *tenant)
{
    struct fault fault;
    int64_t count;
    bool more;
    if (retention_expire(retention->pg, retention->config.node, tenant, retention->config.batch,
                         &count, &more, &fault) != 0) {
        if (!retention->again)
            log_error("a tenant's events cannot expire", "{s:s, s:s}", "tenant", tenant, "detail",
                      fault.detail);
        retention->troubled = true;
        return false;
    }
    if (count > 0) {
        retention->counts.events += (uint64_t)count;
        retention->counts.batches++;
        tell(retention);
    }
    return more;
}

/* A batch of each tenant, so that one with years to expire holds up nobody. *ret_more if one has
 * more, or was not asked. */
static int pass(struct retention *retention, bool *ret_more, struct fault *fault)
{
    char tenant[TENANT_ID_MAX + 1] = "", next[TENANT_ID_MAX + 1];
    *ret_more = retention->troubled = false;
    while (!is_stopping(retention, 0) && leads(retention)) {
        if (retention_tenant_next(retention->pg, tenant, next, fault) != 0)
            return -1;
        if (next[0] == '\0')
            return 0;
        memcpy(tenant, next, sizeof tenant);
        if (expire(retention, tenant))
            *ret_more = true;
    }
    *ret_more = true;
    return 0;
}

/* A pass, if it leads; how long nothing will be due then. */
static int turn(struct retention *retention)
{
    struct fault fault;
    bool more = false;
    bool led = leads(retention);
    int status = led ? pass(retention, &more, &fault) : 0;
    retention->again = status == 0 && more;
    if (!led)
        return LEADS_EVERY_MS;
    if (status != 0) {
        log_warn("events cannot expire now; trying again", "{s:s, s:s}", "code",
                 fault_name(fault.code), "detail", fault.detail);
        return retention->config.every_ms;
    }
    if (more)
        return retention->config.pause_ms;
    if (!retention->troubled)
        retention->counts.passed_ms = clock_wall_ms();
    tell(retention);
    return retention->config.every_ms;
}

static void *retention_main(void *context)
{
    struct retention *retention = context;
    for (int wait_ms = 0; !is_stopping(retention, wait_ms);)
        wait_ms = turn(retention);
    return NULL;
}

static void retention_free(struct retention *retention)
{
    pg_free(retention->pg);
    free(retention);
}

int retention_start(const struct retention_config *config, struct retention **ret_retention,
                    struct fault *fault)
{
    struct retention *retention = calloc(1, sizeof *retention);
    if (retention == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    retention->config = *config;
    if (pg_open(config->conninfo, "ledger", &retention->pg, fault) != 0) {
        retention_free(retention);
        return -1;
    }
    int error = pthread_create(&retention->thread, NULL, retention_main, retention);
    if (error != 0) {
        retention_free(retention);
        errno = error;
        return fault_errno(fault, "a thread cannot be started");
    }
    *ret_retention = retention;
    return 0;
}

void retention_join(struct retention *retention)
{
    if (retention == NULL)
        return;
    (void)pthread_join(retention->thread, NULL);
    retention_free(retention);
}
