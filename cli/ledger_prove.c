/* SPDX-License-Identifier: Apache-2.0 */
/* ledger prove: an event's exact bytes and its receipt, to be kept: with the ledger's public key
 * they are all it takes to prove the event, to anyone and without us. */
#include "base/clock.h"
#include "base/file.h"
#include "base/uuid.h"
#include "cli/commands.h"
#include "cli/outcome.h"
#include "cli/query.h"
#include "ledger/event.h"
#include "ledger/receipt.h"

#include <poll.h>
#include <string.h>

#define WAIT_DEFAULT 10
#define WAIT_MAX 86400
#define POLL_MS 200

static int check_id(const char *id, const char *what, struct fault *fault)
{
    struct uuid uuid;
    if (uuid_parse(id, strlen(id), &uuid) != 0)
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "%.80s: expected %s id", id, what);
    return 0;
}

/* The event meant: named itself, or as the end of an execution. */
static int find_event(struct client *client, const struct args *args, struct buf *ret_id,
                      struct fault *fault)
{
    const char *execution = args_value(args, "execution");
    if ((execution == NULL) == (args->operand_count == 0))
        return fault_set(fault, FAULT_MALFORMED_REQUEST,
                         "expected an event's id or --execution ID, one of them");
    if (execution == NULL) {
        buf_puts(ret_id, args->operands[0]);
        return check_id(args->operands[0], "an event's", fault);
    }
    AUTO_BUF struct buf path = BUF(QUERY_PATH_MAX);
    AUTO_JSON json_t *object = NULL;
    buf_printf(&path, "/v1/executions/%s", execution);
    if (check_id(execution, "an execution's", fault) != 0 ||
        client_json(client, buf_text(&path), NULL, &object, fault) != 0)
        return -1;
    const json_t *event = json_object_get(object, "event_id");
    if (json_is_null(event))
        return fault_set(fault, FAULT_NOT_FOUND, "execution %s has not ended: no receipt yet",
                         execution);
    if (!json_is_string(event) || check_id(json_string_value(event), "an event's", fault) != 0)
        return fault_set(fault, FAULT_INTERNAL, "the server's answer: event_id: expected an id");
    buf_puts(ret_id, json_string_value(event));
    return 0;
}

static int fetch(struct client *client, const char *id, const char *part, const char *accept,
                 size_t max, struct http_answer *ret_answer, struct fault *fault)
{
    AUTO_BUF struct buf path = BUF(QUERY_PATH_MAX);
    buf_printf(&path, "/v1/events/%s%s", id, part);
    struct http_request request = {
        .method = "GET", .path = buf_text(&path), .accept = accept, .answer_max = max};
    return client_call(client, &request, ret_answer, fault);
}

/* A checkpoint that covers the event comes within a second or two of it. */
static int await_receipt(struct client *client, const char *id, int64_t wait_seconds,
                         struct http_answer *ret_answer, struct fault *fault)
{
    int64_t deadline = clock_monotonic_ms() + wait_seconds * 1000;
    for (;;) {
        struct fault cause = {0};
        if (fetch(client, id, "/receipt", "text/plain", RECEIPT_MAX, ret_answer, &cause) == 0)
            return 0;
        int64_t left = deadline - clock_monotonic_ms();
        if (!outcome_is_passing(cause.code))
            return fault_set(fault, cause.code, "%s", cause.detail);
        if (left <= 0)
            return fault_set(fault, FAULT_REQUEST_TIMEOUT, "no receipt within %d s: %s",
                             (int)wait_seconds, cause.detail);
        (void)poll(NULL, 0, left < POLL_MS ? (int)left : POLL_MS);
    }
}

/* The hash of an event that is gone: the gateway's word, which the receipt has to fit. */
static int fetch_entry(struct client *client, const char *id, struct digest *ret_entry,
                       struct fault *fault)
{
    const char *text;
    AUTO_BUF struct buf path = BUF(QUERY_PATH_MAX);
    AUTO_JSON json_t *proof = NULL;
    const struct json_field fields[] = {{"entry", JSON_KIND_STRING, true, 1, 128, &text}};
    buf_puts(&path, "/v1/ledger/proof");
    query_add(&path, "event_id", id);
    if (client_json(client, buf_text(&path), NULL, &proof, fault) != 0 ||
        json_read(proof, "the server's proof: ", fields, ARRAY_LEN(fields), false, FAULT_INTERNAL,
                  fault) != 0)
        return -1;
    if (digest_parse_any(text, strlen(text), ret_entry) != 0)
        return fault_set(fault, FAULT_INTERNAL,
                         "the server's proof: entry: expected a SHA-256 digest");
    return 0;
}

