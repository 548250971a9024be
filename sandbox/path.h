/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/cleanup.h"

/* "folder/name", owned by the caller; NULL without memory. */
char *path_join(const char *folder, const char *name) MUST_CHECK;
