/* SPDX-License-Identifier: Apache-2.0 */
/* Artifacts of kind `binary`: one statically linked ELF program for this machine. */
#pragma once

#include "unpack/place.h"

/* Copies the program to path ("bin/tool"), refusing what could not run alone: not ELF, another
 * machine, an interpreter asked for. */
int program_unpack(int fd, const char *path, struct place *place, struct fault *fault) MUST_CHECK;
