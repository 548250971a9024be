/* SPDX-License-Identifier: Apache-2.0 */
/* Calls: statements prepared once a connection, and each call one round trip. */
#include "storage/pg_internal.h"

#include <string.h>

#define BINARY 1

static const struct pg_statement set_tenants = {"set_tenants",
                                                "SELECT set_config('sallyport.tenants', $1, true)"};
/* The answer to COMMIT is sent after this: it waits little for a lock that all of the cluster
 * takes, and not at all for a disk, for what it says is gone after a crash anyway. The settings end
 * with the transaction, whose commit is what would wait. */
static const struct pg_statement tell = {
    "tell", "SELECT set_config('lock_timeout', '50ms', true),"
            " set_config('synchronous_commit', 'off', true), count(pg_notify(c, ''))"
            " FROM unnest(string_to_array($1, ',')) c"};

static int prepare(struct pg *pg, const struct pg_statement *statement,
                   const struct pg_params *params, struct fault *fault)
{
    for (size_t i = 0; i < pg->prepared_count; i++)
        if (pg->prepared[i] == statement)
            return 0;
    if (pg->prepared_count == PG_STATEMENTS_MAX)
        return fault_set(fault, FAULT_INTERNAL, "more than %d prepared statements",
                         PG_STATEMENTS_MAX);
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
    PGresult **ret_result; /* NULL: nobody wants it */
    bool aside; /* a transaction of its own behind COMMIT: that it failed is nobody's failure */
};

/* Reads one item's result and its terminating NULL; the first failure is kept. */
static void pipe_receive_item(struct pg *pg, const struct pipe_item *item, int *status,
                              struct fault *fault)
{
    PGresult *result = PQgetResult(pg->conn);
    ExecStatusType code = PQresultStatus(result);
    bool good = code == PGRES_TUPLES_OK || code == PGRES_COMMAND_OK;
    if (!good && !item->aside && *status == 0)
        *status = pg_fail(pg, result, fault);
    if (result != NULL)
        PQclear(PQgetResult(pg->conn)); /* the NULL after a result */
    if (good && item->ret_result != NULL)
        *item->ret_result = result;
    else
        PQclear(result);
}

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

static int params_check(const struct pipe_item *items, size_t count, struct fault *fault)
{
    for (size_t i = 0; i < count; i++)
        if (items[i].params != NULL && items[i].params->failed)
            return fault_set(fault, FAULT_INTERNAL, "statement %s: parameters do not fit",
                             items[i].statement->name);
    return 0;
}

/* Behind the items' results: what the commit of an implicit transaction says against it, and the
 * PGRES_PIPELINE_SYNC. */
static void pipe_receive_sync(struct pg *pg, bool aside, int *status, struct fault *fault)
{
    for (int i = 0; i < 3; i++) { /* a failure, the NULL after it, the SYNC */
        AUTO_PGRESULT PGresult *result = PQgetResult(pg->conn);
        if (PQresultStatus(result) == PGRES_PIPELINE_SYNC)
            return;
        if (result != NULL && !aside && *status == 0)
            *status = pg_fail(pg, result, fault);
    }
}

/* Sends the items and one Sync, receives all. In the implicit or explicit transaction a failing
 * item makes the server skip the rest. Results are given only where all is well. */
