/* SPDX-License-Identifier: Apache-2.0 */
#include "sequencer/stop.h"

struct signer_evidence stop_evidence(const struct merkle_range *signed_last, uint64_t found_size,
                                     const struct digest *found_root,
                                     const struct merkle_range *computed)
{
    return (struct signer_evidence){
        .signed_size = signed_last->size,
        .signed_root = merkle_range_root(signed_last),
        .found_size = found_size,
        .found_root = *found_root,
        .computed_size = computed->size,
        .computed_root = merkle_range_root(computed),
    };
}

void stop_set(struct stop *stop, const char *problem, const struct signer_evidence *evidence)
{
    if (stop->stopped)
        return;
    stop->stopped = true;
    (void)snprintf(stop->problem, sizeof stop->problem, "%s", problem);
    if (evidence == NULL)
        return;
    stop->evidence = *evidence;
    stop->file_due = stop->row_due = true;
}

int stop_tell(struct stop *stop, struct pg *pg, const char *state_file, const char *origin,
              struct fault *fault)
{
    int status = 0;
    if (stop->file_due) {
        stop->evidence.problem = stop->problem;
        status = signer_evidence_keep(state_file, origin, &stop->evidence, fault);
        stop->file_due = status != 0;
    }
    if (stop->row_due) {
        struct fault inner;
        stop->row_due = ledger_lease_stop(pg, stop->problem, &inner) != 0;
        if (stop->row_due && status == 0)
            status = fault_set(fault, inner.code, "%s", inner.detail);
    }
    return status;
}
