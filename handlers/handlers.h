/* SPDX-License-Identifier: Apache-2.0 */
/* Every endpoint: one sentence and one declaration. */
#pragma once

#include "server/request.h"

/* executions */
enum answer handle_submit(struct request *request);         /* proves a manifest and queues it */
enum answer handle_execution_get(struct request *request);  /* one execution */
enum answer handle_execution_list(struct request *request); /* history, newest first */
enum answer handle_execution_manifest(struct request *request); /* the exact JWS */
enum answer handle_execution_stdout(struct request *request);   /* the stored bytes */
enum answer handle_execution_stderr(struct request *request);
enum answer handle_execution_cancel(struct request *request); /* asks for its end */

/* the Armory */
enum answer handle_artifact_push(struct request *request); /* ingests bytes, streamed */
enum answer handle_artifact_list(struct request *request);
enum answer handle_artifact_get(struct request *request);
enum answer handle_artifact_content(struct request *request);  /* its bytes, streamed */
enum answer handle_artifact_approve(struct request *request);  /* one principal's yes */
enum answer handle_artifact_sbom_put(struct request *request); /* attaches, beginning a round */
enum answer handle_artifact_sbom_get(struct request *request); /* the exact bytes */
enum answer handle_artifact_report_put(struct request *request);
enum answer handle_artifact_report_get(struct request *request);
enum answer handle_artifact_revoke(struct request *request); /* and what waits for it ends */
enum answer handle_input_put(struct request *request);       /* a file jobs may read, streamed */
enum answer handle_input_head(struct request *request);

/* keys and callers */
enum answer handle_key_add(struct request *request);
enum answer handle_key_revoke(struct request *request);
enum answer handle_key_list(struct request *request);
enum answer handle_api_key_create(struct request *request);
enum answer handle_api_key_list(struct request *request);
enum answer handle_api_key_revoke(struct request *request);
enum answer handle_whoami(struct request *request);

/* events and the ledger */
enum answer handle_event_list(struct request *request); /* in the ledger's order */
enum answer handle_event_get(struct request *request);  /* one event's exact bytes */
enum answer handle_ledger_checkpoint(struct request *request);
enum answer handle_event_receipt(struct request *request); /* the proof that one event is logged */
enum answer handle_execution_receipt(struct request *request); /* that of its finished event */
enum answer handle_ledger_tile(struct request *request); /* hashes of the tree (C2SP tlog-tiles) */
enum answer handle_ledger_entries(struct request *request); /* an entry bundle */
enum answer handle_ledger_proof(struct request *request);   /* inclusion, or consistency */
enum answer handle_ledger_export(struct request *request);  /* lines of an export */

/* the installation */
enum answer handle_worker_list(struct request *request);
enum answer handle_livez(struct request *request);
enum answer handle_version(struct request *request);
enum answer handle_openapi(struct request *request);
