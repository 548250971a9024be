/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters, gauges and histograms in Prometheus text form 0.0.4. Series are made at start or on
 * first use, at most 1,024 of them; updates are lock-free atomics.
 */
#pragma once

#include "base/buf.h"
#include "base/fault.h"

struct metrics;
struct metric; /* one series; lives as long as its metrics */

struct metrics *metrics_new(void);
void metrics_free(struct metrics *metrics);

/* The series with this name and labels (`route="/livez",code="200"`, "" for none), made where
 * absent. `help` of the first call of a name is kept. Never NULL: past the maximum, a series that
 * is counted but not shown. NULL metrics give NULL, which the update functions accept. */
struct metric *metric_counter(struct metrics *metrics, const char *name, const char *labels,
                              const char *help);
struct metric *metric_gauge(struct metrics *metrics, const char *name, const char *labels,
                            const char *help);
/* `bounds` in seconds, ascending, static, at most 24. */
struct metric *metric_histogram(struct metrics *metrics, const char *name, const char *labels,
                                const char *help, const double *bounds, size_t bound_count);

void metric_add(struct metric *metric, uint64_t count);
void metric_set(struct metric *metric, int64_t value);
void metric_observe_ms(struct metric *metric, double milliseconds);

void metrics_write(const struct metrics *metrics, struct buf *ret_text);
