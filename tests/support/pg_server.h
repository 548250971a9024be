/* SPDX-License-Identifier: Apache-2.0 */
/* A PostgreSQL server of a test's own: initdb, start, stop, remove. */
#pragma once

#include "base/fault.h"

#include <stdbool.h>

struct pg_server;

/* Starts one as the user postgres if this is root, else as who this is. Trusts every local user,
 * its folder being nobody else's. */
int pg_server_start(bool durable, struct pg_server **ret_server, struct fault *fault) MUST_CHECK;
const char *pg_server_conninfo(const struct pg_server *server); /* of its superuser */
void pg_server_free(struct pg_server *server);
