/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pitfalls that the parser ends, by their row in the list of known JWS attacks. Each token
 * here is really signed, by a key that would be trusted, over exactly the bad header: it is the
 * form alone that is refused, before any backend is asked.
 */
#include "trust_support.h"

static struct signer good;

static int setup(void **state)
{
    (void)state;
    good = signer_new(JWS_ES256);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    signer_cleanup(&good);
    return 0;
}

static void assert_header_refused(const char *header, const char *word)
{
    AUTO_BUF struct buf text = token_over(&good, header, span_text(TEST_PAYLOAD));
    assert_malformed(buf_span(&text), word);
}

static void assert_header_accepted(const char *header)
{
    AUTO_BUF struct buf text = token_over(&good, header, span_text(TEST_PAYLOAD));
    assert_accepted(buf_span(&text), good.key);
}

static void row_01_alg_none_missing_or_not_a_string(void **state)
{
    (void)state;
    static const char *const headers[] = {"{\"alg\":\"none\"}",
                                          "{\"alg\":\"None\"}",
                                          "{\"alg\":\"nOnE\"}",
                                          "{\"alg\":\"\"}",
                                          "{}",
                                          "{\"alg\":0}",
                                          "{\"alg\":[\"ES256\"]}",
                                          "{\"alg\":null}",
                                          "{\"alg\":{\"alg\":\"ES256\"}}",
                                          "{\"a\":{\"alg\":\"ES256\"}}",
                                          "{\"alg\":true}",
                                          "{\"alg\":\"ES256,none\"}"};
    for (size_t i = 0; i < ARRAY_LEN(headers); i++)
        assert_header_refused(headers[i], "header.alg");
    AUTO_BUF struct buf text = token_plain(&good);
    const uint8_t *dot = memrchr(text.data, '.', text.len);
    assert_malformed(span_of(text.data, (size_t)(dot - text.data) + 1), "signature: is empty");
}

static void row_04_alg_in_other_case_or_unknown(void **state)
{
    (void)state;
    static const char *const names[] = {"es256", "Es256", "ES521",  "ES512",  "RS384",
                                        "RS512", "PS384", "PS512",  "ES256K", "Ed25519",
                                        "eddsa", "EDDSA", "HS256 ", " HS256", "HS\\u0032560"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char header[64];
        (void)snprintf(header, sizeof header, "{\"alg\":\"%s\"}", names[i]);
        assert_header_refused(header, "header.alg: expected one of");
    }
    assert_header_accepted("{\"alg\":\"\\u0045S256\"}"); /* an escape is the same string */
}

static void row_11_crit(void **state)
{
    (void)state;
    static const char *const values[] = {"[\"exp\"]", "[]",           "\"b64\"",
                                         "{}",        "null",         "[\"b64\",\"b64\"]",
                                         "[\"alg\"]", "[\"absent\"]", "false"};
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        char header[96];
        (void)snprintf(header, sizeof header, "{\"alg\":\"ES256\",\"crit\":%s,\"exp\":1}",
                       values[i]);
        assert_header_refused(header, "header.crit");
    }
    assert_header_refused("{\"alg\":\"ES256\",\"\\u0063rit\":[\"exp\"]}", "header.crit");
}

static void row_12_b64_with_and_without_crit(void **state)
{
    (void)state;
    assert_header_refused("{\"alg\":\"ES256\",\"b64\":false}", "header.b64");
    assert_header_refused("{\"alg\":\"ES256\",\"b64\":true}", "header.b64");
    assert_header_refused("{\"alg\":\"ES256\",\"b64\":false,\"crit\":[\"b64\"]}", "header.");
}

static void row_13_keys_carried_or_pointed_at_by_the_token(void **state)
{
    (void)state;
    static const char *const members[] = {
        "\"jwk\":{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\"}",
        "\"jku\":\"http://127.0.0.1:9/keys\"", "\"x5u\":\"http://127.0.0.1:9/cert\"",
        "\"x5c\":[\"AA==\"]", "\"jwk\":null"};
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        char header[160];
        (void)snprintf(header, sizeof header, "{\"alg\":\"ES256\",%s}", members[i]);
        assert_header_refused(header, "is not accepted");
    }
}

