/* SPDX-License-Identifier: Apache-2.0 */
#include "sequencer/key_trace.h"

#include "base/clock.h"
#include "base/json.h"

#include <inttypes.h>
#include <string.h>

/* Keys added and keys retired at once: no leader has more than two, nor leaves more behind. */
#define CHANGES_MAX 8

int key_trace_check(const struct ledger_keys_known *known, const struct note_verifier *verifier,
                    struct fault *fault)
{
    const struct ledger_key *key = ledger_keys_find(known, verifier);
    if (key == NULL || !key->retired)
        return 0;
    return fault_set(fault, FAULT_KEY_INVALID,
                     "the key %08" PRIx32 " was retired and never signs again: take it out of "
                     "ledger-key and ledger-next-key",
                     verifier->id);
}

/* Changes on their way, and the keys in use as they would be after them. */
struct plan {
    struct ledger_keys_known *known; /* the later changes see the earlier ones */
    struct ledger_key_change changes[CHANGES_MAX];
    size_t count;
};

static void plan_done(struct plan *plan)
{
    for (size_t i = 0; i < plan->count; i++)
        event_free(plan->changes[i].event);
    free(plan->known);
}
#define AUTO_PLAN AUTO(plan_done)

static int event_of(const struct plan *plan, const struct key_trace *trace, const char *vkey,
                    bool retired, struct event **ret_event, struct fault *fault)
{
    struct note_verifier verifier;
    char id[16];
    if (note_verifier_parse(vkey, strlen(vkey), &verifier, fault) != 0)
        return -1;
    (void)snprintf(id, sizeof id, "%08" PRIx32, verifier.id);
    AUTO_JSON json_t *previous = json_array();
    for (size_t i = 0; i < plan->known->count; i++)
        if (!plan->known->keys[i].retired &&
            json_array_append_new(previous, json_string(plan->known->keys[i].vkey)) != 0)
            return fault_set(fault, FAULT_INTERNAL, "out of memory");
    AUTO_JSON json_t *data = json_pack("{s:s, s:s, s:I, s:O}", "origin", trace->origin, "vkey",
                                       vkey, "size", (json_int_t)trace->size, "previous", previous);
    const struct event_head head = {.id = uuid_v7(),
                                    .type =
                                        retired ? EVENT_LEDGER_KEY_RETIRED : EVENT_LEDGER_KEY_ADDED,
                                    .node = trace->node,
                                    .subject = id,
                                    .time_ms = clock_wall_ms()};
    if (data == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    return event_build(&head, data, ret_event, fault);
}

static int plan_change(struct plan *plan, const struct key_trace *trace, struct ledger_key *key,
                       bool retired, struct fault *fault)
{
    if (plan->count == CHANGES_MAX)
        return fault_set(fault, FAULT_INTERNAL, "more than %d keys changed at once", CHANGES_MAX);
    struct ledger_key_change *change = &plan->changes[plan->count];
    if (event_of(plan, trace, key->vkey, retired, &change->event, fault) != 0)
        return -1;
    change->vkey = key->vkey;
    change->retired = key->retired = retired;
    plan->count++;
    return 0;
}

static int plan_added(struct plan *plan, const struct key_trace *trace,
                      const struct note_verifier *verifier, struct fault *fault)
{
    struct ledger_keys_known *known = plan->known;
    AUTO_BUF struct buf vkey = BUF(LEDGER_VKEY_MAX);
    if (known->count == LEDGER_KEYS_MAX)
        return fault_set(fault, FAULT_TOO_LARGE, "the log has had %d keys", LEDGER_KEYS_MAX);
    /* Not counted yet: it is not among those before it. */
    struct ledger_key *key = &known->keys[known->count];
    note_verifier_format(verifier, &vkey);
    (void)snprintf(key->vkey, sizeof key->vkey, "%s", buf_text(&vkey));
    if (plan_change(plan, trace, key, false, fault) != 0)
        return -1;
    known->count++;
    return 0;
}

static bool is_own(const struct key_trace *trace, const struct ledger_keys_known *known, size_t i)
{
    for (size_t k = 0; k < trace->verifier_count; k++)
        if (ledger_keys_find(known, &trace->verifiers[k]) == &known->keys[i])
            return true;
    return false;
}

static int plan_all(struct plan *plan, const struct key_trace *trace, struct fault *fault)
{
    struct ledger_keys_known *known = plan->known;
    for (size_t k = 0; k < trace->verifier_count; k++)
        if (key_trace_check(known, &trace->verifiers[k], fault) != 0 ||
            (ledger_keys_find(known, &trace->verifiers[k]) == NULL &&
             plan_added(plan, trace, &trace->verifiers[k], fault) != 0))
            return -1;
    /* The latest own key; what is older and not the leader's own has ended. */
    size_t latest = known->count;
    while (latest > 0 && !is_own(trace, known, latest - 1))
        latest--;
    for (size_t i = 0; i < latest; i++)
        if (!known->keys[i].retired && !is_own(trace, known, i) &&
            plan_change(plan, trace, &known->keys[i], true, fault) != 0)
            return -1;
    return 0;
}

int key_trace_write(struct pg *pg, const struct ledger_lease *lease, const struct key_trace *trace,
                    bool *ret_done, struct fault *fault)
{
    AUTO_PLAN struct plan plan = {.known = calloc(1, sizeof *plan.known)};
    if (plan.known == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    if (ledger_keys_read(pg, trace->origin, plan.known, fault) != 0 ||
        plan_all(&plan, trace, fault) != 0)
        return -1;
    /* Under the lease also where nothing has changed: the log may have another name by now. */
    return ledger_keys_change(pg, lease, trace->origin, plan.known, trace->size, plan.changes,
                              plan.count, ret_done, fault);
}
