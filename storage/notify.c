/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/notify.h"

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
