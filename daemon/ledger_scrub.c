/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/ledger_scrub.h"

#include "sequencer/scrub_thread.h"

struct ledger_scrub {
    struct sequencer *sequencer;
    struct scrub_thread *thread;
    struct scrub_status before;
    struct metric *entries, *differences, *position, *last_pass;
};

static void target(void *context, struct scrub_target *ret_target)
{
    const struct ledger_scrub *scrub = context;
    struct sequencer_status status;
    sequencer_status(scrub->sequencer, &status);
    *ret_target = (struct scrub_target){.size = status.signed_size, .root = status.signed_root};
}

static void tell(void *context, const struct scrub_status *status,
                 const struct signer_evidence *found)
{
    struct ledger_scrub *scrub = context;
    metric_add(scrub->entries, status->entries - scrub->before.entries);
    metric_add(scrub->differences, status->differences - scrub->before.differences);
    metric_set(scrub->position, (int64_t)status->position);
    metric_set(scrub->last_pass, status->last_pass_ms / 1000);
    scrub->before = *status;
    if (found != NULL)
        sequencer_accuse(scrub->sequencer, found);
}

static void series_make(struct ledger_scrub *scrub, struct metrics *metrics)
{
    scrub->entries = metric_counter(metrics, "sallyport_ledger_scrub_entries_total", "",
                                    "Entries the scrub has compared");
    scrub->differences = metric_counter(metrics, "sallyport_ledger_scrub_differences_total", "",
                                        "Differences the scrub has found: any is an alarm");
    scrub->position = metric_gauge(metrics, "sallyport_ledger_scrub_position", "",
                                   "Entries that the scrub's pass under way has compared");
    scrub->last_pass =
        metric_gauge(metrics, "sallyport_ledger_scrub_last_pass_timestamp_seconds", "",
                     "When the scrub last came to the end of the whole log; 0: not yet");
}

int ledger_scrub_start(const struct settings *settings, struct sequencer *sequencer,
                       struct metrics *metrics, struct ledger_scrub **ret_scrub,
                       struct fault *fault)
{
    if (settings->scrub_rate == 0) {
        *ret_scrub = NULL;
        return 0;
    }
    AUTO_FREE struct ledger_scrub *scrub = calloc(1, sizeof *scrub);
    if (scrub == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    scrub->sequencer = sequencer;
    series_make(scrub, metrics);
    const struct scrub_hooks hooks = {.target = target, .tell = tell, .context = scrub};
    if (scrub_thread_start(settings->database, settings->scrub_rate, &hooks, &scrub->thread,
                           fault) != 0)
        return -1;
    *ret_scrub = TAKE(scrub);
    return 0;
}

void ledger_scrub_stop(struct ledger_scrub *scrub)
{
    if (scrub == NULL)
        return;
    scrub_thread_stop(scrub->thread);
    free(scrub);
}
