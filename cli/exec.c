/* SPDX-License-Identifier: Apache-2.0 */
/* Executions: submit a token, look, wait, read the output. */
#include "base/clock.h"
#include "base/uuid.h"
#include "cli/commands.h"
#include "cli/exec_follow.h"
#include "cli/outcome.h"
#include "cli/query.h"
#include "ledger/state.h"
#include "trust/token.h"

#include <poll.h>
#include <string.h>

#define WAIT_MAX 86400
#define POLL_FIRST_MS 50
#define POLL_MAX_MS 1000
#define OUTPUT_MAX ((size_t)4 * 1024 * 1024 * 1024)

static const struct column list_columns[] = {
    {"ID", "id", COLUMN_TEXT},
    {"STATE", "state", COLUMN_STATE},
    {"TASK", "task_id", COLUMN_TEXT},
    {"OPERATOR", "operator_id", COLUMN_TEXT},
    {"TOOL", "tool_sha256", COLUMN_DIGEST},
    {"SUBMITTED", "submitted_at", COLUMN_TEXT},
    {"FINISHED", "finished_at", COLUMN_TEXT},
};

static int execution_path(const char *id, const char *part, struct buf *ret_path,
                          struct fault *fault)
{
    struct uuid uuid;
    if (uuid_parse(id, strlen(id), &uuid) != 0)
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "%.80s: expected an execution's id", id);
    buf_printf(ret_path, "/v1/executions/%s%s", id, part);
    return 0;
}

static int fetch(struct client *client, const char *id, json_t **ret_execution,
                 const char **ret_state, struct fault *fault)
{
    AUTO_BUF struct buf path = BUF(QUERY_PATH_MAX);
    AUTO_JSON json_t *execution = NULL;
    if (execution_path(id, "", &path, fault) != 0 ||
        client_json(client, buf_text(&path), NULL, &execution, fault) != 0 ||
        client_member(execution, "state", ret_state, fault) != 0)
        return -1;
    *ret_execution = TAKE(execution);
    return 0;
}

static bool is_end(const char *state)
{
    enum execution_state parsed;
    return execution_state_parse(state, strlen(state), &parsed) != 0 ||
           execution_state_is_end(parsed);
}

/* Asks until the execution has ended or the deadline has passed; the last answer either way. */
static int await(struct client *client, const char *id, int64_t deadline_ms, json_t **ret_execution,
                 struct fault *fault)
{
    AUTO_JSON json_t *execution = NULL;
    for (int pause = POLL_FIRST_MS;; pause = pause * 2 < POLL_MAX_MS ? pause * 2 : POLL_MAX_MS) {
        struct fault cause = {0};
        json_t *latest = NULL;
        const char *state = NULL;
        if (fetch(client, id, &latest, &state, &cause) == 0) {
            json_decref(execution);
            execution = latest;
            if (is_end(state))
                break;
        } else if (!outcome_is_passing(cause.code))
            return fault_set(fault, cause.code, "%s", cause.detail);
        int64_t left = deadline_ms - clock_monotonic_ms();
        if (left <= 0 && execution == NULL)
            return fault_set(fault, FAULT_REQUEST_TIMEOUT, "%s", cause.detail);
        if (left <= 0)
            break;
        (void)poll(NULL, 0, left < pause ? (int)left : pause);
    }
    *ret_execution = TAKE(execution);
    return 0;
}

/* Prints an execution whose end was waited for; the exit code says what came of it. */
static int report_end(struct client *client, const json_t *execution, struct fault *fault)
{
    const char *state;
    if (client_member(execution, "state", &state, fault) != 0)
        return -1;
    client->exit_code = (int)outcome_of_state(state);
    if (client->exit_code == OUTCOME_TIMED_OUT)
        output_note("the wait ran out; the execution is %s", state);
    return output_record(&client->output, NULL, 0, execution, fault);
}

static int read_token(const struct args *args, struct buf *token, struct fault *fault)
{
    const char *path = args->operand_count == 0 ? "-" : args->operands[0];
    if (client_read(path, token, fault) != 0)
        return -1;
    if (token->len > 0 && token->data[token->len - 1] == '\n')
        token->len--;
    return 0;
}

static int submit(struct client *client, const struct buf *token, int wait_seconds,
                  json_t **ret_execution, struct fault *fault)
{
    struct http_request request = {.method = "POST",
                                   .path = "/v1/executions",
                                   .content_type = "application/jose",
                                   .body = buf_span(token),
                                   .wait_seconds = wait_seconds};
    AUTO_HTTP_ANSWER struct http_answer answer = {0};
    if (client_call(client, &request, &answer, fault) != 0)
        return -1;
    return client_parse(&answer, ret_execution, fault);
}

