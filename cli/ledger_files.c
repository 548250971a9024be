/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/ledger_files.h"

#include "base/encode.h"
#include "base/file.h"
#include "ledger/audit.h"
#include "ledger/event.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#define WINDOW ((size_t)4 * 1024 * 1024)
_Static_assert(WINDOW > EVENT_MAX, "any line fits");

/* The lines of a file, one after the other, through a window of fixed size. */
struct lines {
    int fd;
    const char *name;
    uint8_t *window;
    size_t at, len;
};

static void lines_close(struct lines *lines)
{
    if (lines->window != NULL)
        (void)close(lines->fd);
    free(lines->window);
}
#define AUTO_LINES AUTO(lines_close)

/* 0 opened, 1 not there. */
static int lines_open(const char *folder, const char *name, struct lines *ret_lines,
                      struct fault *fault)
{
    AUTO_BUF struct buf path = BUF(4096);
    buf_printf(&path, "%s/%s", folder, name);
    if (buf_failed(&path))
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "%.80s...: too long", folder);
    AUTO_CLOSE int fd = open(buf_text(&path), O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return 1;
    if (fd < 0)
        return fault_errno(fault, "cannot open %s", buf_text(&path));
    uint8_t *window = malloc(WINDOW);
    if (window == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    *ret_lines = (struct lines){.fd = TAKE_FD(fd), .name = name, .window = window};
    return 0;
}

/* Reads on behind what is in the window; ret_len 0 at the file's end. */
static int lines_fill(struct lines *lines, size_t *ret_len, struct fault *fault)
{
    memmove(lines->window, lines->window + lines->at, lines->len - lines->at);
    lines->len -= lines->at;
    lines->at = 0;
    if (lines->len == WINDOW)
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "%s: a line too long", lines->name);
    ssize_t n = read(lines->fd, lines->window + lines->len, WINDOW - lines->len);
    if (n < 0)
        return fault_errno(fault, "cannot read %s", lines->name);
    lines->len += (size_t)n;
    *ret_len = (size_t)n;
    return 0;
}

/* 1 and the next line without its newline, 0 at the end. */
static int lines_next(struct lines *lines, struct span *ret_line, struct fault *fault)
{
    size_t seen = 0;
    if (lines->window == NULL)
        return 0; /* not opened: no lines */
    for (;;) {
        const uint8_t *from = lines->window + lines->at + seen;
        const uint8_t *newline = memchr(from, '\n', lines->len - lines->at - seen);
        if (newline != NULL) {
            *ret_line =
                span_of(lines->window + lines->at, (size_t)(newline - lines->window) - lines->at);
            lines->at += ret_line->len + 1;
            return 1;
        }
        seen = lines->len - lines->at;
        size_t more = 0;
        if (lines_fill(lines, &more, fault) != 0)
            return -1;
        if (more == 0)
            return seen == 0 ? 0
                             : fault_set(fault, FAULT_MALFORMED_REQUEST,
                                         "%s: the last line has no newline: the file was cut",
                                         lines->name);
    }
}

int ledger_files_keys(struct span text, const char *origin, struct ledger_keys *ret_keys,
                      struct fault *fault)
{
    struct ledger_keys keys = {.origin = origin};
    if (note_verifiers_parse(text, LEDGER_VERIFIERS_MAX, keys.verifiers, &keys.count, fault) != 0)
        return -1;
    *ret_keys = keys;
    return 0;
}

/* The name that the checkpoint must bear: the one asked for, or one that a key has. */
static const char *origin_of(const struct ledger_keys *keys, const struct checkpoint *claimed)
{
    if (keys->origin != NULL)
        return keys->origin;
    for (size_t i = 0; i < keys->count; i++)
        if (strcmp(keys->verifiers[i].name, claimed->origin) == 0)
            return keys->verifiers[i].name;
    return keys->verifiers[0].name;
}

int ledger_files_open(struct span note_bytes, const struct ledger_keys *keys,
                      struct ledger_signed *ret_signed, struct fault *fault)
{
    struct note note;
    struct checkpoint claimed;
    struct ledger_signed opened = {.signer_count = 0};
    if (note_parse(note_bytes, &note, fault) != 0 ||
        checkpoint_parse(note.text, &claimed, fault) != 0 ||
        checkpoint_open(note_bytes, origin_of(keys, &claimed), keys->verifiers, keys->count,
                        &opened.checkpoint, fault) != 0 ||
        note_open(note_bytes, keys->verifiers, keys->count, &note, fault) != 0)
        return -1;
    opened.checkpoint.extensions = span_of(NULL, 0);
    for (size_t i = 0; i < note.signature_count; i++)
        if (note.signatures[i].verified)
            opened.signers[opened.signer_count++] = note.signatures[i].id;
    *ret_signed = opened;
    return 0;
}

int ledger_files_checkpoint(const char *path, const struct ledger_keys *keys,
                            struct ledger_signed *ret_signed, struct fault *fault)
{
    AUTO_BUF struct buf note = BUF(NOTE_MAX);
    struct fault cause = {0};
    if (file_read(path, &note, &cause) != 0)
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "%s", cause.detail);
    if (ledger_files_open(buf_span(&note), keys, ret_signed, &cause) != 0)
        return fault_set(fault, cause.code, "%.80s: %s", path, cause.detail);
    return 0;
}

