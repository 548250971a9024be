/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fault.h"

#include "base/text.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define DETAIL_MAX (sizeof((struct fault *)NULL)->detail - 1)

/* A second copy of the contract: a code that changes its name or status breaks callers. */
static const struct {
    enum fault_code code;
    const char *name;
    int http;
} contract[] = {
    {FAULT_MALFORMED_REQUEST, "malformed_request", 400},
    {FAULT_MALFORMED_TOKEN, "malformed_token", 400},
    {FAULT_UNKNOWN_PARAMETER, "unknown_parameter", 400},
    {FAULT_NOT_AUTHENTICATED, "not_authenticated", 401},
    {FAULT_FORBIDDEN, "forbidden", 403},
    {FAULT_SIGNATURE_INVALID, "signature_invalid", 403},
    {FAULT_TENANT_MISMATCH, "tenant_mismatch", 403},
    {FAULT_ARTIFACT_UNKNOWN, "artifact_unknown", 403},
    {FAULT_ARTIFACT_NOT_APPROVED, "artifact_not_approved", 403},
    {FAULT_ARTIFACT_REVOKED, "artifact_revoked", 403},
    {FAULT_MANIFEST_STALE, "manifest_stale", 403},
    {FAULT_NOT_FOUND, "not_found", 404},
    {FAULT_METHOD_NOT_ALLOWED, "method_not_allowed", 405},
    {FAULT_REQUEST_TIMEOUT, "request_timeout", 408},
    {FAULT_NONCE_REUSED, "nonce_reused", 409},
    {FAULT_STATE_CONFLICT, "state_conflict", 409},
    {FAULT_EXPIRED, "expired", 410},
    {FAULT_TOO_LARGE, "too_large", 413},
    {FAULT_UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", 415},
    {FAULT_MANIFEST_INVALID, "manifest_invalid", 422},
    {FAULT_INPUT_UNKNOWN, "input_unknown", 422},
    {FAULT_ARTIFACT_INVALID, "artifact_invalid", 422},
    {FAULT_CONTENT_MISMATCH, "content_mismatch", 422},
    {FAULT_KEY_INVALID, "key_invalid", 422},
    {FAULT_RATE_LIMITED, "rate_limited", 429},
    {FAULT_QUEUE_FULL, "queue_full", 429},
    {FAULT_QUOTA_EXCEEDED, "quota_exceeded", 429},
    {FAULT_INTERNAL, "internal", 500},
    {FAULT_UNAVAILABLE, "unavailable", 503},
    {FAULT_SHUTTING_DOWN, "shutting_down", 503},
};

static void the_registry_is_the_contract(void **state)
{
    (void)state;
    assert_int_equal(ARRAY_LEN(contract), FAULT_CODE_COUNT - 1);
    for (size_t i = 0; i < ARRAY_LEN(contract); i++) {
        assert_string_equal(fault_name(contract[i].code), contract[i].name);
        assert_int_equal(fault_http_status(contract[i].code), contract[i].http);
        assert_int_equal(fault_from_name(contract[i].name), contract[i].code);
        assert_true(strlen(fault_title(contract[i].code)) > 0);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(fault_title(contract[i].code), fault_title(contract[j].code));
    }
}

static void what_is_no_code_answers_as_internal(void **state)
{
    (void)state;
    static const int others[] = {FAULT_NONE, FAULT_CODE_COUNT, FAULT_CODE_COUNT + 1, -1, 1 << 20};
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        assert_string_equal(fault_name((enum fault_code)others[i]), "internal");
        assert_int_equal(fault_http_status((enum fault_code)others[i]), 500);
        assert_string_equal(fault_title((enum fault_code)others[i]), fault_title(FAULT_INTERNAL));
    }
    assert_int_equal(fault_from_name(""), FAULT_NONE);
    assert_int_equal(fault_from_name("INTERNAL"), FAULT_NONE);
    assert_int_equal(fault_from_name("internal "), FAULT_NONE);
}

static void a_guard_is_one_line(void **state)
{
    (void)state;
    struct fault fault = {.code = FAULT_NONE, .detail = "before"};
    assert_int_equal(fault_set(&fault, FAULT_NOT_FOUND, "no %s of %d", "execution", 7), -1);
    assert_int_equal(fault.code, FAULT_NOT_FOUND);
    assert_string_equal(fault.detail, "no execution of 7");
    assert_int_equal(fault_set(NULL, FAULT_NOT_FOUND, "nobody asks"), -1);
    assert_int_equal(fault_errno(NULL, "nobody asks"), -1);
}

