/* SPDX-License-Identifier: Apache-2.0 */
/* Exit codes: the table that scripts rely on. */
#include "cli/outcome.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_every_code_has_its_exit(void **state)
{
    (void)state;
    static const struct {
        const char *code;
        int exit;
    } cases[] = {
        {"malformed_request", 2},
        {"malformed_token", 2},
        {"unknown_parameter", 2},
        {"not_authenticated", 4},
        {"forbidden", 4},
        {"signature_invalid", 5},
        {"tenant_mismatch", 5},
        {"artifact_unknown", 5},
        {"artifact_not_approved", 5},
        {"artifact_revoked", 5},
        {"manifest_stale", 5},
        {"not_found", 3},
        {"method_not_allowed", 1},
        {"request_timeout", 8},
        {"nonce_reused", 5},
        {"state_conflict", 1},
        {"expired", 3},
        {"too_large", 2},
        {"unsupported_media_type", 2},
        {"manifest_invalid", 2},
        {"input_unknown", 5},
        {"artifact_invalid", 2},
        {"content_mismatch", 6},
        {"key_invalid", 2},
        {"rate_limited", 1},
        {"queue_full", 1},
        {"quota_exceeded", 1},
        {"internal", 1},
        {"unavailable", 1},
        {"shutting_down", 1},
    };
    assert_int_equal(ARRAY_LEN(cases), FAULT_CODE_COUNT - 1);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        enum fault_code code = fault_from_name(cases[i].code);
        assert_int_not_equal(code, FAULT_NONE);
        assert_int_equal(outcome_of_fault(code), cases[i].exit);
    }
}

static void test_ends_of_executions(void **state)
{
    (void)state;
    assert_int_equal(outcome_of_state("succeeded"), 0);
    assert_int_equal(outcome_of_state("failed"), 1);
    assert_int_equal(outcome_of_state("timed_out"), 1);
    assert_int_equal(outcome_of_state("lost"), 1);
    assert_int_equal(outcome_of_state("refused"), 5);
    assert_int_equal(outcome_of_state("queued"), 8);
    assert_int_equal(outcome_of_state("running"), 8);
    assert_int_equal(outcome_of_state("never heard of"), 1);
}

static void test_problem_documents(void **state)
{
    (void)state;
    struct fault fault = {0};
    const char *problem = "{\"type\":\"urn:x\",\"status\":403,\"code\":\"artifact_not_approved\","
                          "\"detail\":\"tool_sha256: 1 of 2\",\"request_id\":\"r-1\"}";
    assert_int_equal(outcome_of_answer(403, span_text(problem), &fault), -1);
    assert_int_equal(fault.code, FAULT_ARTIFACT_NOT_APPROVED);
    assert_string_equal(fault.detail, "tool_sha256: 1 of 2 (request r-1)");
}

static void test_answers_that_are_not_ours(void **state)
{
    (void)state;
    static const struct {
        long status;
        const char *body;
        enum fault_code code;
    } cases[] = {
        {404, "<html>", FAULT_NOT_FOUND},
        {401, "", FAULT_NOT_AUTHENTICATED},
        {502, "bad gateway", FAULT_INTERNAL},
        {503, "{\"code\":\"no such code\",\"detail\":\"x\"}", FAULT_UNAVAILABLE},
        {403, "{\"code\":7}", FAULT_FORBIDDEN},
        {302, "{\"code\":\"not_found\",\"detail\":\"x\"}", FAULT_INTERNAL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fault fault = {0};
        assert_int_equal(outcome_of_answer(cases[i].status, span_text(cases[i].body), &fault), -1);
        assert_int_equal(fault.code, cases[i].code);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_code_has_its_exit),
        cmocka_unit_test(test_ends_of_executions),
        cmocka_unit_test(test_problem_documents),
        cmocka_unit_test(test_answers_that_are_not_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
