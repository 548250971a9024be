/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/ledger/finished_sample.h"

/* The value an independent implementation computed for these facts. */
static void the_fingerprint_has_its_known_value(void **state)
{
    (void)state;
    struct sample sample;
    sample_init(&sample);
    struct digest fingerprint;
    assert_int_equal(finished_fingerprint(&sample.facts, &fingerprint, NULL), 0);
    assert_string_equal(digest_hex(&fingerprint).text,
                        "f9eddae244b528851a569a65b3ccce39515484c3d1c9b9b60db28cc3ea885182");
    sample_done(&sample);
}

static void the_fingerprint_binds_each_of_its_facts(void **state)
{
    (void)state;
    struct digest seen[8];
    AUTO_JSON json_t *other = json_pack("{s:s}", "decision", "refuse");
    for (size_t change = 0; change < 8; change++) {
        struct sample sample;
        sample_init(&sample);
        struct finished_facts *facts = &sample.facts;
        if (change == 1)
            facts->isolation_checks = other;
        else if (change == 2)
            facts->manifest_sha256.bytes[31] ^= 1;
        else if (change == 3)
            facts->operator_id = "op-8";
        else if (change == 4)
            facts->policy_decision = other;
        else if (change == 5)
            facts->tenant_id = "acmf";
        else if (change == 6)
            facts->finished_ms++;
        else if (change == 7)
            facts->tool_sha256.bytes[0] ^= 1;
        assert_int_equal(finished_fingerprint(facts, &seen[change], NULL), 0);
        for (size_t i = 0; i < change; i++)
            assert_false(digest_equal(&seen[i], &seen[change]));
        AUTO_JSON json_t *data = sample_data(facts);
        char by_hand[65];
        sample_fingerprint(data, by_hand);
        assert_string_equal(sample_text(data, "execution_fingerprint"), by_hand);
        assert_string_equal(digest_hex(&seen[change]).text, by_hand);
        sample_done(&sample);
    }
}

/* JSON's escapes are RFC 8785's: \n short, other controls as lower-case \u00xx. */
static void the_fingerprint_escapes_as_rfc_8785(void **state)
{
    (void)state;
    struct sample sample;
    sample_init(&sample);
    sample.facts.operator_id = "a\"b\\c\n\x1f/\xc3\xa9";
    char checks[65], policy[65], manifest[65], tool[65], hex[65], text[1024];
    static const char checks_text[] = "{\"seccomp\":\"runsc\",\"network_none\":true}";
    static const char policy_text[] = "{\"decision\":\"permit\",\"approvals\":2}";
    sample_hex(reference_sha256(checks_text, strlen(checks_text)), checks);
    sample_hex(reference_sha256(policy_text, strlen(policy_text)), policy);
    sample_hex(sample.facts.manifest_sha256, manifest);
    sample_hex(sample.facts.tool_sha256, tool);
    int len =
        snprintf(text, sizeof text,
                 "{\"attestation_measurement_hash\":\"%s\",\"manifest_hash\":\"%s\","
                 "\"operator_id\":\"a\\\"b\\\\c\\n\\u001f/\xc3\xa9\",\"policy_decision_hash\":"
                 "\"%s\",\"tenant_id\":\"acme\",\"timestamp\":\"2026-01-02T03:04:05.999Z\","
                 "\"tool_hash\":\"%s\"}",
                 checks, manifest, policy, tool);
    sample_hex(reference_sha256(text, (size_t)len), hex);
    struct digest fingerprint;
    assert_int_equal(finished_fingerprint(&sample.facts, &fingerprint, NULL), 0);
    assert_string_equal(digest_hex(&fingerprint).text, hex);
    sample_done(&sample);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_fingerprint_has_its_known_value),
        cmocka_unit_test(the_fingerprint_binds_each_of_its_facts),
        cmocka_unit_test(the_fingerprint_escapes_as_rfc_8785),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
