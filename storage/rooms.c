/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/rooms.h"

#include "trust/caller.h"

#include <inttypes.h>
#include <string.h>

/* Those of one call and those of the calls before it. */
#define REMEMBERED_MAX (2 * ROOMS_TENANTS_MAX)

struct room {
    char tenant[TENANT_ID_MAX + 1];
    int64_t counted_ms;
    int64_t most, left;
};

struct rooms {
    int64_t fallback;
    size_t count;
    struct room rooms[REMEMBERED_MAX];
};

struct rooms *rooms_new(int64_t fallback)
{
    struct rooms *rooms = calloc(1, sizeof *rooms);
    if (rooms != NULL)
        rooms->fallback = fallback;
    return rooms;
}

void rooms_free(struct rooms *rooms)
{
    free(rooms);
}

void rooms_cleanup(struct rooms **rooms)
{
    rooms_free(*rooms);
}

static struct room *room_of(struct rooms *rooms, const char *tenant)
{
    for (size_t i = 0; i < rooms->count; i++)
        if (strcmp(rooms->rooms[i].tenant, tenant) == 0)
            return &rooms->rooms[i];
    return NULL;
}

static void forget_old(struct rooms *rooms, int64_t now_ms)
{
    size_t kept = 0;
    for (size_t i = 0; i < rooms->count; i++)
        if (now_ms - rooms->rooms[i].counted_ms < ROOMS_COUNT_GOOD_MS)
            rooms->rooms[kept++] = rooms->rooms[i];
    rooms->count = kept;
}

static size_t count_missing(struct rooms *rooms, const char *const *tenants, size_t count)
{
    size_t missing = 0;
    for (size_t i = 0; i < count; i++)
        missing += room_of(rooms, tenants[i]) == NULL;
    return missing;
}

static void remember(struct rooms *rooms, const PGresult *result, int64_t now_ms)
{
    for (int row = 0; row < PQntuples(result); row++) {
        struct room *room = &rooms->rooms[rooms->count++];
        (void)snprintf(room->tenant, sizeof room->tenant, "%s", pg_get_text(result, row, 0));
        room->counted_ms = now_ms;
        room->most = pg_get_int(result, row, 1);
        room->left = room->most - pg_get_int(result, row, 2);
    }
}

int rooms_count(struct rooms *rooms, struct pg *tx, const char *const *tenants, size_t count,
                int64_t now_ms, struct fault *fault)
{
    /* No further than the bound; in two parts, each by its own index. */
    static const struct pg_statement read = {
        "rooms_count",
        "SELECT b.tenant_id, b.most,"
        " (SELECT count(*) FROM ("
        "   (SELECT FROM execution_queue q WHERE q.tenant_id = b.tenant_id AND q.worker_id IS NULL"
        "     LIMIT b.most)"
        "   UNION ALL"
        "   (SELECT FROM execution_queue q WHERE q.tenant_id = b.tenant_id AND q.worker_id IS NOT "
        "NULL)) c)"
        "  FROM (SELECT t.tenant_id, coalesce(t.queue_max, $2::bigint) AS most"
        "          FROM tenant t WHERE t.tenant_id = ANY ($1::text[])) b"};
    if (count > ROOMS_TENANTS_MAX)
        return fault_set(fault, FAULT_INTERNAL, "more than %d tenants at once", ROOMS_TENANTS_MAX);
    forget_old(rooms, now_ms);
    size_t missing = count_missing(rooms, tenants, count);
    if (missing == 0)
        return 0;
    if (rooms->count + missing > REMEMBERED_MAX)
        rooms->count = 0; /* too many in one second: counted anew */
    AUTO_PG_ARRAY struct pg_array names = pg_array_new(PG_ARRAY_TEXT);
    for (size_t i = 0; i < count; i++)
        if (room_of(rooms, tenants[i]) == NULL)
            pg_array_text(&names, tenants[i]);
    struct pg_params params = {0};
    pg_array_bind(&params, &names);
    pg_int8(&params, rooms->fallback);
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_step(tx, &read, &params, &result, fault) != 0)
        return -1;
    remember(rooms, result, now_ms);
    return 0;
}

int rooms_take(struct rooms *rooms, const char *tenant, struct fault *fault)
{
    struct room *room = room_of(rooms, tenant);
    if (room == NULL)
        return fault_set(fault, FAULT_INTERNAL, "this tenant's executions were not counted");
    if (room->left <= 0)
        return fault_set(fault, FAULT_QUEUE_FULL,
                         "%" PRId64 " executions of this tenant wait or run already; try again "
                         "later",
                         room->most);
    room->left--;
    return 0;
}

void rooms_give(struct rooms *rooms, const char *tenant)
{
    struct room *room = room_of(rooms, tenant);
    if (room != NULL)
        room->left++;
}
