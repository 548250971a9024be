/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/pg_cluster.h"

#include "storage/migrate.h"
#include "tests/support/pg_server.h"

#include <string.h>

#define ROLES_MAX 8

struct pg_cluster {
    struct pg_server *server; /* NULL: the environment's */
    char *base;               /* the superuser's connection string */
    char name[64];            /* of the database; "" until it exists */
    size_t role_count;
    struct {
        char role[32];
        char *conninfo;
    } roles[ROLES_MAX];
};

/* One value, as libpq reads it: quoted, with quotes and backslashes escaped. */
static void put_option(struct buf *buf, const char *keyword, const char *value)
{
    buf_printf(buf, " %s='", keyword);
    for (; *value != '\0'; value++)
        buf_printf(buf, *value == '\'' || *value == '\\' ? "\\%c" : "%c", *value);
    buf_puts(buf, "'");
}

/* The base with another user (NULL: the same) and database, whichever form it has. */
static char *conninfo_with(const char *base, const char *user, const char *database)
{
    AUTO_BUF struct buf text = BUF(8192);
    PQconninfoOption *options = PQconninfoParse(base, NULL);
    if (options == NULL)
        return NULL;
    for (const PQconninfoOption *option = options; option->keyword != NULL; option++) {
        const char *value = option->val;
        if (strcmp(option->keyword, "dbname") == 0)
            value = database;
        else if (strcmp(option->keyword, "user") == 0 && user != NULL)
            value = user;
        if (value != NULL)
            put_option(&text, option->keyword, value);
    }
    PQconninfoFree(options);
    return buf_failed(&text) ? NULL : buf_take(&text, NULL);
}

const char *pg_cluster_conninfo(struct pg_cluster *cluster, const char *role)
{
    const char *name = role == NULL ? "" : role;
    for (size_t i = 0; i < cluster->role_count; i++)
        if (strcmp(cluster->roles[i].role, name) == 0)
            return cluster->roles[i].conninfo;
    char *conninfo = conninfo_with(cluster->base, role, cluster->name);
    if (conninfo == NULL || cluster->role_count == ROLES_MAX)
        abort();
    (void)snprintf(cluster->roles[cluster->role_count].role, sizeof cluster->roles[0].role, "%s",
                   name);
    cluster->roles[cluster->role_count++].conninfo = conninfo;
    return conninfo;
}

int pg_cluster_connect(struct pg_cluster *cluster, const char *role, struct pg **ret_pg,
                       struct fault *fault)
{
    return pg_open(pg_cluster_conninfo(cluster, role), "test", ret_pg, fault);
}

static int migrate(struct pg_cluster *cluster, struct fault *fault)
{
    AUTO_PG struct pg *pg = NULL;
    struct migrate_report report;
    if (pg_cluster_connect(cluster, NULL, &pg, fault) != 0)
        return -1;
    return migrate_run(pg, SOURCE_DIR "/migrations", &report, fault);
}

/* The roles belong to the whole server: two test programs make them one after the other. */
static int make_database(struct pg_cluster *cluster, struct fault *fault)
{
    AUTO_PG struct pg *admin = NULL;
    char name[64], sql[128];
    struct uuid unique = uuid_v7();
    char hex[33];
    for (size_t i = 0; i < sizeof unique.bytes; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", unique.bytes[i]);
    (void)snprintf(name, sizeof name, "sallyport_test_%s", hex);
    (void)snprintf(sql, sizeof sql, "CREATE DATABASE %s", name);
    if (pg_open(cluster->base, "test", &admin, fault) != 0 ||
        pg_execute(admin, "SET statement_timeout = 0; SET lock_timeout = 0", fault) != 0 ||
        pg_execute(admin, "SELECT pg_advisory_lock(7311146992977244513)", fault) != 0 ||
        pg_execute(admin, sql, fault) != 0)
        return -1;
    (void)snprintf(cluster->name, sizeof cluster->name, "%s", name);
    return migrate(cluster, fault);
}

static void forget_roles(struct pg_cluster *cluster)
{
    while (cluster->role_count > 0)
        free(cluster->roles[--cluster->role_count].conninfo);
}

static void drop_database(struct pg_cluster *cluster)
{
    AUTO_PG struct pg *admin = NULL;
    struct fault fault;
    char sql[128];
    if (cluster->name[0] == '\0')
        return;
    (void)snprintf(sql, sizeof sql, "DROP DATABASE %s WITH (FORCE)", cluster->name);
    if (pg_open(cluster->base, "test", &admin, &fault) != 0 || pg_execute(admin, sql, &fault) != 0)
        (void)fprintf(stderr, "pg_cluster: %s\n", fault.detail);
    cluster->name[0] = '\0';
}

int pg_cluster_renew(struct pg_cluster *cluster, struct fault *fault)
{
    forget_roles(cluster);
    drop_database(cluster);
    return make_database(cluster, fault);
}

int pg_cluster_open(bool durable, struct pg_cluster **ret_cluster, struct fault *fault)
{
    AUTO_PG_CLUSTER struct pg_cluster *cluster = calloc(1, sizeof *cluster);
    if (cluster == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    const char *given = getenv("SALLYPORT_TEST_DATABASE");
    if (given == NULL && pg_server_start(durable, &cluster->server, fault) != 0)
        return -1;
    cluster->base = strdup(given != NULL ? given : pg_server_conninfo(cluster->server));
    if (cluster->base == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    if (make_database(cluster, fault) != 0)
        return -1;
    *ret_cluster = TAKE(cluster);
    return 0;
}

void pg_cluster_free(struct pg_cluster *cluster)
{
    if (cluster == NULL)
        return;
    drop_database(cluster);
    pg_server_free(cluster->server);
    forget_roles(cluster);
    free(cluster->base);
    free(cluster);
}

void pg_cluster_cleanup(struct pg_cluster **cluster)
{
    pg_cluster_free(*cluster);
}

int pg_cluster_disconnect_all(struct pg_cluster *cluster, struct fault *fault)
{
    AUTO_PG struct pg *pg = NULL;
    if (pg_cluster_connect(cluster, NULL, &pg, fault) != 0)
        return -1;
    return pg_execute(pg,
                      "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                      "WHERE datname = current_database() AND pid <> pg_backend_pid()",
                      fault);
}
