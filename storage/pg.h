/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One PostgreSQL connection: prepared statements, binary parameters and results, SQLSTATE to
 * fault. A connection belongs to one thread at a time. It comes back by itself: one that was lost
 * while nothing was under way is made anew before the next call sends a word; where it is lost
 * during a call, that one fails with FAULT_UNAVAILABLE and the next one reconnects.
 */
#pragma once

#include "base/digest.h"
#include "base/fault.h"
#include "base/uuid.h"

#include <libpq-fe.h>

struct pg;
#define AUTO_PG AUTO(pg_cleanup)
#define AUTO_PGRESULT AUTO(pg_result_cleanup)

/* A statement is a static const: its address is its identity, prepared once a connection. Names
 * are unqualified: the connection's search_path is `sallyport`. */
struct pg_statement {
    const char *name; /* unique among all statements */
    const char *sql;
};

#define PG_PARAMS_MAX 40

/* Parameters in the binary format, bound in order. The bytes given must live until the call. */
struct pg_params {
    int count;
    bool failed; /* too many, or an array that did not fit */
    Oid types[PG_PARAMS_MAX];
    const char *values[PG_PARAMS_MAX];
    int lengths[PG_PARAMS_MAX];
    int formats[PG_PARAMS_MAX];
    uint8_t small[PG_PARAMS_MAX][16]; /* numbers, in network order */
};

void pg_text(struct pg_params *params, const char *text); /* NULL: SQL null, in all of these */
void pg_bytes(struct pg_params *params, struct span bytes);
void pg_digest(struct pg_params *params, const struct digest *digest);
void pg_uuid(struct pg_params *params, const struct uuid *uuid);
void pg_int8(struct pg_params *params, int64_t value);
void pg_int4(struct pg_params *params, int32_t value);
void pg_int4_null(struct pg_params *params);
void pg_bool(struct pg_params *params, bool value);
/* timestamptz from wall-clock milliseconds; INT64_MIN and INT64_MAX bind SQL null. */
void pg_time(struct pg_params *params, int64_t wall_ms);

/* One-dimensional arrays in the binary format, grown element by element and then bound. */
enum pg_array_kind { PG_ARRAY_TEXT, PG_ARRAY_BYTEA, PG_ARRAY_UUID, PG_ARRAY_INT8, PG_ARRAY_TIME };
struct pg_array {
    enum pg_array_kind kind;
    int32_t count;
    bool has_null;
    struct buf body;
};
#define AUTO_PG_ARRAY AUTO(pg_array_free)
#define PG_ARRAY_MAX (256u * 1024 * 1024)
struct pg_array pg_array_new(enum pg_array_kind kind);
void pg_array_bytes(struct pg_array *array, struct span bytes); /* TEXT, BYTEA; data NULL: null */
void pg_array_text(struct pg_array *array, const char *text);   /* NULL: null */
void pg_array_null(struct pg_array *array);
void pg_array_uuid(struct pg_array *array, const struct uuid *uuid);
void pg_array_int(struct pg_array *array, int64_t value); /* INT8; TIME takes wall-clock ms */
void pg_array_bind(struct pg_params *params, struct pg_array *array);
void pg_array_free(struct pg_array *array);

/* Connects; `role` goes into application_name ("sallyport api"). Timeouts for statements, locks and
 * idle transactions are set. FAULT_UNAVAILABLE where the server can't be reached. */
int pg_open(const char *conninfo, const char *role, struct pg **ret_pg,
            struct fault *fault) MUST_CHECK;
/* The same for a connection whose every statement finds its rows by key: each is planned once, and
 * for the indexes, whatever size the tables had at that moment. */
int pg_open_keyed(const char *conninfo, const char *role, struct pg **ret_pg,
                  struct fault *fault) MUST_CHECK;
void pg_free(struct pg *pg);
void pg_cleanup(struct pg **pg);
void pg_result_cleanup(PGresult **result);

/* One statement in a transaction of its own, in one round trip. `tenants` (NULL-terminated names,
 * or NULL for none) are those row-level security lets it see. ret_result may be NULL. */
int pg_query(struct pg *pg, const char *const *tenants, const struct pg_statement *statement,
             const struct pg_params *params, PGresult **ret_result, struct fault *fault) MUST_CHECK;
