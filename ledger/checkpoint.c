/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/checkpoint.h"

#include "base/encode.h"
#include "base/text.h"
#include "ledger/line.h"

#include <inttypes.h>
#include <string.h>

static int malformed(struct fault *fault, const char *what)
{
    return fault_set(fault, FAULT_MALFORMED_REQUEST, "checkpoint: %s", what);
}

int checkpoint_init(struct checkpoint *ret_checkpoint, const char *origin, uint64_t size,
                    const struct digest *root, struct fault *fault)
{
    size_t len = strlen(origin);
    if (!note_name_valid(origin, len))
        return fault_set(fault, FAULT_KEY_INVALID,
                         "checkpoint: the origin has 1 to %d bytes of UTF-8, without spaces, "
                         "control characters and plus signs",
                         CHECKPOINT_ORIGIN_MAX);
    *ret_checkpoint = (struct checkpoint){.size = size, .root = *root};
    memcpy(ret_checkpoint->origin, origin, len + 1);
    return 0;
}

/* The text as a whole: bounded, UTF-8, newlines its only control characters. */
static int text_check(struct span text, struct fault *fault)
{
    if (text.len > CHECKPOINT_TEXT_MAX)
        return malformed(fault, "longer than 4096 bytes");
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] < 0x20 && text.data[i] != '\n')
            return malformed(fault, "a control character other than newline");
    if (!utf8_valid(text.data, text.len))
        return malformed(fault, "not UTF-8");
    return 0;
}

static int extensions_check(struct span rest, struct fault *fault)
{
    struct span line;
    while (rest.len > 0)
        if (!line_take(&rest, &line) || line.len == 0)
            return malformed(fault, "an extension line is empty or has no newline");
    return 0;
}

int checkpoint_parse(struct span text, struct checkpoint *ret_checkpoint, struct fault *fault)
{
    if (text_check(text, fault) != 0)
        return -1;
    struct checkpoint checkpoint = {.size = 0};
    struct span rest = text;
    struct span line;
    if (!line_take(&rest, &line) || line.len < 1 || line.len > CHECKPOINT_ORIGIN_MAX)
        return malformed(fault, "the first line is the origin, 1 to 255 bytes");
    memcpy(checkpoint.origin, line.data, line.len);
    if (!line_take(&rest, &line) || !line_number(line, &checkpoint.size))
        return malformed(fault, "the second line is the size, a decimal below 2^63 without "
                                "leading zeros");
    if (!line_take(&rest, &line) || !line_digest(line, &checkpoint.root))
        return malformed(fault, "the third line is the root, canonical base64 of 32 bytes");
    struct digest empty = merkle_empty_root();
    if (checkpoint.size == 0 && !digest_equal(&checkpoint.root, &empty))
        return malformed(fault, "size 0 with a root that is not the empty tree's");
    if (extensions_check(rest, fault) != 0)
        return -1;
    checkpoint.extensions = rest;
    *ret_checkpoint = checkpoint;
    return 0;
}

int checkpoint_format(const struct checkpoint *checkpoint, struct buf *ret_text,
                      struct fault *fault)
{
    AUTO_BUF struct buf text = BUF(CHECKPOINT_TEXT_MAX);
    buf_printf(&text, "%s\n%" PRIu64 "\n", checkpoint->origin, checkpoint->size);
    base64_encode(&text, checkpoint->root.bytes, DIGEST_LEN);
    buf_puts(&text, "\n");
    buf_append(&text, checkpoint->extensions.data, checkpoint->extensions.len);
    if (buf_failed(&text))
        return malformed(fault, "longer than 4096 bytes");
    /* Read back, so that nothing is ever signed that reads as something else. */
    struct checkpoint again;
    if (checkpoint_parse(buf_span(&text), &again, fault) != 0)
        return -1;
    if (strcmp(again.origin, checkpoint->origin) != 0 ||
        !span_equal(again.extensions, checkpoint->extensions))
        return malformed(fault, "the origin is one line");
    buf_append(ret_text, text.data, text.len);
    if (buf_failed(ret_text))
        return fault_set(fault, FAULT_INTERNAL, "checkpoint: no room for the text");
    return 0;
}

int checkpoint_sign(const struct checkpoint *checkpoint, const struct note_signer *const *signers,
                    size_t signer_count, struct buf *ret_note, struct fault *fault)
{
    AUTO_BUF struct buf text = BUF(CHECKPOINT_TEXT_MAX);
    if (checkpoint_format(checkpoint, &text, fault) != 0)
        return -1;
    return note_sign(buf_span(&text), signers, signer_count, ret_note, fault);
}

int checkpoint_open(struct span note, const char *origin, const struct note_verifier *verifiers,
                    size_t verifier_count, struct checkpoint *ret_checkpoint, struct fault *fault)
{
    struct note opened;
    struct checkpoint checkpoint;
    if (note_open(note, verifiers, verifier_count, &opened, fault) != 0 ||
        checkpoint_parse(opened.text, &checkpoint, fault) != 0)
        return -1;
    if (strcmp(checkpoint.origin, origin) != 0)
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "checkpoint: of the log %.80s, expected %.80s", checkpoint.origin, origin);
    *ret_checkpoint = checkpoint;
    return 0;
}
