/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: each submission of a batch gets the end it would have got alone, whatever the others are,
 * and of submissions that race for one nonce exactly one is accepted. */
#include "tests/pg/scene.h"

#include <pthread.h>

#define BATCH ADMISSION_BATCH_MAX

/* A batch on the heap, each job in its place. */
struct batch {
    struct scene_job jobs[BATCH];
    struct admission *items[BATCH];
};
#define AUTO_BATCH AUTO(batch_free)

static struct batch *batch_new(void)
{
    struct batch *batch = calloc(1, sizeof *batch);
    assert_non_null(batch);
    for (size_t i = 0; i < BATCH; i++)
        batch->items[i] = &batch->jobs[i].admission;
    return batch;
}

static void batch_free(struct batch **batch)
{
    for (size_t i = 0; *batch != NULL && i < BATCH; i++)
        scene_job_free(&(*batch)->jobs[i]);
    free(*batch);
}

static void make(struct batch *batch, size_t i, const struct scene_order *order, const char *prefix,
                 size_t nonce, const char *body)
{
    char text[64];
    (void)snprintf(text, sizeof text, "%s-nonce-%04zu", prefix, nonce);
    scene_job_make(order, text, body, &batch->jobs[i]);
}

static void assert_item(const struct batch *batch, size_t i, enum admission_end end,
                        enum fault_code code)
{
    const struct admission *item = batch->items[i];
    if (item->end == end && (end < ADMISSION_REFUSED || item->fault.code == code))
        return;
    print_error("item %zu: end %d, %s: %s\n", i, item->end, fault_name(item->fault.code),
                item->fault.detail);
    fail();
}

static int64_t count_of(struct scene *scene, const char *table)
{
    return scene_number(scene, "SELECT count(*) FROM %s WHERE tenant_id IN ('%s', '%s')", table,
                        scene->tenant, scene->other);
}

static void assert_accepted_rows(struct scene *scene, int64_t count)
{
    assert_int_equal(count_of(scene, "execution_nonce"), count);
    assert_int_equal(count_of(scene, "execution_active"), count);
    assert_int_equal(count_of(scene, "execution_queue"), count);
    assert_int_equal(
        scene_number(scene,
                     "SELECT count(*) FROM execution_active a JOIN event e ON e.event_id = "
                     "a.accepted_event_id AND e.execution_id = a.execution_id JOIN event_pending p "
                     "ON p.event_id = e.event_id JOIN execution_queue q ON q.execution_id = "
                     "a.execution_id JOIN execution_nonce n ON n.execution_id = a.execution_id "
                     "WHERE a.tenant_id IN ('%s', '%s')",
                     scene->tenant, scene->other),
        count);
}

enum kind { GOOD, KNOWN, SPENT, UNAPPROVED, REVOKED, MISSING, STALE, THEIRS, KIND_COUNT };

