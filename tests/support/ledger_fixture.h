/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A log of its own for each test: a fresh database, a signer's key and state in a folder of their
 * own, connections by role, events to order, and an independent opinion on the result. What must
 * not fail fails the test (cmocka).
 */
#pragma once

#include "sequencer/sequencer.h"
#include "tests/support/pg_cluster.h"

#define FIXTURE_ORIGIN "ledger.test/log"
#define FIXTURE_TENANT "acme"
#define FIXTURE_OTHER "globex"
#define FIXTURE_ACCEPTED "io.sallyport.execution.accepted.v1"
#define FIXTURE_STARTED "io.sallyport.execution.started.v1"

struct ledger_fixture {
    struct pg_cluster *cluster;
    char folder[64];
    char key_file[128];
    char state_file[128];
    struct note_verifier verifier; /* of the key */
    struct pg *super, *api, *worker, *ledger;
};

/* cmocka group and test fixtures: *state is a struct ledger_fixture *. */
int ledger_fixture_group_setup(void **state);
int ledger_fixture_group_teardown(void **state);
int ledger_fixture_setup(void **state);
int ledger_fixture_teardown(void **state);

/* The test fails, with the fault's sentence, unless status is 0. */
#define assert_ok(status) fixture_assert_ok((status), &fault, __FILE__, __LINE__)
void fixture_assert_ok(int status, const struct fault *fault, const char *file, int line);
/* The test fails unless status is -1 and the fault of this code, its sentence holding `words`. */
#define assert_fault(status, code, words)                                                          \
    fixture_assert_fault((status), (code), (words), &fault, __FILE__, __LINE__)
void fixture_assert_fault(int status, enum fault_code code, const char *words,
                          const struct fault *fault, const char *file, int line);

/* Inserts `count` events of the tenant with one statement; body n is {"name":"<name>","n":n}. */
int ledger_fixture_insert(struct pg *pg, const char *tenant, const char *type, const char *name,
                          int count, struct fault *fault) MUST_CHECK;

/* SQL as superuser, with the tables' append-only triggers off for the length of it. */
void ledger_fixture_tamper(struct ledger_fixture *fixture, const char *sql);
/* One text (an SQL null: "") and one number as superuser; the text is appended. */
void ledger_fixture_text(struct ledger_fixture *fixture, const char *sql, struct buf *ret_text);
int64_t ledger_fixture_number(struct ledger_fixture *fixture, const char *sql);

/* Forgets that the log knows its key: the next leader is the first of this log. */
void ledger_fixture_forget_key(struct ledger_fixture *fixture);

/* A sequencer with this log's files, a short lease and no pause between signatures. */
struct sequencer_config ledger_fixture_config(struct ledger_fixture *fixture);
struct sequencer *ledger_fixture_sequencer(struct ledger_fixture *fixture);

/* Turns until it has ordered and signed all there is (or has stopped), as a leader. */
void ledger_fixture_settle(struct sequencer *sequencer);
/* Turns until it has this role. */
void ledger_fixture_await_role(struct sequencer *sequencer, enum sequencer_role role);

/* `rounds` times 15 events of FIXTURE_TENANT, 30 of FIXTURE_OTHER and 5 of FIXTURE_TENANT again (of
 * type FIXTURE_STARTED, the last two), ordered and signed. */
void ledger_fixture_two_tenants(struct ledger_fixture *fixture, int rounds);
/* The first `count` events of a tenant. */
void ledger_fixture_ids(struct ledger_fixture *fixture, const char *tenant, int count,
                        struct uuid *ret_ids);

/* The whole log must be of `count` events: contiguous entries, each the hash of its event's bytes,
 * no event missing, doubled or pending; batches chained; every root, frontier and tile what RFC
 * 6962 gives; every checkpoint signed and of that tree. */
void ledger_fixture_verify(struct ledger_fixture *fixture, uint64_t count);
