/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sandbox that runs nothing, for tests and benches of what stands around it; the daemon never
 * links it. What becomes of a job is what its args (behind the entrypoint) say:
 *
 *   succeed       exit 0, "done" on standard output      fail CODE   exit CODE
 *   signal N      ended by a signal                      memory      out of memory
 *   hang          until it is cancelled or out of time   flood MIB   so much standard output
 *   talk LINES    that many, one after the other, each on both streams
 *   linger LINES  the same, then until it is told to end, then the same again
 *   break         the sandbox itself breaks              refuse      nothing is started
 *   await FIFO    until somebody writes to it; then as succeed
 */
#pragma once

#include "sandbox/sandbox.h"

extern const struct sandbox_backend null_backend;
