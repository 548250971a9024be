/* SPDX-License-Identifier: Apache-2.0 */
/* What a sequencer is made of: for sequencer.c, which turns it, and sequencer_open.c. */
#pragma once

#include "sequencer/partitions.h"
#include "sequencer/sequencer.h"
#include "sequencer/signer.h"
#include "sequencer/standing.h"
#include "sequencer/stop.h"
#include "sequencer/tree.h"

struct sequencer {
    struct pg *pg;
    struct signer *signer;
    struct ledger_lease lease;
    struct tree tree;
    char *node;
    char *origin;
    char *state_file;
    int batch_max;
    int sign_every_ms;
    int look_every_ms;
    int64_t renew_at, acquire_at, follow_at, order_at, sign_at; /* monotonic clock */
    struct partitions partitions;
    uint64_t session;    /* in which the tree was loaded */
    bool vouched;        /* since the tree was loaded, the signer has signed this very tree */
    bool traced;         /* since it leads, the log says which keys sign it */
    struct fault barred; /* why it must not lead: a key is missing or was retired */
    struct stop stop;
    struct standing standing;
};