/* The same for one tenant, which may be NULL. */
int pg_query_as(struct pg *pg, const char *tenant, const struct pg_statement *statement,
                const struct pg_params *params, PGresult **ret_result,
                struct fault *fault) MUST_CHECK;

/* A transaction: begin, any number of steps, then one pg_commit. BEGIN travels with the first step.
 * Any failing step leaves it rolled back; pg_rollback() of no transaction does nothing, so that
 * `AUTO_PG_TX struct pg *tx = pg;` makes every early return safe. */
void pg_begin(struct pg *pg, const char *const *tenants);
int pg_step(struct pg *pg, const struct pg_statement *statement, const struct pg_params *params,
            PGresult **ret_result, struct fault *fault) MUST_CHECK;
/* Several steps that do not need each other's answers, in one round trip. Each sees what those
 * before it, and others meanwhile, have done (READ COMMITTED). */
struct pg_call {
    const struct pg_statement *statement;
    const struct pg_params *params;
    PGresult *result; /* NULL at first, and unless all succeeded; the caller's */
};
#define PG_STEPS_MAX 8
int pg_steps(struct pg *pg, struct pg_call *calls, size_t count, struct fault *fault) MUST_CHECK;
/* The last step and COMMIT in one round trip; statement may be NULL. FAULT_UNAVAILABLE may mean
 * that the commit's answer was lost: the outcome is then unknown. */
int pg_commit(struct pg *pg, const struct pg_statement *statement, const struct pg_params *params,
              PGresult **ret_result, struct fault *fault) MUST_CHECK;
/* Within a transaction, before its pg_commit(): those who listen on the channel (an identifier) are
 * told once it has committed, in the same round trip but in a transaction of their own, for NOTIFY
 * takes a lock of the whole cluster. That this failed is not told: they poll besides. Four at most.
 */
void pg_tell(struct pg *pg, const char *channel);
void pg_rollback(struct pg *pg);
#define AUTO_PG_TX AUTO(pg_tx_cleanup)
void pg_tx_cleanup(struct pg **pg);

/* Plain SQL text, several statements allowed (migrations, NOTIFY). */
int pg_execute(struct pg *pg, const char *sql, struct fault *fault) MUST_CHECK;
/* Another number after each reconnect: what pg_execute() has set then no longer holds. */
uint64_t pg_session(const struct pg *pg);
/* Listens on a channel (an identifier, static), again after every reconnect; up to four of them. */
int pg_listen(struct pg *pg, const char *channel, struct fault *fault) MUST_CHECK;
/* Waits up to `milliseconds` for a notification, or for `wake_fd` (-1: none) to become readable. 1:
 * a notification came (all queued ones are consumed), 0: none, -1: connection lost. */
int pg_wait_notify(struct pg *pg, int wake_fd, int milliseconds, struct fault *fault) MUST_CHECK;
/* The same, and tells each one that came. */
typedef void pg_heard(void *context, const char *channel, const char *payload);
int pg_wait_heard(struct pg *pg, int wake_fd, int milliseconds, pg_heard *heard, void *context,
                  struct fault *fault) MUST_CHECK;

/* Columns of binary results. A null reads as 0, "", an empty span, or INT64_MIN for times. */
bool pg_is_null(const PGresult *result, int row, int column);
int64_t pg_get_int(const PGresult *result, int row, int column); /* int2, int4, int8 */
bool pg_get_bool(const PGresult *result, int row, int column);
const char *pg_get_text(const PGresult *result, int row,
                        int column); /* lives as long as the result */
struct span pg_get_bytes(const PGresult *result, int row, int column);
struct uuid pg_get_uuid(const PGresult *result, int row, int column);
struct digest pg_get_digest(const PGresult *result, int row, int column);
int64_t pg_get_time(const PGresult *result, int row, int column); /* wall-clock ms */

/* The number of rows a data-changing statement touched. */
int64_t pg_affected(const PGresult *result);

/* Keys for pg_advisory_xact_lock: the first 8 bytes of SHA-256 over the kind and the names. */
int64_t pg_lock_key(const char *kind, const char *tenant, struct span name);
