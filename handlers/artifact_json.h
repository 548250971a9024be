/* SPDX-License-Identifier: Apache-2.0 */
/* An artifact as the API shows it, and the answers that carry one. */
#pragma once

#include "server/request.h"
#include "storage/armory.h"

/* Without documents yet: documents_show() fills them in. Takes `approvals` over. NULL without
 * memory. */
json_t *artifact_json(const struct artifact *artifact, json_t *approvals);
/* Fills in the present documents of `items`, an array of such artifacts in the order of their
 * digests. */
int documents_show(struct pg *pg, const char *tenant, const json_t *items,
                   struct fault *fault) MUST_CHECK;
/* The tenant's artifact as it is now, with approvals and documents; Location where a POST made it.
 */
enum answer reply_artifact(struct request *request, int status, const struct digest *sha256);
