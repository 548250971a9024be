/* SPDX-License-Identifier: Apache-2.0 */
/* From what runsc left behind: how the tool ended, and whether the tool is what ended. */
#include "sandbox/gvisor.h"

#include "base/file.h"
#include "base/json.h"
#include "sandbox/path.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#define LOG_MAX (1u << 20)
#define PANIC_MAX 65536
#define NO_STATUS (-1)

/* Their own words, the same in every version from 2022 on. */
#define SAYS_STARTED "Process should have started"
#define SAYS_STATUS "Exiting with status: "
#define SAYS_FATAL "FATAL ERROR: "

/* What follows the prefix, or NULL. */
static const char *after(const char *text, const char *prefix)
{
    size_t len = strlen(prefix);
    return strncmp(text, prefix, len) == 0 ? text + len : NULL;
}

static int parse_status(const char *text)
{
    char *end;
    errno = 0;
    long status = strtol(text, &end, 10);
    return errno != 0 || end == text || *end != '\0' || status < 0 || status > 0xffff ? NO_STATUS
                                                                                      : (int)status;
}

/* Cuts the first line off. */
static struct span next_line(struct span *log)
{
    const uint8_t *newline = memchr(log->data, '\n', log->len);
    size_t len = newline == NULL ? log->len : (size_t)(newline - log->data);
    size_t step = newline == NULL ? len : len + 1;
    struct span line = span_of(log->data, len);
    *log = span_of(log->data + step, log->len - step);
    return line;
}

/* What follows the prefix in the line's message; NULL where that begins otherwise, or there is none
 * (a beginning that is missing, something else). Most lines are of neither kind, and not parsed. */
static const char *message_after(struct span line, const char *prefix, json_t **ret_entry)
{
    if (memmem(line.data, line.len, prefix, strlen(prefix)) == NULL ||
        json_object_parse(line, FAULT_INTERNAL, "a line of the log", ret_entry, NULL) != 0)
        return NULL;
    const char *message = json_string_value(json_object_get(*ret_entry, "msg"));
    return message == NULL ? NULL : after(message, prefix);
}

struct gvisor_evidence gvisor_sentry_log_read(struct span log, bool cut)
{
    struct gvisor_evidence evidence = {.started = cut};
    while (log.len > 0) {
        AUTO_JSON json_t *start = NULL;
        AUTO_JSON json_t *end = NULL;
        struct span line = next_line(&log);
        const char *status = message_after(line, SAYS_STATUS, &end);
        if (status != NULL && parse_status(status) != NO_STATUS)
            evidence = (struct gvisor_evidence){
                .started = true, .ended = true, .wait_status = parse_status(status)};
        else if (message_after(line, SAYS_STARTED, &start) != NULL)
            evidence.started = true;
    }
    return evidence;
}

void gvisor_log_complaint(struct span log, char *ret_text, size_t size)
{
    ret_text[0] = '\0';
    while (log.len > 0) {
        AUTO_JSON json_t *entry = NULL;
        const char *why = message_after(next_line(&log), SAYS_FATAL, &entry);
        if (why != NULL)
            (void)snprintf(ret_text, size, "%s", why);
    }
}

/* Empty where it is not there. */
static void read_runtime_file(const struct bundle *bundle, const char *name, struct buf *buf)
{
    AUTO_FREE char *path = path_join(bundle_runtime(bundle), name);
    if (path == NULL || file_read(path, buf, NULL) != 0)
        buf_reset(buf);
}

/* The tool never ran, so what was written on its streams was the runtime's. */
static void drop_output(struct sandbox_result *result)
{
    for (int stream = 0; stream < SANDBOX_STREAMS; stream++) {
        struct sandbox_output *output = &result->output[stream];
        buf_free(&output->stored);
        *output = (struct sandbox_output){.sha256 = digest_of("", 0), .stored = output->stored};
    }
    result->usage.output_bytes = 0;
}

static void broken(struct sandbox_result *result, bool started, const char *why)
{
    result->end = started ? SANDBOX_RUNTIME_DIED : SANDBOX_FAILED_TO_START;
    (void)snprintf(result->detail, sizeof result->detail, "%s: %s",
                   started ? "the sandbox itself ended" : "the sandbox did not start the tool",
                   why[0] == '\0' ? "no reason given" : why);
    if (!started)
        drop_output(result);
}

/* Why, from what the runtime said last. */
static void explain(const struct bundle *bundle, char *ret_text, size_t size)
{
    AUTO_BUF struct buf panic_log = BUF(PANIC_MAX);
    AUTO_BUF struct buf log = BUF(LOG_MAX);
    read_runtime_file(bundle, GVISOR_PANIC_LOG, &panic_log);
    read_runtime_file(bundle, GVISOR_LOG, &log);
    gvisor_log_complaint(buf_span(&log), ret_text, size);
    if (panic_log.len > 0)
        (void)snprintf(ret_text, size, "%.*s", (int)strcspn(buf_text(&panic_log), "\n"),
                       buf_text(&panic_log));
}

/* runsc ended by itself: only the sentry's word and runsc's status together are believed. */
static void judge_exit(const struct bundle *bundle, const struct process_result *process,
                       struct sandbox_result *result)
{
    struct span log = tail_text(&process->side);
    struct gvisor_evidence evidence = gvisor_sentry_log_read(log, process->side.bytes > log.len);
    int status = evidence.wait_status;
    int shown = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    if (!evidence.ended || process->end != PROCESS_EXITED || process->status != shown) {
        char why[200];
        explain(bundle, why, sizeof why);
        broken(result, evidence.started, why);
    } else if (WIFSIGNALED(status)) {
        result->end = SANDBOX_SIGNALED;
        result->signal = WTERMSIG(status);
        if (result->signal == SIGXFSZ)
            result->limits_hit |= SANDBOX_HIT_FILE_SIZE;
    } else {
        result->end = SANDBOX_EXITED;
        result->exit_code = WEXITSTATUS(status);
    }
}

void gvisor_judge(const struct bundle *bundle, const struct process_result *process,
                  bool out_of_memory, struct sandbox_result *result)
{
    result->exit_code = -1;
    result->signal = 0;
    /* First, for when memory runs out the kernel may kill anything in the group, and what is
     * seen then is only the consequence. */
    if (out_of_memory || process->end == PROCESS_ALARMED) {
        result->end = SANDBOX_OUT_OF_MEMORY;
        result->limits_hit |= SANDBOX_HIT_MEMORY;
    } else if (process->end == PROCESS_TIMED_OUT) {
        result->end = SANDBOX_TIMED_OUT;
        result->limits_hit |= SANDBOX_HIT_WALL;
    } else if (process->end == PROCESS_CANCELLED) {
        result->end = SANDBOX_CANCELLED;
    } else {
        judge_exit(bundle, process, result);
    }
}
