/* SPDX-License-Identifier: Apache-2.0 */
/* Receipts: what is read can be written back, and only entry 42's own receipt is believed. */
#include "ledger/receipt.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ORIGIN "example.org/fuzz"
#define VERIFIER "example.org/fuzz+d1d3d853+AepKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs"
#define ENTRY "38b1eea4d3b2048dab93f965668b322b1fc7d6a634c4b4f527cd6bbd598a5082"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_back(const struct receipt *receipt, struct span bytes)
{
    AUTO_BUF struct buf again = BUF(RECEIPT_MAX);
    struct fault fault;
    if (receipt->extra.len > 0)
        return; /* never written by us */
    if (receipt_format(receipt->index, &receipt->proof, receipt->checkpoint, &again, &fault) != 0)
        return; /* a path of the wrong length */
    if (!span_equal(buf_span(&again), bytes))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span bytes = span_of(data, size);
    struct receipt receipt;
    struct checkpoint checkpoint;
    struct fault fault;
    if (receipt_parse(bytes, &receipt, &fault) != 0)
        return 0;
    write_back(&receipt, bytes);
    struct note_verifier verifier;
    struct digest entry;
    if (note_verifier_parse(VERIFIER, strlen(VERIFIER), &verifier, NULL) != 0 ||
        digest_parse_any(ENTRY, strlen(ENTRY), &entry) != 0)
        abort();
    if (receipt_verify(bytes, ORIGIN, &verifier, 1, &entry, &receipt, &checkpoint, &fault) == 0 &&
        (receipt.index != 42 || checkpoint.size != 77))
        abort();
    return 0;
}