int exec_submit(struct client *client, const struct args *args, struct fault *fault)
{
    int64_t wait = 0;
    AUTO_BUF struct buf token = BUF(TOKEN_MAX + 1);
    AUTO_JSON json_t *execution = NULL;
    const char *id, *state;
    if (args_number(args, "wait", 1, WAIT_MAX, &wait, fault) != 0 ||
        read_token(args, &token, fault) != 0)
        return -1;
    int64_t deadline = clock_monotonic_ms() + wait * 1000;
    if (submit(client, &token, (int)wait, &execution, fault) != 0 ||
        client_member(execution, "id", &id, fault) != 0 ||
        client_member(execution, "state", &state, fault) != 0)
        return -1;
    if (wait == 0)
        return output_record(&client->output, NULL, 0, execution, fault);
    if (!is_end(state)) { /* the server waits less long than we may */
        json_t *later = NULL;
        if (await(client, id, deadline, &later, fault) != 0)
            return -1;
        json_decref(execution);
        execution = later;
    }
    return report_end(client, execution, fault);
}

int exec_wait(struct client *client, const struct args *args, struct fault *fault)
{
    int64_t timeout = WAIT_MAX;
    AUTO_JSON json_t *execution = NULL;
    const char *state;
    if (args_number(args, "timeout", 0, WAIT_MAX, &timeout, fault) != 0)
        return -1;
    int64_t deadline = clock_monotonic_ms() + timeout * 1000;
    /* An outage is waited out only once the server has known the execution: a wrong address or id
     * is told at once. */
    if (fetch(client, args->operands[0], &execution, &state, fault) != 0)
        return -1;
    if (!is_end(state) && timeout > 0) {
        json_t *later = NULL;
        if (await(client, args->operands[0], deadline, &later, fault) != 0)
            return -1;
        json_decref(execution);
        execution = later;
    }
    return report_end(client, execution, fault);
}

int exec_get(struct client *client, const struct args *args, struct fault *fault)
{
    AUTO_JSON json_t *execution = NULL;
    const char *state;
    if (fetch(client, args->operands[0], &execution, &state, fault) != 0)
        return -1;
    return output_record(&client->output, NULL, 0, execution, fault);
}

int exec_cancel(struct client *client, const struct args *args, struct fault *fault)
{
    AUTO_BUF struct buf path = BUF(QUERY_PATH_MAX);
    AUTO_HTTP_ANSWER struct http_answer answer = {0};
    AUTO_JSON json_t *execution = NULL;
    if (execution_path(args->operands[0], "/cancel", &path, fault) != 0)
        return -1;
    struct http_request request = {.method = "POST", .path = buf_text(&path)};
    if (client_call(client, &request, &answer, fault) != 0 ||
        client_parse(&answer, &execution, fault) != 0)
        return -1;
    return output_record(&client->output, NULL, 0, execution, fault);
}

int exec_list(struct client *client, const struct args *args, struct fault *fault)
{
    static const char *const filters[][2] = {
        {"state", "state"},   {"tool", "tool_sha256"},           {"operator", "operator_id"},
        {"task", "task_id"},  {"correlation", "correlation_id"}, {"source", "source"},
        {"action", "action"}, {"target", "target_urn"},          {"from", "from"},
        {"to", "to"},
    };
    AUTO_BUF struct buf path = BUF(QUERY_PATH_MAX);
    buf_puts(&path, "/v1/executions");
    for (size_t i = 0; i < ARRAY_LEN(filters); i++) {
        const char *value = args_value(args, filters[i][0]);
        struct digest digest;
        struct digest_text text;
        if (value != NULL && strcmp(filters[i][0], "tool") == 0) {
            if (client_digest(value, &digest, fault) != 0)
                return -1;
            text = digest_format(&digest);
            value = text.text;
        }
        query_add(&path, filters[i][1], value);
    }
    return client_list(client, args, &path, 50, list_columns, ARRAY_LEN(list_columns), fault);
}

static int take_output(void *context, const void *data, size_t len, struct fault *fault)
{
    return output_bytes(context, span_of(data, len), fault);
}

int exec_logs(struct client *client, const struct args *args, struct fault *fault)
{
    AUTO_BUF struct buf path = BUF(QUERY_PATH_MAX);
    const char *part = args_flag(args, "stderr") ? "/stderr" : "/stdout";
    if (execution_path(args->operands[0], part, &path, fault) != 0)
        return -1;
    if (args_flag(args, "follow"))
        return exec_follow(client, buf_text(&path), fault);
    struct http_request request = {.method = "GET",
                                   .path = buf_text(&path),
                                   .accept = "application/octet-stream",
                                   .answer_max = OUTPUT_MAX,
                                   .sink = take_output,
                                   .sink_context = &client->output,
                                   .slow = true};
    AUTO_HTTP_ANSWER struct http_answer answer = {0};
    return client_call(client, &request, &answer, fault);
}
