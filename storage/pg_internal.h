/* SPDX-License-Identifier: Apache-2.0 */
/* A connection's insides, for pg.c (the connection) and pg_call.c (what goes over it). */
#pragma once

#include "storage/pg.h"

#define PG_STATEMENTS_MAX 256
#define PG_CHANNELS_MAX 4

struct pg {
    PGconn *conn;
    char *conninfo;
    char *role;
    bool keyed; /* pg_open_keyed() */
    const struct pg_statement *prepared[PG_STATEMENTS_MAX];
    size_t prepared_count;
    const char *channels[PG_CHANNELS_MAX]; /* what pg_listen() asked for */
    size_t channel_count;
    uint64_t session; /* counts the connections made */
    bool in_transaction;
    bool begin_due;     /* BEGIN waits for the first step */
    struct buf tenants; /* the array literal of pg_begin() */
    struct buf told;    /* channels that hear of the commit, separated by commas */
};

/* The fault of a result, or of the connection where there is none; always -1. */
int pg_fail(struct pg *pg, const PGresult *result, struct fault *fault);
/* Before the first word of a call. A transaction is not gone on with on another connection. */
int pg_ready(struct pg *pg, struct fault *fault) MUST_CHECK;
