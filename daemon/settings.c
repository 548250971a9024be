/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/settings.h"

#include "base/file.h"
#include "sandbox/sandbox.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#define FILE_MAX (64 * 1024)
#define NAME_MAX_LEN 64

enum kind { TEXT, NUMBER, SWITCH };

struct setting {
    const char *name;
    enum kind kind;
    size_t offset;
    const char *fallback;
    int64_t min, max; /* of a NUMBER */
    unsigned commands;
    const char *help;
};

#define DAEMONS (COMMAND_API | COMMAND_WORKER | COMMAND_LEDGER)
#define TOOLS (COMMAND_MIGRATE | COMMAND_APIKEY | COMMAND_TENANT | COMMAND_LEDGER_REOPEN)
#define LOG (COMMAND_LEDGER | COMMAND_LEDGER_KEY | COMMAND_LEDGER_REOPEN)
#define DATABASE (DAEMONS | TOOLS)
#define ALL (DATABASE | COMMAND_LEDGER_KEY)
#define AT(member) offsetof(struct settings, member)

static const struct setting settings_table[] = {
    {"database", TEXT, AT(database), "", 0, 0, DATABASE,
     "libpq connection string, with this command's own role"},
    {"node", TEXT, AT(node), "sallyport", 0, 0,
     DAEMONS | COMMAND_APIKEY | COMMAND_TENANT | COMMAND_LEDGER_REOPEN,
     "name of this host; events carry it as their source"},
    {"listen", TEXT, AT(listen), "127.0.0.1:8080", 0, 0, COMMAND_API,
     "address and port of the REST API"},
    {"ops-listen", TEXT, AT(ops_listen), "", 0, 0, DAEMONS,
     "address and port of /livez, /readyz and /metrics (default 127.0.0.1: api 8081, worker 8082, "
     "ledger 8083)"},
    {"state-dir", TEXT, AT(state_dir), "/var/lib/sallyport", 0, 0,
     COMMAND_WORKER | COMMAND_LEDGER | COMMAND_LEDGER_REOPEN,
     "folder this process keeps its state in"},
    {"master-key", TEXT, AT(master_key), "", 0, 0, COMMAND_API | COMMAND_WORKER,
     "file with the key that unwraps HMAC secrets: 64 hex digits, mode 0600; empty: HMAC is not "
     "served (a worker reads it only with accept-hmac)"},
    {"migrations", TEXT, AT(migrations), "/usr/local/share/sallyport/migrations", 0, 0,
     COMMAND_MIGRATE, "folder of the SQL migrations"},
    {"openapi", TEXT, AT(openapi), "", 0, 0, COMMAND_API,
     "file served at /openapi.yaml; empty: none"},
    {"request-threads", NUMBER, AT(request_threads), "8", 1, 256, COMMAND_API,
     "threads that answer requests, each with a database connection"},
    {"stream-threads", NUMBER, AT(stream_threads), "4", 1, 64, COMMAND_API,
     "threads that receive uploads, one upload each; as many more wait, 30 s at most, then 503"},
    {"connections", NUMBER, AT(connections), "1024", 8, 65536, COMMAND_API,
     "most client connections"},
    {"manifest-max-age", NUMBER, AT(manifest_max_age), "900", 1, 86400, COMMAND_API,
     "how many seconds back a manifest's issued_at may lie"},
    {"manifest-max-ahead", NUMBER, AT(manifest_max_ahead), "60", 0, 3600, COMMAND_API,
     "how many seconds ahead it may lie"},
    {"queue-max", NUMBER, AT(queue_max), "100000", 1, 10000000, COMMAND_API,
     "executions of one tenant waiting or running, where it has no tenant-queue-max of its own; "
     "its submissions past it get 429"},
    {"queue-total-max", NUMBER, AT(queue_total_max), "1000000", 1, 10000000, COMMAND_API,
     "executions of all tenants waiting or running; submissions past it get 429"},
    {"wait-max", NUMBER, AT(wait_max), "60", 1, 600, COMMAND_API,
     "most seconds that Prefer: wait may ask for"},
    {"artifact-max-mib", NUMBER, AT(artifact_max_mib), "2048", 1, 1048576,
     COMMAND_API | COMMAND_WORKER, "largest artifact"},
    {"input-max-mib", NUMBER, AT(input_max_mib), "64", 1, 65536, COMMAND_API | COMMAND_WORKER,
     "largest input"},
    {"input-ttl-hours", NUMBER, AT(input_ttl_hours), "168", 0, 876000, COMMAND_API,
     "how long an input is kept after it was last pushed; 0: for ever"},
    {"ledger-public", SWITCH, AT(ledger_public), "off", 0, 0, COMMAND_API,
     "checkpoint, tiles and entries of the log are answered without an API key"},
    {"ledger-public-rate", NUMBER, AT(ledger_public_rate), "20", 1, 10000, COMMAND_API,
     "such requests a second from one address (IPv6: /64), five seconds' worth at once; ten times "
     "that from all"},
    {"access-log", SWITCH, AT(access_log), "on", 0, 0, COMMAND_API, "a log line for each request"},
    {"verify-asymmetric", TEXT, AT(verify_asymmetric), "openssl", 0, 0,
     COMMAND_API | COMMAND_WORKER,
     "what verifies RS, PS, ES and EdDSA signatures: openssl or libjwt"},
    {"verify-hmac", TEXT, AT(verify_hmac), "libjwt", 0, 0, COMMAND_API | COMMAND_WORKER,
     "what verifies HS signatures: openssl or libjwt"},
    {"slots", NUMBER, AT(slots), "2", 1, 256, COMMAND_WORKER, "executions run at once"},
    {"lease-ms", NUMBER, AT(lease_ms), "15000", 1000, 60000,
     COMMAND_WORKER | COMMAND_LEDGER | COMMAND_LEDGER_REOPEN,
     "how long this process is believed alive without a sign of life"},
    {"drain-seconds", NUMBER, AT(drain_seconds), "30", 0, 86400, COMMAND_WORKER,
     "how long a stop waits for running executions before it cancels them"},
    {"cache-max-mib", NUMBER, AT(cache_max_mib), "10240", 16, 16777216, COMMAND_WORKER,
     "disk for unpacked artifacts"},
    {"timeout-max", NUMBER, AT(timeout_max), "3600", 1, 86400, COMMAND_WORKER,
     "most seconds an execution may run, whatever it asks"},
    {"memory-max-mib", NUMBER, AT(memory_max_mib), "2048", 16, 1048576, COMMAND_WORKER,
     "most memory of an execution"},
    {"pids-max", NUMBER, AT(pids_max), "512", 1, 65536, COMMAND_WORKER,
     "most processes and threads of an execution"},
    {"cpu-max-percent", NUMBER, AT(cpu_max_percent), "400", 1, 10000, COMMAND_WORKER,
     "most CPU of an execution; 100 is one CPU"},
    {"tmp-max-mib", NUMBER, AT(tmp_max_mib), "1024", 1, 1048576, COMMAND_WORKER,
     "largest /tmp of an execution"},
    {"disk-min-mib", NUMBER, AT(disk_min_mib), "512", 0, 16777216, COMMAND_WORKER,
     "disk that must be free in the state folder for a run to start"},
    {"check", SWITCH, AT(check), "off", 0, 0, COMMAND_WORKER,
     "look at what a run needs of this host, print a table, and end: 0 if nothing is missing"},
    {"pinned-keys", TEXT, AT(pinned_keys), "", 0, 0, COMMAND_WORKER,
     "file of the asymmetric keys this worker trusts, whatever the database says; empty: the "
     "database's"},
    {"accept-hmac", SWITCH, AT(accept_hmac), "off", 0, 0, COMMAND_WORKER,
     "run manifests signed with a shared secret, which the api holds too; needs master-key"},
    {"runsc", TEXT, AT(runsc), "/usr/bin/runsc", 0, 0, COMMAND_WORKER, "gVisor's runtime"},
    {"runsc-platform", TEXT, AT(runsc_platform), "ptrace", 0, 0, COMMAND_WORKER,
     "gVisor platform: ptrace, or what the installed runsc offers"},
    {"runsc-sha256", TEXT, AT(runsc_sha256), "", 0, 0, COMMAND_WORKER,
     "sha256:<hex> the runtime's file must have; empty: recorded only"},
    {"runsc-versions", TEXT, AT(runsc_versions), SANDBOX_RUNSC_VERSIONS, 0, 0, COMMAND_WORKER,
     "versions of the runtime that may be used, separated by commas"},
    {"unpack", TEXT, AT(unpack), "", 0, 0, COMMAND_WORKER,
     "the sallyport-unpack program; empty: beside sallyportd"},
    {"apparmor", TEXT, AT(apparmor), "required", 0, 0, COMMAND_WORKER,
     "AppArmor around the runtime: required, if_available or off"},
    {"cgroups", TEXT, AT(cgroups), "required", 0, 0, COMMAND_WORKER,
     "limits on memory and cpu: required, or if_available (each event then says what was not)"},
    {"cgroup-parent", TEXT, AT(cgroup_parent), "sallyport", 0, 0, COMMAND_WORKER,
     "cgroup below which runs get theirs; ./ begins in the worker's own, as delegated to it"},
    {"ledger-key", TEXT, AT(ledger_key), "", 0, 0, LOG,
     "file with the signer's private key, mode 0600; made by `ledger key`, or by --ledger-init "
     "where absent"},
    {"ledger-next-key", TEXT, AT(ledger_next_key), "", 0, 0, COMMAND_LEDGER,
     "file with the key that will follow, mode 0600: while it is set, both sign; empty: none"},
    {"ledger-vkey", TEXT, AT(ledger_vkey), "", 0, 0, COMMAND_LEDGER | COMMAND_LEDGER_KEY,
     "file the public verifier keys are written to, one a line; empty: none"},
    {"ledger-origin", TEXT, AT(ledger_origin), "", 0, 0, LOG,
     "the log's name (C2SP origin); a reopened log has a new one"},
    {"ledger-previous-vkey", TEXT, AT(ledger_previous_vkey), "", 0, 0, COMMAND_LEDGER_REOPEN,
     "file with the verifier keys of the log that is left, as its ledger process wrote them"},
    {"reason", TEXT, AT(reason), "", 0, 0, COMMAND_LEDGER_REOPEN,
     "why the log is reopened, 1 to 500 bytes: everybody may read it"},
    {"state-lost", SWITCH, AT(state_lost), "off", 0, 0, COMMAND_LEDGER_REOPEN,
     "the signer's state is gone for good: the log will not say what was signed last"},
    {"ledger-init", SWITCH, AT(ledger_init), "off", 0, 0, COMMAND_LEDGER,
     "begin the signer's state: once, for a new log"},
    {"scrub-rate", NUMBER, AT(scrub_rate), "500", 0, 1000000, COMMAND_LEDGER,
     "entries of the log compared again each second, in the background; 0: none"},
    {"tenant", TEXT, AT(tenant), "", 0, 0, COMMAND_APIKEY | COMMAND_TENANT, "which tenant"},
    {"create-tenant", SWITCH, AT(create_tenant), "off", 0, 0, COMMAND_APIKEY,
     "make the tenant where it does not exist"},
    {"principal", TEXT, AT(principal), "", 0, 0, COMMAND_APIKEY, "who will hold the key"},
    {"roles", TEXT, AT(roles), "", 0, 0, COMMAND_APIKEY,
     "comma-separated: viewer, submitter, publisher, approver, auditor, admin"},
    {"quorum", NUMBER, AT(quorum), "0", 0, 16, COMMAND_TENANT,
     "how many different principals must approve an artifact; 0: as it is, 2 for a new tenant"},
    {"allow-hmac", TEXT, AT(allow_hmac), "", 0, 0, COMMAND_TENANT,
     "whether manifests may be signed with a shared secret, on or off; empty: as it is, on for a "
     "new tenant"},
    {"require-sbom", TEXT, AT(require_sbom), "", 0, 0, COMMAND_TENANT,
     "whether approvals count only beside an SBOM, on or off; empty: as it is, off for a new "
     "tenant"},
    {"require-report", TEXT, AT(require_report), "", 0, 0, COMMAND_TENANT,
     "whether approvals count only beside a vulnerability report, on or off; empty: as it is, off "
     "for a new tenant"},
    {"max-severity", TEXT, AT(max_severity), "", 0, 0, COMMAND_TENANT,
     "worst finding with which approvals count, of a report that has to be there then: none, "
     "negligible, low, medium, high, critical or any; empty: as it is, any for a new tenant"},
    {"input-quota-mib", NUMBER, AT(input_quota_mib), "0", 0, 1 << 30, COMMAND_TENANT,
     "what its inputs may amount to; 0: as it is, 10240 for a new tenant"},
    {"artifact-quota-mib", NUMBER, AT(artifact_quota_mib), "0", 0, 1 << 30, COMMAND_TENANT,
     "what its artifacts may amount to; 0: as it is, 102400 for a new tenant"},
    {"max-running", NUMBER, AT(max_running), "0", -1, 1000000, COMMAND_TENANT,
     "how many of its executions all workers together may hold at once; 0: as it is, any number "
     "for a new tenant; -1: any number"},
    {"tenant-queue-max", NUMBER, AT(tenant_queue_max), "0", -1, 10000000, COMMAND_TENANT,
     "how many of its executions may wait or run; 0: as it is, the api's queue-max for a new "
     "tenant; -1: the api's queue-max"},
    {"event-retention-days", NUMBER, AT(event_retention_days), "0", -1, 36500, COMMAND_TENANT,
     "how long the bodies of its events are kept; 0: as it is, for ever for a new tenant; -1: for "
     "ever"},
    {"max-timeout-seconds", NUMBER, AT(max_timeout_seconds), "0", -1, 86400, COMMAND_TENANT,
     "the longest a run of it may take; 0: as it is, the worker's timeout-max for a new tenant; "
     "-1: the worker's"},
    {"max-memory-mib", NUMBER, AT(max_memory_mib), "0", -1, 1048576, COMMAND_TENANT,
     "the most memory of a run; 0 and -1 as above, with memory-max-mib"},
    {"max-pids", NUMBER, AT(max_pids), "0", -1, 65536, COMMAND_TENANT,
     "the most processes and threads of a run; 0 and -1 as above, with pids-max"},
    {"max-cpu-percent", NUMBER, AT(max_cpu_percent), "0", -1, 10000, COMMAND_TENANT,
     "the most CPU time of a run, 100 for one; 0 and -1 as above, with cpu-max-percent"},
    {"max-tmp-mib", NUMBER, AT(max_tmp_mib), "0", -1, 1048576, COMMAND_TENANT,
     "the largest /tmp of a run; 0 and -1 as above, with tmp-max-mib"},
};

