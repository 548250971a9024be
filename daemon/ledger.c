/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/common.h"
#include "daemon/ledger_retention.h"
#include "daemon/ledger_scrub.h"
#include "daemon/roles.h"

#include "base/file.h"
#include "base/log.h"
#include "sequencer/key_file.h"
#include "sequencer/sequencer.h"
#include "server/ops.h"
#include "storage/migrate.h"

#include <string.h>

#define VKEYS_MAX 4096

static int ready(void *context, struct fault *fault)
{
    return sequencer_ready(context, fault);
}

/* A new key, for a new log only: --ledger-init where there is no key file yet. */
static int keep_key(const struct settings *settings, struct fault *fault)
{
    AUTO_NOTE_SIGNER struct note_signer *key = NULL;
    struct fault missing;
    if (!settings->ledger_init ||
        key_file_read(settings->ledger_key, settings->ledger_origin, &key, &missing) == 0 ||
        missing.code != FAULT_NOT_FOUND)
        return 0; /* what else is wrong with it, sequencer_open() says */
    return key_file_make(settings->ledger_key, settings->ledger_origin, &key, fault);
}

static int add_public(const char *file, const char *origin, struct buf *text, struct fault *fault)
{
    AUTO_NOTE_SIGNER struct note_signer *key = NULL;
    if (file[0] == '\0')
        return 0;
    if (key_file_read(file, origin, &key, fault) != 0)
        return -1;
    note_verifier_format(note_signer_verifier(key), text);
    buf_puts(text, "\n");
    return 0;
}

/* The public halves, a line each, for whoever verifies. */
static int publish_keys(const struct settings *settings, struct fault *fault)
{
    AUTO_BUF struct buf text = BUF(VKEYS_MAX);
    if (settings->ledger_vkey[0] == '\0')
        return 0;
    if (add_public(settings->ledger_key, settings->ledger_origin, &text, fault) != 0 ||
        add_public(settings->ledger_next_key, settings->ledger_origin, &text, fault) != 0)
        return -1;
    return file_replace(settings->ledger_vkey, text.data, text.len, 0644, fault);
}

static int prepare(const struct settings *settings, struct fault *fault)
{
    AUTO_PG struct pg *pg = NULL;
    if (settings->ledger_origin[0] == '\0' || settings->ledger_key[0] == '\0')
        return fault_set(fault, FAULT_MALFORMED_REQUEST,
                         "ledger-origin, ledger-key: both are needed");
    if (pg_open(settings->database, "ledger", &pg, fault) != 0 || migrate_check(pg, fault) != 0 ||
        dir_make(settings->state_dir, 0700, fault) != 0)
        return -1;
    return keep_key(settings, fault);
}

struct gauges {
    struct metric *stopped, *leading, *signed_size, *proven;
    uint64_t proven_before;
};

static void gauges_make(struct gauges *gauges, struct metrics *metrics)
{
    *gauges = (struct gauges){
        .stopped = metric_gauge(metrics, "sallyport_ledger_stopped", "",
                                "1 where a contradiction has stopped this ledger process for good"),
        .leading = metric_gauge(metrics, "sallyport_ledger_leading", "",
                                "1 while this ledger process orders and signs, 0 on standby"),
        .signed_size = metric_gauge(metrics, "sallyport_ledger_signed_size", "",
                                    "Size of the last tree this process has signed or proven"),
        .proven = metric_counter(metrics, "sallyport_ledger_checkpoints_proven_total", "",
                                 "Checkpoints of another leader that this standby has proven"),
    };
}

static void observe(void *context, const struct sequencer_status *status)
{
    struct gauges *gauges = context;
    metric_set(gauges->stopped, status->role == SEQUENCER_STOPPED);
    metric_set(gauges->leading, status->role == SEQUENCER_LEADER);
    metric_set(gauges->signed_size, (int64_t)status->signed_size);
    metric_add(gauges->proven, status->followed - gauges->proven_before);
    gauges->proven_before = status->followed;
}

/* Orders and signs, with the scrub and the retention beside it, until it is to stop. */
static int work(const struct settings *settings, struct sequencer *sequencer,
                struct metrics *metrics, int stop_fd)
{
    struct fault fault;
    struct ledger_scrub *scrub = NULL;
    struct ledger_retention *retention = NULL;
    struct gauges gauges;
    if (ledger_scrub_start(settings, sequencer, metrics, &scrub, &fault) != 0)
        return failed("scrub", &fault);
    if (ledger_retention_start(settings, sequencer, metrics, stop_fd, &retention, &fault) != 0) {
        ledger_scrub_stop(scrub);
        return failed("retention", &fault);
    }
    gauges_make(&gauges, metrics);
    log_info("ordering", "{s:s}", "origin", settings->ledger_origin);
    sequencer_run(sequencer, stop_fd, observe, &gauges);
    ledger_retention_join(retention);
    ledger_scrub_stop(scrub);
    return 0;
}

static int serve(const struct settings *settings, struct sequencer *sequencer,
                 struct metrics *metrics, int stop_fd)
{
    struct fault fault;
    struct http *ops = NULL;
    struct ops_config config = {.listen = settings->ops_listen,
                                .role = "ledger",
                                .metrics = metrics,
                                .ready = ready,
                                .context = sequencer};
    if (ops_start(&config, &ops, &fault) != 0)
        return failed("operations listener", &fault);
    int status = work(settings, sequencer, metrics, stop_fd);
    http_stop(ops);
    return status;
}

int run_ledger(const struct settings *settings, int stop_fd)
{
    struct fault fault;
    AUTO_SEQUENCER struct sequencer *sequencer = NULL;
    AUTO_FREE char *state_file = NULL;
    if (asprintf(&state_file, "%s/signed", settings->state_dir) < 0)
        return 1;
    struct sequencer_config config = {.conninfo = settings->database,
                                      .node = settings->node,
                                      .origin = settings->ledger_origin,
                                      .key_file = settings->ledger_key,
                                      .next_key_file = settings->ledger_next_key,
                                      .state_file = state_file,
                                      .init = settings->ledger_init,
                                      .lease_ms = (int)settings->lease_ms,
                                      .batch_max = SEQUENCER_BATCH_MAX,
                                      .sign_every_ms = SEQUENCER_SIGN_EVERY_MS,
                                      .look_every_ms = SEQUENCER_LOOK_EVERY_MS};
    if (prepare(settings, &fault) != 0 || sequencer_open(&config, &sequencer, &fault) != 0 ||
        publish_keys(settings, &fault) != 0)
        return failed("ledger", &fault);
    struct metrics *metrics = metrics_new();
    int status = serve(settings, sequencer, metrics, stop_fd);
    metrics_free(metrics);
    return status;
}