static void row_14_kid(void **state)
{
    (void)state;
    static const char *const refused[] = {
        "\"\"",        "7",           "null",          "[\"a\"]",     "\"a\\u0000b\"", "\"a\\nb\"",
        "\"\\u007f\"", "\"\\u00e9\"", "{\"a\":\"b\"}", "\"\\ud800\"", "\"\\u202e\"",   "\"a b\""};
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        char header[96];
        (void)snprintf(header, sizeof header, "{\"alg\":\"ES256\",\"kid\":%s}", refused[i]);
        assert_header_refused(header, "header");
    }
    char kid[10001], header[10100];
    memset(kid, 'k', sizeof kid);
    kid[sizeof kid - 1] = '\0';
    (void)snprintf(header, sizeof header, "{\"alg\":\"ES256\",\"kid\":\"%s\"}", kid);
    assert_header_refused(header, "header: longer than");
    kid[TOKEN_KID_MAX + 1] = '\0';
    (void)snprintf(header, sizeof header, "{\"alg\":\"ES256\",\"kid\":\"%s\"}", kid);
    assert_header_refused(header, "header.kid");
    assert_header_refused("{\"alg\":\"ES256\",\"kid\":\"a\",\"kid\":\"b\"}", "duplicate");
    /* What is printable is only ever a key of a lookup: nothing here opens it or runs it. */
    assert_header_accepted("{\"alg\":\"ES256\",\"kid\":\"../../etc/passwd\"}");
    assert_header_accepted("{\"alg\":\"ES256\",\"kid\":\"x'OR'1'='1'--\"}");
    kid[TOKEN_KID_MAX] = '\0';
    (void)snprintf(header, sizeof header, "{\"alg\":\"ES256\",\"kid\":\"%s\"}", kid);
    assert_header_accepted(header);
}

static void row_15_duplicate_members_in_the_header(void **state)
{
    (void)state;
    assert_header_refused("{\"alg\":\"none\",\"alg\":\"ES256\"}", "duplicate");
    assert_header_refused("{\"alg\":\"ES256\",\"alg\":\"ES256\"}", "duplicate");
    assert_header_refused("{\"alg\":\"ES256\",\"\\u0061lg\":\"none\"}", "duplicate");
    assert_header_refused("{\"alg\":\"ES256\",\"x\":{\"a\":1,\"a\":2}}", "duplicate");
    assert_header_refused("{\"alg\":\"ES256\",\"x\":[{\"a\":1,\"\\u0061\":2}]}", "duplicate");
}

/* Puts `junk` into part (0 to 2) of a good token: at its start, its middle and its end. */
static void assert_junk_refused(const char *junk, int part)
{
    AUTO_BUF struct buf text = token_plain(&good);
    size_t start = 0;
    for (int i = 0; i < part; i++)
        start += (size_t)((const uint8_t *)memchr(text.data + start, '.', text.len - start) -
                          (text.data + start)) +
                 1;
    const uint8_t *dot = memchr(text.data + start, '.', text.len - start);
    size_t end = dot == NULL ? text.len : (size_t)(dot - text.data);
    const size_t places[] = {start, start + (end - start) / 2, end};
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        AUTO_BUF struct buf bad = BUF(TOKEN_MAX);
        buf_append(&bad, text.data, places[i]);
        buf_puts(&bad, junk);
        buf_append(&bad, text.data + places[i], text.len - places[i]);
        AUTO_TOKEN struct token *token = NULL;
        struct fault fault = {0};
        assert_int_equal(token_parse(buf_span(&bad), &token, &fault), -1);
        assert_int_equal(fault.code, FAULT_MALFORMED_TOKEN);
    }
}

static void row_16_base64url_that_is_not_canonical(void **state)
{
    (void)state;
    static const char *const junk[] = {"=",  "==", "+",   "/",        " ", "\n",   "\r\n",
                                       "\t", "!!", "%3D", "\xc3\xa9", "~", "!!!!", "\\"};
    for (size_t i = 0; i < ARRAY_LEN(junk); i++)
        for (int part = 0; part < 3; part++)
            assert_junk_refused(junk[i], part);
}

/* Each of the parts in turn with its last character's unused bits set. */
static void row_16_trailing_bits_and_impossible_lengths(void **state)
{
    (void)state;
    static const char *const parts[3] = {"eyJhbGciOiJFUzI1NiJ9", "eyJhIjoxfQ", "AAAAAAAAAAA"};
    static const char *const bad[3][3] = {
        {"eyJhbGciOiJFUzI1NiJ9A", "eyJhbGciOiJFUzI1NiIgfR", "eyJhbGciOiJFUzI1NiAgfR"},
        {"eyJhIjoxfR", "eyJhIjoxfQAAA", "A"},
        {"AAAAAAAAAAB", "AAAAAAAAAAAAA", "AB"},
    };
    for (int part = 0; part < 3; part++)
        for (size_t i = 0; i < 3; i++) {
            char text[128];
            (void)snprintf(text, sizeof text, "%s.%s.%s", part == 0 ? bad[0][i] : parts[0],
                           part == 1 ? bad[1][i] : parts[1], part == 2 ? bad[2][i] : parts[2]);
            assert_malformed(span_text(text), "canonical base64url");
        }
    AUTO_TOKEN struct token *token = NULL; /* the three good parts are a well-formed token */
    assert_int_equal(
        token_parse(span_text("eyJhbGciOiJFUzI1NiJ9.eyJhIjoxfQ.AAAAAAAAAAA"), &token, NULL), 0);
}

