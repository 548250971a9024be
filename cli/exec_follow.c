/* SPDX-License-Identifier: Apache-2.0 */
/* exec logs --follow: what the tool writes, as it comes, over connections that may break. */
#include "cli/exec_follow.h"

#include "base/encode.h"
#include "base/json.h"
#include "cli/outcome.h"
#include "cli/query.h"
#include "cli/sse.h"

#include <inttypes.h>
#include <poll.h>
#include <string.h>

#define ATTEMPTS_MAX 30 /* in a row that bring nothing */
#define PAUSE_MS 1000
#define STREAM_MAX ((size_t)4 * 1024 * 1024 * 1024) /* bytes of one answer */

struct reading {
    struct client *client;
    int64_t offset;
    bool progress;  /* something came over this connection */
    char state[32]; /* "" until the end was told */
};

static int take_output(struct reading *reading, const json_t *data, struct fault *fault)
{
    const char *text = NULL, *base64 = NULL;
    int64_t offset;
    const struct json_field fields[] = {
        {"offset", JSON_KIND_INTEGER, true, 0, INT64_MAX, &offset},
        {"text", JSON_KIND_STRING, false, 0, 0, &text},
        {"base64", JSON_KIND_STRING, false, 0, 0, &base64},
    };
    AUTO_BUF struct buf bytes = BUF(SSE_EVENT_MAX);
    if (json_read(data, "output.", fields, ARRAY_LEN(fields), false, FAULT_INTERNAL, fault) != 0)
        return -1;
    if (text != NULL)
        buf_puts(&bytes, text);
    else if (base64 == NULL || base64_decode(&bytes, base64, strlen(base64)) != 0)
        return fault_set(fault, FAULT_INTERNAL, "the server's event holds no bytes");
    if (offset != reading->offset || buf_failed(&bytes))
        return fault_set(fault, FAULT_INTERNAL, "the server's events do not go on at byte %" PRId64,
                         reading->offset);
    if (output_bytes(&reading->client->output, buf_span(&bytes), fault) != 0 ||
        output_close(&reading->client->output, fault) != 0) /* at once */
        return -1;
    reading->offset += (int64_t)bytes.len;
    return 0;
}

static int take_end(struct reading *reading, const json_t *data, struct fault *fault)
{
    const char *state;
    bool truncated = false;
    const struct json_field fields[] = {
        {"state", JSON_KIND_STRING, true, 1, sizeof reading->state - 1, &state},
        {"truncated", JSON_KIND_BOOL, false, 0, 0, &truncated},
    };
    if (json_read(data, "end.", fields, ARRAY_LEN(fields), false, FAULT_INTERNAL, fault) != 0)
        return -1;
    (void)snprintf(reading->state, sizeof reading->state, "%s", state);
    if (truncated)
        output_note("what the tool wrote is not stored any further");
    return 0;
}

static int take_event(void *context, const char *name, struct span text, struct fault *fault)
{
    struct reading *reading = context;
    bool output = strcmp(name, "output") == 0;
    AUTO_JSON json_t *data = NULL;
    if (!output && strcmp(name, "end") != 0)
        return 0; /* of a later server */
    if (json_object_parse(text, FAULT_INTERNAL, "the server's event", &data, fault) != 0)
        return -1;
    reading->progress = true;
    return output ? take_output(reading, data, fault) : take_end(reading, data, fault);
}

static int feed(void *context, const void *data, size_t len, struct fault *fault)
{
    return sse_feed(context, data, len, fault);
}

/* One connection. 0 where the answer came to its end, whether or not that was the output's. */
static int read_once(struct reading *reading, const char *path, struct fault *fault)
{
    AUTO_BUF struct buf target = BUF(QUERY_PATH_MAX);
    AUTO_HTTP_ANSWER struct http_answer answer = {0};
    AUTO_SSE struct sse sse = sse_begin(take_event, reading);
    char offset[24];
    (void)snprintf(offset, sizeof offset, "%" PRId64, reading->offset);
    buf_puts(&target, path);
    query_add(&target, "follow", "true");
    query_add(&target, "offset", offset);
    const struct http_request request = {.method = "GET",
                                         .path = buf_text(&target),
                                         .accept = "text/event-stream",
                                         .answer_max = STREAM_MAX,
                                         .sink = feed,
                                         .sink_context = &sse,
                                         .live = true};
    return client_call(reading->client, &request, &answer, fault);
}

int exec_follow(struct client *client, const char *path, struct fault *fault)
{
    struct reading reading = {.client = client};
    bool known = false; /* to the server: a wrong address or id is told at once */
    for (int failures = 0; reading.state[0] == '\0';) {
        struct fault cause = {0};
        reading.progress = false;
        bool ended = read_once(&reading, path, &cause) == 0;
        known |= ended || reading.progress;
        failures = reading.progress ? 0 : failures + 1;
        if (reading.state[0] != '\0')
            break;
        if (!ended && (!known || !outcome_is_passing(cause.code) || failures > ATTEMPTS_MAX))
            return fault_set(fault, cause.code, "%s", cause.detail);
        if (failures > ATTEMPTS_MAX)
            return fault_set(fault, FAULT_UNAVAILABLE, "the server's answers end at once");
        (void)poll(NULL, 0, PAUSE_MS);
    }
    client->exit_code = (int)outcome_of_state(reading.state);
    return 0;
}
