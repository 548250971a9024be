/* SPDX-License-Identifier: Apache-2.0 */
#include "sequencer/sequencer_parts.h"

#include <string.h>

void sequencer_free(struct sequencer *sequencer)
{
    if (sequencer == NULL)
        return;
    signer_free(sequencer->signer);
    pg_free(sequencer->pg);
    free(sequencer->node);
    free(sequencer->origin);
    free(sequencer->state_file);
    standing_done(&sequencer->standing);
    free(sequencer);
}

void sequencer_cleanup(struct sequencer **sequencer)
{
    sequencer_free(*sequencer);
}

static int config_check(const struct sequencer_config *config, struct fault *fault)
{
    size_t node_len = strlen(config->node);
    if (node_len < 1 || node_len > 128 || config->lease_ms < 200 || config->lease_ms > 60000 ||
        config->batch_max < 1 || config->batch_max > LEDGER_BATCH_MAX ||
        config->sign_every_ms < 0 || config->sign_every_ms > 60000 || config->look_every_ms < 0 ||
        config->look_every_ms > 1000)
        return fault_set(fault, FAULT_INTERNAL, "sequencer: a setting is out of its range");
    return 0;
}

int sequencer_open(const struct sequencer_config *config, struct sequencer **ret_sequencer,
                   struct fault *fault)
{
    if (config_check(config, fault) != 0)
        return -1;
    AUTO_SEQUENCER struct sequencer *sequencer = calloc(1, sizeof *sequencer);
    if (sequencer == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    standing_init(&sequencer->standing);
    sequencer->node = strdup(config->node);
    sequencer->origin = strdup(config->origin);
    sequencer->state_file = strdup(config->state_file);
    if (sequencer->node == NULL || sequencer->origin == NULL || sequencer->state_file == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    sequencer->batch_max = config->batch_max;
    sequencer->sign_every_ms = config->sign_every_ms;
    sequencer->look_every_ms = config->look_every_ms;
    sequencer->lease.duration_ms = config->lease_ms;
    struct uuid incarnation = uuid_v7();
    (void)snprintf(sequencer->lease.holder, sizeof sequencer->lease.holder, "%s/%s", config->node,
                   uuid_format(&incarnation).text);
    const struct signer_config signer = {.origin = config->origin,
                                         .key_file = config->key_file,
                                         .next_key_file = config->next_key_file,
                                         .state_file = config->state_file,
                                         .init = config->init};
    if (pg_open(config->conninfo, "ledger", &sequencer->pg, fault) != 0 ||
        signer_open(sequencer->pg, &signer, &sequencer->signer, fault) != 0)
        return -1;
    sequencer->standing.status.signed_size = signer_signed(sequencer->signer)->size;
    sequencer->standing.status.signed_root = merkle_range_root(signer_signed(sequencer->signer));
    *ret_sequencer = TAKE(sequencer);
    return 0;
}
