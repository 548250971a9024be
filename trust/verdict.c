/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/verdict.h"

#include "base/json.h"
#include "trust/verify.h"

#include <string.h>

static const char *const state_names[] = {
    [ARTIFACT_ABSENT] = "absent",   [ARTIFACT_INSPECTING] = "inspecting",
    [ARTIFACT_PENDING] = "pending", [ARTIFACT_REJECTED] = "rejected",
    [ARTIFACT_REVOKED] = "revoked",
};

const char *artifact_state_name(enum artifact_state state)
{
    return (unsigned)state < ARRAY_LEN(state_names) ? state_names[state] : "";
}

int artifact_state_parse(const char *name, enum artifact_state *ret_state)
{
    for (size_t i = ARTIFACT_INSPECTING; i < ARRAY_LEN(state_names); i++)
        if (strcmp(name, state_names[i]) == 0) {
            *ret_state = (enum artifact_state)i;
            return 0;
        }
    return -1;
}

static const char *const lack_names[] = {
    [ARTIFACT_LACKS_NOTHING] = "",
    [ARTIFACT_LACKS_SBOM] = "sbom",
    [ARTIFACT_LACKS_REPORT] = "report",
    [ARTIFACT_LACKS_SEVERITY] = "severity",
};

const char *artifact_lack_name(enum artifact_lack lack)
{
    return (unsigned)lack < ARRAY_LEN(lack_names) ? lack_names[lack] : "";
}

int artifact_lack_parse(const char *name, enum artifact_lack *ret_lack)
{
    for (size_t i = 0; i < ARRAY_LEN(lack_names); i++)
        if (strcmp(name, lack_names[i]) == 0) {
            *ret_lack = (enum artifact_lack)i;
            return 0;
        }
    return -1;
}

/* Inspected, and neither rejected nor revoked: documents and approvals decide. */
static int judge_pending(const struct verdict_facts *facts, struct fault *fault)
{
    switch (facts->lacks) {
    case ARTIFACT_LACKS_NOTHING:
        if (facts->quorum >= 1 && facts->approvals >= facts->quorum)
            return 0;
        return fault_set(fault, FAULT_ARTIFACT_NOT_APPROVED,
                         "tool_sha256: the artifact has %d of %d approvals", facts->approvals,
                         facts->quorum);
    case ARTIFACT_LACKS_SBOM:
        return fault_set(fault, FAULT_ARTIFACT_NOT_APPROVED,
                         "tool_sha256: the artifact lacks the sbom that its tenant asks for");
    case ARTIFACT_LACKS_REPORT:
        return fault_set(fault, FAULT_ARTIFACT_NOT_APPROVED,
                         "tool_sha256: the artifact lacks the report that its tenant asks for");
    case ARTIFACT_LACKS_SEVERITY:
        return fault_set(fault, FAULT_ARTIFACT_NOT_APPROVED,
                         "tool_sha256: the artifact's report has findings worse than its tenant "
                         "allows");
    }
    return fault_set(fault, FAULT_ARTIFACT_NOT_APPROVED,
                     "tool_sha256: the artifact lacks something unknown");
}

static int judge_artifact(const struct verdict_facts *facts, struct fault *fault)
{
    switch (facts->artifact_state) {
    case ARTIFACT_ABSENT:
        return fault_set(fault, FAULT_ARTIFACT_UNKNOWN, "tool_sha256: no such artifact");
    case ARTIFACT_REVOKED:
        return fault_set(fault, FAULT_ARTIFACT_REVOKED, "tool_sha256: the artifact is revoked");
    case ARTIFACT_INSPECTING:
        return fault_set(fault, FAULT_ARTIFACT_NOT_APPROVED,
                         "tool_sha256: the artifact is still being inspected");
    case ARTIFACT_REJECTED:
        return fault_set(fault, FAULT_ARTIFACT_NOT_APPROVED,
                         "tool_sha256: the artifact was rejected by inspection");
    case ARTIFACT_PENDING:
        return judge_pending(facts, fault);
    }
    return fault_set(fault, FAULT_ARTIFACT_NOT_APPROVED,
                     "tool_sha256: the artifact is in no known state");
}

int verdict_reach(const struct verdict_facts *facts, struct fault *fault)
{
    if (!facts->caller_live)
        return fault_set(fault, FAULT_NOT_AUTHENTICATED,
                         "the API key is revoked, expired or unknown");
    if (!facts->key_live)
        return fault_set(fault, FAULT_SIGNATURE_INVALID, VERIFY_REFUSAL);
    if (judge_artifact(facts, fault) != 0)
        return -1;
    if (facts->inputs_missing != 0)
        return fault_set(fault, FAULT_INPUT_UNKNOWN,
                         "parameters.inputs: %d of them are not stored or have expired",
                         facts->inputs_missing);
    return 0;
}

void verdict_describe(const struct verdict_facts *facts, const char *kid, const char *alg,
                      const struct digest *descriptor_sha256, struct buf *ret_json)
{
    const char *verdict = verdict_reach(facts, NULL) == 0 ? "permit" : "refuse";
    AUTO_JSON json_t *object =
        json_pack("{s:s, s:s, s:s, s:i, s:i, s:s}", "verdict", verdict, "kid", kid, "alg", alg,
                  "approvals", facts->approvals, "quorum", facts->quorum, "descriptor_sha256",
                  digest_format(descriptor_sha256).text);
    if (object == NULL)
        ret_json->failed = true;
    else
        json_append(ret_json, object);
}