static void row_17_other_than_three_parts(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        ".",
        "..",
        "...",
        "a",
        "a.b",
        "a.b.c.d",
        "a.b.c.d.e",
        ".b.c",
        "a..c",
        "a.b.",
        "a.b.c.",
        ".a.b.c",
        "eyJhbGciOiJFUzI1NiJ9.e30",
        "{\"payload\":\"e30\",\"protected\":\"eyJhbGciOiJFUzI1NiJ9\",\"signature\":\"AA\"}"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        assert_malformed(span_text(texts[i]), "");
    AUTO_BUF struct buf text = token_plain(&good);
    static const char *const around[][2] = {
        {" ", ""},   {"", " "}, {"\n", ""},           {"", "\n"},
        {"", "."},   {".", ""}, {"\xef\xbb\xbf", ""}, {"", ".AA"},
        {"\"", "\""}};
    for (size_t i = 0; i < ARRAY_LEN(around); i++) {
        AUTO_BUF struct buf bad = BUF(TOKEN_MAX);
        buf_puts(&bad, around[i][0]);
        buf_append(&bad, text.data, text.len);
        buf_puts(&bad, around[i][1]);
        assert_malformed(buf_span(&bad), "");
    }
    assert_malformed(span_of(text.data, text.len + 1), ""); /* its NUL counted in */
}

static void row_18_nul_and_bad_utf8_in_the_header(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
    } headers[] = {
        {"{\"alg\":\"ES256\"}\0", 16},
        {"{\"alg\":\"ES256\"}\0{\"alg\":\"none\"}", 30},
        {"{\"alg\":\"ES256\",\"a\0b\":1}", 23},
        {"{\"alg\":\"ES256\",\"a\":\"\\u0000\"}", 28},
        {"{\"alg\":\"ES256\",\"a\\u0000b\":1}", 28},
        {"{\"alg\":\"ES256\",\"a\":\"\\ud800\"}", 28},
        {"{\"alg\":\"ES256\",\"a\":\"\\udc00\\ud800\"}", 34},
        {"{\"alg\":\"ES256\",\"a\":\"\xff\"}", 23},
        {"{\"alg\":\"ES256\",\"a\":\"\xc0\xaf\"}", 24},
        {"{\"alg\":\"ES256\",\"a\":\"\xed\xa0\x80\"}", 25},
        {"\xef\xbb\xbf{\"alg\":\"ES256\"}", 18},
        {"{\"alg\":\"ES256\"}x", 16},
        {"{\"alg\":\"ES256\",}", 16},
        {"{'alg':'ES256'}", 15},
    };
    for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
        AUTO_BUF struct buf text = BUF(TOKEN_MAX);
        assert_int_equal(token_sign_raw(good.sign, span_of(headers[i].bytes, headers[i].len),
                                        span_text(TEST_PAYLOAD), &text, NULL),
                         0);
        assert_malformed(buf_span(&text), "header");
    }
}

static void row_19_header_that_is_no_object_or_too_large(void **state)
{
    (void)state;
    static const char *const headers[] = {"[]", "\"alg\"", "1", "null", "[{\"alg\":\"ES256\"}]",
                                          " "};
    for (size_t i = 0; i < ARRAY_LEN(headers); i++)
        assert_header_refused(headers[i], "header");
    AUTO_FREE char *large = malloc(64 * 1024);
    assert_non_null(large);
    (void)memset(large, ' ', 64 * 1024);
    memcpy(large, "{\"alg\":\"ES256\"", 14);
    memcpy(large + 64 * 1024 - 2, "}", 2);
    assert_header_refused(large, "header: longer than 4096 bytes");
    memcpy(large + 4096 - 1, "}", 2);
    assert_header_accepted(large);
    memcpy(large + 4096 - 1, " }", 3);
    assert_header_refused(large, "header: longer than 4096 bytes");
}

