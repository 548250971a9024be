/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of storage/ start from: one database a program, two new tenants a test, empty hot
 * tables, connections by role, and short ways to make what an execution needs. What must not fail
 * fails the test (cmocka).
 */
#pragma once

#include "storage/admission.h"
#include "storage/api_keys.h"
#include "storage/armory.h"
#include "storage/queue.h"
#include "storage/tenants.h"
#include "tests/support/ledger_fixture.h" /* assert_ok, assert_fault */

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct scene {
    struct pg_cluster *cluster;
    struct pg *super, *api, *worker;
    PGconn *sql; /* of the superuser, search_path sallyport, text results */
    const char *tenant, *other;
    char names[2][32];
};

/* cmocka group and test fixtures: *state is a struct scene *. */
int scene_open(void **state);
int scene_close(void **state);
int scene_begin(void **state);
#define SCENE_TEST(function) cmocka_unit_test_setup(function, scene_begin)

/* ---- plain SQL ---- */

/* One statement as superuser. */
void scene_sql(struct scene *scene, const char *format, ...) PRINTF_LIKE(2, 3);
/* The same with the tables' own rules off, for what no role can do. */
void scene_force(struct scene *scene, const char *format, ...) PRINTF_LIKE(2, 3);
/* Its first column in its first row, as a number. */
int64_t scene_number(struct scene *scene, const char *format, ...) PRINTF_LIKE(2, 3);
/* One statement as a role that acts for a tenant (NULL: none): its SQLSTATE must be this one,
 * "00000" for success. Nothing of it stays. */
void scene_try(struct scene *scene, const char *role, const char *tenant, const char *sqlstate,
               const char *format, ...) PRINTF_LIKE(5, 6);

/* Ends every connection of a role, as a failing network does. */
void scene_cut_off(struct scene *scene, const char *role);
/* May anybody (but superusers) connect to the scene's database? They may at first. */
void scene_let_in(struct scene *scene, bool open);

/* ---- what is there before a job ---- */

/* An event of these, with its subject as data; freed by the caller. */
struct event *scene_event(enum event_type type, const char *tenant, const char *subject,
                          const struct uuid *execution_id);
/* A new API key; the id (16 hex digits) lives until the program ends. */
const char *scene_api_key(struct scene *scene, const char *tenant, const char *principal,
                          unsigned roles);
/* An asymmetric key record (its PEM is text: storage does not read it). */
void scene_key(struct scene *scene, const char *tenant, const char *kid);
/* A whole upload that nobody has completed. */
struct uuid scene_upload(struct scene *scene, const char *tenant, const char *bytes);
/* An ingested artifact, still being inspected; its descriptor's digest is that of its name. */
struct digest scene_artifact(struct scene *scene, const char *tenant, const char *name);
/* An inspection's end with its event, as armory_inspected(). */
int scene_inspection(struct pg *pg, const char *tenant, const struct digest *sha256,
                     const char *rejected_because, const char *image, struct fault *fault);
void scene_inspected(struct scene *scene, const char *tenant, const struct digest *sha256);
void scene_approve(struct scene *scene, const char *tenant, const struct digest *sha256,
                   const char *principal);
struct digest scene_descriptor_digest(const char *name);
/* armory_revoke() by an admin; its event's subject is "queued 3, running 1". */
int scene_revoke(struct pg *pg, const char *tenant, const struct digest *sha256,
                 const char *asked_by_key, bool cancel_running, struct fault *fault) MUST_CHECK;
/* An input of these bytes, which expires then (INT64_MIN: never). */
struct digest scene_input(struct scene *scene, const char *tenant, const char *bytes,
                          int64_t expires_ms);

/* ---- jobs ---- */

/* Who submits what in a tenant: a submitter's key, a verification key, an approved artifact. */
struct scene_order {
    const char *tenant;
    const char *api_key_id;
    const char *kid;
    struct digest tool_sha256, descriptor_sha256;
};
struct scene_order scene_order(struct scene *scene, const char *tenant);

/* One submission, as the api would hand it over. */
struct scene_job {
    struct manifest manifest;
    struct admission admission;
    struct event *event;
    char nonce[64];
    char token[128];
    struct digest inputs[8];
};
#define AUTO_SCENE_JOB AUTO(scene_job_free)
/* `nonce` also makes the token: the same nonce and `body` are the same token. */
void scene_job_make(const struct scene_order *order, const char *nonce, const char *body,
                    struct scene_job *ret_job);
void scene_job_free(struct scene_job *job);
/* admission_commit() by a writer of its own, with room for 100,000 a tenant. */
void scene_commit(struct pg *pg, struct admission *const *items, size_t count);
/* Admits it: it must be accepted. scene_start() knows its nonce then. */
void scene_admit(struct scene *scene, struct scene_job *job);
/* Makes and admits `count` of them. */
void scene_queue(struct scene *scene, const struct scene_order *order, const char *prefix,
                 int count);

/* ---- workers ---- */

/* A new incarnation, whose lease runs for a minute. */
struct uuid scene_worker(struct scene *scene);
/* Its lease has run out. */
void scene_expire(struct scene *scene, const struct uuid *worker);
/* queue_claim() of up to 64, without what it has loaded. */
int scene_claim_up_to(struct pg *pg, const struct uuid *worker, int max, struct claim *ret_claims,
                      size_t *ret_count, struct fault *fault);
/* Claims one; there must be one. */
struct claim scene_claim(struct scene *scene, const struct uuid *worker);
/* A start of an execution of this order, with this event; scene_admit() knows its nonce. */
void scene_start_make(const struct scene_order *order, const struct claim *claim,
                      const struct event *event, struct start *ret_start);
#define assert_refused(start, code, words)                                                         \
    fixture_assert_fault((start)->started ? 0 : -1, (code), (words), &(start)->fault, __FILE__,    \
                         __LINE__)
/* queue_start() of that alone. */
int scene_start(struct pg *pg, const struct scene_order *order, const struct claim *claim,
                struct fault *fault) MUST_CHECK;
/* queue_finish() with this end and these outputs. */
int scene_finish(struct pg *pg, const struct scene_order *order, const struct claim *claim,
                 enum execution_state state, const char *out, bool only_expired,
                 struct fault *fault) MUST_CHECK;
/* queue_finish() of one; what is not stored is its fault. */
int scene_store(struct pg *pg, struct ending *ending, bool only_expired,
                struct fault *fault) MUST_CHECK;