/* The event and its hash; *ret_expired, and no event, where only that is left of it. */
static int fetch_event(struct client *client, const char *id, struct http_answer *ret_event,
                       struct digest *ret_entry, bool *ret_expired, struct fault *fault)
{
    struct fault cause;
    *ret_expired = false;
    if (fetch(client, id, "", "application/cloudevents+json", EVENT_MAX, ret_event, &cause) == 0) {
        *ret_entry = digest_of_span(buf_span(&ret_event->body));
        return 0;
    }
    if (cause.code != FAULT_EXPIRED)
        return fault_set(fault, cause.code, "%s", cause.detail);
    *ret_expired = true;
    return fetch_entry(client, id, ret_entry, fault);
}

/* That the path leads from this event to the checkpoint: whose checkpoint it is, ledger verify
 * believes or not. What is kept for years should not turn out to be of another event then. */
static int check_path(struct span text, const struct digest *entry, struct receipt *ret_receipt,
                      uint64_t *ret_size, struct fault *fault)
{
    struct receipt receipt;
    struct note note;
    struct checkpoint checkpoint;
    struct digest leaf = merkle_entry_leaf(entry);
    struct fault cause = {0};
    if (receipt_parse(text, &receipt, &cause) != 0 ||
        note_parse(receipt.checkpoint, &note, &cause) != 0 ||
        checkpoint_parse(note.text, &checkpoint, &cause) != 0)
        return fault_set(fault, FAULT_INTERNAL, "the server's receipt: %s", cause.detail);
    if (merkle_inclusion_verify(receipt.index, checkpoint.size, &leaf, &receipt.proof,
                                &checkpoint.root, &cause) != 0)
        return fault_set(fault, FAULT_CONTENT_MISMATCH, "the server's receipt: %s", cause.detail);
    *ret_receipt = receipt;
    *ret_size = checkpoint.size;
    return 0;
}

/* What was kept; takes nothing over. */
static int report(struct client *client, const char *id, const struct receipt *receipt,
                  uint64_t size, const char *file, const char *event_file,
                  const struct digest *entry, struct fault *fault)
{
    AUTO_JSON json_t *made =
        json_pack("{s:s, s:I, s:I, s:s}", "event_id", id, "index", (json_int_t)receipt->index,
                  "size", (json_int_t)size, "receipt", file);
    json_t *what = json_string(event_file == NULL ? digest_format(entry).text : event_file);
    if (made == NULL || what == NULL ||
        json_object_set_new(made, event_file == NULL ? "entry" : "event", what) != 0)
        return fault_set(fault, FAULT_INTERNAL, "--out: not a name that JSON can hold");
    if (event_file == NULL)
        output_note("the event has expired: its receipt proves a copy of it, or its hash");
    return output_record(&client->output, NULL, 0, made, fault);
}

int ledger_prove(struct client *client, const struct args *args, struct fault *fault)
{
    int64_t wait = WAIT_DEFAULT;
    uint64_t size;
    bool expired;
    struct digest entry;
    struct receipt receipt;
    AUTO_BUF struct buf id = BUF(64), file = BUF(4096), event_file = BUF(4096);
    AUTO_HTTP_ANSWER struct http_answer text = {0}, event = {0};
    if (args_number(args, "wait", 0, WAIT_MAX, &wait, fault) != 0 ||
        find_event(client, args, &id, fault) != 0)
        return -1;
    const char *out = args_value(args, "out");
    buf_printf(&file, "%s%s", out == NULL ? buf_text(&id) : out, out == NULL ? ".tlog-proof" : "");
    buf_printf(&event_file, "%s.json", buf_text(&file));
    if (buf_failed(&event_file))
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "--out: too long");
    if (await_receipt(client, buf_text(&id), wait, &text, fault) != 0 ||
        fetch_event(client, buf_text(&id), &event, &entry, &expired, fault) != 0 ||
        check_path(buf_span(&text.body), &entry, &receipt, &size, fault) != 0 ||
        (!expired &&
         file_replace(buf_text(&event_file), event.body.data, event.body.len, 0644, fault) != 0) ||
        file_replace(buf_text(&file), text.body.data, text.body.len, 0644, fault) != 0)
        return -1;
    return report(client, buf_text(&id), &receipt, size, buf_text(&file),
                  expired ? NULL : buf_text(&event_file), &entry, fault);
}
