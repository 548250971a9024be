/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/worker_internal.h"

#include "base/clock.h"
#include "trust/descriptor.h"

#include <string.h>

#define CLOCKS_APART_MS 60000 /* the api's clock may be that far ahead of ours */

/* The key of the kid the api resolved (a token without one was proven with the only key of its
 * tenant); *ret_key stays NULL where there is none. With a file of pinned keys the database's word
 * on asymmetric keys is worth nothing: it can take a key away, for the start reads that under its
 * lock, but it can't make one. */
static int find_key(const struct job *job, struct trust_key **ret_key, struct fault *fault)
{
    const struct worker_config *config = &job->slot->worker->config;
    const struct queued *queued = &job->queued;
    if (jws_alg_is_hmac(job->token->alg) && config->master_key == NULL)
        return fault_set(fault, FAULT_SIGNATURE_INVALID,
                         "alg: %s is HMAC, which this worker does not accept (accept-hmac is off)",
                         jws_alg_name(job->token->alg));
    if (config->pins != NULL && !jws_alg_is_hmac(job->token->alg)) {
        *ret_key = trust_key_ref(pins_find(config->pins, queued->tenant_id, queued->kid));
        return 0;
    }
    int status = known_key(job->slot, queued->tenant_id, queued->kid, ret_key, fault);
    return status != 0 && fault->code == FAULT_NOT_FOUND ? 0 : status;
}

static int prove_token(struct job *job, struct fault *fault)
{
    const struct worker_config *config = &job->slot->worker->config;
    AUTO_TRUST_KEY struct trust_key *key = NULL;
    if (token_parse(job->queued.token, &job->token, fault) != 0 || find_key(job, &key, fault) != 0)
        return -1;
    if (job->token->kid[0] != '\0' && strcmp(job->token->kid, job->queued.kid) != 0)
        return fault_set(fault, FAULT_SIGNATURE_INVALID, "kid: not the one it was accepted with");
    job->alg = job->token->alg;
    return token_verify(job->token, key, config->verify, fault);
}

/* What the api wrote beside the token must be what the token says. */
static int prove_manifest(struct job *job, struct fault *fault)
{
    if (manifest_parse(job->token->payload, &job->manifest, fault) != 0)
        return -1;
    const struct manifest *m = job->manifest;
    const struct queued *q = &job->queued;
    if (strcmp(m->tenant_id, q->tenant_id) != 0)
        return fault_set(fault, FAULT_TENANT_MISMATCH, "the stored row names another tenant");
    if (!digest_equal(&m->tool_sha256, &q->tool_sha256) ||
        !digest_equal(&m->sha256, &q->manifest_sha256) || strcmp(m->task_id, q->task_id) != 0 ||
        strcmp(m->operator_id, q->operator_id) != 0)
        return fault_set(fault, FAULT_MANIFEST_INVALID,
                         "the stored row does not say what its manifest says");
    int64_t now_ms = clock_wall_ms();
    if (now_ms >= m->expires_at_ms)
        return fault_set(fault, FAULT_MANIFEST_STALE, "expires_at: it has passed in the queue");
    if (m->not_before_ms != INT64_MIN && now_ms < m->not_before_ms - CLOCKS_APART_MS)
        return fault_set(fault, FAULT_MANIFEST_STALE, "not_before: accepted before its time");
    job->inputs = calloc(m->input_count + 1, sizeof *job->inputs);
    if (job->inputs == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    for (size_t i = 0; i < m->input_count; i++)
        job->inputs[i] = m->inputs[i].sha256;
    return 0;
}

static int prove_artifact(struct job *job, struct fault *fault)
{
    const struct manifest *m = job->manifest;
    if (known_tool(job->slot, m->tenant_id, &m->tool_sha256, &job->tool, fault) != 0)
        return fault->code == FAULT_NOT_FOUND
                   ? fault_set(fault, FAULT_ARTIFACT_UNKNOWN, "tool_sha256: not in the Armory")
                   : -1;
    return descriptor_check_env(job->tool->descriptor, m, fault);
}

int job_prove(struct job *job, struct fault *fault)
{
    if (prove_token(job, fault) != 0 || prove_manifest(job, fault) != 0 ||
        prove_artifact(job, fault) != 0)
        return -1;
    job->facts = (struct facts_item){.tenant_id = job->queued.tenant_id,
                                     .api_key_id = job->queued.api_key_id,
                                     .kid = job->queued.kid,
                                     .tool_sha256 = job->manifest->tool_sha256,
                                     .inputs = job->inputs,
                                     .input_count = job->manifest->input_count};
    return 0;
}
