/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/receipt.h"

#include "base/encode.h"
#include "ledger/line.h"

#include <inttypes.h>
#include <string.h>

#define FIRST_LINE "c2sp.org/tlog-proof@v1"
/* A tree under 2^63 leaves has paths of at most 63 hashes. */
#define PATH_MAX_HASHES 63

static int malformed(struct fault *fault, const char *what)
{
    return fault_set(fault, FAULT_MALFORMED_REQUEST, "receipt: %s", what);
}

int receipt_format(uint64_t index, const struct merkle_proof *proof, struct span checkpoint,
                   struct buf *ret_text, struct fault *fault)
{
    struct note note;
    struct checkpoint head;
    if (note_parse(checkpoint, &note, fault) != 0 || checkpoint_parse(note.text, &head, fault) != 0)
        return -1;
    if (index >= head.size || proof->count != merkle_inclusion_count(index, head.size))
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "receipt: %zu hashes are no path of entry %" PRIu64 " in a tree of "
                         "%" PRIu64,
                         proof->count, index, head.size);
    AUTO_BUF struct buf text = BUF(RECEIPT_MAX);
    buf_printf(&text, FIRST_LINE "\nindex %" PRIu64 "\n", index);
    for (size_t i = 0; i < proof->count; i++) {
        base64_encode(&text, proof->hashes[i].bytes, DIGEST_LEN);
        buf_puts(&text, "\n");
    }
    buf_puts(&text, "\n");
    buf_append(&text, checkpoint.data, checkpoint.len);
    buf_append(ret_text, text.data, text.len);
    if (buf_failed(&text) || buf_failed(ret_text))
        return fault_set(fault, FAULT_INTERNAL, "receipt: no room for the text");
    return 0;
}

/* What follows `word` and a space in a line; false if the line begins otherwise. */
static bool line_value(struct span line, const char *word, struct span *ret_value)
{
    size_t len = strlen(word);
    if (line.len <= len || memcmp(line.data, word, len) != 0 || line.data[len] != ' ')
        return false;
    *ret_value = span_of(line.data + len + 1, line.len - len - 1);
    return true;
}

static bool extra_valid(struct span base64)
{
    AUTO_BUF struct buf bytes = BUF(RECEIPT_EXTRA_MAX);
    return base64.len > 0 && base64.len / 4 <= RECEIPT_EXTRA_MAX / 3 &&
           base64_decode(&bytes, (const char *)base64.data, base64.len) == 0;
}

/* The hashes up to the empty line. */
static int path_parse(struct span *rest, struct merkle_proof *ret_proof, struct fault *fault)
{
    ret_proof->count = 0;
    for (;;) {
        struct span line;
        if (!line_take(rest, &line))
            return malformed(fault, "no empty line between the path and the checkpoint");
        if (line.len == 0)
            return 0;
        if (ret_proof->count == PATH_MAX_HASHES)
            return malformed(fault, "more than 63 hashes");
        if (!line_digest(line, &ret_proof->hashes[ret_proof->count]))
            return malformed(fault, "a line of the path is not the canonical base64 of 32 bytes");
        ret_proof->count++;
    }
}

int receipt_parse(struct span text, struct receipt *ret_receipt, struct fault *fault)
{
    struct receipt receipt = {.index = 0};
    struct span rest = text;
    struct span line;
    struct span value;
    if (text.len > RECEIPT_MAX)
        return malformed(fault, "longer than 320 KiB");
    if (!line_take(&rest, &line) || !span_equal(line, span_text(FIRST_LINE)))
        return malformed(fault, "the first line is " FIRST_LINE);
    bool more = line_take(&rest, &line);
    if (more && line_value(line, "extra", &receipt.extra)) {
        if (!extra_valid(receipt.extra))
            return malformed(fault, "extra is canonical base64 of 1 byte to 32 KiB");
        more = line_take(&rest, &line);
    }
    if (!more || !line_value(line, "index", &value) || !line_number(value, &receipt.index))
        return malformed(fault, "expected the index, a decimal below 2^63 without leading zeros");
    if (path_parse(&rest, &receipt.proof, fault) != 0)
        return -1;
    struct note note;
    struct checkpoint head;
    if (note_parse(rest, &note, fault) != 0 || checkpoint_parse(note.text, &head, fault) != 0)
        return -1;
    receipt.checkpoint = rest;
    *ret_receipt = receipt;
    return 0;
}

int receipt_verify(struct span text, const char *origin, const struct note_verifier *verifiers,
                   size_t verifier_count, const struct digest *entry, struct receipt *ret_receipt,
                   struct checkpoint *ret_checkpoint, struct fault *fault)
{
    struct receipt receipt;
    struct checkpoint head;
    if (receipt_parse(text, &receipt, fault) != 0 ||
        checkpoint_open(receipt.checkpoint, origin, verifiers, verifier_count, &head, fault) != 0)
        return -1;
    struct digest leaf = merkle_entry_leaf(entry);
    if (merkle_inclusion_verify(receipt.index, head.size, &leaf, &receipt.proof, &head.root,
                                fault) != 0)
        return -1;
    if (ret_receipt != NULL)
        *ret_receipt = receipt;
    if (ret_checkpoint != NULL)
        *ret_checkpoint = head;
    return 0;
}
