/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/notify.h"

#include <string.h>

#define PAYLOAD_MAX 7999 /* the server's */

int notify_send(struct pg *pg, const char *const *channels, struct fault *fault)
{
    static const struct pg_statement send = {
        "notify_send", "SELECT count(pg_notify(channel, '')) FROM unnest($1::text[]) channel"};
    AUTO_PG_ARRAY struct pg_array names = pg_array_new(PG_ARRAY_TEXT);
    for (size_t i = 0; channels[i] != NULL; i++)
        pg_array_text(&names, channels[i]);
    struct pg_params params = {0};
    pg_array_bind(&params, &names);
    return pg_query_as(pg, NULL, &send, &params, NULL, fault);
}

int notify_follow(struct pg *pg, const struct uuid *ids, size_t count, struct fault *fault)
{
    static const struct pg_statement send = {"notify_follow",
                                             "SELECT pg_notify('" NOTIFY_FOLLOW "', $1)"};
    AUTO_BUF struct buf payload = BUF(PAYLOAD_MAX);
    for (size_t i = 0; i < count; i++)
        buf_printf(&payload, "%s%s", i > 0 ? "," : "", uuid_format(&ids[i]).text);
    if (count > NOTIFY_IDS_MAX || buf_failed(&payload))
        return fault_set(fault, FAULT_INTERNAL, "more than %d followed at once", NOTIFY_IDS_MAX);
    struct pg_params params = {0};
    pg_text(&params, buf_text(&payload));
    return pg_query_as(pg, NULL, &send, &params, NULL, fault);
}

size_t notify_ids(const char *payload, struct uuid ret_ids[NOTIFY_IDS_MAX])
{
    size_t len = strlen(payload), count = (len + 1) / (UUID_TEXT_LEN + 1);
    if ((len + 1) % (UUID_TEXT_LEN + 1) != 0 || count > NOTIFY_IDS_MAX)
        return 0;
    for (size_t i = 0; i < count; i++) {
        const char *at = payload + i * (UUID_TEXT_LEN + 1);
        if (uuid_parse(at, UUID_TEXT_LEN, &ret_ids[i]) != 0 ||
            (i + 1 < count && at[UUID_TEXT_LEN] != ','))
            return 0;
    }
    return count;
}
