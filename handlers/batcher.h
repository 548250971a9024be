/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one writer of admissions: request threads hand submissions over and are free; one thread
 * commits what has queued since its last commit, and answers them. No timer: an idle writer commits
 * a lone submission at once, a busy one finds the next batch ready.
 */
#pragma once

#include "handlers/submission.h"

#define BATCHER_QUEUE_MAX 4096

int batcher_start(struct gateway *gateway, struct batcher **ret_batcher,
                  struct fault *fault) MUST_CHECK;
/* Answers what is queued, then ends the thread. NULL-safe. */
void batcher_stop(struct batcher *batcher);

/* Takes the submission over, with its request (call request_defer() around it). Refusals
 * (submission-> refused) are recorded as events, others judged and admitted. -1 (untaken) if the
 * queue is full. */
int batcher_submit(struct batcher *batcher, struct submission *submission,
                   struct fault *fault) MUST_CHECK;
