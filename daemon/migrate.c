/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/common.h"
#include "daemon/roles.h"

#include "base/log.h"
#include "storage/migrate.h"

int run_migrate(const struct settings *settings)
{
    struct fault fault;
    struct migrate_report report;
    AUTO_PG struct pg *pg = NULL;
    if (pg_open(settings->database, "migrate", &pg, &fault) != 0 ||
        migrate_run(pg, settings->migrations, &report, &fault) != 0)
        return failed("migrate", &fault);
    log_info("the schema is up to date", "{s:i, s:i}", "version", report.version, "applied",
             report.applied);
    return 0;
}
