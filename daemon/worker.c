/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/check.h"
#include "daemon/common.h"
#include "daemon/roles.h"

#include "base/file.h"
#include "base/log.h"
#include "runner/worker.h"
#include "server/ops.h"

#include <string.h>

static int ready(void *context, struct fault *fault)
{
    return worker_ready(context, fault);
}

static int sandbox_config_of(const struct settings *settings, struct sandbox_config *ret_config,
                             struct fault *fault)
{
    struct sandbox_config config = sandbox_config_defaults();
    config.state_dir = settings->state_dir;
    config.runsc_path = settings->runsc;
    config.runsc_platform = settings->runsc_platform;
    config.runsc_sha256 = settings->runsc_sha256[0] == '\0' ? NULL : settings->runsc_sha256;
    config.runsc_versions = settings->runsc_versions;
    config.disk_min_bytes = settings->disk_min_mib << 20;
    config.cgroup_parent = settings->cgroup_parent;
    if (sandbox_apparmor_parse(settings->apparmor, &config.apparmor) != 0)
        return fault_set(fault, FAULT_MALFORMED_REQUEST,
                         "apparmor: expected required, if_available or off");
    config.cgroups_required = strcmp(settings->cgroups, "required") == 0;
    if (!config.cgroups_required && strcmp(settings->cgroups, "if_available") != 0)
        return fault_set(fault, FAULT_MALFORMED_REQUEST,
                         "cgroups: expected required or if_available");
    *ret_config = config;
    return 0;
}

static struct unpack_config unpack_config_of(const struct settings *settings)
{
    struct unpack_config config = unpack_config_defaults();
    if (settings->unpack[0] != '\0')
        config.program = settings->unpack;
    return config;
}

/* First of all: the sandbox locks the state folder, whose leftovers it and the others sweep. */
static int open_sandbox(const struct settings *settings, struct sandbox **ret_sandbox,
                        struct fault *fault)
{
    struct sandbox_config config;
    if (sandbox_config_of(settings, &config, fault) != 0)
        return -1;
    return sandbox_open(&sandbox_gvisor, &config, ret_sandbox, fault);
}

static int check(const struct settings *settings)
{
    struct fault fault;
    struct sandbox_config sandbox;
    struct unpack_config unpack = unpack_config_of(settings);
    if (sandbox_config_of(settings, &sandbox, &fault) != 0)
        return failed("settings", &fault);
    return check_worker(&sandbox, &unpack);
}

static int open_cache(const struct settings *settings, const char *folder, struct cache **ret_cache,
                      struct fault *fault)
{
    struct cache_config config = {.folder = folder,
                                  .max_bytes = settings->cache_max_mib << 20,
                                  .max_artifact_bytes = settings->artifact_max_mib << 20,
                                  .unpack = unpack_config_of(settings)};
    return cache_open(&config, ret_cache, fault);
}

/* A file that others can change would pin nothing. */
static int read_pins(const struct settings *settings, struct pins **ret_pins, struct fault *fault)
{
    AUTO_BUF struct buf text = BUF(PINS_FILE_MAX);
    if (settings->pinned_keys[0] == '\0')
        return 0;
    if (file_read_guarded(settings->pinned_keys, &text, fault) != 0 ||
        pins_parse(buf_span(&text), ret_pins, fault) != 0)
        return -1;
    log_info("asymmetric keys are pinned", "{s:I}", "count", (json_int_t)pins_count(*ret_pins));
    return 0;
}

/* Whoever has the api has the secrets too, so HMAC is taken only where somebody has said so; a
 * worker that does not take it holds no key to them. */
static int read_hmac_key(const struct settings *settings, struct master_key *ret_key,
                         struct fault *fault)
{
    bool set = false;
    if (!settings->accept_hmac)
        return 0;
    if (read_master_key(settings, ret_key, &set, fault) != 0)
        return -1;
    if (!set)
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "accept-hmac: needs master-key");
    log_warn("HMAC is accepted: an api that is taken over can sign", NULL);
    return 0;
}

static struct worker_limits limits_of(const struct settings *settings)
{
    struct worker_limits limits = worker_limits_default();
    limits.most = (struct manifest_limits){.timeout_seconds = settings->timeout_max,
                                           .memory_mib = settings->memory_max_mib,
                                           .pids = settings->pids_max,
                                           .cpu_percent = settings->cpu_max_percent,
                                           .tmp_mib = settings->tmp_max_mib};
    return limits;
}

static int serve(const struct settings *settings, const struct worker_config *config,
                 struct metrics *metrics, int stop_fd)
{
    struct fault fault;
    struct worker *worker = NULL;
    struct http *ops = NULL;
    if (worker_start(config, &worker, &fault) != 0)
        return failed("worker", &fault);
    struct ops_config ops_config = {.listen = settings->ops_listen,
                                    .role = "worker",
                                    .metrics = metrics,
                                    .ready = ready,
                                    .context = worker};
    if (ops_start(&ops_config, &ops, &fault) != 0) {
        worker_stop(worker, -1);
        return failed("operations listener", &fault);
    }
    log_info("working", "{s:i}", "slots", config->slots);
    wait_readable(stop_fd);
    log_info("draining", NULL);
    http_stop(ops); /* it asks the worker, so it goes first */
    worker_stop(worker, -1);
    return 0;
}

static int run_with(const struct settings *settings, struct sandbox *sandbox, struct cache *cache,
                    const struct pins *pins, int stop_fd, struct fault *fault)
{
    struct master_key master_key;
    AUTO_FREE char *inputs_dir = NULL;
    AUTO_FREE char *ends_dir = NULL;
    if (asprintf(&inputs_dir, "%s/inputs", settings->state_dir) < 0 ||
        asprintf(&ends_dir, "%s/ends", settings->state_dir) < 0)
        return 1;
    struct worker_config config = {
        .database = settings->database,
        .node = settings->node,
        .slots = (int)settings->slots,
        .lease_ms = settings->lease_ms,
        .drain_ms = settings->drain_seconds * 1000,
        .inputs_dir = inputs_dir,
        .ends_dir = ends_dir,
        .input_max = settings->input_max_mib << 20,
        .sandbox = sandbox,
        .cache = cache,
        .pins = pins,
        .limits = limits_of(settings),
    };
    if (read_hmac_key(settings, &master_key, fault) != 0 ||
        read_verify_policy(settings, &config.verify, fault) != 0)
        return failed("worker", fault);
    config.master_key = settings->accept_hmac ? &master_key : NULL;
    struct metrics *metrics = metrics_new();
    int status = serve(settings, &config, metrics, stop_fd);
    metrics_free(metrics);
    return status;
}

int run_worker(const struct settings *settings, int stop_fd)
{
    struct fault fault;
    AUTO_SANDBOX struct sandbox *sandbox = NULL;
    AUTO_CACHE struct cache *cache = NULL;
    AUTO_PINS struct pins *pins = NULL;
    AUTO_FREE char *cache_dir = NULL;
    if (settings->check)
        return check(settings);
    if (asprintf(&cache_dir, "%s/cache", settings->state_dir) < 0)
        return 1;
    if (open_sandbox(settings, &sandbox, &fault) != 0)
        return failed("sandbox", &fault);
    if (open_cache(settings, cache_dir, &cache, &fault) != 0)
        return failed("cache", &fault);
    if (read_pins(settings, &pins, &fault) != 0)
        return failed("pinned keys", &fault);
    return run_with(settings, sandbox, cache, pins, stop_fd, &fault);
}