static int set_number(const struct setting *setting, const char *value, int64_t *place,
                      struct fault *fault)
{
    char *end;
    errno = 0;
    long long number = strtoll(value, &end, 10);
    if (end == value || *end != '\0' || errno != 0 || number < setting->min ||
        number > setting->max)
        return fault_set(fault, FAULT_MALFORMED_REQUEST,
                         "%s: expected an integer of %" PRId64 " to %" PRId64, setting->name,
                         setting->min, setting->max);
    *place = number;
    return 0;
}

static int set_switch(const struct setting *setting, const char *value, bool *place,
                      struct fault *fault)
{
    if (strcmp(value, "on") != 0 && strcmp(value, "off") != 0)
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "%s: expected on or off", setting->name);
    *place = strcmp(value, "on") == 0;
    return 0;
}

static int set_value(const struct setting *setting, const char *value, struct settings *settings,
                     struct fault *fault)
{
    void *place = (char *)settings + setting->offset;
    switch (setting->kind) {
    case TEXT:
        *(const char **)place = value;
        return 0;
    case NUMBER:
        return set_number(setting, value, place, fault);
    case SWITCH:
        return set_switch(setting, value, place, fault);
    }
    return -1;
}

/* NULL if this command has no such setting. */
static const struct setting *find(enum command command, const char *name, size_t len)
{
    for (size_t i = 0; i < ARRAY_LEN(settings_table); i++)
        if ((settings_table[i].commands & command) != 0 && strlen(settings_table[i].name) == len &&
            memcmp(settings_table[i].name, name, len) == 0)
            return &settings_table[i];
    return NULL;
}

