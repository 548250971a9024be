/* SPDX-License-Identifier: Apache-2.0 */
/* What sallyportd does under each of its commands. Each returns the process's exit status. */
#pragma once

#include "daemon/settings.h"

int run_migrate(const struct settings *settings);
int run_apikey(const struct settings *settings);
/* The daemons run until stop_fd (an eventfd, set by SIGTERM or SIGINT) becomes readable. */
int run_api(const struct settings *settings, int stop_fd);
int run_worker(const struct settings *settings, int stop_fd);
int run_ledger(const struct settings *settings, int stop_fd);

/* Logs the fault under `what` and returns 1. */
int failed(const char *what, const struct fault *fault);
/* Reads the master key where a file is set; *ret_set says whether. */
struct master_key;
int read_master_key(const struct settings *settings, struct master_key *ret_key, bool *ret_set,
                    struct fault *fault) MUST_CHECK;
struct verify_policy;
int read_verify_policy(const struct settings *settings, struct verify_policy *ret_policy,
                       struct fault *fault) MUST_CHECK;
/* Blocks until fd is readable. */
void wait_readable(int fd);