static void row_19_nested_header(void **state)
{
    (void)state;
    for (int depth = 65; depth <= 1900; depth += 1835) {
        AUTO_BUF struct buf header = BUF(8192);
        buf_puts(&header, "{\"alg\":\"ES256\",\"a\":");
        for (int i = 0; i < depth; i++)
            buf_puts(&header, "[");
        for (int i = 0; i < depth; i++)
            buf_puts(&header, "]");
        buf_puts(&header, "}");
        assert_header_refused(buf_text(&header), "nested deeper");
    }
}

static void row_19_token_over_the_cap(void **state)
{
    (void)state;
    static const size_t sizes[] = {TOKEN_MAX + 1, 9 * 1024 * 1024};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        AUTO_FREE char *text = malloc(sizes[i]);
        assert_non_null(text);
        memset(text, 'A', sizes[i]);
        AUTO_TOKEN struct token *token = NULL;
        struct fault fault = {0};
        assert_int_equal(token_parse(span_of(text, sizes[i]), &token, &fault), -1);
        assert_int_equal(fault.code, FAULT_TOO_LARGE);
        memset(text, '.', sizes[i]); /* whatever is in it: the length is looked at first */
        assert_int_equal(token_parse(span_of(text, sizes[i]), &token, &fault), -1);
        assert_int_equal(fault.code, FAULT_TOO_LARGE);
    }
}

static void row_19_signature_over_the_cap(void **state)
{
    (void)state;
    uint8_t bytes[1025] = {0};
    AUTO_BUF struct buf model = token_plain(&good);
    AUTO_BUF struct buf longest = with_signature(buf_span(&model), span_of(bytes, 1024));
    AUTO_BUF struct buf longer = with_signature(buf_span(&model), span_of(bytes, 1025));
    assert_forged(buf_span(&longest), good.key);
    assert_malformed(buf_span(&longer), "signature: longer than 1024 bytes");
}

static void row_22_typ(void **state)
{
    (void)state;
    static const char *const refused[] = {"\"jwt\"",
                                          "\"\"",
                                          "\"at+jwt\"",
                                          "\"JOSE\"",
                                          "7",
                                          "null",
                                          "[\"JWT\"]",
                                          "\"JWT \"",
                                          "\"Execution-Manifest+jws\"",
                                          "\"application/execution-manifest+jws\""};
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        char header[96];
        (void)snprintf(header, sizeof header, "{\"alg\":\"ES256\",\"typ\":%s}", refused[i]);
        assert_header_refused(header, "header.typ");
    }
    assert_header_accepted("{\"alg\":\"ES256\"}");
    assert_header_accepted("{\"alg\":\"ES256\",\"typ\":\"JWT\"}");
    assert_header_accepted("{\"alg\":\"ES256\",\"typ\":\"execution-manifest+jws\"}");
}

static void row_27_compression_and_encryption(void **state)
{
    (void)state;
    assert_header_refused("{\"alg\":\"ES256\",\"zip\":\"DEF\"}", "header.zip");
    assert_header_refused("{\"alg\":\"ES256\",\"enc\":\"A128GCM\"}", "header.enc");
    assert_header_refused("{\"alg\":\"RSA-OAEP\",\"enc\":\"A256GCM\"}", "header.enc");
    assert_malformed(span_text("eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0..AAAA.AAAA.AAAA"), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(row_01_alg_none_missing_or_not_a_string),
        cmocka_unit_test(row_04_alg_in_other_case_or_unknown),
        cmocka_unit_test(row_11_crit),
        cmocka_unit_test(row_12_b64_with_and_without_crit),
        cmocka_unit_test(row_13_keys_carried_or_pointed_at_by_the_token),
        cmocka_unit_test(row_14_kid),
        cmocka_unit_test(row_15_duplicate_members_in_the_header),
        cmocka_unit_test(row_16_base64url_that_is_not_canonical),
        cmocka_unit_test(row_16_trailing_bits_and_impossible_lengths),
        cmocka_unit_test(row_17_other_than_three_parts),
        cmocka_unit_test(row_18_nul_and_bad_utf8_in_the_header),
        cmocka_unit_test(row_19_header_that_is_no_object_or_too_large),
        cmocka_unit_test(row_19_nested_header),
        cmocka_unit_test(row_19_token_over_the_cap),
        cmocka_unit_test(row_19_signature_over_the_cap),
        cmocka_unit_test(row_22_typ),
        cmocka_unit_test(row_27_compression_and_encryption),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