static int read_defaults(struct settings *settings, struct fault *fault)
{
    for (size_t i = 0; i < ARRAY_LEN(settings_table); i++)
        if (set_value(&settings_table[i], settings_table[i].fallback, settings, fault) != 0)
            return -1;
    return 0;
}

static int read_environment(enum command command, struct settings *settings, struct fault *fault)
{
    for (size_t i = 0; i < ARRAY_LEN(settings_table); i++) {
        char name[NAME_MAX_LEN] = "SALLYPORT_";
        size_t len = strlen(name);
        for (const char *c = settings_table[i].name; *c != '\0' && len < sizeof name - 1; c++)
            name[len++] = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
        name[len] = '\0';
        const char *value = getenv(name);
        if (value != NULL && (settings_table[i].commands & command) != 0 &&
            set_value(&settings_table[i], value, settings, fault) != 0)
            return -1;
    }
    return 0;
}

static char *trim(char *text)
{
    while (*text == ' ' || *text == '\t')
        text++;
    size_t len = strlen(text);
    while (len > 0 && strchr(" \t\r", text[len - 1]) != NULL)
        text[--len] = '\0';
    return text;
}

/* One line of a settings file; settings of other commands may stand in it too. */
static int read_line(enum command command, char *line, int number, struct settings *settings,
                     struct fault *fault)
{
    line = trim(line);
    if (*line == '\0' || *line == '#')
        return 0;
    char *equals = strchr(line, '=');
    if (equals == NULL)
        return fault_set(fault, FAULT_MALFORMED_REQUEST,
                         "settings file, line %d: expected name = value", number);
    *equals = '\0';
    const char *name = trim(line);
    const struct setting *setting = find(command, name, strlen(name));
    if (setting != NULL)
        return set_value(setting, trim(equals + 1), settings, fault);
    if (find(ALL, name, strlen(name)) != NULL)
        return 0;
    return fault_set(fault, FAULT_MALFORMED_REQUEST,
                     "settings file, line %d: there is no setting %s", number, name);
}

