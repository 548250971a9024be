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

/* Whom to believe. */
struct ledger_keys {
    const char *origin; /* the log's name; NULL: any that a key has */
    size_t count;
    struct note_verifier verifiers[LEDGER_VERIFIERS_MAX];
};

/* Verifier keys, one a line, as the ledger process prints them: a log whose key changes has two for
 * a while, one that was reopened had others before. `origin`, borrowed, may be NULL.
 * FAULT_KEY_INVALID names the line. */
int ledger_files_keys(struct span text, const char *origin, struct ledger_keys *ret_keys,
                      struct fault *fault) MUST_CHECK;

/* A checkpoint that is believed, and whose signatures make it so. */
struct ledger_signed {
    struct checkpoint checkpoint; /* its extensions are not kept */
    size_t signer_count;
    uint32_t signers[NOTE_SIGNATURES_MAX]; /* ids of those of the keys that signed it */
};

/* A checkpoint of that log, signed by one of the keys, the others saying nothing false.
 * FAULT_MALFORMED_REQUEST if it is none, FAULT_CONTENT_MISMATCH if it does not verify. */
int ledger_files_open(struct span note, const struct ledger_keys *keys,
                      struct ledger_signed *ret_signed, struct fault *fault) MUST_CHECK;
/* The same of a file; FAULT_MALFORMED_REQUEST if it is not there, too. */
int ledger_files_checkpoint(const char *path, const struct ledger_keys *keys,
                            struct ledger_signed *ret_signed, struct fault *fault) MUST_CHECK;

struct ledger_proof {
    struct ledger_signed head;
    uint64_t events; /* lines that are events; the others are hashes */
    bool recorded;   /* entries.sha256 was there, and each line was compared with it */
};

/* Proves the folder against these keys. Faults:
 * FAULT_CONTENT_MISMATCH for what does not verify, naming the first line that is not what the log
 * recorded, and whether the checkpoint vouches for the line or for the record;
 * FAULT_MALFORMED_REQUEST for files that are missing or no export. */
int ledger_files_verify(const char *folder, const struct ledger_keys *keys,
                        struct ledger_proof *ret_proof, struct fault *fault) MUST_CHECK;
