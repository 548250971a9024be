/* SPDX-License-Identifier: Apache-2.0 */
/* Notes: what is read can be written back to the same bytes, and only what was signed opens. */
#include "ledger/note.h"

#include <stdlib.h>
#include <string.h>

#define VERIFIER "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
#define SIGNED                                                                                     \
    "If you think cryptography is the answer to your problem,\n"                                   \
    "then you don't know what your problem is.\n"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_back(const struct note *note, struct span bytes)
{
    AUTO_BUF struct buf again = BUF(NOTE_MAX);
    buf_append(&again, note->text.data, note->text.len);
    buf_puts(&again, "\n");
    for (size_t i = 0; i < note->signature_count; i++) {
        const struct note_signature *signature = &note->signatures[i];
        buf_puts(&again, "\xe2\x80\x94 ");
        buf_append(&again, signature->name.data, signature->name.len);
        buf_puts(&again, " ");
        buf_append(&again, signature->base64.data, signature->base64.len);
        buf_puts(&again, "\n");
    }
    if (!span_equal(buf_span(&again), bytes))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span bytes = span_of(data, size);
    struct note note;
    struct fault fault;
    if (note_parse(bytes, &note, &fault) != 0)
        return 0;
    write_back(&note, bytes);
    struct note_verifier verifier;
    if (note_verifier_parse(VERIFIER, strlen(VERIFIER), &verifier, NULL) != 0)
        abort();
    if (note_open(bytes, &verifier, 1, &note, &fault) == 0 &&
        !span_equal(note.text, span_text(SIGNED)))
        abort();
    return 0;
}
