/* SPDX-License-Identifier: Apache-2.0 */
#include "server/metrics.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define SERIES_MAX 1024
#define BOUNDS_MAX 24

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

static const char *const kind_names[] = {
    [METRIC_COUNTER] = "counter", [METRIC_GAUGE] = "gauge", [METRIC_HISTOGRAM] = "histogram"};

struct metric {
    struct metric *next; /* of the same family, in order of birth */
    enum metric_kind kind;
    char *labels;
    atomic_int_fast64_t value; /* counter, gauge */

    const double *bounds;
    size_t bound_count;
    atomic_uint_fast64_t sum_us;
    atomic_uint_fast64_t counts[]; /* bound_count + 1, each its own bucket only */
};

/* All series of one name. */
struct family {
    struct family *next;
    enum metric_kind kind;
    char *name;
    char *help;
    struct metric *first;
    struct metric *last;
};

struct metrics {
    pthread_mutex_t
        *lock; /* of all but the values; apart, as metrics_write() sees a const struct */
    struct family *first;
    struct family *last;
    size_t count;
    struct metric *hidden; /* counted but not shown */
};

struct metrics *metrics_new(void)
{
    struct metrics *metrics = calloc(1, sizeof *metrics);
    pthread_mutex_t *lock = malloc(sizeof *lock);
    if (metrics == NULL || lock == NULL)
        abort();
    pthread_mutex_init(lock, NULL);
    metrics->lock = lock;
    return metrics;
}

static void series_free(struct metric *metric)
{
    while (metric != NULL) {
        struct metric *next = metric->next;
        free(metric->labels);
        free(metric);
        metric = next;
    }
}

void metrics_free(struct metrics *metrics)
{
    if (metrics == NULL)
        return;
    for (struct family *family = metrics->first, *next; family != NULL; family = next) {
        next = family->next;
        series_free(family->first);
        free(family->name);
        free(family->help);
        free(family);
    }
    series_free(metrics->hidden);
    pthread_mutex_destroy(metrics->lock);
    free(metrics->lock);
    free(metrics);
}

static char *text_copy(const char *text)
{
    char *copy = strdup(text);
    if (copy == NULL)
        abort();
    return copy;
}

static struct metric *series_new(enum metric_kind kind, const char *labels, const double *bounds,
                                 size_t bound_count)
{
    struct metric *metric =
        calloc(1, sizeof *metric + (bound_count + 1) * sizeof metric->counts[0]);
    if (metric == NULL)
        abort();
    metric->kind = kind;
    metric->labels = text_copy(labels);
    metric->bounds = bounds;
    metric->bound_count = bound_count;
    return metric;
}

static struct family *family_find(struct metrics *metrics, const char *name)
{
    for (struct family *family = metrics->first; family != NULL; family = family->next)
        if (strcmp(family->name, name) == 0)
            return family;
    return NULL;
}

static struct family *family_new(struct metrics *metrics, enum metric_kind kind, const char *name,
                                 const char *help)
{
    struct family *family = calloc(1, sizeof *family);
    if (family == NULL)
        abort();
    family->kind = kind;
    family->name = text_copy(name);
    family->help = text_copy(help);
    if (metrics->last == NULL)
        metrics->first = family;
    else
        metrics->last->next = family;
    metrics->last = family;
    return family;
}

/* Of one kind and shape there is one hidden series, so that they are few. */
static struct metric *series_hidden(struct metrics *metrics, enum metric_kind kind,
                                    const double *bounds, size_t bound_count)
{
    for (struct metric *metric = metrics->hidden; metric != NULL; metric = metric->next)
        if (metric->kind == kind && metric->bounds == bounds && metric->bound_count == bound_count)
            return metric;
    struct metric *metric = series_new(kind, "", bounds, bound_count);
    metric->next = metrics->hidden;
    metrics->hidden = metric;
    return metric;
}

static void series_add(struct metrics *metrics, struct family *family, struct metric *metric)
{
    metrics->count++;
    if (family->last == NULL)
        family->first = metric;
    else
        family->last->next = metric;
    family->last = metric;
}

static struct metric *series_find(const struct family *family, const char *labels)
{
    struct metric *metric = family->first;
    while (metric != NULL && strcmp(metric->labels, labels) != 0)
        metric = metric->next;
    return metric;
}