static void a_full_batch_of_all_kinds(void **state)
{
    struct scene *scene = *state;
    struct scene_order order = scene_order(scene, scene->tenant), unapproved = order;
    struct scene_order other = scene_order(scene, scene->other), revoked = order;
    struct fault stale;
    AUTO_BATCH struct batch *before = batch_new(), *batch = batch_new();
    (void)fault_set(&stale, FAULT_MANIFEST_STALE, "issued_at: long ago");
    unapproved.tool_sha256 = scene_artifact(scene, scene->tenant, "unapproved");
    scene_inspected(scene, scene->tenant, &unapproved.tool_sha256);
    revoked.api_key_id = scene_api_key(scene, scene->tenant, "eve", ROLE_SUBMITTER);
    scene_sql(scene, "UPDATE api_key SET revoked_at = now() WHERE api_key_id = '%s'",
              revoked.api_key_id);
    for (size_t i = 0; i < BATCH; i++)
        make(before, i, &order, "before", i, "body");
    scene_commit(scene->api, before->items, BATCH);
    for (size_t i = 0; i < BATCH; i++)
        assert_item(before, i, ADMISSION_ACCEPTED, FAULT_NONE);
    for (size_t i = 0; i < BATCH; i++) {
        switch ((enum kind)(i % KIND_COUNT)) {
        case KNOWN:
            make(batch, i, &order, "before", i, "body");
            break;
        case SPENT:
            make(batch, i, &order, "before", i, "another body");
            break;
        case UNAPPROVED:
            make(batch, i, &unapproved, "new", i, "body");
            break;
        case REVOKED:
            make(batch, i, &revoked, "new", i, "body");
            break;
        case THEIRS:
            make(batch, i, &other, "before", i, "body");
            break;
        default:
            make(batch, i, &order, "new", i, "body");
        }
        if (i % KIND_COUNT == MISSING) {
            batch->jobs[i].inputs[0] = digest_of("unknown", 7);
            batch->jobs[i].manifest.input_count = 1;
        }
        if (i % KIND_COUNT == STALE)
            batch->items[i]->stale = &stale;
    }
    scene_commit(scene->api, batch->items, BATCH);
    static const struct {
        enum admission_end end;
        enum fault_code code;
    } expected[KIND_COUNT] = {
        [GOOD] = {ADMISSION_ACCEPTED, FAULT_NONE},
        [KNOWN] = {ADMISSION_KNOWN, FAULT_NONE},
        [SPENT] = {ADMISSION_REFUSED, FAULT_NONCE_REUSED},
        [UNAPPROVED] = {ADMISSION_REFUSED, FAULT_ARTIFACT_NOT_APPROVED},
        [REVOKED] = {ADMISSION_REFUSED, FAULT_NOT_AUTHENTICATED},
        [MISSING] = {ADMISSION_REFUSED, FAULT_INPUT_UNKNOWN},
        [STALE] = {ADMISSION_REFUSED, FAULT_MANIFEST_STALE},
        [THEIRS] = {ADMISSION_ACCEPTED, FAULT_NONE},
    };
    for (size_t i = 0; i < BATCH; i++) {
        assert_item(batch, i, expected[i % KIND_COUNT].end, expected[i % KIND_COUNT].code);
        if (i % KIND_COUNT == KNOWN)
            assert_true(uuid_equal(&batch->items[i]->known_id, &before->items[i]->execution_id));
    }
    assert_accepted_rows(scene, BATCH + BATCH / KIND_COUNT * 2);
}

/* Questions that look alike are one question only where they are: the same bytes, key ids, API keys
 * and inputs mean something else in another tenant, whatever comes first in the batch. */
static void questions_are_not_mixed_up(void **state)
{
    static const struct {
        const char *change; /* what is wrong in the second tenant */
        enum fault_code code;
    } cases[] = {
        {"UPDATE tenant SET quorum = 3", FAULT_ARTIFACT_NOT_APPROVED},
        {"UPDATE artifact SET state = 'revoked', revoked_at = now()", FAULT_ARTIFACT_REVOKED},
        {"UPDATE verification_key SET revoked_at = now()", FAULT_SIGNATURE_INVALID},
        {"UPDATE api_key SET revoked_at = now()", FAULT_NOT_AUTHENTICATED},
        {"DELETE FROM input", FAULT_INPUT_UNKNOWN},
    };
    for (size_t c = 0; c < 2 * ARRAY_LEN(cases); c++) {
        (void)scene_begin(state);
        struct scene *scene = *state;
        struct scene_order good = scene_order(scene, scene->tenant);
        struct scene_order bad = scene_order(scene, scene->other);
        struct digest input = scene_input(scene, scene->tenant, "input", INT64_MIN);
        (void)scene_input(scene, scene->other, "input", INT64_MIN);
        assert_true(digest_equal(&good.tool_sha256, &bad.tool_sha256));
        scene_sql(scene, "%s WHERE tenant_id = '%s'", cases[c / 2].change, scene->other);
        AUTO_BATCH struct batch *batch = batch_new();
        for (size_t i = 0; i < 8; i++) {
            make(batch, i, (i + c) % 2 == 0 ? &good : &bad, "alike", i, "body");
            batch->jobs[i].inputs[0] = input;
            batch->jobs[i].manifest.input_count = 1;
        }
        scene_commit(scene->api, batch->items, 8);
        for (size_t i = 0; i < 8; i++)
            assert_item(batch, i, (i + c) % 2 == 0 ? ADMISSION_ACCEPTED : ADMISSION_REFUSED,
                        cases[c / 2].code);
        assert_accepted_rows(scene, 4);
    }
}

