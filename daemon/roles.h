/* SPDX-License-Identifier: Apache-2.0 */
/* What sallyportd does under each of its commands. Each returns the process's exit status. */
#pragma once

#include "daemon/settings.h"

int run_migrate(const struct settings *settings);
int run_apikey(const struct settings *settings);
int run_tenant(const struct settings *settings);
int run_ledger_key(const struct settings *settings);
int run_ledger_reopen(const struct settings *settings);
/* The daemons run until stop_fd (an eventfd, set by SIGTERM or SIGINT) becomes readable. */
int run_api(const struct settings *settings, int stop_fd);
int run_worker(const struct settings *settings, int stop_fd);
int run_ledger(const struct settings *settings, int stop_fd);
