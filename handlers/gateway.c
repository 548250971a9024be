/* SPDX-License-Identifier: Apache-2.0 */
#include "handlers/gateway.h"

#include "base/file.h"
#include "handlers/batcher.h"
#include "handlers/followers.h"
#include "handlers/monitor.h"
#include "handlers/refusals.h"
#include "handlers/strangers.h"
#include "handlers/verification_keys.h"
#include "handlers/waiters.h"
#include "storage/api_keys.h"
#include "storage/migrate.h"

#include <string.h>

#define CALLER_TTL_MS 1000
#define OPENAPI_MAX (1024 * 1024)

static void *api_key_copy(void *value)
{
    struct api_key *copy = malloc(sizeof *copy);
    if (copy != NULL)
        memcpy(copy, value, sizeof *copy);
    return copy;
}

static int check_schema(const struct gateway_config *config, struct fault *fault)
{
    AUTO_PG struct pg *pg = NULL;
    if (pg_open(config->database, "api", &pg, fault) != 0)
        return -1;
    return migrate_check(pg, fault);
}

static void gateway_cleanup(struct gateway **gateway)
{
    gateway_free(*gateway);
}

int gateway_open(const struct gateway_config *config, struct gateway **ret_gateway,
                 struct fault *fault)
{
    AUTO(gateway_cleanup) struct gateway *gateway = calloc(1, sizeof *gateway);
    if (gateway == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    gateway->config = *config;
    gateway->openapi = BUF(OPENAPI_MAX);
    (void)pthread_mutex_init(&gateway->parsing, NULL);
    if (check_schema(config, fault) != 0 ||
        (config->openapi_path != NULL &&
         file_read(config->openapi_path, &gateway->openapi, fault) != 0) ||
        ttl_cache_new(CALLER_TTL_MS, api_key_copy, free, &gateway->callers, fault) != 0 ||
        verification_keys_new(&gateway->keys, fault) != 0 ||
        refusals_new(&gateway->refusals, fault) != 0 ||
        (config->ledger_public_rate > 0 &&
         strangers_new(config->ledger_public_rate, &gateway->strangers, fault) != 0) ||
        waiters_start(gateway, &gateway->waiters, fault) != 0 ||
        followers_start(gateway, &gateway->followers, fault) != 0 ||
        batcher_start(gateway, &gateway->batcher, fault) != 0 ||
        monitor_start(gateway, &gateway->monitor, fault) != 0)
        return -1;
    *ret_gateway = TAKE(gateway);
    return 0;
}

void gateway_hurry(struct gateway *gateway)
{
    waiters_hurry(gateway->waiters);
}

void gateway_free(struct gateway *gateway)
{
    if (gateway == NULL)
        return;
    monitor_stop(gateway->monitor);
    batcher_stop(gateway->batcher); /* hands on to the waiters, so it goes before them */
    waiters_stop(gateway->waiters);
    followers_stop(gateway->followers);
    strangers_free(gateway->strangers);
    refusals_free(gateway->refusals);
    ttl_cache_free(gateway->keys);
    ttl_cache_free(gateway->callers);
    buf_free(&gateway->openapi);
    (void)pthread_mutex_destroy(&gateway->parsing);
    free(gateway);
}

int gateway_ready(struct gateway *gateway, struct fault *fault)
{
    return monitor_admits(gateway->monitor, fault);
}

int gateway_thread_open(void *context, void **ret_thread, struct fault *fault)
{
    const struct gateway *gateway = context;
    struct pg *pg;
    if (pg_open(gateway->config.database, "api", &pg, fault) != 0)
        return -1;
    *ret_thread = pg;
    return 0;
}

void gateway_thread_close(void *thread)
{
    pg_free(thread);
}
