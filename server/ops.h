/* SPDX-License-Identifier: Apache-2.0 */
/* The operations listener every role has: /livez, /readyz, /metrics, /version; loopback by default.
 */
#pragma once

#include "server/http.h"

struct ops_config {
    const char *listen;
    const char *role; /* "api", "worker", "ledger" */
    struct metrics *metrics;
    /* 0 when ready; else the fault's detail is the body's reason. Called per probe, quick. */
    int (*ready)(void *context, struct fault *fault);
    void *context;
};

int ops_start(const struct ops_config *config, struct http **ret_ops,
              struct fault *fault) MUST_CHECK;
