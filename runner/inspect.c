/* SPDX-License-Identifier: Apache-2.0 */
/* Inspection of new artifacts: fetched, hashed and unpacked by the confined child, as a job would.
 */
#include "runner/worker_internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "storage/blobs.h"
#include "trust/caller.h"

#define AGAIN_SECONDS 120 /* before one that failed here is tried again, by whoever comes first */

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

/* Only what the bytes themselves are at fault for rejects them; a full disk, or a cache that is too
 * small where another worker's may do, is ours. */
static bool rejects(const struct fault *fault)
{
    return fault->code == FAULT_ARTIFACT_INVALID || fault->code == FAULT_TOO_LARGE ||
           fault->code == FAULT_CONTENT_MISMATCH;
}

static struct uuid incarnation_of(struct worker *worker)
{
    (void)pthread_mutex_lock(&worker->mutex);
    struct uuid incarnation = worker->incarnation;
    (void)pthread_mutex_unlock(&worker->mutex);
    return incarnation;
}

/* What one look at an artifact came to. */
struct finding {
    const char *tenant;
    const struct artifact *artifact;
    const char *rejected_because; /* NULL: it may be approved */
    const struct image *image;    /* of kind oci, unless rejected */
};

static int build_event(struct worker *worker, const struct finding *finding,
                       struct event **ret_event, struct fault *fault)
{
    char name[EVENT_NODE_MAX + UUID_TEXT_LEN + 2];
    const struct artifact *artifact = finding->artifact;
    struct uuid incarnation = incarnation_of(worker);
    worker_name_format(worker, &incarnation, name, sizeof name);
    json_t *image = finding->image == NULL
                        ? NULL
                        : json_loadb((const char *)finding->image->json.data,
                                     finding->image->json.len, JSON_REJECT_DUPLICATES, NULL);
    AUTO_JSON json_t *data = json_pack(
        "{s:s, s:s, s:s, s:s?, s:s, s:o*}", "sha256", digest_format(&artifact->sha256).text,
        "descriptor_sha256", digest_format(&artifact->descriptor_sha256).text, "outcome",
        finding->rejected_because == NULL ? "pending" : "rejected", "reason",
        finding->rejected_because, "worker", name, "image", image);
    struct event_head head = {.id = uuid_v7(),
                              .type = EVENT_ARTIFACT_INSPECTED,
                              .node = worker->config.node,
                              .subject = digest_format(&artifact->sha256).text,
                              .tenant_id = finding->tenant,
                              .time_ms = clock_wall_ms()};
    return data == NULL ? fault_set(fault, FAULT_INTERNAL, "out of memory")
                        : event_build(&head, data, ret_event, fault);
}

/* State, image and event in one commit. */
static int store(struct slot *slot, const struct finding *finding, struct fault *fault)
{
    AUTO_EVENT struct event *event = NULL;
    const struct digest *sha256 = &finding->artifact->sha256;
    const char *image = finding->image == NULL ? NULL : (const char *)finding->image->json.data;
    if (build_event(slot->worker, finding, &event, fault) != 0 ||
        armory_inspected(slot->pg, finding->tenant, sha256, finding->rejected_because, image, event,
                         fault) != 0)
        return -1;
    log_info("artifact inspected", "{s:s, s:s, s:s}", "sha256", digest_format(sha256).text, "state",
             finding->rejected_because == NULL ? "pending" : "rejected", "detail",
             finding->rejected_because == NULL ? "" : finding->rejected_because);
    return 0;
}

/* The path a job takes, up to what it would start. */
static int look(struct slot *slot, const char *tenant, const struct artifact *artifact,
                struct cache_entry **ret_entry, struct fault *fault)
{
    AUTO_CACHE_ENTRY struct cache_entry *entry = NULL;
    AUTO_DESCRIPTOR struct descriptor *descriptor = NULL;
    AUTO_COMMAND struct command command = {0};
    static const struct manifest nothing = {0};
    struct blob_source blob = {slot->pg, tenant, &artifact->blob_id};
    struct cache_source source = {artifact->size, blob_fetch, &blob, slot->cancel_fd, true};
    if (cache_acquire(slot->worker->config.cache, &artifact->sha256, artifact->kind, &source,
                      &entry, fault) != 0 ||
        descriptor_parse(artifact->descriptor, &descriptor, fault) != 0 ||
        command_build(descriptor, cache_entry_image(entry), &nothing, &command, fault) != 0)
        return -1;
    *ret_entry = TAKE(entry);
    return 0;
}

static int inspect(struct slot *slot, const char *tenant, const struct artifact *artifact,
                   struct fault *fault)
{
    AUTO_CACHE_ENTRY struct cache_entry *entry = NULL;
    struct fault why;
    struct finding finding = {.tenant = tenant, .artifact = artifact};
    if (look(slot, tenant, artifact, &entry, &why) == 0)
        finding.image = cache_entry_image(entry);
    else if (rejects(&why))
        finding.rejected_because = why.detail;
    else {
        *fault = why;
        return -1;
    }
    return store(slot, &finding, fault);
}

/* Where not even that can be said, its time runs out with this worker's. */
static void try_later(struct slot *slot, const struct uuid *incarnation, const char *tenant,
                      const struct artifact *artifact, const struct fault *why)
{
    struct fault fault;
    int seconds = why->code == FAULT_SHUTTING_DOWN ? 0 : AGAIN_SECONDS;
    log_warn("an inspection has to be tried again", "{s:s, s:s}", "sha256",
             digest_format(&artifact->sha256).text, "detail", why->detail);
    if (armory_inspect_later(slot->pg, incarnation, tenant, &artifact->sha256, seconds, &fault) !=
        0)
        log_warn("an inspection could not be given back", "{s:s}", "detail", fault.detail);
}

bool inspect_one(struct slot *slot)
{
    char tenant[TENANT_ID_MAX + 1];
    AUTO_ARTIFACT struct artifact artifact = {0};
    struct fault fault;
    struct uuid incarnation = incarnation_of(slot->worker);
    if (armory_inspect_next(slot->pg, &incarnation, tenant, &artifact, &fault) != 0) {
        if (fault.code != FAULT_NOT_FOUND)
            log_warn("cannot look for artifacts to inspect", "{s:s}", "detail", fault.detail);
        return false;
    }
    if (inspect(slot, tenant, &artifact, &fault) != 0)
        try_later(slot, &incarnation, tenant, &artifact, &fault);
    return true;
}
