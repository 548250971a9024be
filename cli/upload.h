/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are sent: streamed from where they lie, hashed while they pass. */
#pragma once

#include "cli/client.h"

/* Sends a regular file's bytes as the body of a request; ret_digest is of what was sent. */
int upload_file(struct client *client, const char *method, const char *path, const char *file,
                struct digest *ret_digest, json_t **ret_object, struct fault *fault) MUST_CHECK;

/* SHA-256 of a regular file. FAULT_MALFORMED_REQUEST if there is none. */
int upload_digest(const char *file, struct digest *ret_digest, struct fault *fault) MUST_CHECK;

/* Has the server hold this file as an input: hashed, and sent if it is not there yet, or expires
 * within a day. ret_object (may be NULL) is {sha256, size, expires_at}. */
int upload_input(struct client *client, const char *file, struct digest *ret_digest,
                 json_t **ret_object, struct fault *fault) MUST_CHECK;
