/* SPDX-License-Identifier: Apache-2.0 */
/* The answer that carries an artifact, with its approvals. */
#pragma once

#include "base/digest.h"
#include "server/request.h"

/* With Location where the request is a POST. */
enum answer reply_artifact(struct request *request, int status, const struct digest *sha256);
