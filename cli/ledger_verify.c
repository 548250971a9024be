/* SPDX-License-Identifier: Apache-2.0 */
/* ledger verify: an exported ledger, an event's receipt, or two checkpoints, against the ledger's
 * public key. Nothing is believed but that key; only a missing consistency proof is fetched. */
#include "cli/commands.h"
#include "cli/ledger_files.h"
#include "cli/query.h"

#include "base/encode.h"
#include "ledger/event.h"
#include "ledger/receipt.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#define PROOF_JSON_MAX ((size_t)1024 * 1024)

/* The ids of the keys that signed, separated by spaces. */
static void signers_format(const struct ledger_signed *head, struct buf *text)
{
    for (size_t i = 0; i < head->signer_count; i++)
        buf_printf(text, "%s%08" PRIx32, i == 0 ? "" : " ", head->signers[i]);
}

/* Prints what was proven; takes result over. */
static int report(struct client *client, const struct ledger_signed *signed_head, json_t *result,
                  struct fault *fault)
{
    const struct checkpoint *checkpoint = &signed_head->checkpoint;
    AUTO_JSON json_t *owned = result;
    AUTO_BUF struct buf root = BUF(64), signers = BUF(256);
    base64_encode(&root, checkpoint->root.bytes, DIGEST_LEN);
    signers_format(signed_head, &signers);
    AUTO_JSON json_t *head = json_pack("{s:b, s:s, s:I, s:s, s:s}", "verified", 1, "origin",
                                       checkpoint->origin, "entries", (json_int_t)checkpoint->size,
                                       "root", buf_text(&root), "signed_by", buf_text(&signers));
    if (owned == NULL || head == NULL || json_object_update(head, owned) != 0)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    return output_record(&client->output, NULL, 0, head, fault);
}

static int verify_export(struct client *client, const char *folder, const struct ledger_keys *keys,
                         struct fault *fault)
{
    struct ledger_proof proof;
    if (ledger_files_verify(folder, keys, &proof, fault) != 0)
        return -1;
    return report(client, &proof.head,
                  json_pack("{s:I, s:I, s:b}", "events", (json_int_t)proof.events, "withheld",
                            (json_int_t)(proof.head.checkpoint.size - proof.events), "recorded",
                            proof.recorded),
                  fault);
}

/* What a proven event says of itself. It is evidence whatever it says: what is there is shown. */
static int add_event(json_t *result, struct span event)
{
    static const char *const members[][2] = {
        {"id", "event_id"}, {"type", "type"}, {"subject", "subject"}, {"time", "time"}};
    AUTO_JSON json_t *object = NULL;
    if (json_object_parse(event, FAULT_INTERNAL, "the event", &object, NULL) != 0)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        json_t *value = json_object_get(object, members[i][0]);
        if (json_is_string(value) && json_object_set(result, members[i][1], value) != 0)
            return -1;
    }
    return 0;
}

/* What the receipt is to be of: the event's hash is given, or computed of its file (ret_event). */
static int read_entry(const char *path, const struct args *args, struct buf *ret_event,
                      struct digest *ret_entry, struct fault *fault)
{
    const char *given = args_value(args, "entry"), *event_path = args_value(args, "event");
    AUTO_BUF struct buf beside = BUF(4096);
    buf_printf(&beside, "%s.json", path);
    if (buf_failed(&beside))
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "%.80s...: too long", path);
    if (given != NULL && event_path != NULL)
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "--entry: not together with --event");
    if (given != NULL)
        return digest_parse_any(given, strlen(given), ret_entry) == 0
                   ? 0
                   : fault_set(fault, FAULT_MALFORMED_REQUEST,
                               "--entry: expected a SHA-256 digest");
    if (client_read(event_path == NULL ? buf_text(&beside) : event_path, ret_event, fault) != 0)
        return -1;
    *ret_entry = digest_of_span(buf_span(ret_event));
    return 0;
}

