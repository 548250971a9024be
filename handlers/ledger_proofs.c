/* SPDX-License-Identifier: Apache-2.0 */
/* /v1/ledger/proof and receipts: what an event or a checkpoint is proven with, offline and by
 * anyone who has the ledger's public key. */
#include "storage/ledger_proofs.h"

#include "base/encode.h"
#include "handlers/gateway.h"
#include "handlers/handlers.h"
#include "handlers/ledger_fault.h"
#include "handlers/media.h"
#include "ledger/receipt.h"
#include "storage/executions.h"

#include <string.h>

/* Without the role auditor only events of executions are there, as in GET /v1/events/{id}. */
static int read_inclusion(struct request *request, const struct uuid *event_id,
                          struct ledger_inclusion *ret_inclusion, struct buf *ret_note,
                          struct fault *fault)
{
    const struct caller *caller = caller_of(request);
    bool executions_only = (caller->roles & ROLE_AUDITOR) == 0;
    return ledger_inclusion_read(pg_of(request), caller->tenant_id, event_id, executions_only,
                                 ret_inclusion, ret_note, fault);
}

static enum answer reply_receipt(struct request *request, const struct uuid *event_id)
{
    struct fault fault;
    struct ledger_inclusion inclusion;
    AUTO_BUF struct buf note = BUF(NOTE_MAX), text = BUF(RECEIPT_MAX);
    if (read_inclusion(request, event_id, &inclusion, &note, &fault) != 0 ||
        receipt_format(inclusion.index, &inclusion.proof, buf_span(&note), &text, &fault) != 0)
        return reply_ledger_fault(request, &fault);
    return reply_buf(request, 200, "text/plain; charset=utf-8", &text);
}

enum answer handle_event_receipt(struct request *request)
{
    struct fault fault;
    struct uuid id;
    if (request_check_query(request, NULL, NULL, &fault) != 0 ||
        path_uuid(request, &id, &fault) != 0)
        return reply_fault(request, &fault);
    return reply_receipt(request, &id);
}

enum answer handle_execution_receipt(struct request *request)
{
    struct fault fault;
    struct uuid id;
    struct execution_events events;
    if (request_check_query(request, NULL, NULL, &fault) != 0 ||
        path_uuid(request, &id, &fault) != 0 ||
        executions_events(pg_of(request), caller_of(request)->tenant_id, &id, &events, &fault) != 0)
        return reply_fault(request, &fault);
    for (size_t i = 0; i < events.count; i++)
        if (events.items[i].type == EVENT_EXECUTION_FINISHED)
            return reply_receipt(request, &events.items[i].id);
    (void)fault_set(&fault, FAULT_NOT_FOUND, "the execution has not ended: no receipt yet");
    return reply_fault(request, &fault);
}

static json_t *base64_json(const struct digest *digest)
{
    AUTO_BUF struct buf text = BUF(64);
    base64_encode(&text, digest->bytes, DIGEST_LEN);
    return json_string(buf_text(&text));
}

static json_t *hashes_json(const struct merkle_proof *proof)
{
    json_t *hashes = json_array();
    for (size_t i = 0; i < proof->count; i++)
        if (json_array_append_new(hashes, base64_json(&proof->hashes[i])) != 0) {
            json_decref(hashes);
            return NULL;
        }
    return hashes;
}

static enum answer reply_inclusion(struct request *request, const char *event)
{
    struct fault fault;
    struct uuid id;
    struct ledger_inclusion inclusion;
    AUTO_BUF struct buf note = BUF(NOTE_MAX);
    if ((caller_of(request)->roles & (ROLE_VIEWER | ROLE_AUDITOR)) == 0) {
        (void)fault_set(&fault, FAULT_FORBIDDEN, "event_id: needs the role viewer or auditor");
        return reply_fault(request, &fault);
    }
    if (uuid_parse(event, strlen(event), &id) != 0) {
        (void)fault_set(&fault, FAULT_MALFORMED_REQUEST, "event_id: expected a UUID");
        return reply_fault(request, &fault);
    }
    if (read_inclusion(request, &id, &inclusion, &note, &fault) != 0)
        return reply_ledger_fault(request, &fault);
    return reply_json(
        request, 200,
        json_pack("{s:s, s:s, s:I, s:I, s:o, s:o, s:s}", "event_id", uuid_format(&id).text, "entry",
                  digest_format(&inclusion.entry).text, "index", (json_int_t)inclusion.index,
                  "size", (json_int_t)inclusion.size, "root", base64_json(&inclusion.root),
                  "hashes", hashes_json(&inclusion.proof), "checkpoint", buf_text(&note)));
}

static int read_sizes(struct request *request, int64_t *ret_from, int64_t *ret_to,
                      struct fault *fault)
{
    if (query_int(request, "from", 0, INT64_MAX, -1, ret_from, fault) != 0 ||
        query_int(request, "to", 0, INT64_MAX, -1, ret_to, fault) != 0)
        return -1;
    if (*ret_from < 0)
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "event_id or from: one of them is needed");
    if (*ret_to >= 0 && *ret_from > *ret_to)
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "from: expected at most `to`");
    return 0;
}

static enum answer reply_consistency(struct request *request)
{
    struct fault fault;
    int64_t from, to;
    struct ledger_consistency found;
    AUTO_BUF struct buf note = BUF(NOTE_MAX);
    if (read_sizes(request, &from, &to, &fault) != 0 ||
        ledger_consistency_read(pg_of(request), from, to, &found, &note, &fault) != 0)
        return reply_ledger_fault(request, &fault);
    return reply_json(request, 200,
                      json_pack("{s:I, s:I, s:o, s:o}", "from", (json_int_t)found.from, "to",
                                (json_int_t)found.to, "hashes", hashes_json(&found.proof),
                                "checkpoint",
                                note.len == 0 ? json_null() : json_string(buf_text(&note))));
}

enum answer handle_ledger_proof(struct request *request)
{
    static const char *const known[] = {"event_id", "from", "to", NULL};
    struct fault fault;
    if (request_check_query(request, known, NULL, &fault) != 0)
        return reply_fault(request, &fault);
    const char *event = request_query(request, "event_id", 0);
    if (event == NULL)
        return reply_consistency(request);
    if (request_query(request, "from", 0) != NULL || request_query(request, "to", 0) != NULL) {
        (void)fault_set(&fault, FAULT_MALFORMED_REQUEST, "event_id: not together with from or to");
        return reply_fault(request, &fault);
    }
    return reply_inclusion(request, event);
}
