/* SPDX-License-Identifier: Apache-2.0 */
#include "forge.h"

#include "trust/jwks.h"

#define ED                                                                                         \
    "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\""
#define P256                                                                                       \
    "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","      \
    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\""

static json_t *object_of(const char *text)
{
    json_t *object = NULL;
    assert_int_equal(json_object_parse(span_text(text), FAULT_KEY_INVALID, "text", &object, NULL),
                     0);
    return object;
}

static int read_set(const char *text, struct jwk_set **ret_set, struct fault *fault)
{
    AUTO_JSON json_t *object = object_of(text);
    return jwk_set_read(object, ret_set, fault);
}

static void a_set_is_read(void **state)
{
    (void)state;
    AUTO_JWK_SET struct jwk_set *set = NULL;
    struct fault fault = {0};
    if (read_set("{\"keys\":[{\"kid\":\"a\"," ED
                 ",\"x5t\":\"AA\"}, {\"alg\":\"ES256\",\"kid\":\"b\","
                 "\"use\":\"sig\"," P256 "}],\"x\":1}",
                 &set, &fault) != 0)
        fail_msg("%s", fault.detail);
    assert_int_equal(set->count, 2);
    assert_string_equal(set->entries[0].kid, "a");
    assert_int_equal(set->entries[0].alg, JWS_EDDSA);
    assert_string_equal(set->entries[1].kid, "b");
    assert_int_equal(set->entries[1].alg, JWS_ES256);
    for (size_t i = 0; i < set->count; i++) {
        AUTO_TRUST_KEY struct trust_key *key = NULL;
        assert_int_equal(
            trust_key_from_pem(set->entries[i].alg, buf_span(&set->entries[i].pem), &key, NULL), 0);
    }
}

/* What a set's key verifies is what its private half has signed. */
static void keys_of_a_set_verify(void **state)
{
    (void)state;
    static const enum jws_alg algs[] = {JWS_RS256, JWS_PS256, JWS_ES256, JWS_ES384, JWS_EDDSA};
    for (size_t i = 0; i < ARRAY_LEN(algs); i++) {
        AUTO_SIGNER struct signer signer = signer_new(algs[i]);
        AUTO_PKEY EVP_PKEY *pkey = private_of(&signer);
        AUTO_BUF struct buf jwk = public_jwk(pkey), text = BUF(32768);
        buf_printf(&text, "{\"keys\":[{\"kid\":\"k\",\"alg\":\"%s\",%s]}", jws_alg_name(algs[i]),
                   buf_text(&jwk) + 1);
        AUTO_JWK_SET struct jwk_set *set = NULL;
        AUTO_TRUST_KEY struct trust_key *key = NULL;
        assert_int_equal(read_set(buf_text(&text), &set, NULL), 0);
        assert_int_equal(trust_key_from_pem(algs[i], buf_span(&set->entries[0].pem), &key, NULL),
                         0);
        AUTO_BUF struct buf token = token_plain(&signer);
        assert_accepted(buf_span(&token), key);
    }
}

static void assert_set_refused(const char *text, const char *detail)
{
    struct jwk_set *set = NULL;
    struct fault fault = {0};
    assert_int_equal(read_set(text, &set, &fault), -1);
    assert_null(set);
    assert_int_equal(fault.code, FAULT_KEY_INVALID);
    if (strncmp(fault.detail, detail, strlen(detail)) != 0)
        fail_msg("'%s' does not begin with '%s'", fault.detail, detail);
}

#define KEYS(keys) "{\"keys\":[" keys "]}"

static void others_are_refused_whole(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *detail;
    } rows[] = {
        {"{}", "jwks.keys: expected an array of 1 to 16"},
        {"{" P256 ",\"kid\":\"a\"}", "jwks.keys: expected an array"},
        {KEYS(""), "jwks.keys: expected an array of 1 to 16"},
        {"{\"keys\":{}}", "jwks.keys: expected an array"},
        {"{\"keys\":null}", "jwks.keys: expected an array"},
        {KEYS("1"), "jwks.keys[0]: expected an object"},
        {KEYS("{\"kid\":\"a\"," ED "},[]"), "jwks.keys[1]: expected an object"},
        {KEYS("{" P256 "}"), "jwks.keys[0].kid: required"},
        {KEYS("{\"kid\":\"\"," P256 "}"), "jwks.keys[0].kid: expected 1 to 128"},
        {KEYS("{\"kid\":7," P256 "}"), "jwks.keys[0].kid: expected a string"},
        {KEYS("{\"kid\":\"a\\u0001\"," P256 "}"), "jwks.keys[0].kid: expected 1 to 128"},
        {KEYS("{\"kid\":\"a b\"," P256 "}"), "jwks.keys[0].kid: expected 1 to 128"},
        {KEYS("{\"kty\":\"RSA\",\"kid\":\"a\",\"n\":\"AQAB\",\"e\":\"AQAB\"}"),
         "jwks.keys[0].alg: required"},
        {KEYS("{\"alg\":\"none\",\"kid\":\"a\"," P256 "}"), "jwks.keys[0].alg: not an algorithm"},
        {KEYS("{\"alg\":\"ES384\",\"kid\":\"a\"," P256 "}"), "jwks.keys[0].crv: expected P-384"},
        {KEYS("{\"alg\":\"RS256\",\"kid\":\"a\"," P256 "}"), "jwks.keys[0].kty: expected RSA"},
        {KEYS("{\"kid\":\"a\"," ED "},{\"kid\":\"b\",\"use\":\"enc\"," P256 "}"),
         "jwks.keys[1].use: expected sig"},
        {KEYS("{\"kid\":\"a\"," ED "},{\"kid\":\"b\",\"d\":\"AA\"," P256 "}"),
         "jwks.keys[1].d: is of a private key"},
        {KEYS("{\"kid\":\"a\"," ED "},{\"kid\":\"b\",\"kty\":\"EC\",\"crv\":\"P-256\","
              "\"x\":\"AA\",\"y\":\"AA\"}"),
         "jwks.keys[1].x: expected 32 bytes"},
        {KEYS("{\"kid\":\"a\",\"kty\":\"EC\",\"crv\":\"P-521\"}"), "jwks.keys[0].alg: required"},
        /* the point (1, 1) is on no curve of ours */
        {KEYS("{\"kid\":\"a\",\"kty\":\"EC\",\"crv\":\"P-256\","
              "\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE\","
              "\"y\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE\"}"),
         "jwks.keys[0]: not a key"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_set_refused(rows[i].text, rows[i].detail);
}

/* One key of small order spoils the set, and is named. */
static void row_08_a_weak_key_in_a_set(void **state)
{
    (void)state;
    assert_set_refused(KEYS("{\"kid\":\"a\"," ED
                            "},{\"kid\":\"b\",\"kty\":\"OKP\",\"crv\":\"Ed25519\","
                            "\"x\":\"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}"),
                       "jwks.keys[1]: key: not a canonical Ed25519 point");
}

static void row_10_a_secret_in_a_set(void **state)
{
    (void)state;
    static const char k[] = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4";
    static const char *const members[] = {"", "\"alg\":\"HS256\",", "\"alg\":\"ES256\",",
                                          "\"crv\":\"P-256\","};
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        char text[256];
        (void)snprintf(
            text, sizeof text,
            KEYS("{\"kid\":\"a\"," ED "},{%s\"kty\":\"oct\",\"kid\":\"b\",\"k\":\"%s\"}"),
            members[i], k);
        assert_set_refused(text, "jwks.keys[1].kty: a secret");
    }
    assert_set_refused(KEYS("{\"kid\":\"a\",\"alg\":\"HS256\"," P256 "}"),
                       "jwks.keys[0]: expected");
}

