/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands of sallyportd share. */
#pragma once

#include "daemon/settings.h"
#include "trust/verify.h"
#include "trust/wrap.h"

/* Logs the fault under `what` and returns 1. */
int failed(const char *what, const struct fault *fault);

/* Reads the master key where a file is set; *ret_set says whether. */
int read_master_key(const struct settings *settings, struct master_key *ret_key, bool *ret_set,
                    struct fault *fault) MUST_CHECK;

int read_verify_policy(const struct settings *settings, struct verify_policy *ret_policy,
                       struct fault *fault) MUST_CHECK;

/* Blocks until fd is readable. */
void wait_readable(int fd);
