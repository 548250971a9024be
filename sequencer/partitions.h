/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The partitions of ledger_entry, 2^24 entries each, made ahead of need: the next one when 2^20
 * places are left, so that maintenance in the way only means to try again later.
 */
#pragma once

#include "storage/ledger_batch.h"

/* What is known of them; all zero after a take-over. */
struct partitions {
    uint64_t known;   /* so many, counted from the first, are there */
    int64_t retry_at; /* monotonic clock */
};

/* Before a batch of up to batch_max entries after a tree of `size`: fails only if a partition that
 * this batch needs can't be had. */
int partitions_keep(struct partitions *partitions, struct pg *pg, uint64_t size, int batch_max,
                    struct fault *fault) MUST_CHECK;