static int read_file(enum command command, const char *path, struct settings *settings,
                     char **ret_file, struct fault *fault)
{
    AUTO_BUF struct buf text = BUF(FILE_MAX);
    if (file_read(path, &text, fault) != 0)
        return -1;
    char *at = *ret_file = buf_take(&text, NULL);
    if (at == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    for (int number = 1; at != NULL; number++) {
        char *line = strsep(&at, "\n");
        if (read_line(command, line, number, settings, fault) != 0)
            return -1;
    }
    return 0;
}

/* --name value, --name=value, and --name for a switch. */
static int read_flags(enum command command, int argc, char **argv, struct settings *settings,
                      bool *ret_print, struct fault *fault)
{
    for (int i = 0; i < argc; i++) {
        const char *flag = argv[i];
        if (strncmp(flag, "--", 2) != 0)
            return fault_set(fault, FAULT_MALFORMED_REQUEST,
                             "%s: expected a setting as --name value", flag);
        flag += 2;
        size_t len = strcspn(flag, "=");
        const char *value = flag[len] == '=' ? flag + len + 1 : NULL;
        if (strcmp(flag, "print-config") == 0) {
            *ret_print = true;
            continue;
        }
        const struct setting *setting = find(command, flag, len);
        if (setting == NULL && strncmp(flag, "config", len) != 0)
            return fault_set(fault, FAULT_MALFORMED_REQUEST,
                             "--%s: this command has no such setting", flag);
        if (value == NULL && setting != NULL && setting->kind == SWITCH)
            value = "on";
        else if (value == NULL && i + 1 < argc)
            value = argv[++i];
        if (value == NULL)
            return fault_set(fault, FAULT_MALFORMED_REQUEST, "--%s: expected a value", flag);
        if (setting != NULL && set_value(setting, value, settings, fault) != 0)
            return -1;
    }
    return 0;
}

/* --config is wanted before the other flags are read. */
static const char *config_path(int argc, char **argv)
{
    const char *path = getenv("SALLYPORT_CONFIG");
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "--config=", 9) == 0)
            path = argv[i] + 9;
        else if (strcmp(argv[i], "--config") == 0 && i + 1 < argc)
            path = argv[i + 1];
    }
    return path;
}

