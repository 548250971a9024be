/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Read by clang-tidy before each source (tools/check-tidy), never by a compiler: tells its
 * analyzer, which sees one source at a time, what the error law says of base/fault.h.
 */
#pragma once

#include "base/fault.h"

#define fault_set(...) ((void)(fault_set)(__VA_ARGS__), -1)
#define fault_errno(...) ((void)(fault_errno)(__VA_ARGS__), -1)
