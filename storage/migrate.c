/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/migrate.h"

#include "base/file.h"

#include <dirent.h>
#include <string.h>

#define MIGRATIONS_MAX 1000
#define MIGRATION_BYTES_MAX (1024 * 1024)
#define NAME_MAX_LEN 128

struct migration {
    int version;
    char name[256];
};

struct migration_list {
    struct migration *items;
    size_t count;
};

static void list_free(struct migration_list *list)
{
    free(list->items);
}

static int by_version(const void *a, const void *b)
{
    return ((const struct migration *)a)->version - ((const struct migration *)b)->version;
}

/* NNNN_name.sql; 0 for other files. */
static int version_of(const char *name)
{
    size_t len = strlen(name);
    if (len < 10 || len > NAME_MAX_LEN || name[4] != '_' || strcmp(name + len - 4, ".sql") != 0 ||
        strspn(name, "0123456789") != 4)
        return 0;
    return (int)strtol(name, NULL, 10);
}

static void close_dir(DIR **dir)
{
    if (*dir != NULL)
        (void)closedir(*dir);
}

static int list_read(const char *folder, struct migration_list *ret_list, struct fault *fault)
{
    AUTO(close_dir) DIR *dir = opendir(folder);
    if (dir == NULL)
        return fault_errno(fault, "cannot open the migrations in %s", folder);
    AUTO(list_free) struct migration_list list = {calloc(MIGRATIONS_MAX, sizeof *list.items), 0};
    if (list.items == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        int version = version_of(entry->d_name);
        if (version == 0)
            continue;
        if (list.count == MIGRATIONS_MAX)
            return fault_set(fault, FAULT_INTERNAL, "more than %d migrations", MIGRATIONS_MAX);
        struct migration *item = &list.items[list.count++];
        item->version = version;
        (void)snprintf(item->name, sizeof item->name, "%s", entry->d_name);
    }
    qsort(list.items, list.count, sizeof *list.items, by_version);
    for (size_t i = 0; i < list.count; i++)
        if (list.items[i].version != (int)i + 1)
            return fault_set(fault, FAULT_STATE_CONFLICT, "migration %zu is missing or doubled",
                             i + 1);
    if (list.count == 0)
        return fault_set(fault, FAULT_NOT_FOUND, "no migrations in %s", folder);
    *ret_list = list;
    list.items = NULL;
    return 0;
}

static int ensure_record(struct pg *pg, struct fault *fault)
{
    return pg_execute(pg,
                      "CREATE SCHEMA IF NOT EXISTS sallyport;"
                      "CREATE TABLE IF NOT EXISTS sallyport.schema_migration ("
                      " version integer PRIMARY KEY, name text NOT NULL,"
                      " checksum bytea NOT NULL CHECK (octet_length(checksum) = 32),"
                      " applied_at timestamptz NOT NULL DEFAULT now())",
                      fault);
}

static int compare_applied(const PGresult *applied, const struct migration *item,
                           const struct digest *checksum, bool *ret_done, struct fault *fault)
{
    *ret_done = false;
    for (int row = 0; row < PQntuples(applied); row++) {
        if (pg_get_int(applied, row, 0) != item->version)
            continue;
        struct digest recorded = pg_get_digest(applied, row, 1);
        if (!digest_equal(&recorded, checksum))
            return fault_set(fault, FAULT_STATE_CONFLICT,
                             "migration %s was changed after it had been applied", item->name);
        *ret_done = true;
    }
    return 0;
}

static int apply(struct pg *pg, const struct migration *item, const struct buf *sql,
                 const struct digest *checksum, struct fault *fault)
{
    static const struct pg_statement record = {
        "migrate_record",
        "INSERT INTO schema_migration (version, name, checksum) VALUES ($1, $2, $3)"};
    AUTO_PG_TX struct pg *tx = pg;
    pg_begin(pg, NULL);
    static const struct pg_statement nothing = {"migrate_nothing", "SELECT 1"};
    if (pg_step(tx, &nothing, NULL, NULL, fault) != 0 ||
        pg_execute(tx, buf_text(sql), fault) != 0 || pg_execute(tx, "RESET ROLE", fault) != 0) {
        char detail[sizeof fault->detail];
        (void)snprintf(detail, sizeof detail, "%s", fault->detail);
        return fault_set(fault, fault->code, "%s: %s", item->name, detail);
    }
    struct pg_params params = {0};
    pg_int4(&params, item->version);
    pg_text(&params, item->name);
    pg_digest(&params, checksum);
    return pg_commit(tx, &record, &params, NULL, fault);
}

