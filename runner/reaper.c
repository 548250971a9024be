/* SPDX-License-Identifier: Apache-2.0 */
/* What vanished workers left: unstarted claims go back to the queue, running executions are lost.
 */
#include "runner/worker_internal.h"

#include "base/log.h"
#include "storage/workers.h"

#define LOST_MAX 64

void reap(struct worker *worker)
{
    struct fault fault;
    int64_t returned = 0;
    size_t count = 0;
    struct claim lost[LOST_MAX];
    if (queue_return_expired(worker->pg, &returned, &fault) != 0 ||
        queue_find_lost(worker->pg, LOST_MAX, lost, &count, &fault) != 0) {
        log_warn("cannot reap", "{s:s}", "detail", fault.detail);
        return;
    }
    if (returned > 0) {
        worker->returned += (uint64_t)returned;
        log_warn("claims of vanished workers went back to the queue", "{s:I}", "count",
                 (json_int_t)returned);
        worker_announce(worker);
    }
    for (size_t i = 0; i < count; i++) {
        if (end_lost(worker, worker->pg, &lost[i], &fault) == 0)
            log_warn("execution lost with its worker", "{s:s}", "execution_id",
                     uuid_format(&lost[i].execution_id).text);
        else if (fault.code != FAULT_STATE_CONFLICT) /* somebody else was first */
            log_error("cannot end a lost execution", "{s:s}", "detail", fault.detail);
    }
    if (workers_forget(worker->pg, &fault) != 0)
        log_warn("cannot forget old workers", "{s:s}", "detail", fault.detail);
}
