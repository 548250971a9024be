/* SPDX-License-Identifier: Apache-2.0 */
/* What an operator does to the ledger: a key for it, and its new beginning after a restore. */
#include "daemon/common.h"
#include "daemon/roles.h"

#include "base/file.h"
#include "base/log.h"
#include "sequencer/key_file.h"
#include "sequencer/reopen.h"
#include "storage/migrate.h"

#define VKEYS_MAX 4096

static int make_key(const struct settings *settings, struct buf *ret_vkey, struct fault *fault)
{
    AUTO_NOTE_SIGNER struct note_signer *key = NULL;
    if (settings->ledger_origin[0] == '\0' || settings->ledger_key[0] == '\0')
        return fault_set(fault, FAULT_MALFORMED_REQUEST,
                         "ledger-origin, ledger-key: both are needed");
    if (key_file_make(settings->ledger_key, settings->ledger_origin, &key, fault) != 0)
        return -1;
    note_verifier_format(note_signer_verifier(key), ret_vkey);
    buf_puts(ret_vkey, "\n");
    return settings->ledger_vkey[0] == '\0'
               ? 0
               : file_replace(settings->ledger_vkey, ret_vkey->data, ret_vkey->len, 0644, fault);
}

int run_ledger_key(const struct settings *settings)
{
    struct fault fault;
    AUTO_BUF struct buf vkey = BUF(VKEYS_MAX);
    if (make_key(settings, &vkey, &fault) != 0)
        return failed("ledger key", &fault);
    (void)printf("%s", buf_text(&vkey));
    return 0;
}

static int reopen(const struct settings *settings, struct reopen_report *ret_report,
                  struct fault *fault)
{
    AUTO_PG struct pg *pg = NULL;
    AUTO_FREE char *state_file = NULL;
    AUTO_BUF struct buf vkeys = BUF(VKEYS_MAX);
    struct note_verifier previous[SIGNER_KEYS_MAX];
    struct reopen_config config = {.conninfo = settings->database,
                                   .node = settings->node,
                                   .origin = settings->ledger_origin,
                                   .key_file = settings->ledger_key,
                                   .previous = previous,
                                   .reason = settings->reason,
                                   .state_lost = settings->state_lost,
                                   .lease_ms = (int)settings->lease_ms};
    if (settings->ledger_origin[0] == '\0' || settings->ledger_key[0] == '\0' ||
        settings->ledger_previous_vkey[0] == '\0')
        return fault_set(fault, FAULT_MALFORMED_REQUEST,
                         "ledger-origin, ledger-key, ledger-previous-vkey: all are needed");
    if (asprintf(&state_file, "%s/signed", settings->state_dir) < 0)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    config.state_file = state_file;
    if (file_read(settings->ledger_previous_vkey, &vkeys, fault) != 0 ||
        note_verifiers_parse(buf_span(&vkeys), SIGNER_KEYS_MAX, previous, &config.previous_count,
                             fault) != 0 ||
        pg_open(settings->database, "ledger", &pg, fault) != 0 || migrate_check(pg, fault) != 0)
        return -1;
    return reopen_run(&config, ret_report, fault);
}

int run_ledger_reopen(const struct settings *settings)
{
    struct fault fault;
    struct reopen_report report;
    if (reopen(settings, &report, &fault) != 0)
        return failed("ledger reopen", &fault);
    log_info(report.reopened ? "the ledger is reopened"
                             : "the ledger was reopened already: the state here is turned",
             "{s:s, s:I, s:I, s:s?}", "origin", settings->ledger_origin, "kept",
             (json_int_t)report.kept, "signed", (json_int_t)report.signed_size, "old_state",
             report.aside);
    free(report.aside);
    return 0;
}