static int verify_receipt(struct client *client, const char *path, const struct args *args,
                          const struct ledger_keys *keys, struct fault *fault)
{
    struct ledger_signed head;
    struct receipt receipt;
    struct digest entry;
    AUTO_BUF struct buf text = BUF(RECEIPT_MAX), event = BUF(EVENT_MAX);
    if (client_read(path, &text, fault) != 0 || read_entry(path, args, &event, &entry, fault) != 0)
        return -1;
    if (receipt_parse(buf_span(&text), &receipt, fault) != 0 ||
        ledger_files_open(receipt.checkpoint, keys, &head, fault) != 0 ||
        receipt_verify(buf_span(&text), head.checkpoint.origin, keys->verifiers, keys->count,
                       &entry, &receipt, NULL, fault) != 0)
        return -1;
    AUTO_JSON json_t *result = json_pack("{s:I, s:s}", "index", (json_int_t)receipt.index, "entry",
                                         digest_format(&entry).text);
    if (result == NULL || add_event(result, buf_span(&event)) != 0)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    return report(client, &head, TAKE(result), fault);
}

/* GET /v1/ledger/proof as it answers; its hashes are all that is believed, and not before they
 * have been followed. */
static int parse_proof(struct span text, uint64_t from, uint64_t to, struct merkle_proof *ret_proof,
                       struct fault *fault)
{
    int64_t said_from = 0, said_to = 0;
    AUTO_JSON json_t *object = NULL;
    json_t *hashes = NULL;
    const struct json_field fields[] = {
        {"from", JSON_KIND_INTEGER, true, 0, INT64_MAX, &said_from},
        {"to", JSON_KIND_INTEGER, true, 0, INT64_MAX, &said_to},
        {"hashes", JSON_KIND_ARRAY, true, 0, MERKLE_PROOF_MAX, &hashes},
    };
    struct merkle_proof proof = {.count = 0};
    if (json_object_parse(text, FAULT_MALFORMED_REQUEST, "the proof", &object, fault) != 0 ||
        json_read(object, "the proof: ", fields, ARRAY_LEN(fields), false, FAULT_MALFORMED_REQUEST,
                  fault) != 0)
        return -1;
    if ((uint64_t)said_from != from || (uint64_t)said_to != to)
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "the proof is from %" PRId64 " to %" PRId64
                         ", the checkpoints are of %" PRIu64 " and %" PRIu64,
                         said_from, said_to, from, to);
    for (; proof.count < json_array_size(hashes); proof.count++) {
        AUTO_BUF struct buf bytes = BUF(DIGEST_LEN);
        const json_t *hash = json_array_get(hashes, proof.count);
        if (!json_is_string(hash) ||
            base64_decode(&bytes, json_string_value(hash), json_string_length(hash)) != 0 ||
            bytes.len != DIGEST_LEN)
            return fault_set(fault, FAULT_MALFORMED_REQUEST,
                             "the proof: hashes: expected the canonical base64 of 32 bytes");
        memcpy(proof.hashes[proof.count].bytes, bytes.data, DIGEST_LEN);
    }
    *ret_proof = proof;
    return 0;
}

static int fetch_proof(struct client *client, uint64_t from, uint64_t to, struct buf *text,
                       struct fault *fault)
{
    AUTO_HTTP_ANSWER struct http_answer answer = {0};
    AUTO_BUF struct buf path = BUF(QUERY_PATH_MAX);
    buf_puts(&path, "/v1/ledger/proof");
    query_add_number(&path, "from", (int64_t)from);
    query_add_number(&path, "to", (int64_t)to);
    struct http_request request = {
        .method = "GET", .path = buf_text(&path), .answer_max = PROOF_JSON_MAX};
    if (client_call(client, &request, &answer, fault) != 0)
        return -1;
    buf_append(text, answer.body.data, answer.body.len);
    return buf_failed(text) ? fault_set(fault, FAULT_INTERNAL, "out of memory") : 0;
}

