/* SPDX-License-Identifier: Apache-2.0 */
/* A worker's file of pinned keys: strict, closed, asymmetric only. */
#include "trust/pins.h"

#include "base/json.h"
#include "trust/sign.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define PEM_MAX 4096

/* A public key of the algorithm as PEM. */
static char *public_pem(enum jws_alg alg)
{
    struct fault fault;
    AUTO_SIGN_KEY struct sign_key *key = NULL;
    AUTO_BUF struct buf pem = BUF(PEM_MAX);
    assert_int_equal(sign_key_generate(alg, &key, &fault), 0);
    assert_int_equal(sign_key_public_pem(key, &pem, &fault), 0);
    return buf_take(&pem, NULL);
}

static json_t *entry(const char *tenant, const char *kid, const char *alg, const char *pem)
{
    return json_pack("{s:s, s:s, s:s, s:s}", "tenant_id", tenant, "kid", kid, "alg", alg,
                     "public_pem", pem);
}

/* Parses {"keys": [entries]}; takes the array over. */
static int parse(json_t *entries, struct pins **ret_pins, struct fault *fault)
{
    AUTO_JSON json_t *file = json_pack("{s:o}", "keys", entries);
    AUTO_BUF struct buf text = BUF(PINS_FILE_MAX);
    json_append(&text, file);
    assert_false(buf_failed(&text));
    return pins_parse(buf_span(&text), ret_pins, fault);
}

static void finds_a_key_by_tenant_and_kid_only(void **state)
{
    (void)state;
    struct fault fault;
    AUTO_PINS struct pins *pins = NULL;
    AUTO_FREE char *ec = public_pem(JWS_ES256);
    AUTO_FREE char *ed = public_pem(JWS_EDDSA);
    json_t *entries =
        json_pack("[o, o]", entry("a", "k", "ES256", ec), entry("b", "k", "EdDSA", ed));
    assert_int_equal(parse(entries, &pins, &fault), 0);
    assert_int_equal(pins_count(pins), 2);
    assert_int_equal(trust_key_alg(pins_find(pins, "a", "k")), JWS_ES256);
    assert_int_equal(trust_key_alg(pins_find(pins, "b", "k")), JWS_EDDSA);
    assert_null(pins_find(pins, "c", "k"));
    assert_null(pins_find(pins, "a", "K"));
    assert_null(pins_find(pins, "a", ""));
}

static void refuses(json_t *entries, const char *sentence_part)
{
    struct fault fault;
    AUTO_PINS struct pins *pins = NULL;
    assert_int_equal(parse(entries, &pins, &fault), -1);
    assert_int_equal(fault.code, FAULT_KEY_INVALID);
    assert_null(pins);
    if (strstr(fault.detail, sentence_part) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", fault.detail, sentence_part);
}

static void refuses_what_pins_nothing(void **state)
{
    (void)state;
    AUTO_FREE char *ec = public_pem(JWS_ES256);
    refuses(json_pack("[o]", entry("a", "k", "HS256", "secret")), "keys[0]: alg");
    refuses(json_pack("[o]", entry("a", "k", "ES384", ec)), "keys[0]: ");
    refuses(json_pack("[o]", entry("A b", "k", "ES256", ec)), "tenant_id");
    refuses(json_pack("[o]", entry("a", "k k", "ES256", ec)), "keys[0]: kid: not one");
    refuses(json_pack("[o, o]", entry("a", "k", "ES256", ec), entry("a", "k", "ES256", ec)),
            "keys[1]: kid: pinned twice");
    refuses(json_pack("[s]", "key"), "keys[0]: expected an object");
    refuses(json_pack("[{s:s}]", "kid", "k"), "required");
}

static void refuses_an_unknown_member(void **state)
{
    (void)state;
    AUTO_FREE char *ec = public_pem(JWS_ES256);
    json_t *odd = entry("a", "k", "ES256", ec);
    assert_int_equal(json_object_set_new(odd, "not_after", json_string("never")), 0);
    refuses(json_pack("[o]", odd), "not_after");
}

static void refuses_bytes_that_are_no_file_of_pins(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "", "[]", "{}", "{\"keys\":{}}", "{\"keys\":[]} x", "{\"keys\":[],\"keys\":[]}"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct fault fault;
        AUTO_PINS struct pins *pins = NULL;
        assert_int_equal(pins_parse(span_text(texts[i]), &pins, &fault), -1);
        assert_int_equal(fault.code, FAULT_KEY_INVALID);
    }
}

static void takes_an_empty_set_which_trusts_nobody(void **state)
{
    (void)state;
    struct fault fault;
    AUTO_PINS struct pins *pins = NULL;
    assert_int_equal(parse(json_array(), &pins, &fault), 0);
    assert_int_equal(pins_count(pins), 0);
    assert_null(pins_find(pins, "a", "k"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_a_key_by_tenant_and_kid_only),
        cmocka_unit_test(refuses_what_pins_nothing),
        cmocka_unit_test(refuses_an_unknown_member),
        cmocka_unit_test(refuses_bytes_that_are_no_file_of_pins),
        cmocka_unit_test(takes_an_empty_set_which_trusts_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
