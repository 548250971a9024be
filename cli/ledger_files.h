/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An exported ledger on disk, and what it proves. Three files in a folder:
 *   checkpoint      the signed tree head, a C2SP signed note
 *   events.ndjson   line k is entry k: the exact event, or sha256:<hex>
 *   entries.sha256  line k is the entry that the log has recorded, bare hex; may be absent
 */
#pragma once

#include "ledger/checkpoint.h"

#define LEDGER_FILE_CHECKPOINT "checkpoint"
#define LEDGER_FILE_EVENTS "events.ndjson"
#define LEDGER_FILE_ENTRIES "entries.sha256"

#define LEDGER_VERIFIERS_MAX 16

/* Verifier keys, one a line, as the ledger process prints them. FAULT_KEY_INVALID names the line.
 */
int ledger_files_verifiers(struct span text, struct note_verifier *ret_verifiers, size_t *ret_count,
                           struct fault *fault) MUST_CHECK;

struct ledger_proof {
    struct checkpoint checkpoint; /* its extensions are not kept */
    uint64_t events;              /* lines that are events; the others are hashes */
    bool recorded;                /* entries.sha256 was there, and each line was compared with it */
};

/* Proves the folder against these keys. `origin` NULL: the first key's name. Faults:
 * FAULT_CONTENT_MISMATCH for what does not verify, naming the first line that is not what the log
 * recorded, and whether the checkpoint vouches for the line or for the record;
 * FAULT_MALFORMED_REQUEST for files that are missing or no export. */
int ledger_files_verify(const char *folder, const char *origin,
                        const struct note_verifier *verifiers, size_t verifier_count,
                        struct ledger_proof *ret_proof, struct fault *fault) MUST_CHECK;
