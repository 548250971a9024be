/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verdict: may this proven manifest run? One pure function over facts read under the
 * locks that revocation takes, used when a job is accepted and again when it is started.
 */
#pragma once

#include "base/digest.h"
#include "base/fault.h"

/* States as the database has them; ARTIFACT_ABSENT is "no such row". */
enum artifact_state {
    ARTIFACT_ABSENT,
    ARTIFACT_INSPECTING,
    ARTIFACT_PENDING, /* approved or not is computed from the approvals below */
    ARTIFACT_REJECTED,
    ARTIFACT_REVOKED
};

/* "absent", "inspecting" ...; "" for a value outside the enum. "absent" is no row's state: it is
 * not parsed. */
const char *artifact_state_name(enum artifact_state state);
int artifact_state_parse(const char *name, enum artifact_state *ret_state) MUST_CHECK;

/* What of its tenant's policy an artifact lacks, whatever its approvals. */
enum artifact_lack {
    ARTIFACT_LACKS_NOTHING,
    ARTIFACT_LACKS_SBOM,
    ARTIFACT_LACKS_REPORT,
    ARTIFACT_LACKS_SEVERITY
};

/* "", "sbom", "report", "severity" (the report's findings are worse than the tenant allows), as
 * the database has them. */
const char *artifact_lack_name(enum artifact_lack lack);
int artifact_lack_parse(const char *name, enum artifact_lack *ret_lack) MUST_CHECK;

/* All facts are of the manifest's tenant, as of the deciding transaction. */
struct verdict_facts {
    bool key_live;    /* the verification key exists, is not revoked and inside its validity */
    bool caller_live; /* the API key that submitted exists, is not revoked nor expired */
    enum artifact_state artifact_state;
    enum artifact_lack lacks;
    int approvals;      /* live approvals of the present descriptor and documents by different
                           principals, the ingester's and platform keys' not counted; 0 where the
                           artifact lacks something */
    int quorum;         /* what the tenant asks; at least 1 */
    int inputs_missing; /* inputs the manifest names that are absent or expired */
};

/* 0: permit. Otherwise, in this order: FAULT_NOT_AUTHENTICATED, FAULT_SIGNATURE_INVALID (the same
 * sentence as token_verify), FAULT_ARTIFACT_UNKNOWN, FAULT_ARTIFACT_REVOKED,
 * FAULT_ARTIFACT_NOT_APPROVED, FAULT_INPUT_UNKNOWN. A quorum below 1 never permits. */
int verdict_reach(const struct verdict_facts *facts, struct fault *fault) MUST_CHECK;

/* The policy_decision of a permit as compact JSON (DESIGN section 10): verdict, kid, alg,
 * approvals, quorum, descriptor_sha256. The verdict is "permit" only if verdict_reach() says so of
 * these facts, "refuse" otherwise. Marks ret_json failed where it does not fit. */
void verdict_describe(const struct verdict_facts *facts, const char *kid, const char *alg,
                      const struct digest *descriptor_sha256, struct buf *ret_json);
