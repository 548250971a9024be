/* SPDX-License-Identifier: Apache-2.0 */
#include "handlers/routes.h"

#include "handlers/handlers.h"
#include "storage/blobs.h"
#include "trust/document.h"
#include "trust/token.h"

#define SUBMIT_MAX (TOKEN_MAX + 1024) /* the token, or the JSON object around it */
#define JSON_MAX (64u * 1024)
#define STREAM_MAX SIZE_MAX /* bounded by settings, in the handler */

#define NO_BODY ROUTE_BODY_NONE, 0
#define JSON_BODY ROUTE_BODY_BUFFERED, JSON_MAX
#define DOCUMENT_BODY ROUTE_BODY_STREAMED, DOCUMENT_MAX

const struct route routes[] = {
    /* Its role is checked in the handler, so that a refusal leaves its event. */
    {HTTP_POST, "/v1/executions", ACCESS_ANY_ROLE, ROUTE_BODY_BUFFERED, SUBMIT_MAX, handle_submit},
    {HTTP_GET, "/v1/executions", ROLE_VIEWER, NO_BODY, handle_execution_list},
    {HTTP_GET, "/v1/executions/{id}", ROLE_VIEWER, NO_BODY, handle_execution_get},
    {HTTP_GET, "/v1/executions/{id}/manifest", ROLE_VIEWER, NO_BODY, handle_execution_manifest},
    {HTTP_GET, "/v1/executions/{id}/stdout", ROLE_VIEWER, NO_BODY, handle_execution_stdout},
    {HTTP_GET, "/v1/executions/{id}/stderr", ROLE_VIEWER, NO_BODY, handle_execution_stderr},
    {HTTP_POST, "/v1/executions/{id}/cancel", ROLE_SUBMITTER, NO_BODY, handle_execution_cancel},
    {HTTP_GET, "/v1/executions/{id}/receipt", ROLE_VIEWER, NO_BODY, handle_execution_receipt},

    {HTTP_POST, "/v1/armory/artifacts", ROLE_PUBLISHER, ROUTE_BODY_STREAMED, STREAM_MAX,
     handle_artifact_push},
    {HTTP_GET, "/v1/armory/artifacts", ACCESS_ANY_ROLE, NO_BODY, handle_artifact_list},
    {HTTP_GET, "/v1/armory/artifacts/{sha256}", ACCESS_ANY_ROLE, NO_BODY, handle_artifact_get},
    {HTTP_GET, "/v1/armory/artifacts/{sha256}/content", ACCESS_ANY_ROLE, NO_BODY,
     handle_artifact_content},
    {HTTP_POST, "/v1/armory/artifacts/{sha256}/approvals", ROLE_APPROVER, JSON_BODY,
     handle_artifact_approve},
    {HTTP_PUT, "/v1/armory/artifacts/{sha256}/sbom", ROLE_PUBLISHER, DOCUMENT_BODY,
     handle_artifact_sbom_put},
    {HTTP_GET, "/v1/armory/artifacts/{sha256}/sbom", ACCESS_ANY_ROLE, NO_BODY,
     handle_artifact_sbom_get},
    {HTTP_PUT, "/v1/armory/artifacts/{sha256}/report", ROLE_PUBLISHER, DOCUMENT_BODY,
     handle_artifact_report_put},
    {HTTP_GET, "/v1/armory/artifacts/{sha256}/report", ACCESS_ANY_ROLE, NO_BODY,
     handle_artifact_report_get},
    {HTTP_POST, "/v1/armory/artifacts/{sha256}/revocation", ROLE_ADMIN, JSON_BODY,
     handle_artifact_revoke},
    {HTTP_PUT, "/v1/inputs/{sha256}", ROLE_SUBMITTER, ROUTE_BODY_STREAMED, STREAM_MAX,
     handle_input_put},
    {HTTP_HEAD, "/v1/inputs/{sha256}", ROLE_SUBMITTER, NO_BODY, handle_input_head},

    {HTTP_POST, "/v1/keys", ROLE_ADMIN, JSON_BODY, handle_key_add},
    {HTTP_GET, "/v1/keys", ROLE_ADMIN, NO_BODY, handle_key_list},
    {HTTP_POST, "/v1/keys/{kid}/revocation", ROLE_ADMIN, NO_BODY, handle_key_revoke},
    {HTTP_POST, "/v1/api-keys", ROLE_ADMIN, JSON_BODY, handle_api_key_create},
    {HTTP_GET, "/v1/api-keys", ROLE_ADMIN, NO_BODY, handle_api_key_list},
    {HTTP_DELETE, "/v1/api-keys/{id}", ROLE_ADMIN, NO_BODY, handle_api_key_revoke},
    {HTTP_GET, "/v1/whoami", ACCESS_ANY_ROLE, NO_BODY, handle_whoami},

    {HTTP_GET, "/v1/events", ROLE_VIEWER | ROLE_AUDITOR, NO_BODY, handle_event_list},
    {HTTP_GET, "/v1/events/{id}", ROLE_VIEWER | ROLE_AUDITOR, NO_BODY, handle_event_get},
    {HTTP_GET, "/v1/events/{id}/receipt", ROLE_VIEWER | ROLE_AUDITOR, NO_BODY,
     handle_event_receipt},
    {HTTP_GET, "/v1/ledger/checkpoint", ACCESS_LOG, NO_BODY, handle_ledger_checkpoint},
    {HTTP_GET, "/v1/ledger/tile/{level}/{a}", ACCESS_LOG, NO_BODY, handle_ledger_tile},
    {HTTP_GET, "/v1/ledger/tile/{level}/{a}/{b}", ACCESS_LOG, NO_BODY, handle_ledger_tile},
    {HTTP_GET, "/v1/ledger/tile/{level}/{a}/{b}/{c}", ACCESS_LOG, NO_BODY, handle_ledger_tile},
    {HTTP_GET, "/v1/ledger/tile/{level}/{a}/{b}/{c}/{d}", ACCESS_LOG, NO_BODY, handle_ledger_tile},
    {HTTP_GET, "/v1/ledger/tile/entries/{a}", ACCESS_LOG, NO_BODY, handle_ledger_entries},
    {HTTP_GET, "/v1/ledger/tile/entries/{a}/{b}", ACCESS_LOG, NO_BODY, handle_ledger_entries},
    {HTTP_GET, "/v1/ledger/tile/entries/{a}/{b}/{c}", ACCESS_LOG, NO_BODY, handle_ledger_entries},
    {HTTP_GET, "/v1/ledger/tile/entries/{a}/{b}/{c}/{d}", ACCESS_LOG, NO_BODY,
     handle_ledger_entries},
    /* An event's proof needs a role that sees the event: the handler asks. */
    {HTTP_GET, "/v1/ledger/proof", ACCESS_ANY_ROLE, NO_BODY, handle_ledger_proof},
    {HTTP_GET, "/v1/ledger/export", ROLE_AUDITOR, NO_BODY, handle_ledger_export},

    {HTTP_GET, "/v1/workers", ROLE_ADMIN, NO_BODY, handle_worker_list},
    {HTTP_GET, "/livez", ACCESS_PUBLIC, NO_BODY, handle_livez},
    {HTTP_GET, "/version", ACCESS_PUBLIC, NO_BODY, handle_version},
    {HTTP_GET, "/openapi.yaml", ACCESS_PUBLIC, NO_BODY, handle_openapi},
};

const size_t route_count = ARRAY_LEN(routes);
