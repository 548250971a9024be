/* SPDX-License-Identifier: Apache-2.0 */
/* An artifact as the API shows it, and the answers that carry one. */
#pragma once

#include "server/request.h"
#include "storage/armory.h"

/* Takes `approvals` over. NULL without memory. */
json_t *artifact_json(const struct artifact *artifact, json_t *approvals);
/* The tenant's artifact as it is now, with its approvals; Location where a POST made it. */
enum answer reply_artifact(struct request *request, int status, const struct digest *sha256);