static int open_checkpoint(const char *folder, const struct ledger_keys *keys,
                           struct ledger_signed *ret_signed, struct fault *fault)
{
    AUTO_BUF struct buf path = BUF(4096);
    buf_printf(&path, "%s/" LEDGER_FILE_CHECKPOINT, folder);
    if (buf_failed(&path))
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "%.80s...: too long", folder);
    return ledger_files_checkpoint(buf_text(&path), keys, ret_signed, fault);
}

/* 1 and the next recorded entry, 0 at the end. */
static int next_entry(struct lines *entries, uint64_t index, struct digest *ret_entry,
                      struct fault *fault)
{
    struct span line = {0};
    int more = lines_next(entries, &line, fault);
    if (more <= 0)
        return more;
    if (hex_decode((const char *)line.data, line.len, ret_entry->bytes, DIGEST_LEN) != 0)
        return fault_set(
            fault, FAULT_MALFORMED_REQUEST,
            LEDGER_FILE_ENTRIES ": line %" PRIu64 ": expected 64 lower-case hex digits", index + 1);
    return 1;
}

/* What came of comparing the two files. */
struct comparison {
    bool recorded; /* there is a record to compare with */
    bool differs;  /* a line is not what was recorded */
};

/* Both files from their beginning. `compare` false: the lines alone, whatever was recorded. */
static int audit_lines(const char *folder, const struct checkpoint *checkpoint, bool compare,
                       struct audit *audit, struct comparison *comparison, struct fault *fault)
{
    AUTO_LINES struct lines events = {0}, entries = {0};
    int opened = lines_open(folder, LEDGER_FILE_EVENTS, &events, fault);
    if (opened == 1)
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "%s has no " LEDGER_FILE_EVENTS, folder);
    int absent = compare ? lines_open(folder, LEDGER_FILE_ENTRIES, &entries, fault) : 1;
    if (opened < 0 || absent < 0)
        return -1;
    comparison->recorded = absent == 0;
    struct span line = {0};
    int more;
    while ((more = lines_next(&events, &line, fault)) == 1) {
        struct digest entry;
        uint64_t index = audit_count(audit);
        int has = comparison->recorded ? next_entry(&entries, index, &entry, fault) : 0;
        if (has < 0)
            return -1;
        if (index >= checkpoint->size || (comparison->recorded && has == 0))
            return fault_set(fault, FAULT_CONTENT_MISMATCH,
                             "line %" PRIu64 " (entry %" PRIu64
                             "): more lines than the checkpoint or " LEDGER_FILE_ENTRIES " covers",
                             index + 1, index);
        struct fault cause = {0};
        if (audit_line(audit, line, has == 1 ? &entry : NULL, &cause) != 0) {
            comparison->differs = cause.code == FAULT_CONTENT_MISMATCH;
            return fault_set(fault, cause.code, "%s", cause.detail);
        }
    }
    return more;
}

/* The root over what the log has recorded. */
static int recorded_root(const char *folder, struct merkle_range *range, struct fault *fault)
{
    AUTO_LINES struct lines entries = {0};
    struct digest entry;
    int more = lines_open(folder, LEDGER_FILE_ENTRIES, &entries, fault) == 0 ? 1 : -1;
    while (more == 1 && (more = next_entry(&entries, range->size, &entry, fault)) == 1) {
        struct digest leaf = merkle_entry_leaf(&entry);
        if (merkle_range_append(range, &leaf, fault) != 0)
            return -1;
    }
    return more;
}

/* A line is not what was recorded: which of the two does the checkpoint vouch for? Adds that to
 * the fault. */
static void lay_blame(const char *folder, const struct checkpoint *checkpoint, struct fault *fault)
{
    struct fault first = *fault;
    struct merkle_range range = {0};
    AUTO_AUDIT struct audit *audit = NULL;
    struct comparison comparison = {0};
    const char *blame = "the checkpoint vouches for neither the lines nor the recorded entries";
    struct digest root;
    if (recorded_root(folder, &range, NULL) == 0 && range.size == checkpoint->size) {
        root = merkle_range_root(&range);
        if (digest_equal(&root, &checkpoint->root))
            blame = "the checkpoint vouches for the recorded entry: the event was changed";
    }
    if (audit_new(&audit, NULL) == 0 &&
        audit_lines(folder, checkpoint, false, audit, &comparison, NULL) == 0 &&
        audit_compare(audit, checkpoint->size, &checkpoint->root, NULL) == 0)
        blame = "the checkpoint vouches for the line: the recorded entry was changed";
    (void)fault_set(fault, first.code, "%s; %s", first.detail, blame);
}

int ledger_files_verify(const char *folder, const struct ledger_keys *keys,
                        struct ledger_proof *ret_proof, struct fault *fault)
{
    AUTO_AUDIT struct audit *audit = NULL;
    struct ledger_proof proof = {0};
    struct comparison comparison = {0};
    struct fault cause = {0};
    if (audit_new(&audit, fault) != 0 || open_checkpoint(folder, keys, &proof.head, fault) != 0)
        return -1;
    if (audit_lines(folder, &proof.head.checkpoint, true, audit, &comparison, &cause) != 0) {
        if (comparison.differs)
            lay_blame(folder, &proof.head.checkpoint, &cause);
        return fault_set(fault, cause.code, "%s", cause.detail);
    }
    if (audit_compare(audit, proof.head.checkpoint.size, &proof.head.checkpoint.root, fault) != 0)
        return -1;
    proof.events = audit_events(audit);
    proof.recorded = comparison.recorded;
    *ret_proof = proof;
    return 0;
}