static void a_long_detail_is_cut_at_a_character(void **state)
{
    (void)state;
    static const char *const characters[] = {"x", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x94\x92"};
    for (size_t c = 0; c < ARRAY_LEN(characters); c++) {
        for (size_t shift = 0; shift < 5; shift++) {
            char text[600];
            size_t step = strlen(characters[c]), end = shift;
            memset(text, 'a', shift);
            for (; end + step < sizeof text; end += step)
                memcpy(text + end, characters[c], step);
            text[end] = '\0';
            struct fault fault;
            (void)fault_set(&fault, FAULT_INTERNAL, "%s", text);
            size_t len = strlen(fault.detail);
            assert_in_range(len, c == 0 ? DETAIL_MAX : DETAIL_MAX - 4, DETAIL_MAX);
            assert_memory_equal(fault.detail, text, len);
            assert_true(utf8_valid(fault.detail, len));
        }
    }
}

/* What fits is not cut, whatever its last character. */
static void a_detail_that_fits_is_kept(void **state)
{
    (void)state;
    static const char *const lasts[] = {"x", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x94\x92"};
    for (size_t i = 0; i < ARRAY_LEN(lasts); i++) {
        char text[DETAIL_MAX + 1];
        size_t step = strlen(lasts[i]);
        memset(text, 'a', DETAIL_MAX - step);
        memcpy(text + DETAIL_MAX - step, lasts[i], step + 1);
        struct fault fault;
        (void)fault_set(&fault, FAULT_INTERNAL, "%s", text);
        assert_string_equal(fault.detail, text);
    }
}

static void a_detail_is_one_clean_line(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"a\nb\r\tc", "a b  c"},
        {"\x1b[31mred\x7f", " [31mred "},
        {"caf\xc3\xa9\n", "caf\xc3\xa9 "},
        {"\xff\xfe", "??"},
        {"ok \xc3", "ok ?"},
        {"\xed\xa0\x80", "???"},          /* a surrogate */
        {"\xc0\xaf", "??"},               /* an overlong slash */
        {"\xc3\xa9 and \xff", "?? and ?"} /* bytes of no one encoding: none is believed */
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fault fault;
        (void)fault_set(&fault, FAULT_INTERNAL, "%s", cases[i].in);
        assert_string_equal(fault.detail, cases[i].out);
    }
}

/* Cut in the middle of a run of continuation bytes: nothing to hold on to, still valid. */
static void a_long_detail_of_garbage_is_valid(void **state)
{
    (void)state;
    for (int byte = 0x80; byte <= 0xff; byte++) {
        char text[600];
        memset(text, byte, sizeof text - 1);
        text[sizeof text - 1] = '\0';
        struct fault fault;
        (void)fault_set(&fault, FAULT_INTERNAL, "%s", text);
        assert_true(utf8_valid(fault.detail, strlen(fault.detail)));
    }
}

static void errno_is_put_into_words(void **state)
{
    (void)state;
    struct fault fault;
    errno = ENOENT;
    assert_int_equal(fault_errno(&fault, "cannot open %s", "/x"), -1);
    assert_int_equal(fault.code, FAULT_INTERNAL);
    assert_string_equal(fault.detail, "cannot open /x: No such file or directory");
    char text[400];
    for (size_t len = DETAIL_MAX - 40; len < sizeof text; len++) {
        memset(text, 'a', len);
        text[len] = '\0';
        errno = EACCES;
        (void)fault_errno(&fault, "%s", text);
        assert_in_range(strlen(fault.detail), DETAIL_MAX - 40, DETAIL_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_registry_is_the_contract),
        cmocka_unit_test(what_is_no_code_answers_as_internal),
        cmocka_unit_test(a_guard_is_one_line),
        cmocka_unit_test(a_long_detail_is_cut_at_a_character),
        cmocka_unit_test(a_detail_that_fits_is_kept),
        cmocka_unit_test(a_detail_is_one_clean_line),
        cmocka_unit_test(a_long_detail_of_garbage_is_valid),
        cmocka_unit_test(errno_is_put_into_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
