/* SPDX-License-Identifier: Apache-2.0 */
/* The finished job that the tests of ledger/finished.c begin with. */
#pragma once

#include "base/encode.h"
#include "base/json.h"
#include "ledger/finished.h"
#include "tests/unit/ledger/reference.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* Facts of a job that went well, with what they borrow. */
struct sample {
    json_t *policy;
    json_t *checks;
    json_t *limits;
    json_t *usage;
    struct digest descriptor;
    struct finished_facts facts;
};

static inline struct finished_stream sample_stream_part(struct span stored, struct span whole)
{
    return (struct finished_stream){.captured = true,
                                    .stored = stored,
                                    .whole_sha256 = reference_sha256(whole.data, whole.len),
                                    .whole_bytes = whole.len};
}

static inline struct finished_stream sample_stream(const void *bytes, size_t len)
{
    return sample_stream_part(span_of(bytes, len), span_of(bytes, len));
}

static inline void sample_init(struct sample *sample)
{
    static const char *const argv[] = {"/usr/bin/yara", "-s", "/in/rules.yar"};
    *sample =
        (struct sample){.policy = json_pack("{s:s, s:i}", "decision", "permit", "approvals", 2),
                        .checks = json_pack("{s:s, s:b}", "seccomp", "runsc", "network_none", 1),
                        .limits = json_pack("{s:i}", "memory_mib", 256),
                        .usage = json_pack("{s:i}", "wall_ms", 170),
                        .descriptor = reference_sha256("descriptor", 10)};
    sample->facts = (struct finished_facts){
        .task_id = "task-0001",
        .tenant_id = "acme",
        .operator_id = "op-7",
        .correlation_id = "corr-1",
        .tool_sha256 = reference_sha256("tool", 4),
        .descriptor_sha256 = &sample->descriptor,
        .target_urn = "urn:acme:host-1",
        .state = EXECUTION_SUCCEEDED,
        .exit_code = 0,
        .argv = argv,
        .argv_count = ARRAY_LEN(argv),
        .out = sample_stream("match\n", 6),
        .err = sample_stream("", 0),
        .manifest_jws = span_text("aGVhZA.cGF5bG9hZA.c2ln"),
        .manifest_sha256 = reference_sha256("payload", 7),
        .policy_decision = sample->policy,
        .runtime = "gVisor release-20221219.0",
        .isolation_checks = sample->checks,
        .limits = sample->limits,
        .usage = sample->usage,
        .worker = "worker-1",
        .started_ms = 1767323045678,
        .finished_ms = 1767323045999,
    };
}

static inline void sample_done(struct sample *sample)
{
    json_decref(sample->policy);
    json_decref(sample->checks);
    json_decref(sample->limits);
    json_decref(sample->usage);
}

static inline json_t *sample_data(const struct finished_facts *facts)
{
    json_t *data = NULL;
    struct fault fault = {.detail = ""};
    if (finished_data(facts, &data, &fault) != 0)
        fail_msg("%s", fault.detail);
    return data;
}

static inline const char *sample_text(const json_t *data, const char *name)
{
    return json_string_value(json_object_get(data, name));
}

static inline void sample_hex(struct digest digest, char ret_hex[65])
{
    hex_encode(digest.bytes, DIGEST_LEN, ret_hex);
}

/* The fingerprint from nothing but the data that a reader of the event has: by hand, over
 * OpenSSL alone. */
static inline void sample_fingerprint(const json_t *data, char ret_hex[65])
{
    char checks[65];
    char policy[65];
    json_t *metadata = json_object_get(data, "execution_metadata");
    const json_t *isolation = json_object_get(metadata, "isolation_checks");
    AUTO_FREE char *isolation_text = json_dumps(isolation, JSON_COMPACT | JSON_ENCODE_ANY);
    AUTO_FREE char *policy_text =
        json_dumps(json_object_get(data, "policy_decision"), JSON_COMPACT);
    sample_hex(reference_sha256(isolation_text, strlen(isolation_text)), checks);
    sample_hex(reference_sha256(policy_text, strlen(policy_text)), policy);
    char text[2048];
    int len = snprintf(
        text, sizeof text,
        "{\"attestation_measurement_hash\":\"%s\",\"manifest_hash\":\"%s\",\"operator_id\":\"%s\","
        "\"policy_decision_hash\":\"%s\",\"tenant_id\":\"%s\",\"timestamp\":\"%s\","
        "\"tool_hash\":\"%s\"}",
        checks, sample_text(data, "manifest_sha256") + 7, sample_text(data, "operator_id"), policy,
        sample_text(data, "tenant_id"), sample_text(data, "finished_at"),
        sample_text(data, "tool_sha256") + 7);
    sample_hex(reference_sha256(text, (size_t)len), ret_hex);
}
