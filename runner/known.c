/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and artifacts that job after job asks for: read and opened once a second instead of once a
 * job. To open a key was a quarter of what a job cost. */
#include "runner/worker_internal.h"

#include "storage/key_open.h"
#include "trust/caller.h"

#define KNOWN_TTL_MS 1000

static void *key_copy(void *value)
{
    return trust_key_ref(value);
}

static void key_destroy(void *value)
{
    trust_key_free(value);
}

static void *tool_copy(void *value)
{
    struct tool *tool = value;
    (void)atomic_fetch_add(&tool->holders, 1);
    return tool;
}

void tool_free(struct tool *tool)
{
    if (tool == NULL || atomic_fetch_sub(&tool->holders, 1) > 1)
        return;
    descriptor_free(tool->descriptor);
    free(tool);
}

static void tool_destroy(void *value)
{
    tool_free(value);
}

int known_open(struct worker *worker, struct fault *fault)
{
    return ttl_cache_new(KNOWN_TTL_MS, key_copy, key_destroy, &worker->keys, fault) != 0 ||
                   ttl_cache_new(KNOWN_TTL_MS, tool_copy, tool_destroy, &worker->tools, fault) != 0
               ? -1
               : 0;
}

void known_close(struct worker *worker)
{
    ttl_cache_free(worker->keys);
    ttl_cache_free(worker->tools);
}

int known_key(struct slot *slot, const char *tenant, const char *kid, struct trust_key **ret_key,
              struct fault *fault)
{
    struct worker *worker = slot->worker;
    char name[TENANT_ID_MAX + TOKEN_KID_MAX + 2];
    void *cached = NULL;
    AUTO_KEY_RECORD struct key_record record = {0};
    (void)snprintf(name, sizeof name, "%s %s", tenant, kid);
    if (ttl_cache_get(worker->keys, name, &cached)) {
        *ret_key = cached;
        return 0;
    }
    struct trust_key *key;
    if (keys_find(slot->pg, tenant, kid, &record, fault) != 0 ||
        key_open(&record, tenant, worker->config.master_key, &key, fault) != 0)
        return -1;
    ttl_cache_put(worker->keys, name, key);
    *ret_key = key;
    return 0;
}

static int tool_read(const struct artifact *artifact, struct tool **ret_tool, struct fault *fault)
{
    struct digest covers = descriptor_digest(&artifact->sha256, artifact->descriptor);
    if (!digest_equal(&covers, &artifact->descriptor_sha256))
        return fault_set(fault, FAULT_ARTIFACT_INVALID,
                         "the descriptor is not the one its digest covers");
    AUTO_FREE struct tool *tool = calloc(1, sizeof *tool);
    if (tool == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    if (descriptor_parse(artifact->descriptor, &tool->descriptor, fault) != 0)
        return -1;
    tool->holders = 1;
    tool->descriptor_sha256 = artifact->descriptor_sha256;
    tool->blob_id = artifact->blob_id;
    tool->size = artifact->size;
    *ret_tool = TAKE(tool);
    return 0;
}

int known_tool(struct slot *slot, const char *tenant, const struct digest *sha256,
               struct tool **ret_tool, struct fault *fault)
{
    struct worker *worker = slot->worker;
    char name[TENANT_ID_MAX + DIGEST_TEXT_LEN + 2];
    void *cached = NULL;
    AUTO_ARTIFACT struct artifact artifact = {0};
    (void)snprintf(name, sizeof name, "%s %s", tenant, digest_format(sha256).text);
    if (ttl_cache_get(worker->tools, name, &cached)) {
        *ret_tool = cached;
        return 0;
    }
    struct tool *tool;
    if (armory_find(slot->pg, tenant, sha256, &artifact, fault) != 0)
        return -1;
    if (!digest_equal(&artifact.sha256, sha256))
        return fault_set(fault, FAULT_INTERNAL, "the Armory answered for another artifact");
    if (tool_read(&artifact, &tool, fault) != 0)
        return -1;
    ttl_cache_put(worker->tools, name, tool);
    *ret_tool = tool;
    return 0;
}