/* From the file, else from the gateway, else (every tree begins with the empty one and with itself,
 * a smaller one can't come after) there is nothing to prove it with: no hashes. */
static int read_proof(struct client *client, const char *path, uint64_t from, uint64_t to,
                      struct merkle_proof *ret_proof, struct fault *fault)
{
    AUTO_BUF struct buf text = BUF(PROOF_JSON_MAX);
    if (path == NULL && (from == 0 || from >= to)) {
        *ret_proof = (struct merkle_proof){.count = 0};
        return 0;
    }
    if ((path == NULL ? fetch_proof(client, from, to, &text, fault)
                      : client_read(path, &text, fault)) != 0)
        return -1;
    return parse_proof(buf_span(&text), from, to, ret_proof, fault);
}

static int prove_consistency(struct client *client, const char *path,
                             const struct checkpoint *older, const struct checkpoint *newer,
                             struct fault *fault)
{
    struct merkle_proof proof;
    if (read_proof(client, path, older->size, newer->size, &proof, fault) != 0)
        return -1;
    return merkle_consistency_verify(older->size, &older->root, newer->size, &newer->root, &proof,
                                     fault);
}

static int verify_consistency(struct client *client, const struct args *args,
                              const struct ledger_keys *keys, struct fault *fault)
{
    const char *old_path, *new_path;
    struct ledger_signed older, newer;
    AUTO_BUF struct buf signers = BUF(256);
    if (args_need(args, "old", &old_path, fault) != 0 ||
        args_need(args, "new", &new_path, fault) != 0 ||
        ledger_files_checkpoint(old_path, keys, &older, fault) != 0 ||
        ledger_files_checkpoint(new_path, keys, &newer, fault) != 0 ||
        prove_consistency(client, args_value(args, "proof"), &older.checkpoint, &newer.checkpoint,
                          fault) != 0)
        return -1;
    signers_format(&older, &signers);
    return report(client, &newer,
                  json_pack("{s:I, s:s, s:s}", "since", (json_int_t)older.checkpoint.size,
                            "since_origin", older.checkpoint.origin, "since_signed_by",
                            buf_text(&signers)),
                  fault);
}

static bool is_folder(const char *path)
{
    struct stat found;
    return stat(path, &found) == 0 && S_ISDIR(found.st_mode);
}

/* Options of one form are nothing in another. */
static int check_form(const struct args *args, bool consistency, bool folder, struct fault *fault)
{
    if (consistency && args->operand_count > 0)
        return fault_set(fault, FAULT_MALFORMED_REQUEST,
                         "--old and --new are verified by themselves, without %.80s",
                         args->operands[0]);
    if (!consistency && args->operand_count == 0)
        return fault_set(fault, FAULT_MALFORMED_REQUEST,
                         "expected an export's folder, a receipt, or --old and --new");
    if (!consistency && args_value(args, "proof") != NULL)
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "--proof: only with --old and --new");
    if ((consistency || folder) &&
        (args_value(args, "event") != NULL || args_value(args, "entry") != NULL))
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "--event, --entry: only with a receipt");
    return 0;
}

int ledger_verify(struct client *client, const struct args *args, struct fault *fault)
{
    const char *vkey, *path = args->operands[0];
    bool consistency = args_value(args, "old") != NULL || args_value(args, "new") != NULL;
    bool folder = args->operand_count > 0 && is_folder(path);
    struct ledger_keys keys;
    AUTO_BUF struct buf text = BUF(LEDGER_VERIFIERS_MAX * (NOTE_NAME_MAX + 64));
    if (args_need(args, "vkey", &vkey, fault) != 0 ||
        check_form(args, consistency, folder, fault) != 0 || client_read(vkey, &text, fault) != 0 ||
        ledger_files_keys(buf_span(&text), args_value(args, "origin"), &keys, fault) != 0)
        return -1;
    if (consistency)
        return verify_consistency(client, args, &keys, fault);
    return folder ? verify_export(client, path, &keys, fault)
                  : verify_receipt(client, path, args, &keys, fault);
}
