/* SPDX-License-Identifier: Apache-2.0 */
/* Key texts: one text for each key. */
#include "ledger/note_key.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct note_verifier verifier;
    AUTO_NOTE_SIGNER struct note_signer *signer = NULL;
    AUTO_BUF struct buf again = BUF(1024);
    struct fault fault;
    if (note_verifier_parse(text, size, &verifier, &fault) == 0)
        note_verifier_format(&verifier, &again);
    else if (note_signer_parse(text, size, &signer, &fault) == 0)
        note_signer_format(signer, &again);
    else
        return 0;
    if (!span_equal(buf_span(&again), span_of(data, size)))
        abort();
    return 0;
}
