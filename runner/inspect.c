/* SPDX-License-Identifier: Apache-2.0 */
/* Inspection of new artifacts: fetched, hashed and unpacked by the confined child, as a job would.
 */
#include "runner/worker_internal.h"

#include "base/log.h"
#include "storage/blobs.h"
#include "trust/caller.h"

#define INSPECT_SECONDS 300

struct relay {
    cache_write *write;
    void *sink;
};

static int relay_chunk(void *context, struct span data, struct fault *fault)
{
    const struct relay *relay = context;
    return relay->write(relay->sink, data.data, data.len, fault);
}

int blob_fetch(void *context, cache_write *write, void *sink, struct fault *fault)
{
    const struct blob_source *source = context;
    struct relay relay = {write, sink};
    return blobs_read(source->pg, source->tenant, source->blob_id, relay_chunk, &relay, fault);
}

/* Only what the bytes themselves are at fault for rejects them; a full disk is ours. */
static bool rejects(const struct fault *fault)
{
    return fault->code == FAULT_ARTIFACT_INVALID || fault->code == FAULT_TOO_LARGE ||
           fault->code == FAULT_CONTENT_MISMATCH;
}

static void inspect(struct slot *slot, const char *tenant, const struct artifact *artifact)
{
    AUTO_CACHE_ENTRY struct cache_entry *entry = NULL;
    struct fault fault, stored;
    struct blob_source blob = {slot->pg, tenant, &artifact->blob_id};
    struct cache_source source = {artifact->size, blob_fetch, &blob, slot->cancel_fd};
    int status = cache_acquire(slot->worker->config.cache, &artifact->sha256, artifact->kind,
                               &source, &entry, &fault);
    if (status != 0 && !rejects(&fault)) {
        log_warn("an inspection has to be tried again", "{s:s}", "detail", fault.detail);
        return; /* its time runs out, and a worker takes it again */
    }
    if (armory_inspected(slot->pg, tenant, &artifact->sha256, status == 0 ? NULL : fault.detail,
                         &stored) != 0)
        log_warn("an inspection could not be stored", "{s:s}", "detail", stored.detail);
    log_info("artifact inspected", "{s:s, s:s, s:s}", "sha256",
             digest_format(&artifact->sha256).text, "state", status == 0 ? "pending" : "rejected",
             "detail", status == 0 ? "" : fault.detail);
}

bool inspect_one(struct slot *slot)
{
    char tenant[TENANT_ID_MAX + 1];
    AUTO_ARTIFACT struct artifact artifact = {0};
    struct fault fault;
    if (armory_inspect_next(slot->pg, INSPECT_SECONDS, tenant, &artifact, &fault) != 0) {
        if (fault.code != FAULT_NOT_FOUND)
            log_warn("cannot look for artifacts to inspect", "{s:s}", "detail", fault.detail);
        return false;
    }
    inspect(slot, tenant, &artifact);
    return true;
}
