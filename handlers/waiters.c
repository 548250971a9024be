/* SPDX-License-Identifier: Apache-2.0 */
#include "handlers/waiters.h"

#include "base/clock.h"
#include "base/log.h"
#include "handlers/execution_json.h"
#include "storage/notify.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

#define POLL_MS 250
#define ASK_MAX 256

struct waiter {
    struct request *request;
    char tenant_id[TENANT_ID_MAX + 1];
    struct uuid execution_id;
    int64_t deadline_ms; /* monotonic */
    int64_t wait_ms;
    bool known;
    struct waiter *next;
};

struct waiters {
    struct gateway *gateway;
    struct pg *pg;
    pthread_t thread;
    pthread_mutex_t mutex;
    int wake_fd;
    struct waiter *added; /* not yet seen by the thread */
    size_t count;         /* added and waiting */
    bool hurry;           /* nobody waits any longer */
    bool stopping;
};

static void wake(struct waiters *waiters)
{
    uint64_t one = 1;
    ssize_t written = write(waiters->wake_fd, &one, sizeof one);
    (void)written; /* a full counter wakes as well */
}

void waiters_answer(struct waiters *waiters, struct request *request, const char *tenant,
                    const struct uuid *execution_id, int64_t wait_ms, bool known)
{
    struct waiter *waiter = calloc(1, sizeof *waiter);
    if (waiter == NULL) {
        struct fault fault;
        (void)fault_set(&fault, FAULT_INTERNAL, "out of memory");
        (void)reply_fault(request, &fault);
        return;
    }
    (void)snprintf(waiter->tenant_id, sizeof waiter->tenant_id, "%s", tenant);
    waiter->request = request;
    waiter->execution_id = *execution_id;
    waiter->known = known;
    (void)pthread_mutex_lock(&waiters->mutex);
    bool room = !waiters->hurry && waiters->count < waiters->gateway->config.waiters_max;
    waiter->wait_ms = room ? wait_ms : 0;
    waiter->deadline_ms = clock_monotonic_ms() + waiter->wait_ms;
    waiter->next = waiters->added;
    waiters->added = waiter;
    waiters->count++;
    (void)pthread_mutex_unlock(&waiters->mutex);
    wake(waiters);
}

/* Moves what was added to the thread's own list. */
static void collect(struct waiters *waiters, struct waiter **list, bool *ret_hurry,
                    bool *ret_stopping)
{
    uint64_t drained;
    ssize_t n = read(waiters->wake_fd, &drained, sizeof drained);
    (void)n;
    (void)pthread_mutex_lock(&waiters->mutex);
    while (waiters->added != NULL) {
        struct waiter *waiter = waiters->added;
        waiters->added = waiter->next;
        waiter->next = *list;
        *list = waiter;
    }
    *ret_hurry = waiters->hurry;
    *ret_stopping = waiters->stopping;
    (void)pthread_mutex_unlock(&waiters->mutex);
}

static void prefer_applied(const struct waiter *waiter)
{
    char applied[32];
    if (waiter->wait_ms <= 0)
        return;
    (void)snprintf(applied, sizeof applied, "wait=%lld", (long long)(waiter->wait_ms / 1000));
    reply_header(waiter->request, "Preference-Applied", applied);
}

/* It has been answered. */
static void let_go(struct waiters *waiters, struct waiter *waiter)
{
    (void)pthread_mutex_lock(&waiters->mutex);
    waiters->count--;
    (void)pthread_mutex_unlock(&waiters->mutex);
    free(waiter);
}

/* As it is now. `away`, once set, answers the rest of a round: one attempt to reach a database that
 * is away is enough. */
static void answer_now(struct waiters *waiters, struct waiter *waiter, struct fault *away)
{
    AUTO_EXECUTION struct execution execution = {0};
    struct fault fault = *away;
    prefer_applied(waiter);
    bool failed =
        away->code != FAULT_NONE || executions_get(waiters->pg, waiter->tenant_id,
                                                   &waiter->execution_id, &execution, &fault) != 0;
    if (failed && fault.code == FAULT_UNAVAILABLE)
        *away = fault;
    if (failed)
        (void)reply_fault(waiter->request, &fault);
    else
        (void)reply_execution(waiter->request,
                              waiter->known || execution_state_is_end(execution.state) ? 200 : 202,
                              &execution);
    let_go(waiters, waiter);
}