int settings_read(enum command command, int argc, char **argv, struct settings *ret_settings,
                  char **ret_file, bool *ret_print, struct fault *fault)
{
    struct settings settings = {0};
    const char *path = config_path(argc, argv);
    *ret_file = NULL;
    *ret_print = false;
    if (read_defaults(&settings, fault) != 0 ||
        (path != NULL && read_file(command, path, &settings, ret_file, fault) != 0) ||
        read_environment(command, &settings, fault) != 0 ||
        read_flags(command, argc, argv, &settings, ret_print, fault) != 0)
        return -1;
    if (settings.ops_listen[0] == '\0')
        settings.ops_listen = command == COMMAND_API      ? "127.0.0.1:8081"
                              : command == COMMAND_WORKER ? "127.0.0.1:8082"
                                                          : "127.0.0.1:8083";
    *ret_settings = settings;
    return 0;
}

/* A connection string may hold a password. */
static bool is_secret(const struct setting *setting)
{
    return strcmp(setting->name, "database") == 0;
}

void settings_print(enum command command, const struct settings *settings)
{
    for (size_t i = 0; i < ARRAY_LEN(settings_table); i++) {
        const void *place = (const char *)settings + settings_table[i].offset;
        if ((settings_table[i].commands & command) == 0)
            continue;
        (void)printf("%s = ", settings_table[i].name);
        if (is_secret(&settings_table[i]))
            (void)printf("(not shown)\n");
        else if (settings_table[i].kind == TEXT)
            (void)printf("%s\n", *(const char *const *)place);
        else if (settings_table[i].kind == NUMBER)
            (void)printf("%" PRId64 "\n", *(const int64_t *)place);
        else
            (void)printf("%s\n", *(const bool *)place ? "on" : "off");
    }
}

void settings_help(enum command command)
{
    for (size_t i = 0; i < ARRAY_LEN(settings_table); i++) {
        const struct setting *s = &settings_table[i];
        if ((s->commands & command) == 0)
            continue;
        (void)printf("  --%-20s %s", s->name, s->help);
        if (s->fallback[0] != '\0')
            (void)printf(" [%s]", s->fallback);
        (void)printf("\n");
    }
    (void)printf("  --%-20s %s\n", "config", "file of `name = value` lines");
    (void)printf("  --%-20s %s\n", "print-config", "show what is in force, and end");
}
