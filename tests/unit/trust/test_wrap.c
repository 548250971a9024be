/* SPDX-License-Identifier: Apache-2.0 */
#include "trust_support.h"

#include "trust/wrap.h"

#define KEY_TEXT "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static struct master_key key_good(void)
{
    struct master_key key;
    assert_int_equal(master_key_parse(span_text(KEY_TEXT), &key, NULL), 0);
    return key;
}

static void master_keys_are_64_digits(void **state)
{
    (void)state;
    struct master_key key = {{0}};
    assert_int_equal(master_key_parse(span_text(KEY_TEXT), &key, NULL), 0);
    assert_int_equal(key.bytes[31], 0x1f);
    assert_int_equal(master_key_parse(span_text(KEY_TEXT "\n"), &key, NULL), 0);
    static const char *const bad[] = {
        "",
        "\n",
        KEY_TEXT "\n\n",
        KEY_TEXT "\r\n",
        " " KEY_TEXT,
        KEY_TEXT " ",
        KEY_TEXT "00",
        "00",
        KEY_TEXT "0",
        "0001020304050607_8090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "abababababababababababababababababababababababababababababababab"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct master_key untouched = {{42}};
        struct fault fault = {0};
        assert_int_equal(master_key_parse(span_text(bad[i]), &untouched, &fault), -1);
        assert_int_equal(fault.code, FAULT_KEY_INVALID);
        assert_null(strstr(fault.detail, "0102"));
        assert_int_equal(untouched.bytes[0], 42);
    }
    assert_int_equal(master_key_parse(span_of(NULL, 0), &key, NULL), -1);
}

static void a_secret_opens_again(void **state)
{
    (void)state;
    const struct master_key key = key_good();
    uint8_t bytes[4096];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 13);
    static const size_t lengths[] = {1, 15, 16, 17, 32, 64, 1024, 4096};
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        AUTO_BUF struct buf wrapped = BUF(8192), secret = BUF(8192);
        const struct span plain = span_of(bytes, lengths[i]);
        assert_int_equal(secret_wrap(&key, span_text("acme/k1"), plain, &wrapped, NULL), 0);
        assert_int_equal(wrapped.len, lengths[i] + 29);
        assert_int_equal(wrapped.data[0], 1);
        if (lengths[i] >= 16)
            assert_null(memmem(wrapped.data, wrapped.len, bytes, lengths[i]));
        assert_int_equal(
            secret_unwrap(&key, span_text("acme/k1"), buf_span(&wrapped), &secret, NULL), 0);
        assert_true(span_equal(buf_span(&secret), plain));
    }
    AUTO_BUF struct buf none = BUF(8192);
    assert_int_equal(secret_wrap(&key, span_text("c"), span_of(bytes, 0), &none, NULL), -1);
    uint8_t large[4097] = {0};
    assert_int_equal(secret_wrap(&key, span_text("c"), span_of(large, 4097), &none, NULL), -1);
    assert_int_equal(none.len, 0);
}

static void no_nonce_comes_twice(void **state)
{
    (void)state;
    const struct master_key key = key_good();
    AUTO_BUF struct buf all = BUF(1 << 20);
    for (int i = 0; i < 500; i++)
        assert_int_equal(
            secret_wrap(&key, span_text("c"), span_text("0123456789abcdef"), &all, NULL), 0);
    const size_t each = 29 + 16;
    assert_int_equal(all.len, 500 * each);
    for (size_t i = 0; i < 500; i++)
        for (size_t k = 0; k < i; k++)
            assert_memory_not_equal(all.data + i * each + 1, all.data + k * each + 1, 12);
}

static void assert_closed(const struct master_key *key, const char *context, struct span wrapped)
{
    AUTO_BUF struct buf secret = BUF(8192);
    struct fault fault = {0};
    assert_int_equal(secret_unwrap(key, span_text(context), wrapped, &secret, &fault), -1);
    assert_int_equal(fault.code, FAULT_KEY_INVALID);
    assert_int_equal(secret.len, 0);
}

static void any_difference_keeps_it_closed(void **state)
{
    (void)state;
    const struct master_key key = key_good();
    struct master_key other = key;
    other.bytes[31] ^= 1;
    AUTO_BUF struct buf wrapped = BUF(8192);
    assert_int_equal(secret_wrap(&key, span_text("acme/k1"),
                                 span_text("a secret of 32 bytes, more or less"), &wrapped, NULL),
                     0);
    assert_closed(&other, "acme/k1", buf_span(&wrapped));
    assert_closed(&key, "acme/k2", buf_span(&wrapped)); /* moved to another row */
    assert_closed(&key, "umbrella/k1", buf_span(&wrapped));
    assert_closed(&key, "", buf_span(&wrapped));
    for (size_t bit = 0; bit < wrapped.len * 8; bit++) {
        wrapped.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_closed(&key, "acme/k1", buf_span(&wrapped));
        wrapped.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t len = 0; len < wrapped.len; len++)
        assert_closed(&key, "acme/k1", span_of(wrapped.data, len));
    buf_puts(&wrapped, "x");
    assert_closed(&key, "acme/k1", buf_span(&wrapped));
    assert_closed(&key, "acme/k1", span_of(NULL, 0));
}

/* NIST SP 800-38D by another road: AES-256-GCM written out with OpenSSL's one-shot names. */
static void the_format_is_what_it_says(void **state)
{
    (void)state;
    const struct master_key key = key_good();
    uint8_t wrapped[29 + 4] = {1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    int len;
    assert_int_equal(EVP_EncryptInit_ex2(context, cipher, key.bytes, wrapped + 1, NULL), 1);
    assert_int_equal(EVP_EncryptUpdate(context, NULL, &len, (const unsigned char *)"\1acme/k1", 8),
                     1);
    assert_int_equal(
        EVP_EncryptUpdate(context, wrapped + 13, &len, (const unsigned char *)"open", 4), 1);
    assert_int_equal(EVP_EncryptFinal_ex(context, wrapped + 17, &len), 1);
    assert_int_equal(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, 16, wrapped + 17), 1);
    EVP_CIPHER_CTX_free(context);
    EVP_CIPHER_free(cipher);
    AUTO_BUF struct buf secret = BUF(64);
    assert_int_equal(
        secret_unwrap(&key, span_text("acme/k1"), span_of(wrapped, sizeof wrapped), &secret, NULL),
        0);
    assert_string_equal(buf_text(&secret), "open");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(master_keys_are_64_digits),
        cmocka_unit_test(a_secret_opens_again),
        cmocka_unit_test(no_nonce_comes_twice),
        cmocka_unit_test(any_difference_keeps_it_closed),
        cmocka_unit_test(the_format_is_what_it_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