static int run_locked(struct pg *pg, const char *folder, const struct migration_list *list,
                      struct migrate_report *report, struct fault *fault)
{
    static const struct pg_statement read_applied = {
        "migrate_applied", "SELECT version, checksum FROM schema_migration ORDER BY version"};
    uint64_t session = pg_session(pg); /* which has the lock */
    AUTO_PGRESULT PGresult *applied = NULL;
    if (ensure_record(pg, fault) != 0 ||
        pg_query(pg, NULL, &read_applied, NULL, &applied, fault) != 0)
        return -1;
    int rows = PQntuples(applied);
    if (rows > 0 && pg_get_int(applied, rows - 1, 0) > (int64_t)list->count)
        return fault_set(fault, FAULT_STATE_CONFLICT,
                         "the schema is newer than these migrations; use the newer release");
    for (size_t i = 0; i < list->count; i++) {
        if (pg_session(pg) != session)
            return fault_set(fault, FAULT_UNAVAILABLE,
                             "the connection that held the lock was lost");
        AUTO_FREE char *path = NULL;
        AUTO_BUF struct buf sql = BUF(MIGRATION_BYTES_MAX);
        if (asprintf(&path, "%s/%s", folder, list->items[i].name) < 0) {
            path = NULL;
            return fault_set(fault, FAULT_INTERNAL, "out of memory");
        }
        if (file_read(path, &sql, fault) != 0)
            return -1;
        struct digest checksum = digest_of_span(buf_span(&sql));
        bool done;
        if (compare_applied(applied, &list->items[i], &checksum, &done, fault) != 0)
            return -1;
        if (done)
            continue;
        if (apply(pg, &list->items[i], &sql, &checksum, fault) != 0)
            return -1;
        report->applied++;
    }
    report->version = (int)list->count;
    return 0;
}

int migrate_run(struct pg *pg, const char *folder, struct migrate_report *ret_report,
                struct fault *fault)
{
    AUTO(list_free) struct migration_list list = {0};
    struct migrate_report report = {0};
    if (list_read(folder, &list, fault) != 0)
        return -1;
    /* The key is "sallyport" cut to 8 bytes; the session lock outlives each file's transaction. */
    if (pg_execute(pg,
                   "SET lock_timeout = 0; SET statement_timeout = 0;"
                   "SELECT pg_advisory_lock(8314045542402615151)",
                   fault) != 0)
        return -1;
    int status = run_locked(pg, folder, &list, &report, fault);
    struct fault ignored;
    (void)!pg_execute(pg, "SELECT pg_advisory_unlock(8314045542402615151)", &ignored);
    if (status == 0)
        *ret_report = report;
    return status;
}

int migrate_check(struct pg *pg, struct fault *fault)
{
    static const struct pg_statement read_version = {
        "migrate_version", "SELECT coalesce(max(version), 0) FROM schema_migration"};
    AUTO_PGRESULT PGresult *result = NULL;
    struct fault inner;
    if (pg_query(pg, NULL, &read_version, NULL, &result, &inner) != 0)
        return fault_set(fault, FAULT_UNAVAILABLE,
                         "cannot read the schema's version; run sallyportd migrate (%s)",
                         inner.detail);
    int64_t version = pg_get_int(result, 0, 0);
    if (version != SCHEMA_VERSION && version != SCHEMA_VERSION + 1)
        return fault_set(fault, FAULT_UNAVAILABLE,
                         "the schema is version %d, this build needs %d or %d", (int)version,
                         SCHEMA_VERSION, SCHEMA_VERSION + 1);
    return 0;
}
