/* SPDX-License-Identifier: Apache-2.0 */
#include "trust_support.h"

#include "trust/verdict.h"

#include <limits.h>

static const struct verdict_facts permit = {.key_live = true,
                                            .caller_live = true,
                                            .artifact_state = ARTIFACT_PENDING,
                                            .approvals = 2,
                                            .quorum = 2,
                                            .inputs_missing = 0};

static enum fault_code verdict_of(const struct verdict_facts *facts)
{
    struct fault fault = {0};
    int result = verdict_reach(facts, &fault);
    assert_int_equal(result == 0, fault.code == FAULT_NONE);
    return fault.code;
}

static void each_fact_can_refuse(void **state)
{
    (void)state;
    assert_int_equal(verdict_of(&permit), FAULT_NONE);
    struct verdict_facts facts = permit;
    facts.caller_live = false;
    assert_int_equal(verdict_of(&facts), FAULT_NOT_AUTHENTICATED);
    facts = permit;
    facts.key_live = false;
    assert_int_equal(verdict_of(&facts), FAULT_SIGNATURE_INVALID);
    static const enum fault_code by_state[] = {[ARTIFACT_ABSENT] = FAULT_ARTIFACT_UNKNOWN,
                                               [ARTIFACT_INSPECTING] = FAULT_ARTIFACT_NOT_APPROVED,
                                               [ARTIFACT_PENDING] = FAULT_NONE,
                                               [ARTIFACT_REJECTED] = FAULT_ARTIFACT_NOT_APPROVED,
                                               [ARTIFACT_REVOKED] = FAULT_ARTIFACT_REVOKED};
    for (size_t i = 0; i < ARRAY_LEN(by_state); i++) {
        facts = permit;
        facts.artifact_state = (enum artifact_state)i;
        assert_int_equal(verdict_of(&facts), by_state[i]);
    }
    facts.artifact_state = (enum artifact_state)17;
    assert_int_equal(verdict_of(&facts), FAULT_ARTIFACT_NOT_APPROVED);
    facts = permit;
    facts.inputs_missing = 1;
    assert_int_equal(verdict_of(&facts), FAULT_INPUT_UNKNOWN);
    facts.inputs_missing = -1;
    assert_int_equal(verdict_of(&facts), FAULT_INPUT_UNKNOWN);
}

