/* SPDX-License-Identifier: Apache-2.0 */
/* `sallyportd worker --check`: would a run be refused on this host? */
#pragma once

#include "runner/unpack.h"
#include "sandbox/sandbox.h"

/* Looks at all a worker with these settings needs of its host, a database excepted, and prints a
 * table on stdout, one line a thing. 0 if nothing is missing, else 1: an exit status. */
int check_worker(const struct sandbox_config *sandbox, const struct unpack_config *unpack);
