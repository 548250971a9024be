/* SPDX-License-Identifier: Apache-2.0 */
/* An artifact at the server, for the commands that deal with one. */
#pragma once

#include "cli/client.h"

/* Appends the artifact's path with this part ("", "/sbom") behind it. */
void armory_path(const struct digest *digest, const char *part, struct buf *ret_path);
int armory_fetch(struct client *client, const struct digest *digest, json_t **ret_artifact,
                 struct fault *fault) MUST_CHECK;
/* A record, then its approvals where there are some. */
int armory_print(struct client *client, const json_t *artifact, struct fault *fault) MUST_CHECK;
