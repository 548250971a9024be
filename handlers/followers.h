/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who follows the output of executions: one thread with one connection looks for all of them at
 * once, wakes those for whom there is something, and has the workers told who is followed. The
 * bytes are read by the request threads, from the database, at each reader's own pace.
 */
#pragma once

#include "handlers/gateway.h"

#define FOLLOWERS_MAX 256        /* of a process: 503 past it */
#define FOLLOWERS_TENANT_MAX 128 /* 429 past it, as the next */
#define FOLLOWERS_PRINCIPAL_MAX 16

int followers_start(struct gateway *gateway, struct followers **ret_followers,
                    struct fault *fault) MUST_CHECK;
/* No request may be in flight any more. NULL-safe. */
void followers_stop(struct followers *followers);