static struct metric *series_get(struct metrics *metrics, enum metric_kind kind, const char *name,
                                 const char *labels, const char *help, const double *bounds,
                                 size_t bound_count)
{
    if (metrics == NULL)
        return NULL;
    if (bound_count > BOUNDS_MAX)
        bound_count = BOUNDS_MAX;
    pthread_mutex_lock(metrics->lock);
    struct family *family = family_find(metrics, name);
    struct metric *found = family == NULL ? NULL : series_find(family, labels);
    bool clash = family != NULL && family->kind != kind;
    if (clash || (found == NULL && metrics->count == SERIES_MAX))
        found = series_hidden(metrics, kind, bounds, bound_count);
    if (found == NULL) {
        if (family == NULL)
            family = family_new(metrics, kind, name, help);
        found = series_new(kind, labels, bounds, bound_count);
        series_add(metrics, family, found);
    }
    pthread_mutex_unlock(metrics->lock);
    return found;
}

struct metric *metric_counter(struct metrics *metrics, const char *name, const char *labels,
                              const char *help)
{
    return series_get(metrics, METRIC_COUNTER, name, labels, help, NULL, 0);
}

struct metric *metric_gauge(struct metrics *metrics, const char *name, const char *labels,
                            const char *help)
{
    return series_get(metrics, METRIC_GAUGE, name, labels, help, NULL, 0);
}

struct metric *metric_histogram(struct metrics *metrics, const char *name, const char *labels,
                                const char *help, const double *bounds, size_t bound_count)
{
    return series_get(metrics, METRIC_HISTOGRAM, name, labels, help, bounds, bound_count);
}

void metric_add(struct metric *metric, uint64_t count)
{
    if (metric != NULL && metric->kind == METRIC_COUNTER)
        atomic_fetch_add_explicit(&metric->value, (int_fast64_t)count, memory_order_relaxed);
}

void metric_set(struct metric *metric, int64_t value)
{
    if (metric != NULL && metric->kind == METRIC_GAUGE)
        atomic_store_explicit(&metric->value, value, memory_order_relaxed);
}

void metric_observe_ms(struct metric *metric, double milliseconds)
{
    if (metric == NULL || metric->kind != METRIC_HISTOGRAM)
        return;
    if (!(milliseconds > 0)) /* a clock set back, or not a number */
        milliseconds = 0;
    size_t at = 0;
    while (at < metric->bound_count && milliseconds > metric->bounds[at] * 1000)
        at++;
    atomic_fetch_add_explicit(&metric->counts[at], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&metric->sum_us, (uint_fast64_t)(milliseconds * 1000),
                              memory_order_relaxed);
}

static void histogram_write(const struct family *family, const struct metric *metric,
                            struct buf *text)
{
    const char *comma = metric->labels[0] == '\0' ? "" : ",";
    uint64_t total = 0;
    for (size_t i = 0; i <= metric->bound_count; i++) {
        total += atomic_load_explicit(&metric->counts[i], memory_order_relaxed);
        buf_printf(text, "%s_bucket{%s%sle=\"", family->name, metric->labels, comma);
        if (i < metric->bound_count)
            buf_printf(text, "%g", metric->bounds[i]);
        else
            buf_puts(text, "+Inf");
        buf_printf(text, "\"} %llu\n", (unsigned long long)total);
    }
    const char *open = metric->labels[0] == '\0' ? "" : "{";
    const char *close = metric->labels[0] == '\0' ? "" : "}";
    uint64_t sum_us = atomic_load_explicit(&metric->sum_us, memory_order_relaxed);
    buf_printf(text, "%s_sum%s%s%s %llu.%06llu\n", family->name, open, metric->labels, close,
               (unsigned long long)(sum_us / 1000000), (unsigned long long)(sum_us % 1000000));
    buf_printf(text, "%s_count%s%s%s %llu\n", family->name, open, metric->labels, close,
               (unsigned long long)total);
}

static void value_write(const struct family *family, const struct metric *metric, struct buf *text)
{
    bool bare = metric->labels[0] == '\0';
    buf_printf(text, "%s%s%s%s ", family->name, bare ? "" : "{", metric->labels, bare ? "" : "}");
    int64_t value = atomic_load_explicit(&metric->value, memory_order_relaxed);
    if (metric->kind == METRIC_COUNTER)
        buf_printf(text, "%llu\n", (unsigned long long)value);
    else
        buf_printf(text, "%lld\n", (long long)value);
}

void metrics_write(const struct metrics *metrics, struct buf *ret_text)
{
    pthread_mutex_lock(metrics->lock);
    for (struct family *family = metrics->first; family != NULL; family = family->next) {
        buf_printf(ret_text, "# HELP %s %s\n# TYPE %s %s\n", family->name, family->help,
                   family->name, kind_names[family->kind]);
        for (struct metric *metric = family->first; metric != NULL; metric = metric->next) {
            if (metric->kind == METRIC_HISTOGRAM)
                histogram_write(family, metric, ret_text);
            else
                value_write(family, metric, ret_text);
        }
    }
    pthread_mutex_unlock(metrics->lock);
}