/* Two keys, two artifacts and two API keys of one tenant, one of each good: all eight pairings. */
static void pairings_in_one_tenant(void **state)
{
    struct scene *scene = *state;
    struct scene_order good = scene_order(scene, scene->tenant);
    const char *revoked = scene_api_key(scene, scene->tenant, "eve", ROLE_SUBMITTER);
    struct digest unapproved = scene_artifact(scene, scene->tenant, "unapproved");
    scene_inspected(scene, scene->tenant, &unapproved);
    scene_key(scene, scene->tenant, "key-2");
    scene_sql(scene,
              "UPDATE verification_key SET revoked_at = now() WHERE tenant_id = '%s' AND kid "
              "= 'key-2'",
              scene->tenant);
    scene_sql(scene, "UPDATE api_key SET revoked_at = now() WHERE api_key_id = '%s'", revoked);
    AUTO_BATCH struct batch *batch = batch_new();
    struct scene_order orders[8];
    for (size_t i = 0; i < 8; i++) {
        orders[i] = good;
        if ((i & 1) != 0)
            orders[i].api_key_id = revoked;
        if ((i & 2) != 0)
            orders[i].kid = "key-2";
        if ((i & 4) != 0)
            orders[i].tool_sha256 = unapproved;
        make(batch, 7 - i, &orders[i], "pair", i, "body");
    }
    scene_commit(scene->api, batch->items, 8);
    for (size_t i = 0; i < 8; i++)
        assert_item(batch, 7 - i, i == 0 ? ADMISSION_ACCEPTED : ADMISSION_REFUSED,
                    (i & 1) != 0   ? FAULT_NOT_AUTHENTICATED
                    : (i & 2) != 0 ? FAULT_SIGNATURE_INVALID
                                   : FAULT_ARTIFACT_NOT_APPROVED);
}

/* The same token, and another with its nonce, in one batch: one is accepted, its twin is known. */
static void twins_in_one_batch(void **state)
{
    struct scene *scene = *state;
    struct scene_order order = scene_order(scene, scene->tenant);
    AUTO_BATCH struct batch *batch = batch_new();
    make(batch, 0, &order, "twin", 0, "body");
    make(batch, 1, &order, "alone", 0, "body");
    make(batch, 2, &order, "twin", 0, "body");
    make(batch, 3, &order, "rival", 0, "body");
    make(batch, 4, &order, "rival", 0, "another body");
    make(batch, 5, &order, "twin", 0, "body");
    scene_commit(scene->api, batch->items, 6);
    assert_item(batch, 1, ADMISSION_ACCEPTED, FAULT_NONE);
    size_t accepted = 6, rival = 6;
    for (size_t i = 0; i < 6; i++) {
        if (i == 1 || batch->items[i]->end != ADMISSION_ACCEPTED)
            continue;
        size_t *which = i == 3 || i == 4 ? &rival : &accepted;
        assert_int_equal(*which, 6);
        *which = i;
    }
    assert_true(accepted < 6 && rival < 6);
    for (size_t i = 0; i < 6; i++) {
        if (i == 1 || i == accepted || i == rival)
            continue;
        if (i == 3 || i == 4) {
            assert_item(batch, i, ADMISSION_REFUSED, FAULT_NONCE_REUSED);
            continue;
        }
        assert_item(batch, i, ADMISSION_KNOWN, FAULT_NONE);
        assert_true(uuid_equal(&batch->items[i]->known_id, &batch->items[accepted]->execution_id));
    }
    assert_accepted_rows(scene, 3);
}

/* A row that the database refuses (an event that is not what its hash says) fails alone. */
static void a_bad_row_fails_only_itself(void **state)
{
    struct scene *scene = *state;
    struct scene_order order = scene_order(scene, scene->tenant);
    static const size_t bad_counts[] = {1, 3, 64};
    int64_t accepted = 0;
    for (size_t round = 0; round < ARRAY_LEN(bad_counts); round++) {
        AUTO_BATCH struct batch *batch = batch_new();
        bool bad[64] = {false};
        char prefix[32];
        (void)snprintf(prefix, sizeof prefix, "round-%zu", round);
        for (size_t i = 0; i < bad_counts[round]; i++)
            bad[(i * 37 + 5) % 64] = true;
        for (size_t i = 0; i < 64; i++) {
            make(batch, i, &order, prefix, i, "body");
            if (bad[i])
                batch->jobs[i].event->hash.bytes[0] ^= 1;
        }
        scene_commit(scene->api, batch->items, 64);
        for (size_t i = 0; i < 64; i++)
            assert_item(batch, i, bad[i] ? ADMISSION_FAILED : ADMISSION_ACCEPTED, FAULT_INTERNAL);
        accepted += 64 - (int64_t)bad_counts[round];
        assert_accepted_rows(scene, accepted);
    }
}

