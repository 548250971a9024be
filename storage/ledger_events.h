/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events in the ledger's order, for the read path: a tenant's own, page by page, and the lines of
 * an export. Events of the log itself are everybody's own. For the api's and the readers' roles,
 * whose rows the tenants bound.
 */
#pragma once

#include "ledger/event.h"
#include "storage/ledger.h"

#define LEDGER_EVENTS_LIMIT_MAX 1000
/* The most bytes of bodies in one page or one call of ledger_export_read(); a single body always
 * fits, being at most EVENT_MAX. */
#define LEDGER_EVENTS_BYTES_MAX ((size_t)8 * 1024 * 1024)
/* A page with a filter looks at this many entries of the tenant, then says where it stopped. */
#define LEDGER_EVENTS_WALK_MAX 4096
_Static_assert(EVENT_MAX <= LEDGER_EVENTS_BYTES_MAX, "an event fits a page");

/* One entry with its event, borrowed for the length of the call. */
struct ledger_event {
    uint64_t index;
    struct uuid id;
    struct digest hash; /* the entry */
    struct span body;   /* the exact bytes; data NULL where they are withheld or have expired */
    bool expired;       /* it is the tenant's, and its bytes are gone */
};

/* Takes one event; a failure ends the reading and is passed on. */
typedef int ledger_event_fn(void *context, const struct ledger_event *event, struct fault *fault);

struct ledger_events_query {
    const char *tenant;
    int64_t after;                   /* only places greater than this; -1: from the first */
    const char *type;                /* the full name, NULL: any */
    const struct uuid *execution_id; /* NULL: any */
    int limit;                       /* 1 to LEDGER_EVENTS_LIMIT_MAX */
    size_t bytes_max;                /* up to LEDGER_EVENTS_BYTES_MAX; the first always fits */
};

struct ledger_events_page {
    int count;
    int64_t next; /* `after` of the next page */
    bool more;    /* the next page may hold something already */
};

/* A page of the tenant's events that have a place and have not expired, each given to `take` in
 * ascending order. A page may be empty and say `more`: nothing matched as far as it walked. */
int ledger_events_read(struct pg *pg, const struct ledger_events_query *query,
                       ledger_event_fn *take, void *context, struct ledger_events_page *ret_page,
                       struct fault *fault) MUST_CHECK;

/* The lines of an export: entries from `from` on, below `to`, each with its event's bytes if it is
 * of one of these tenants. Stops early at a bounded number of entries and bytes; *ret_next is the
 * first entry not given yet. FAULT_CONTENT_MISMATCH where an entry below `to` is missing. */
int ledger_export_read(struct pg *pg, const char *const *tenants, uint64_t from, uint64_t to,
                       ledger_event_fn *take, void *context, uint64_t *ret_next,
                       struct fault *fault) MUST_CHECK;
