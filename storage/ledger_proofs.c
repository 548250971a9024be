/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/ledger_proofs.h"

/* Where the event is: its index, or -1 while it has none, and its hash. */
static int place_read(struct pg *pg, const char *tenant, const struct uuid *event_id,
                      bool executions_only, int64_t *ret_index, struct digest *ret_entry,
                      struct fault *fault)
{
    static const struct pg_statement read = {
        "ledger_place_read",
        "SELECT e.hash, (SELECT l.idx FROM ledger_entry l WHERE l.event_id = $1) "
        "FROM event e WHERE e.event_id = $1 AND e.tenant_id IN ($2, '') "
        "AND (NOT $3 OR e.execution_id IS NOT NULL)"};
    struct pg_params params = {0};
    pg_uuid(&params, event_id);
    pg_text(&params, tenant);
    pg_bool(&params, executions_only);
    AUTO_PGRESULT PGresult *row = NULL;
    if (pg_query_as(pg, tenant, &read, &params, &row, fault) != 0)
        return -1;
    if (PQntuples(row) == 0)
        return fault_set(fault, FAULT_NOT_FOUND, "no such event");
    *ret_entry = pg_get_digest(row, 0, 0);
    *ret_index = pg_is_null(row, 0, 1) ? -1 : pg_get_int(row, 0, 1);
    return 0;
}

static int unsigned_yet(struct fault *fault)
{
    return fault_set(fault, FAULT_UNAVAILABLE, "no checkpoint covers the event yet");
}

int ledger_inclusion_read(struct pg *pg, const char *tenant, const struct uuid *event_id,
                          bool executions_only, struct ledger_inclusion *ret_inclusion,
                          struct buf *ret_note, struct fault *fault)
{
    struct ledger_inclusion found;
    int64_t index;
    struct fault cause = {0};
    /* The place first: a checkpoint read after it is never older than it need be. */
    if (place_read(pg, tenant, event_id, executions_only, &index, &found.entry, fault) != 0)
        return -1;
    AUTO_BUF struct buf note = BUF(NOTE_MAX);
    if (ledger_checkpoint_latest(pg, &found.size, &found.root, &note, &cause) != 0)
        return cause.code == FAULT_NOT_FOUND ? unsigned_yet(fault)
                                             : fault_set(fault, cause.code, "%s", cause.detail);
    if (index < 0 || (uint64_t)index >= found.size)
        return unsigned_yet(fault);
    found.index = (uint64_t)index;
    const struct proof_source source = ledger_proof_source(pg);
    struct digest leaf = merkle_entry_leaf(&found.entry);
    if (proof_inclusion(&source, found.index, found.size, &found.proof, fault) != 0 ||
        merkle_inclusion_verify(found.index, found.size, &leaf, &found.proof, &found.root, fault) !=
            0)
        return -1;
    buf_append(ret_note, note.data, note.len);
    if (buf_failed(ret_note))
        return fault_set(fault, FAULT_INTERNAL, "a checkpoint of %zu bytes does not fit", note.len);
    *ret_inclusion = found;
    return 0;
}