static void a_lost_database_fails_all_and_accepts_none(void **state)
{
    struct scene *scene = *state;
    struct scene_order order = scene_order(scene, scene->tenant);
    AUTO_BATCH struct batch *batch = batch_new();
    for (size_t i = 0; i < 20; i++)
        make(batch, i, &order, "lost", i, "body");
    scene_let_in(scene, false);
    scene_cut_off(scene, "sallyport_api");
    scene_commit(scene->api, batch->items, 20);
    for (size_t i = 0; i < 20; i++)
        assert_item(batch, i, ADMISSION_FAILED, FAULT_UNAVAILABLE);
    assert_accepted_rows(scene, 0);
    scene_let_in(scene, true);
    scene_commit(scene->api, batch->items, 20);
    for (size_t i = 0; i < 20; i++)
        assert_item(batch, i, ADMISSION_ACCEPTED, FAULT_NONE);
    assert_accepted_rows(scene, 20);
    scene_commit(scene->api, batch->items, 0); /* nothing is nothing */
}

enum { RACERS = 4, RACE = 128 };

struct racer {
    struct pg *pg;
    struct batch *batch;
    pthread_barrier_t *barrier;
};

static void *race(void *context)
{
    struct racer *racer = context;
    (void)pthread_barrier_wait(racer->barrier);
    scene_commit(racer->pg, racer->batch->items, RACE);
    return NULL;
}

/* All racers submit the same nonces at once, every other one in reverse; `same` tokens or rivals.
 */
static void race_once(struct scene *scene, const struct scene_order *order, const char *prefix,
                      bool same)
{
    struct racer racers[RACERS];
    pthread_t threads[RACERS];
    pthread_barrier_t barrier;
    assert_int_equal(pthread_barrier_init(&barrier, NULL, RACERS), 0);
    for (int r = 0; r < RACERS; r++) {
        struct fault fault;
        char body[32];
        (void)snprintf(body, sizeof body, "body-%d", same ? 0 : r);
        racers[r] = (struct racer){.batch = batch_new(), .barrier = &barrier};
        assert_ok(pg_cluster_connect(scene->cluster, "sallyport_api", &racers[r].pg, &fault));
        for (size_t i = 0; i < RACE; i++)
            make(racers[r].batch, i, order, prefix, r % 2 == 0 ? i : RACE - 1 - i, body);
    }
    for (int r = 0; r < RACERS; r++)
        assert_int_equal(pthread_create(&threads[r], NULL, race, &racers[r]), 0);
    for (int r = 0; r < RACERS; r++)
        assert_int_equal(pthread_join(threads[r], NULL), 0);
    for (size_t n = 0; n < RACE; n++) {
        const struct admission *winner = NULL;
        for (int r = 0; r < RACERS; r++) {
            size_t i = r % 2 == 0 ? n : RACE - 1 - n;
            if (racers[r].batch->items[i]->end != ADMISSION_ACCEPTED)
                continue;
            assert_null(winner);
            winner = racers[r].batch->items[i];
        }
        assert_non_null(winner);
        for (int r = 0; r < RACERS; r++) {
            size_t i = r % 2 == 0 ? n : RACE - 1 - n;
            const struct admission *item = racers[r].batch->items[i];
            if (item == winner)
                continue;
            assert_item(racers[r].batch, i, same ? ADMISSION_KNOWN : ADMISSION_REFUSED,
                        FAULT_NONCE_REUSED);
            if (same)
                assert_true(uuid_equal(&item->known_id, &winner->execution_id));
        }
    }
    for (int r = 0; r < RACERS; r++) {
        pg_free(racers[r].pg);
        batch_free(&racers[r].batch);
    }
    (void)pthread_barrier_destroy(&barrier);
}

static void racers_for_one_nonce_have_one_winner(void **state)
{
    struct scene *scene = *state;
    struct scene_order order = scene_order(scene, scene->tenant);
    for (int round = 0; round < 6; round++) {
        char prefix[32];
        (void)snprintf(prefix, sizeof prefix, "race-%d", round);
        race_once(scene, &order, prefix, round % 2 == 0);
        assert_accepted_rows(scene, (int64_t)RACE * (round + 1));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(a_full_batch_of_all_kinds),
        SCENE_TEST(questions_are_not_mixed_up),
        SCENE_TEST(pairings_in_one_tenant),
        SCENE_TEST(twins_in_one_batch),
        SCENE_TEST(a_bad_row_fails_only_itself),
        SCENE_TEST(a_lost_database_fails_all_and_accepts_none),
        SCENE_TEST(racers_for_one_nonce_have_one_winner),
    };
    return cmocka_run_group_tests(tests, scene_open, scene_close);
}
