/* SPDX-License-Identifier: Apache-2.0 */
/* Proofs of anyone's numbers and hashes: u64 index, u64 size, then hashes. */
#include "ledger/merkle.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t numbers[2];
    if (size < sizeof numbers)
        return 0;
    memcpy(numbers, data, sizeof numbers);
    struct merkle_proof proof = {.count = (size - sizeof numbers) / DIGEST_LEN};
    if (proof.count > MERKLE_PROOF_MAX)
        proof.count = MERKLE_PROOF_MAX;
    memcpy(proof.hashes, data + sizeof numbers, proof.count * DIGEST_LEN);
    struct digest nothing = {.bytes = {0}};
    struct digest empty = merkle_empty_root();
    struct fault fault;
    /* Nobody finds a path to a root of zeros, nor one between trees with such roots. */
    if (merkle_inclusion_verify(numbers[0], numbers[1], &empty, &proof, &nothing, &fault) == 0)
        abort();
    if (merkle_consistency_verify(numbers[0], &empty, numbers[1], &nothing, &proof, &fault) == 0 &&
        (numbers[0] != 0 || proof.count != 0 || numbers[1] == 0))
        abort();
    if (numbers[0] < numbers[1] && merkle_inclusion_count(numbers[0], numbers[1]) > 64)
        abort();
    struct merkle_range range;
    if (merkle_range_decode(numbers[0], span_of(proof.hashes, proof.count * DIGEST_LEN), &range,
                            &fault) == 0)
        (void)merkle_range_root(&range);
    return 0;
}