/* Up to ASK_MAX of those that wait. */
struct round {
    struct waiters *waiters;
    struct waiter *asked[ASK_MAX]; /* NULL: answered */
    size_t count;
};

static void answer_end(void *context, size_t n, const struct execution *execution)
{
    struct round *round = context;
    struct waiter *waiter = TAKE(round->asked[n]);
    prefer_applied(waiter);
    (void)reply_execution(waiter->request, 200, execution);
    let_go(round->waiters, waiter);
}

static void answer_ended(struct round *round)
{
    const char *tenants[ASK_MAX + 1];
    struct uuid ids[ASK_MAX];
    for (size_t i = 0; i < round->count; i++) {
        tenants[i] = round->asked[i]->tenant_id;
        ids[i] = round->asked[i]->execution_id;
    }
    tenants[round->count] = NULL;
    struct fault fault;
    if (executions_ended(round->waiters->pg, tenants, ids, round->count, answer_end, round,
                         &fault) != 0)
        log_warn("cannot ask for ended executions", "{s:s}", "detail", fault.detail);
}

/* Answers those that have ended or are out of time (all, where `all`); keeps the others. */
static void answer_due(struct waiters *waiters, struct waiter **list, bool all)
{
    struct waiter *kept = NULL;
    struct fault away = {.code = FAULT_NONE};
    int64_t now = clock_monotonic_ms();
    while (*list != NULL) {
        struct round round = {.waiters = waiters};
        while (*list != NULL && round.count < ASK_MAX) {
            round.asked[round.count] = *list;
            *list = round.asked[round.count++]->next;
        }
        answer_ended(&round);
        for (size_t i = 0; i < round.count; i++) {
            struct waiter *waiter = round.asked[i];
            if (waiter == NULL)
                continue;
            if (all || waiter->deadline_ms <= now) {
                answer_now(waiters, waiter, &away);
            } else {
                waiter->next = kept;
                kept = waiter;
            }
        }
    }
    *list = kept;
}

static void *waiters_main(void *context)
{
    struct waiters *waiters = context;
    struct waiter *list = NULL;
    for (;;) {
        struct fault fault;
        int timeout = list == NULL ? 60000 : POLL_MS;
        if (pg_wait_notify(waiters->pg, waiters->wake_fd, timeout, &fault) < 0) {
            log_warn("waiters lost the database", "{s:s}", "detail", fault.detail);
            (void)poll(&(struct pollfd){.fd = waiters->wake_fd, .events = POLLIN}, 1, 1000);
        }
        bool hurry, stopping;
        collect(waiters, &list, &hurry, &stopping);
        answer_due(waiters, &list, hurry || stopping);
        if (stopping)
            return NULL;
    }
}

int waiters_start(struct gateway *gateway, struct waiters **ret_waiters, struct fault *fault)
{
    AUTO_FREE struct waiters *waiters = calloc(1, sizeof *waiters);
    AUTO_PG struct pg *pg = NULL;
    if (waiters == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    if (pg_open(gateway->config.database, "api waiters", &pg, fault) != 0 ||
        pg_listen(pg, NOTIFY_ENDED, fault) != 0)
        return -1;
    waiters->gateway = gateway;
    waiters->pg = pg;
    waiters->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (waiters->wake_fd < 0)
        return fault_errno(fault, "eventfd");
    if (pthread_mutex_init(&waiters->mutex, NULL) != 0 ||
        pthread_create(&waiters->thread, NULL, waiters_main, waiters) != 0) {
        (void)close(waiters->wake_fd);
        return fault_set(fault, FAULT_INTERNAL, "cannot start the waiters' thread");
    }
    (void)TAKE(pg);
    *ret_waiters = TAKE(waiters);
    return 0;
}

void waiters_hurry(struct waiters *waiters)
{
    (void)pthread_mutex_lock(&waiters->mutex);
    waiters->hurry = true;
    (void)pthread_mutex_unlock(&waiters->mutex);
    wake(waiters);
}

void waiters_stop(struct waiters *waiters)
{
    if (waiters == NULL)
        return;
    (void)pthread_mutex_lock(&waiters->mutex);
    waiters->stopping = true;
    (void)pthread_mutex_unlock(&waiters->mutex);
    wake(waiters);
    (void)pthread_join(waiters->thread, NULL);
    (void)pthread_mutex_destroy(&waiters->mutex);
    (void)close(waiters->wake_fd);
    pg_free(waiters->pg);
    free(waiters);
}
