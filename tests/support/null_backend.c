/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/null_backend.h"

#include "base/clock.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>

#define MIB (1u << 20)

static int null_open(const struct sandbox_config *config, void **ret_state, struct fault *fault)
{
    (void)config, (void)fault;
    *ret_state = NULL;
    return 0;
}

static int null_sweep(void *state, struct fault *fault)
{
    (void)state, (void)fault;
    return 0;
}

static int null_probe(void *state, json_t **ret_checks, json_t **ret_runtime, struct fault *fault)
{
    (void)state;
    json_t *checks = json_pack("{s:s}", "runtime", "null");
    json_t *runtime = json_pack("{s:s, s:s}", "name", "null", "version", "1");
    if (checks == NULL || runtime == NULL) {
        json_decref(checks);
        json_decref(runtime);
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    }
    *ret_checks = checks;
    *ret_runtime = runtime;
    return 0;
}

static void null_close(void *state)
{
    (void)state;
}

static int null_ready(void *state, struct fault *fault)
{
    (void)state, (void)fault;
    return 0;
}

static void null_check(const struct sandbox_config *config, struct sandbox_report *report)
{
    (void)config;
    sandbox_report_add(report, "null", SANDBOX_HELD, "runs nothing");
}

/* ---- one job ---- */

/* The nth word behind the entrypoint, "" where there is none. */
static const char *word(const struct sandbox_job *job, size_t n)
{
    for (size_t i = 0; i <= n; i++) {
        if (job->argv[i] == NULL)
            return "";
    }
    return job->argv[n + 1] == NULL ? "" : job->argv[n + 1];
}

/* Until `fd` (-1: none) is readable, or it is told to end. */
static enum sandbox_end hang(const struct sandbox_job *job, int fd)
{
    struct pollfd news[] = {{.fd = job->cancel_fd, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    int64_t until = clock_monotonic_ms() + job->limits.wall_ms;
    for (;;) {
        int64_t left = until - clock_monotonic_ms();
        if (left <= 0)
            return SANDBOX_TIMED_OUT;
        if (poll(news, 2, left > 3600000 ? 3600000 : (int)left) > 0)
            return news[0].revents != 0 ? SANDBOX_CANCELLED : SANDBOX_EXITED;
    }
}

/* Line by line, as a tool that has some work to do between them. */
static void talk(struct output outputs[SANDBOX_STREAMS], long lines)
{
    for (long i = 0; i < lines; i++) {
        char line[64];
        int len = snprintf(line, sizeof line, "this is line %ld\n", i);
        for (int stream = 0; stream < SANDBOX_STREAMS; stream++)
            output_feed(&outputs[stream], line, (size_t)len);
        (void)poll(NULL, 0, 1);
    }
}

static void say(const struct sandbox_job *job, struct output outputs[SANDBOX_STREAMS],
                struct sandbox_result *result)
{
    const char *verb = word(job, 0);
    long number = strtol(word(job, 1), NULL, 10);
    static const uint8_t block[MIB]; /* nothing but zeros */
    struct output *output = &outputs[SANDBOX_STDOUT];
    if (strcmp(verb, "succeed") == 0 || strcmp(verb, "await") == 0)
        output_feed(output, "done\n", 5);
    else if (strcmp(verb, "talk") == 0)
        talk(outputs, number);
    else if (strcmp(verb, "linger") == 0) {
        talk(outputs, number);
        result->end = hang(job, -1);
        result->exit_code = -1;
        talk(outputs, number);
    }
    for (long i = 0; strcmp(verb, "flood") == 0 && i < number; i++)
        output_feed(output, block, sizeof block);
}

static void end(const struct sandbox_job *job, struct sandbox_result *result)
{
    const char *verb = word(job, 0);
    long number = strtol(word(job, 1), NULL, 10);
    result->end = SANDBOX_EXITED;
    result->exit_code = -1;
    if (strcmp(verb, "hang") == 0) {
        result->end = hang(job, -1);
        result->limits_hit = result->end == SANDBOX_TIMED_OUT ? SANDBOX_HIT_WALL : 0;
    } else if (strcmp(verb, "await") == 0) {
        AUTO_CLOSE int fifo = open(word(job, 1), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        result->end = hang(job, fifo);
        result->exit_code = result->end == SANDBOX_EXITED ? 0 : -1;
    } else if (strcmp(verb, "signal") == 0) {
        result->end = SANDBOX_SIGNALED;
        result->signal = (int)number;
    } else if (strcmp(verb, "memory") == 0) {
        result->end = SANDBOX_OUT_OF_MEMORY;
        result->limits_hit = SANDBOX_HIT_MEMORY;
    } else if (strcmp(verb, "break") == 0) {
        result->end = SANDBOX_RUNTIME_DIED;
        (void)snprintf(result->detail, sizeof result->detail, "told to break");
    } else {
        result->exit_code = strcmp(verb, "fail") == 0 ? (int)number : 0;
    }
}

static int collect(const struct sandbox_job *job, struct sandbox_result *result,
                   struct fault *fault)
{
    const size_t caps[] = {(size_t)job->limits.stdout_bytes, (size_t)job->limits.stderr_bytes};
    struct output outputs[SANDBOX_STREAMS] = {0};
    for (int stream = 0; stream < SANDBOX_STREAMS; stream++) {
        if (output_begin(&outputs[stream], stream, caps[stream], job->sink, job->sink_context) !=
            0) {
            output_discard(&outputs[SANDBOX_STDOUT]);
            return fault_set(fault, FAULT_INTERNAL, "out of memory");
        }
        output_share(&outputs[stream], job->watch);
    }
    say(job, outputs, result);
    for (int stream = 0; stream < SANDBOX_STREAMS; stream++) {
        output_end(&outputs[stream], &result->output[stream]);
        result->usage.output_bytes += result->output[stream].bytes;
    }
    if (result->output[SANDBOX_STDOUT].truncated)
        result->limits_hit |= SANDBOX_HIT_STDOUT;
    return 0;
}

static int null_run(void *state, const struct sandbox_job *job, struct sandbox_result *ret_result,
                    void **ret_remains, struct fault *fault)
{
    (void)state, (void)ret_remains; /* nothing is left by what runs nothing */
    AUTO_SANDBOX_RESULT struct sandbox_result result = {.started_ms = clock_wall_ms()};
    if (strcmp(word(job, 0), "refuse") == 0)
        return fault_set(fault, FAULT_INTERNAL, "told to refuse");
    end(job, &result);
    if (collect(job, &result, fault) != 0)
        return -1;
    result.finished_ms = clock_wall_ms();
    result.usage.wall_ms = result.finished_ms - result.started_ms;
    *ret_result = result;
    result = (struct sandbox_result){0};
    return 0;
}

const struct sandbox_backend null_backend = {
    .name = "null",
    .open = null_open,
    .sweep = null_sweep,
    .probe = null_probe,
    .run = null_run,
    .ready = null_ready,
    .check = null_check,
    .close = null_close,
};
