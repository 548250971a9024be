/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/note.h"

#include "base/encode.h"
#include "base/text.h"
#include "ledger/line.h"

#include <string.h>

#define KEY_ID_LEN 4
#define DASH "\xe2\x80\x94 " /* U+2014 and a space */

static uint32_t u32_of(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static int malformed(struct fault *fault, const char *what)
{
    return fault_set(fault, FAULT_MALFORMED_REQUEST, "note: %s", what);
}

/* UTF-8, newlines the only control characters below U+0020, a newline at the end. */
static int text_check(struct span text, struct fault *fault)
{
    if (text.len == 0 || text.data[text.len - 1] != '\n')
        return malformed(fault, "the last line has no newline");
    if (text.len > NOTE_MAX)
        return malformed(fault, "longer than 256 KiB");
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] < 0x20 && text.data[i] != '\n')
            return malformed(fault, "a control character other than newline");
    if (!utf8_valid(text.data, text.len))
        return malformed(fault, "not UTF-8");
    return 0;
}

static int signature_append(struct span text, const struct note_signer *signer, struct buf *note,
                            struct fault *fault)
{
    const struct note_verifier *verifier = note_signer_verifier(signer);
    uint8_t blob[KEY_ID_LEN + NOTE_SIGNATURE_LEN];
    for (size_t i = 0; i < KEY_ID_LEN; i++)
        blob[i] = (uint8_t)(verifier->id >> (24 - 8 * i));
    if (note_signer_sign(signer, text, blob + KEY_ID_LEN, fault) != 0)
        return -1;
    buf_printf(note, DASH "%s ", verifier->name);
    base64_encode(note, blob, sizeof blob);
    buf_puts(note, "\n");
    return 0;
}

int note_sign(struct span text, const struct note_signer *const *signers, size_t signer_count,
              struct buf *ret_note, struct fault *fault)
{
    if (text_check(text, fault) != 0)
        return -1;
    if (signer_count < 1 || signer_count > NOTE_SIGNATURES_MAX)
        return malformed(fault, "needs 1 to 16 signers");
    AUTO_BUF struct buf note = BUF(NOTE_MAX);
    buf_append(&note, text.data, text.len);
    buf_puts(&note, "\n");
    for (size_t i = 0; i < signer_count; i++)
        if (signature_append(text, signers[i], &note, fault) != 0)
            return -1;
    if (buf_failed(&note))
        return malformed(fault, "longer than 256 KiB with its signatures");
    buf_append(ret_note, note.data, note.len);
    if (buf_failed(ret_note))
        return fault_set(fault, FAULT_INTERNAL, "note: no room for the signed note");
    return 0;
}

/* The id and the signature behind it; -1 if the base64 is not canonical or too short. */
static int signature_decode(struct span base64, struct buf *ret_blob)
{
    if (base64_decode(ret_blob, (const char *)base64.data, base64.len) != 0)
        return -1;
    return ret_blob->len > KEY_ID_LEN ? 0 : -1;
}

/* One signature line, without its newline. */
static int signature_parse(struct span line, struct note_signature *ret_signature)
{
    size_t dash = strlen(DASH);
    if (line.len < dash || memcmp(line.data, DASH, dash) != 0)
        return -1;
    struct span rest = span_of(line.data + dash, line.len - dash);
    const uint8_t *space = rest.len == 0 ? NULL : memchr(rest.data, ' ', rest.len);
    if (space == NULL)
        return -1;
    struct span name = span_of(rest.data, (size_t)(space - rest.data));
    struct span base64 = span_of(space + 1, rest.len - name.len - 1);
    AUTO_BUF struct buf blob = BUF(NOTE_MAX);
    if (!note_name_valid((const char *)name.data, name.len) || signature_decode(base64, &blob) != 0)
        return -1;
    *ret_signature =
        (struct note_signature){.name = name, .id = u32_of(blob.data), .base64 = base64};
    return 0;
}

/* The last blank line parts text and signatures: where its first newline is, or -1. */
static ssize_t separator_find(struct span bytes)
{
    for (size_t i = bytes.len; i >= 2; i--)
        if (bytes.data[i - 1] == '\n' && bytes.data[i - 2] == '\n')
            return (ssize_t)(i - 2);
    return -1;
}

int note_parse(struct span bytes, struct note *ret_note, struct fault *fault)
{
    if (text_check(bytes, fault) != 0)
        return -1;
    ssize_t separator = separator_find(bytes);
    if (separator < 0)
        return malformed(fault, "no blank line between text and signatures");
    struct note note = {.text = span_of(bytes.data, (size_t)separator + 1)};
    struct span rest = span_of(bytes.data + separator + 2, bytes.len - (size_t)separator - 2);
    if (rest.len == 0)
        return malformed(fault, "no signature");
    for (struct span line; line_take(&rest, &line); note.signature_count++) {
        if (note.signature_count == NOTE_SIGNATURES_MAX)
            return malformed(fault, "more than 16 signatures");
        if (signature_parse(line, &note.signatures[note.signature_count]) != 0)
            return malformed(fault, "expected signature lines of an em dash, a key name and the "
                                    "canonical base64 of key id and signature");
    }
    *ret_note = note;
    return 0;
}

static bool signature_is_of(const struct note_signature *signature,
                            const struct note_verifier *verifier)
{
    return signature->id == verifier->id && span_equal(signature->name, span_text(verifier->name));
}

static int signature_verify(struct span text, const struct note_signature *signature,
                            const struct note_verifier *verifier, struct fault *fault)
{
    AUTO_BUF struct buf blob = BUF(NOTE_MAX);
    if (signature_decode(signature->base64, &blob) != 0)
        return fault_set(fault, FAULT_INTERNAL, "note: no memory");
    return note_verifier_check(verifier, text,
                               span_of(blob.data + KEY_ID_LEN, blob.len - KEY_ID_LEN), fault);
}

int note_open(struct span bytes, const struct note_verifier *verifiers, size_t verifier_count,
              struct note *ret_note, struct fault *fault)
{
    struct note note;
    if (note_parse(bytes, &note, fault) != 0)
        return -1;
    bool any = false;
    for (size_t i = 0; i < note.signature_count; i++) {
        struct note_signature *signature = &note.signatures[i];
        /* Two keys of one name and id must both agree, so neither can stand in for the other. */
        for (size_t k = 0; k < verifier_count; k++) {
            if (!signature_is_of(signature, &verifiers[k]))
                continue;
            if (signature_verify(note.text, signature, &verifiers[k], fault) != 0)
                return -1;
            signature->verified = true;
            any = true;
        }
    }
    if (!any)
        return fault_set(fault, FAULT_CONTENT_MISMATCH, "note: no signature of a trusted key");
    *ret_note = note;
    return 0;
}
