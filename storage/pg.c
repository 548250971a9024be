/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/pg.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#define STATEMENTS_MAX 256
#define CHANNELS_MAX 4
#define FAREWELLS_MAX 16 /* reads it takes at most to see that the server has gone */

struct pg {
    PGconn *conn;
    char *conninfo;
    char *role;
    bool keyed; /* pg_open_keyed() */
    const struct pg_statement *prepared[STATEMENTS_MAX];
    size_t prepared_count;
    const char *channels[CHANNELS_MAX]; /* what pg_listen() asked for */
    size_t channel_count;
    uint64_t session; /* counts the connections made */
    bool in_transaction;
    bool begin_due;     /* BEGIN waits for the first step */
    struct buf tenants; /* the array literal of pg_begin() */
};

static const struct pg_statement set_tenants = {"set_tenants",
                                                "SELECT set_config('sallyport.tenants', $1, true)"};

#define BINARY 1

static int pg_fail(struct pg *pg, const PGresult *result, struct fault *fault)
{
    const char *state = result == NULL ? NULL : PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *words = result == NULL ? NULL : PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    if (state == NULL || PQstatus(pg->conn) == CONNECTION_BAD)
        return fault_set(fault, FAULT_UNAVAILABLE, "the database does not answer: %s",
                         PQerrorMessage(pg->conn));
    if (words == NULL)
        words = "";
    /* 08 connection (but 08P01, a protocol violation), 53 resources, 57 operator intervention, 40
     * serialisation or deadlock, 55P03 lock not available: all pass with time. */
    if ((strncmp(state, "08", 2) == 0 && strcmp(state, "08P01") != 0) ||
        strncmp(state, "53", 2) == 0 || strncmp(state, "57", 2) == 0 ||
        strncmp(state, "40", 2) == 0 || strcmp(state, "55P03") == 0)
        return fault_set(fault, FAULT_UNAVAILABLE, "the database asks to try again: %s %s", state,
                         words);
    if (strcmp(state, "23505") == 0)
        return fault_set(fault, FAULT_STATE_CONFLICT, "it exists already");
    if (strcmp(state, "SP001") == 0) /* ours: a quota of the tenant */
        return fault_set(fault, FAULT_QUOTA_EXCEEDED, "%s", words);
    return fault_set(fault, FAULT_INTERNAL, "database: %s %s", state, words);
}

static int listen_now(struct pg *pg, const char *channel, struct fault *fault)
{
    char sql[128];
    (void)snprintf(sql, sizeof sql, "LISTEN %s", channel);
    AUTO_PGRESULT PGresult *result = PQexec(pg->conn, sql);
    return PQresultStatus(result) == PGRES_COMMAND_OK ? 0 : pg_fail(pg, result, fault);
}

static int set(struct pg *pg, const char *sql, struct fault *fault)
{
    AUTO_PGRESULT PGresult *result = PQexec(pg->conn, sql);
    return PQresultStatus(result) == PGRES_COMMAND_OK ? 0 : pg_fail(pg, result, fault);
}

static int configure(struct pg *pg, struct fault *fault)
{
    static const char all[] =
        "SET search_path = sallyport, pg_temp; SET statement_timeout = '30s'; "
        "SET lock_timeout = '10s'; "
        "SET idle_in_transaction_session_timeout = '30s'; "
        "SET client_min_messages = warning; SET jit = off; "
        "SET timezone = 'UTC'";
    static const char keyed[] = "SET plan_cache_mode = force_generic_plan; "
                                "SET enable_seqscan = off; SET enable_bitmapscan = off; "
                                "SET enable_hashjoin = off; SET enable_mergejoin = off";
    if (set(pg, all, fault) != 0 || (pg->keyed && set(pg, keyed, fault) != 0))
        return -1;
    pg->prepared_count = 0;
    pg->session++;
    for (size_t i = 0; i < pg->channel_count; i++)
        if (listen_now(pg, pg->channels[i], fault) != 0)
            return -1;
    return 0;
}

/* What the server says besides (a warning, its farewell) is not ours to write to stderr. */
static void ignore_notice(void *context, const char *message)
{
    (void)context;
    (void)message;
}

