/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One JSON object a line on stderr: ts, level, msg, then the given members. `pack` is a
 * json_pack format of an object, or NULL. Never a body, never a secret. Lines are at most
 * 8 KiB and written with one write(2), so that threads do not mix.
 */
#pragma once

#include "base/fault.h"

enum log_level { LOG_INFO, LOG_WARN, LOG_ERROR };

void log_write(enum log_level level, const char *msg, const char *pack, ...);

#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_write(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
