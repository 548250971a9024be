/* SPDX-License-Identifier: Apache-2.0 */
/* Names of environment variables that a job may set. */
#pragma once

#include "base/buf.h"

#define ENV_NAME_MAX 64 /* bytes */

/* [A-Z_][A-Z0-9_]{0,63} */
bool env_name_valid(const char *name);

/* Names that change what the loader or the C library runs, whatever an artifact's descriptor
 * says: LD_*, GLIBC_TUNABLES, GCONV_PATH, PATH. */
bool env_name_forbidden(const char *name);
