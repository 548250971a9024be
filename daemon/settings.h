/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's settings: one table gives flags (--name), environment (SALLYPORT_NAME), the lines of
 * a settings file (name = value), --print-config, --help, and docs/settings.md is checked against
 * it. Flags win over the environment, that over the file, that over the default.
 */
#pragma once

#include "base/fault.h"

#include <stdbool.h>
#include <stdint.h>

/* Which command reads a setting. */
enum command {
    COMMAND_MIGRATE = 1 << 0,
    COMMAND_APIKEY = 1 << 1,
    COMMAND_API = 1 << 2,
    COMMAND_WORKER = 1 << 3,
    COMMAND_LEDGER = 1 << 4,
    COMMAND_TENANT = 1 << 5,
    COMMAND_LEDGER_KEY = 1 << 6,
    COMMAND_LEDGER_REOPEN = 1 << 7
};

struct settings {
    const char *database;
    const char *node;
    const char *listen;
    const char *ops_listen;
    const char *state_dir;
    const char *master_key;
    const char *migrations;
    const char *openapi;
    /* api */
    int64_t request_threads, stream_threads, connections;
    int64_t manifest_max_age, manifest_max_ahead;
    int64_t queue_max, queue_total_max, wait_max, artifact_max_mib, input_max_mib, input_ttl_hours;
    bool ledger_public;
    int64_t ledger_public_rate;
    bool access_log;
    const char *verify_asymmetric, *verify_hmac;
    /* worker */
    int64_t slots, lease_ms, drain_seconds, cache_max_mib;
    int64_t timeout_max, memory_max_mib, pids_max, cpu_max_percent, tmp_max_mib;
    const char *runsc, *runsc_platform, *runsc_sha256, *runsc_versions, *unpack, *apparmor,
        *cgroups, *cgroup_parent, *pinned_keys;
    int64_t disk_min_mib;
    bool check, accept_hmac;
    /* ledger */
    const char *ledger_key, *ledger_next_key, *ledger_vkey, *ledger_origin;
    bool ledger_init;
    int64_t scrub_rate;
    /* ledger reopen */
    const char *ledger_previous_vkey, *reason;
    bool state_lost;
    /* apikey */
    const char *tenant, *principal, *roles;
    bool create_tenant;
    /* tenant */
    int64_t quorum;
    const char *allow_hmac, *require_sbom, *require_report, *max_severity;
    int64_t input_quota_mib, artifact_quota_mib, max_running, tenant_queue_max;
    int64_t event_retention_days;
    int64_t max_timeout_seconds, max_memory_mib, max_pids, max_cpu_percent, max_tmp_mib;
};

/* Reads them all for a command; the texts live as long as the process (argv, environment, and a
 * file's text that ret_file owns). FAULT_MALFORMED_REQUEST names the setting and what was expected.
 */
int settings_read(enum command command, int argc, char **argv, struct settings *ret_settings,
                  char **ret_file, bool *ret_print, struct fault *fault) MUST_CHECK;

/* name = value lines on stdout; secrets are paths, never values. */
void settings_print(enum command command, const struct settings *settings);
/* The table as help text on stdout. */
void settings_help(enum command command);