static int pipe_run(struct pg *pg, const struct pipe_item *items, size_t count, struct fault *fault)
{
    if (params_check(items, count, fault) != 0)
        return -1;
    if (PQenterPipelineMode(pg->conn) != 1)
        return fault_set(fault, FAULT_UNAVAILABLE, "the database connection is not usable");
    int status = 0;
    for (size_t i = 0; i < count; i++)
        if (items[i].ret_result != NULL)
            *items[i].ret_result = NULL;
    if (!pipe_send(pg, items, count)) {
        status = pg_fail(pg, NULL, fault);
    } else {
        for (size_t i = 0; i < count; i++)
            pipe_receive_item(pg, &items[i], &status, fault);
        pipe_receive_sync(pg, items[count - 1].aside, &status, fault);
    }
    if (PQexitPipelineMode(pg->conn) != 1) {
        /* Unread results would be taken for the next call's: this connection is over. */
        PQfinish(TAKE(pg->conn));
        pg->in_transaction = false;
        if (status == 0 && !items[count - 1].aside) /* else what counts has been answered */
            status = fault_set(fault, FAULT_UNAVAILABLE, "the database connection was lost");
    }
    for (size_t i = 0; i < count && status != 0; i++)
        if (items[i].ret_result != NULL)
            PQclear(TAKE(*items[i].ret_result));
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

/* A connection sees no tenant's rows, and each transaction those of the tenants it names: one that
 * names none has nothing to say. */
static bool names_tenants(const struct pg *pg)
{
    return pg->tenants.len > strlen("{}");
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
    const struct pipe_item items[] = {
        {.statement = &set_tenants, .params = &scope},
        {.statement = statement, .params = params, .ret_result = ret_result}};
    size_t skipped = names_tenants(pg) ? 0 : 1;
    return pipe_run(pg, items + skipped, ARRAY_LEN(items) - skipped, fault);
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
    buf_reset(&pg->told);
    pg->begin_due = true;
}

void pg_tell(struct pg *pg, const char *channel)
{
    buf_printf(&pg->told, "%s%s", pg->told.len > 0 ? "," : "", channel);
}

/* What steps may have to prepare: themselves, and who is told behind their COMMIT. */
static int prepare_steps(struct pg *pg, const struct pg_call *calls, size_t count,
                         const struct pg_params *channels, struct fault *fault)
{
    if (buf_failed(&pg->told))
        return fault_set(fault, FAULT_INTERNAL, "too many channels hear of one commit");
    for (size_t i = 0; i < count; i++)
        if (prepare(pg, calls[i].statement, calls[i].params, fault) != 0)
            return -1;
    return channels->count > 0 ? prepare(pg, &tell, channels, fault) : 0;
}

/* Steps, with BEGIN before them where they are the first and COMMIT behind where the last. */
static int transaction_steps(struct pg *pg, struct pg_call *calls, size_t count, bool commit,
                             struct fault *fault)
{
    struct pg_params scope = {0}, channels = {0};
    bool begin = pg->begin_due;
    pg->begin_due = false;
    if (begin && (pg_ready(pg, fault) != 0 || tenants_params(pg, &scope, fault) != 0 ||
                  prepare(pg, &set_tenants, &scope, fault) != 0))
        return -1;
    if (!begin && !pg->in_transaction)
        return fault_set(fault, FAULT_UNAVAILABLE, "the transaction was lost");
    if (commit && pg->told.len > 0)
        pg_text(&channels, buf_text(&pg->told));
    if (prepare_steps(pg, calls, count, &channels, fault) != 0) {
        pg_rollback(pg);
        return -1;
    }
    struct pipe_item items[PG_STEPS_MAX + 4] = {0};
    size_t n = 0;
    if (begin) {
        items[n++] = (struct pipe_item){.text = "BEGIN"};
        if (names_tenants(pg))
            items[n++] = (struct pipe_item){.statement = &set_tenants, .params = &scope};
        pg->in_transaction = true;
    }
    for (size_t i = 0; i < count; i++)
        items[n++] = (struct pipe_item){.statement = calls[i].statement,
                                        .params = calls[i].params,
                                        .ret_result = &calls[i].result};
    if (commit)
        items[n++] = (struct pipe_item){.text = "COMMIT"};
    if (channels.count > 0)
        items[n++] = (struct pipe_item){.statement = &tell, .params = &channels, .aside = true};
    if (pipe_run(pg, items, n, fault) != 0) {
        pg_rollback(pg);
        return -1;
    }
    if (commit)
        pg->in_transaction = false;
    return 0;
}

static int transaction_step(struct pg *pg, const struct pg_statement *statement,
                            const struct pg_params *params, bool commit, PGresult **ret_result,
                            struct fault *fault)
{
    struct pg_call call = {.statement = statement, .params = params};
    if (transaction_steps(pg, &call, statement == NULL ? 0 : 1, commit, fault) != 0)
        return -1;
    if (ret_result != NULL)
        *ret_result = call.result;
    else
        PQclear(call.result);
    return 0;
}

int pg_steps(struct pg *pg, struct pg_call *calls, size_t count, struct fault *fault)
{
    if (count > PG_STEPS_MAX)
        abort();
    return transaction_steps(pg, calls, count, false, fault);
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
