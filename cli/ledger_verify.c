/* SPDX-License-Identifier: Apache-2.0 */
/* ledger verify: an exported ledger against the ledger's public key, without a network. */
#include "cli/commands.h"
#include "cli/ledger_files.h"

#include "base/encode.h"

int ledger_verify(struct client *client, const struct args *args, struct fault *fault)
{
    static const struct column columns[] = {
        {"verified", "verified", COLUMN_TEXT},
        {"origin", "origin", COLUMN_TEXT},
        {"entries", "entries", COLUMN_TEXT},
        {"events", "events", COLUMN_TEXT},
        {"root", "root", COLUMN_TEXT},
        {"recorded entries compared", "recorded", COLUMN_TEXT},
    };
    const char *vkey;
    AUTO_BUF struct buf text = BUF(LEDGER_VERIFIERS_MAX * (NOTE_NAME_MAX + 64)), root = BUF(64);
    struct note_verifier verifiers[LEDGER_VERIFIERS_MAX];
    size_t count;
    struct ledger_proof proof;
    if (args_need(args, "vkey", &vkey, fault) != 0 || client_read(vkey, &text, fault) != 0 ||
        ledger_files_verifiers(buf_span(&text), verifiers, &count, fault) != 0 ||
        ledger_files_verify(args->operands[0], args_value(args, "origin"), verifiers, count, &proof,
                            fault) != 0)
        return -1;
    base64_encode(&root, proof.checkpoint.root.bytes, DIGEST_LEN);
    AUTO_JSON json_t *result =
        json_pack("{s:b, s:s, s:I, s:I, s:s, s:b}", "verified", 1, "origin",
                  proof.checkpoint.origin, "entries", (json_int_t)proof.checkpoint.size, "events",
                  (json_int_t)proof.events, "root", buf_text(&root), "recorded", proof.recorded);
    if (result == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    return output_record(&client->output, columns, ARRAY_LEN(columns), result, fault);
}
