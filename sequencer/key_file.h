/* SPDX-License-Identifier: Apache-2.0 */
/* The files of the log's keys: the private text of ledger/note_key.h in one line, mode 0600. */
#pragma once

#include "ledger/note_key.h"

/* FAULT_NOT_FOUND if there is no file, FAULT_KEY_INVALID if it is no key or not of this origin,
 * FAULT_INTERNAL if others can read it. */
int key_file_read(const char *path, const char *origin, struct note_signer **ret_key,
                  struct fault *fault) MUST_CHECK;

/* Draws a new key and writes it durably; FAULT_STATE_CONFLICT where there is a file already. */
int key_file_make(const char *path, const char *origin, struct note_signer **ret_key,
                  struct fault *fault) MUST_CHECK;
