/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/pg_internal.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#define FAREWELLS_MAX 16 /* reads it takes at most to see that the server has gone */

int pg_fail(struct pg *pg, const PGresult *result, struct fault *fault)
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
    static const char all[] = "SET search_path = sallyport, pg_temp; SET sallyport.tenants = '{}'; "
                              "SET statement_timeout = '30s'; "
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
    pg->told = BUF(256);
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
    buf_free(&pg->told);
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

int pg_ready(struct pg *pg, struct fault *fault)
{
    if (is_connected(pg))
        return 0;
    bool lost = pg->in_transaction;
    if (reconnect(pg, fault) != 0)
        return -1;
    return lost ? fault_set(fault, FAULT_UNAVAILABLE, "the transaction was lost") : 0;
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
    if (n == PG_CHANNELS_MAX)
        return fault_set(fault, FAULT_INTERNAL, "more than %d channels", PG_CHANNELS_MAX);
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