static int connect_now(struct pg *pg, struct fault *fault)
{
    const char *names[] = {
        "dbname",          "fallback_application_name", "connect_timeout", "tcp_user_timeout",
        "client_encoding", "target_session_attrs",      "keepalives_idle", NULL};
    const char *values[] = {pg->conninfo, pg->role, "5", "20000", "UTF8", "read-write", "10", NULL};
    pg->conn = PQconnectdbParams(names, values, 1);
    if (pg->conn == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    if (PQstatus(pg->conn) != CONNECTION_OK)
        return fault_set(fault, FAULT_UNAVAILABLE, "cannot connect to the database: %s",
                         PQerrorMessage(pg->conn));
    (void)PQsetNoticeProcessor(pg->conn, ignore_notice, NULL);
    if (configure(pg, fault) == 0)
        return 0;
    PQfinish(TAKE(pg->conn)); /* half configured it would be taken for ready */
    return -1;
}

static int open_as(const char *conninfo, const char *role, bool keyed, struct pg **ret_pg,
                   struct fault *fault)
{
    AUTO_PG struct pg *pg = calloc(1, sizeof *pg);
    if (pg == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    pg->keyed = keyed;
    pg->tenants = BUF(65536);
    pg->conninfo = strdup(conninfo);
    if (pg->conninfo == NULL || asprintf(&pg->role, "sallyport %s", role) < 0)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    if (connect_now(pg, fault) != 0)
        return -1;
    *ret_pg = TAKE(pg);
    return 0;
}

int pg_open(const char *conninfo, const char *role, struct pg **ret_pg, struct fault *fault)
{
    return open_as(conninfo, role, false, ret_pg, fault);
}

int pg_open_keyed(const char *conninfo, const char *role, struct pg **ret_pg, struct fault *fault)
{
    return open_as(conninfo, role, true, ret_pg, fault);
}

void pg_free(struct pg *pg)
{
    if (pg == NULL)
        return;
    PQfinish(pg->conn);
    free(pg->conninfo);
    free(pg->role);
    buf_free(&pg->tenants);
    free(pg);
}

void pg_cleanup(struct pg **pg)
{
    pg_free(*pg);
}

void pg_result_cleanup(PGresult **result)
{
    PQclear(*result);
}

/* Does the connection stand, as far as can be told without asking the server? What it said unasked
 * (a notification, a farewell, the end) is readable by now. */
static bool is_connected(struct pg *pg)
{
    struct pollfd readable = {.fd = PQsocket(pg->conn), .events = POLLIN};
    for (int i = 0; i < FAREWELLS_MAX && PQstatus(pg->conn) == CONNECTION_OK; i++)
        if (poll(&readable, 1, 0) != 1 || PQconsumeInput(pg->conn) != 1)
            break;
    return PQstatus(pg->conn) == CONNECTION_OK;
}

static int reconnect(struct pg *pg, struct fault *fault)
{
    PQfinish(TAKE(pg->conn));
    pg->in_transaction = false;
    return connect_now(pg, fault);
}

/* Before the first word of a call. A transaction is not gone on with on another connection. */
static int pg_ready(struct pg *pg, struct fault *fault)
{
    if (is_connected(pg))
        return 0;
    bool lost = pg->in_transaction;
    if (reconnect(pg, fault) != 0)
        return -1;
    return lost ? fault_set(fault, FAULT_UNAVAILABLE, "the transaction was lost") : 0;
}

static int prepare(struct pg *pg, const struct pg_statement *statement,
                   const struct pg_params *params, struct fault *fault)
{
    for (size_t i = 0; i < pg->prepared_count; i++)
        if (pg->prepared[i] == statement)
            return 0;
    if (pg->prepared_count == STATEMENTS_MAX)
        return fault_set(fault, FAULT_INTERNAL, "more than %d prepared statements", STATEMENTS_MAX);
    AUTO_PGRESULT PGresult *result =
        PQprepare(pg->conn, statement->name, statement->sql, params == NULL ? 0 : params->count,
                  params == NULL ? NULL : params->types);
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        return pg_fail(pg, result, fault);
    pg->prepared[pg->prepared_count++] = statement;
    return 0;
}

static bool send_statement(struct pg *pg, const struct pg_statement *statement,
                           const struct pg_params *params)
{
    static const struct pg_params none;
    if (params == NULL)
        params = &none;
    return PQsendQueryPrepared(pg->conn, statement->name, params->count, params->values,
                               params->lengths, params->formats, BINARY) == 1;
}

/* One statement of a pipeline: plain text (BEGIN, COMMIT) or prepared. */
struct pipe_item {
    const char *text;
    const struct pg_statement *statement;
    const struct pg_params *params;
};

static bool pipe_send(struct pg *pg, const struct pipe_item *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bool sent = items[i].text != NULL ? PQsendQueryParams(pg->conn, items[i].text, 0, NULL,
                                                              NULL, NULL, NULL, BINARY) == 1
                                          : send_statement(pg, items[i].statement, items[i].params);
        if (!sent)
            return false;
    }
    return PQpipelineSync(pg->conn) == 1;
}

/* Reads one item's result and its terminating NULL; the first failure is kept. */
static void pipe_receive_item(struct pg *pg, PGresult **ret_keep, int *status, struct fault *fault)
{
    PGresult *result = PQgetResult(pg->conn);
    ExecStatusType code = PQresultStatus(result);
    if (code != PGRES_TUPLES_OK && code != PGRES_COMMAND_OK) {
        if (*status == 0)
            *status = pg_fail(pg, result, fault);
    } else if (ret_keep != NULL && *status == 0) {
        *ret_keep = TAKE(result);
    }
    PQclear(result);
    if (result != NULL || (ret_keep != NULL && *ret_keep != NULL))
        PQclear(PQgetResult(pg->conn)); /* the NULL after a result */
}

/* Sends the items and one Sync, receives all; the result of `items[wanted]` is kept. In the
 * implicit or explicit transaction a failing item makes the server skip the rest. */
static int pipe_run(struct pg *pg, const struct pipe_item *items, size_t count, size_t wanted,
                    PGresult **ret_result, struct fault *fault)
{
    for (size_t i = 0; i < count; i++)
        if (items[i].params != NULL && items[i].params->failed)
            return fault_set(fault, FAULT_INTERNAL, "statement %s: parameters do not fit",
                             items[i].statement->name);
    if (PQenterPipelineMode(pg->conn) != 1)
        return fault_set(fault, FAULT_UNAVAILABLE, "the database connection is not usable");
    int status = 0;
    PGresult *kept = NULL;
    if (!pipe_send(pg, items, count)) {
        status = pg_fail(pg, NULL, fault);
    } else {
        for (size_t i = 0; i < count; i++)
            pipe_receive_item(pg, i == wanted ? &kept : NULL, &status, fault);
        PQclear(PQgetResult(pg->conn)); /* PGRES_PIPELINE_SYNC */
    }
    if (PQexitPipelineMode(pg->conn) != 1) {
        /* Unread results would be taken for the next call's: this connection is over. */
        PQfinish(TAKE(pg->conn));
        pg->in_transaction = false;
        if (status == 0)
            status = fault_set(fault, FAULT_UNAVAILABLE, "the database connection was lost");
    }
    if (status != 0 || ret_result == NULL)
        PQclear(kept);
    else
        *ret_result = kept;
    return status;
}

/* The tenants as an array literal; their names are checked to be of [a-z0-9._-]. */
static void tenants_literal(struct buf *buf, const char *const *tenants)
{
    buf_reset(buf);
    buf_puts(buf, "{");
    for (size_t i = 0; tenants != NULL && tenants[i] != NULL; i++)
        buf_printf(buf, "%s\"%s\"", i > 0 ? "," : "", tenants[i]);
    buf_puts(buf, "}");
}

static int tenants_params(struct pg *pg, struct pg_params *params, struct fault *fault)
{
    if (buf_failed(&pg->tenants))
        return fault_set(fault, FAULT_INTERNAL, "too many tenants in one transaction");
    pg_text(params, buf_text(&pg->tenants));
    return 0;
}

int pg_query(struct pg *pg, const char *const *tenants, const struct pg_statement *statement,
             const struct pg_params *params, PGresult **ret_result, struct fault *fault)
{
    struct pg_params scope = {0};
    tenants_literal(&pg->tenants, tenants);
    if (pg_ready(pg, fault) != 0 || tenants_params(pg, &scope, fault) != 0 ||
        prepare(pg, &set_tenants, &scope, fault) != 0 || prepare(pg, statement, params, fault) != 0)
        return -1;
    const struct pipe_item items[] = {{.statement = &set_tenants, .params = &scope},
                                      {.statement = statement, .params = params}};
    return pipe_run(pg, items, 2, 1, ret_result, fault);
}

int pg_query_as(struct pg *pg, const char *tenant, const struct pg_statement *statement,
                const struct pg_params *params, PGresult **ret_result, struct fault *fault)
{
    const char *tenants[] = {tenant, NULL};
    return pg_query(pg, tenants, statement, params, ret_result, fault);
}

void pg_begin(struct pg *pg, const char *const *tenants)
{
    tenants_literal(&pg->tenants, tenants);
    pg->begin_due = true;
}

/* A step, with BEGIN before it where it is the first and COMMIT behind it where it is the last. */
static int transaction_step(struct pg *pg, const struct pg_statement *statement,
                            const struct pg_params *params, bool commit, PGresult **ret_result,
                            struct fault *fault)
{
    struct pg_params scope = {0};
    bool begin = pg->begin_due;
    pg->begin_due = false;
    if (begin && (pg_ready(pg, fault) != 0 || tenants_params(pg, &scope, fault) != 0 ||
                  prepare(pg, &set_tenants, &scope, fault) != 0))
        return -1;
    if (!begin && !pg->in_transaction)
        return fault_set(fault, FAULT_UNAVAILABLE, "the transaction was lost");
    if (statement != NULL && prepare(pg, statement, params, fault) != 0) {
        pg_rollback(pg);
        return -1;
    }
    struct pipe_item items[4];
    size_t count = 0, wanted = SIZE_MAX;
    if (begin) {
        items[count++] = (struct pipe_item){.text = "BEGIN"};
        items[count++] = (struct pipe_item){.statement = &set_tenants, .params = &scope};
        pg->in_transaction = true;
    }
    if (statement != NULL) {
        wanted = count;
        items[count++] = (struct pipe_item){.statement = statement, .params = params};
    }
    if (commit)
        items[count++] = (struct pipe_item){.text = "COMMIT"};
    if (pipe_run(pg, items, count, wanted, ret_result, fault) != 0) {
        pg_rollback(pg);
        return -1;
    }
    if (commit)
        pg->in_transaction = false;
    return 0;
}

int pg_step(struct pg *pg, const struct pg_statement *statement, const struct pg_params *params,
            PGresult **ret_result, struct fault *fault)
{
    return transaction_step(pg, statement, params, false, ret_result, fault);
}

int pg_commit(struct pg *pg, const struct pg_statement *statement, const struct pg_params *params,
              PGresult **ret_result, struct fault *fault)
{
    return transaction_step(pg, statement, params, true, ret_result, fault);
}

void pg_rollback(struct pg *pg)
{
    pg->begin_due = false;
    if (!pg->in_transaction)
        return;
    pg->in_transaction = false;
    if (PQstatus(pg->conn) == CONNECTION_OK && PQtransactionStatus(pg->conn) != PQTRANS_IDLE)
        PQclear(PQexec(pg->conn, "ROLLBACK"));
}

void pg_tx_cleanup(struct pg **pg)
{
    if (*pg != NULL)
        pg_rollback(*pg);
}

int pg_execute(struct pg *pg, const char *sql, struct fault *fault)
{
    if (pg_ready(pg, fault) != 0)
        return -1;
    AUTO_PGRESULT PGresult *result = PQexec(pg->conn, sql);
    ExecStatusType code = PQresultStatus(result);
    return code == PGRES_COMMAND_OK || code == PGRES_TUPLES_OK ? 0 : pg_fail(pg, result, fault);
}

uint64_t pg_session(const struct pg *pg)
{
    return pg->session;
}

int pg_listen(struct pg *pg, const char *channel, struct fault *fault)
{
    size_t n = 0;
    while (n < pg->channel_count && strcmp(pg->channels[n], channel) != 0)
        n++;
    if (n == CHANNELS_MAX)
        return fault_set(fault, FAULT_INTERNAL, "more than %d channels", CHANNELS_MAX);
    pg->channels[n] = channel;
    if (n == pg->channel_count)
        pg->channel_count++;
    return PQstatus(pg->conn) == CONNECTION_OK ? listen_now(pg, channel, fault)
                                               : pg_ready(pg, fault);
}

static bool take_notifications(struct pg *pg, pg_heard *heard, void *context)
{
    bool any = false;
    for (PGnotify *notify; (notify = PQnotifies(pg->conn)) != NULL;) {
        any = true;
        if (heard != NULL)
            heard(context, notify->relname, notify->extra);
        PQfreemem(notify);
    }
    return any;
}

int pg_wait_heard(struct pg *pg, int wake_fd, int milliseconds, pg_heard *heard, void *context,
                  struct fault *fault)
{
    if (PQstatus(pg->conn) != CONNECTION_OK && reconnect(pg, fault) != 0)
        return -1; /* but a loss that is only found now is told: news may have been missed */
    if (take_notifications(pg, heard, context))
        return 1;
    struct pollfd fds[] = {{.fd = PQsocket(pg->conn), .events = POLLIN},
                           {.fd = wake_fd, .events = POLLIN}};
    int n = poll(fds, 2, milliseconds);
    if (n < 0 && errno != EINTR)
        return fault_errno(fault, "poll");
    if (n <= 0 || fds[0].revents == 0)
        return 0;
    if (PQconsumeInput(pg->conn) != 1)
        return pg_fail(pg, NULL, fault);
    return take_notifications(pg, heard, context) ? 1 : 0;
}

int pg_wait_notify(struct pg *pg, int wake_fd, int milliseconds, struct fault *fault)
{
    return pg_wait_heard(pg, wake_fd, milliseconds, NULL, NULL, fault);
}
