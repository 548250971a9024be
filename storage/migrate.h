/* SPDX-License-Identifier: Apache-2.0 */
/* Numbered SQL migrations: forward only, checksummed, one at a time under an advisory lock. */
#pragma once

#include "storage/pg.h"

/* The schema this build was written for. A migration leaves what the build before it needs in
 * place, so the daemons accept this one and the next: migrate first, then replace the daemons. */
#define SCHEMA_VERSION 19

struct migrate_report {
    int applied; /* how many this call applied */
    int version; /* the schema's version now */
};

/* Applies the folder's NNNN_name.sql in order, each in a transaction of its own with its record. An
 * applied file whose checksum has changed, a gap or an unknown later version is
 * FAULT_STATE_CONFLICT and nothing more is applied. */
int migrate_run(struct pg *pg, const char *folder, struct migrate_report *ret_report,
                struct fault *fault) MUST_CHECK;

/* FAULT_UNAVAILABLE unless the schema is SCHEMA_VERSION or SCHEMA_VERSION + 1. */
int migrate_check(struct pg *pg, struct fault *fault) MUST_CHECK;