static void row_14_duplicate_kid_in_a_set(void **state)
{
    (void)state;
    assert_set_refused(
        KEYS("{\"kid\":\"a\"," ED "},{\"kid\":\"b\"," P256 "},{\"kid\":\"a\"," P256 "}"),
        "jwks.keys[2].kid: is there twice");
    assert_set_refused(KEYS("{\"kid\":\"a\"," ED "},{\"kid\":\"\\u0061\"," ED "}"),
                       "jwks.keys[1].kid: is there twice");
}

static void a_set_is_bounded(void **state)
{
    (void)state;
    AUTO_BUF struct buf text = BUF(1 << 16), longer = BUF(1 << 16);
    for (int i = 0; i < JWK_SET_MAX; i++)
        buf_printf(&text, "%s{" ED ",\"kid\":\"%d\"}", i == 0 ? "{\"keys\":[" : ",", i);
    buf_printf(&longer, "%s,{" ED ",\"kid\":\"more\"}]}", buf_text(&text));
    buf_puts(&text, "]}");
    AUTO_JWK_SET struct jwk_set *set = NULL, *none = NULL;
    assert_int_equal(read_set(buf_text(&text), &set, NULL), 0);
    assert_int_equal(set->count, JWK_SET_MAX);
    assert_string_equal(set->entries[JWK_SET_MAX - 1].kid, "15");
    assert_int_equal(read_set(buf_text(&longer), &none, NULL), -1);
}

static void a_label_says_what_the_key_says(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *kid;
        bool has_alg;
        enum jws_alg alg;
    } rows[] = {{"{}", "", false, 0},
                {"{\"kty\":\"RSA\",\"kid\":\"a\"}", "a", false, 0},
                {"{\"kty\":\"RSA\",\"alg\":\"PS256\"}", "", true, JWS_PS256},
                {"{\"crv\":\"P-384\"}", "", true, JWS_ES384},
                {"{\"crv\":\"Ed25519\",\"kid\":\"b\"}", "b", true, JWS_EDDSA},
                {"{\"crv\":\"P-521\"}", "", false, 0},
                {"{\"crv\":\"P-256\",\"alg\":\"RS256\"}", "", true, JWS_RS256}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO_JSON json_t *object = object_of(rows[i].text);
        struct jwk_label label;
        assert_int_equal(jwk_label_read(object, "jwk.", &label, NULL), 0);
        assert_string_equal(label.kid, rows[i].kid);
        assert_int_equal(label.has_alg, rows[i].has_alg);
        if (label.has_alg)
            assert_int_equal(label.alg, rows[i].alg);
    }
    static const char *const refused[] = {"{\"kid\":\"\"}", "{\"kid\":1}", "{\"alg\":\"none\"}",
                                          "{\"alg\":[]}", "{\"crv\":7}"};
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        AUTO_JSON json_t *object = object_of(refused[i]);
        struct jwk_label label;
        struct fault fault = {0};
        assert_int_equal(jwk_label_read(object, "jwk.", &label, &fault), -1);
        assert_int_equal(fault.code, FAULT_KEY_INVALID);
        assert_int_equal(strncmp(fault.detail, "jwk.", 4), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_set_is_read),
        cmocka_unit_test(keys_of_a_set_verify),
        cmocka_unit_test(others_are_refused_whole),
        cmocka_unit_test(row_08_a_weak_key_in_a_set),
        cmocka_unit_test(row_10_a_secret_in_a_set),
        cmocka_unit_test(row_14_duplicate_kid_in_a_set),
        cmocka_unit_test(a_set_is_bounded),
        cmocka_unit_test(a_label_says_what_the_key_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
