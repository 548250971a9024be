/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/outcome.h"

#include "base/json.h"
#include "ledger/state.h"

#include <string.h>

enum outcome outcome_of_fault(enum fault_code code)
{
    switch (code) {
    case FAULT_MALFORMED_REQUEST:
    case FAULT_MALFORMED_TOKEN:
    case FAULT_UNKNOWN_PARAMETER:
    case FAULT_UNSUPPORTED_MEDIA_TYPE:
    case FAULT_TOO_LARGE:
    case FAULT_MANIFEST_INVALID:
    case FAULT_ARTIFACT_INVALID:
    case FAULT_KEY_INVALID:
        return OUTCOME_USAGE;
    case FAULT_NOT_FOUND:
    case FAULT_EXPIRED:
        return OUTCOME_NOT_FOUND;
    case FAULT_NOT_AUTHENTICATED:
    case FAULT_FORBIDDEN:
        return OUTCOME_NOT_AUTHORISED;
    case FAULT_SIGNATURE_INVALID:
    case FAULT_TENANT_MISMATCH:
    case FAULT_ARTIFACT_UNKNOWN:
    case FAULT_ARTIFACT_NOT_APPROVED:
    case FAULT_ARTIFACT_REVOKED:
    case FAULT_MANIFEST_STALE:
    case FAULT_NONCE_REUSED:
    case FAULT_INPUT_UNKNOWN:
        return OUTCOME_REFUSED;
    case FAULT_CONTENT_MISMATCH:
        return OUTCOME_NOT_VERIFIED;
    case FAULT_REQUEST_TIMEOUT:
        return OUTCOME_TIMED_OUT;
    default:
        return OUTCOME_FAILURE;
    }
}

bool outcome_is_passing(enum fault_code code)
{
    return code == FAULT_UNAVAILABLE || code == FAULT_SHUTTING_DOWN || code == FAULT_RATE_LIMITED ||
           code == FAULT_REQUEST_TIMEOUT;
}

enum outcome outcome_of_state(const char *state)
{
    enum execution_state parsed;
    if (execution_state_parse(state, strlen(state), &parsed) != 0)
        return OUTCOME_FAILURE;
    if (!execution_state_is_end(parsed))
        return OUTCOME_TIMED_OUT;
    if (parsed == EXECUTION_SUCCEEDED)
        return OUTCOME_OK;
    return parsed == EXECUTION_REFUSED ? OUTCOME_REFUSED : OUTCOME_FAILURE;
}

/* For an answer that has no problem document of ours: a proxy's, say. */
static enum fault_code code_of_status(long status)
{
    static const enum fault_code codes[] = {
        FAULT_MALFORMED_REQUEST,      FAULT_NOT_AUTHENTICATED, FAULT_FORBIDDEN,  FAULT_NOT_FOUND,
        FAULT_REQUEST_TIMEOUT,        FAULT_STATE_CONFLICT,    FAULT_EXPIRED,    FAULT_TOO_LARGE,
        FAULT_UNSUPPORTED_MEDIA_TYPE, FAULT_RATE_LIMITED,      FAULT_UNAVAILABLE};
    for (size_t i = 0; i < ARRAY_LEN(codes); i++)
        if (fault_http_status(codes[i]) == status)
            return codes[i];
    return FAULT_INTERNAL;
}

int outcome_of_answer(long status, struct span body, struct fault *fault)
{
    AUTO_JSON json_t *problem = NULL;
    const char *name = NULL, *detail = "", *request = "";
    const struct json_field fields[] = {
        {"code", JSON_KIND_STRING, true, 1, 64, &name},
        {"detail", JSON_KIND_STRING, false, 0, 0, &detail},
        {"request_id", JSON_KIND_STRING, false, 0, 64, &request},
    };
    if (status >= 300 && status < 400)
        return fault_set(fault, FAULT_INTERNAL,
                         "the server answered %ld, a redirect, which is not followed", status);
    enum fault_code code = FAULT_NONE;
    if (json_object_parse(body, FAULT_INTERNAL, "the answer", &problem, NULL) == 0 &&
        json_read(problem, "", fields, ARRAY_LEN(fields), false, FAULT_INTERNAL, NULL) == 0)
        code = fault_from_name(name);
    if (code == FAULT_NONE)
        return fault_set(fault, code_of_status(status),
                         "the server answered %ld without a problem document", status);
    return fault_set(fault, code, "%s%s%s%s", detail, *request == '\0' ? "" : " (request ", request,
                     *request == '\0' ? "" : ")");
}
