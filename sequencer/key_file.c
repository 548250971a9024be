/* SPDX-License-Identifier: Apache-2.0 */
#include "sequencer/key_file.h"

#include "base/file.h"
#include "base/uuid.h"

#include <errno.h>
#include <string.h>

#define KEY_FILE_MAX 1024

int key_file_read(const char *path, const char *origin, struct note_signer **ret_key,
                  struct fault *fault)
{
    AUTO_BUF struct buf text = BUF(KEY_FILE_MAX);
    AUTO_NOTE_SIGNER struct note_signer *key = NULL;
    int status = file_read_secret(path, &text, fault);
    if (status == 0) {
        size_t len = text.len > 0 && text.data[text.len - 1] == '\n' ? text.len - 1 : text.len;
        status = note_signer_parse(buf_text(&text), len, &key, fault);
    }
    if (text.data != NULL)
        explicit_bzero(text.data, text.cap);
    if (status != 0)
        return -1;
    if (strcmp(note_signer_verifier(key)->name, origin) != 0)
        return fault_set(fault, FAULT_KEY_INVALID,
                         "the ledger key is of %.80s, but the log's origin is %.80s",
                         note_signer_verifier(key)->name, origin);
    *ret_key = TAKE(key);
    return 0;
}

static int key_draw(const char *origin, struct note_signer **ret_key, struct fault *fault)
{
    uint8_t seed[NOTE_SEED_LEN];
    random_bytes(seed, sizeof seed);
    int status = note_signer_new(origin, seed, ret_key, fault);
    explicit_bzero(seed, sizeof seed);
    return status;
}

int key_file_make(const char *path, const char *origin, struct note_signer **ret_key,
                  struct fault *fault)
{
    AUTO_BUF struct buf text = BUF(KEY_FILE_MAX);
    AUTO_NOTE_SIGNER struct note_signer *key = NULL;
    if (access(path, F_OK) == 0)
        return fault_set(fault, FAULT_STATE_CONFLICT, "%s is there: a key is never replaced", path);
    if (errno != ENOENT)
        return fault_errno(fault, "cannot look for %s", path);
    if (key_draw(origin, &key, fault) != 0)
        return -1;
    note_signer_format(key, &text);
    buf_puts(&text, "\n");
    int status = buf_failed(&text)
                     ? fault_set(fault, FAULT_INTERNAL, "the ledger's key does not fit")
                     : file_replace(path, text.data, text.len, 0600, fault);
    if (text.data != NULL)
        explicit_bzero(text.data, text.cap);
    if (status != 0)
        return -1;
    *ret_key = TAKE(key);
    return 0;
}