/* No number of approvals stands in for what the tenant asks; each lack is told by its name. */
static void what_the_policy_asks(void **state)
{
    (void)state;
    static const struct {
        enum artifact_lack lack;
        const char *word;
    } rows[] = {{ARTIFACT_LACKS_SBOM, "sbom"},
                {ARTIFACT_LACKS_REPORT, "the report that"},
                {ARTIFACT_LACKS_SEVERITY, "worse"},
                {(enum artifact_lack)9, "unknown"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct verdict_facts facts = permit;
        struct fault fault = {0};
        facts.lacks = rows[i].lack;
        assert_int_equal(verdict_reach(&facts, &fault), -1);
        assert_int_equal(fault.code, FAULT_ARTIFACT_NOT_APPROVED);
        assert_non_null(strstr(fault.detail, rows[i].word));
        facts.artifact_state = ARTIFACT_REVOKED;
        assert_int_equal(verdict_of(&facts), FAULT_ARTIFACT_REVOKED);
    }
    for (int i = ARTIFACT_LACKS_NOTHING; i <= ARTIFACT_LACKS_SEVERITY; i++) {
        enum artifact_lack lack = (enum artifact_lack)9;
        assert_int_equal(artifact_lack_parse(artifact_lack_name((enum artifact_lack)i), &lack), 0);
        assert_int_equal(lack, i);
    }
    enum artifact_lack none = ARTIFACT_LACKS_SBOM;
    assert_int_equal(artifact_lack_parse("sboms", &none), -1);
    assert_int_equal(none, ARTIFACT_LACKS_SBOM);
    assert_string_equal(artifact_lack_name((enum artifact_lack)9), "");
}

static void the_quorum(void **state)
{
    (void)state;
    static const struct {
        int approvals;
        int quorum;
        bool enough;
    } rows[] = {{0, 1, false},   {1, 1, true},   {1, 2, false},       {2, 2, true},
                {9, 2, true},    {0, 0, false},  {5, 0, false},       {5, -1, false},
                {-1, -1, false}, {-1, 1, false}, {0, INT_MIN, false}, {INT_MAX, INT_MAX, true}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct verdict_facts facts = permit;
        facts.approvals = rows[i].approvals;
        facts.quorum = rows[i].quorum;
        assert_int_equal(verdict_of(&facts),
                         rows[i].enough ? FAULT_NONE : FAULT_ARTIFACT_NOT_APPROVED);
    }
}

/* All is wrong; as each is righted in turn the next is named. */
static void refusals_come_in_their_order(void **state)
{
    (void)state;
    struct verdict_facts facts = {.artifact_state = ARTIFACT_ABSENT, .inputs_missing = 2};
    assert_int_equal(verdict_of(&facts), FAULT_NOT_AUTHENTICATED);
    facts.caller_live = true;
    assert_int_equal(verdict_of(&facts), FAULT_SIGNATURE_INVALID);
    facts.key_live = true;
    assert_int_equal(verdict_of(&facts), FAULT_ARTIFACT_UNKNOWN);
    facts.artifact_state = ARTIFACT_REVOKED;
    assert_int_equal(verdict_of(&facts), FAULT_ARTIFACT_REVOKED);
    facts.artifact_state = ARTIFACT_PENDING;
    assert_int_equal(verdict_of(&facts), FAULT_ARTIFACT_NOT_APPROVED);
    facts.approvals = facts.quorum = 1;
    assert_int_equal(verdict_of(&facts), FAULT_INPUT_UNKNOWN);
    facts.inputs_missing = 0;
    assert_int_equal(verdict_of(&facts), FAULT_NONE);
}

static void nothing_known_is_refused(void **state)
{
    (void)state;
    const struct verdict_facts nothing = {0};
    assert_int_equal(verdict_of(&nothing), FAULT_NOT_AUTHENTICATED);
}

static void its_description(void **state)
{
    (void)state;
    struct digest digest = digest_of("abc", 3);
    AUTO_BUF struct buf text = BUF(1024), refused = BUF(1024), small = BUF(10);
    verdict_describe(&permit, "key \"1\"", "ES256", &digest, &text);
    assert_string_equal(
        buf_text(&text),
        "{\"verdict\":\"permit\",\"kid\":\"key \\\"1\\\"\",\"alg\":\"ES256\",\"approvals\":2,"
        "\"quorum\":2,\"descriptor_sha256\":"
        "\"sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"}");
    struct verdict_facts facts = permit;
    facts.approvals = 1;
    verdict_describe(&facts, "k", "ES256", &digest, &refused);
    assert_non_null(strstr(buf_text(&refused), "\"verdict\":\"refuse\""));
    verdict_describe(&permit, "k", "ES256", &digest, &small);
    assert_true(buf_failed(&small));
}

static void states_have_names(void **state)
{
    (void)state;
    static const char *const names[] = {"absent", "inspecting", "pending", "rejected", "revoked"};
    for (int i = 0; i < 5; i++) {
        enum artifact_state parsed = ARTIFACT_ABSENT;
        assert_string_equal(artifact_state_name((enum artifact_state)i), names[i]);
        assert_int_equal(artifact_state_parse(names[i], &parsed), i == 0 ? -1 : 0);
        assert_int_equal(parsed, i);
    }
    enum artifact_state parsed;
    assert_int_equal(artifact_state_parse("approved", &parsed), -1);
    assert_string_equal(artifact_state_name((enum artifact_state)5), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_fact_can_refuse),
        cmocka_unit_test(what_the_policy_asks),
        cmocka_unit_test(the_quorum),
        cmocka_unit_test(refusals_come_in_their_order),
        cmocka_unit_test(nothing_known_is_refused),
        cmocka_unit_test(its_description),
        cmocka_unit_test(states_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
