/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/note_key.h"

#include "base/encode.h"

#include <openssl/crypto.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The key of the format's first implementation (golang.org/x/mod/sumdb/note). */
#define PETER_VERIFIER "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
#define PETER_SIGNER                                                                               \
    "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"

static void a_known_verifier_key_is_read_and_written(void **state)
{
    (void)state;
    struct note_verifier verifier;
    assert_int_equal(note_verifier_parse(PETER_VERIFIER, strlen(PETER_VERIFIER), &verifier, NULL),
                     0);
    assert_string_equal(verifier.name, "PeterNeumann");
    assert_int_equal(verifier.id, 0xc74f20a3);
    AUTO_BUF struct buf text = BUF(512);
    note_verifier_format(&verifier, &text);
    assert_string_equal(buf_text(&text), PETER_VERIFIER);
}

static void a_known_signer_key_is_read_and_written(void **state)
{
    (void)state;
    AUTO_NOTE_SIGNER struct note_signer *signer = NULL;
    assert_int_equal(note_signer_parse(PETER_SIGNER, strlen(PETER_SIGNER), &signer, NULL), 0);
    AUTO_BUF struct buf text = BUF(1024);
    note_signer_format(signer, &text);
    assert_string_equal(buf_text(&text), PETER_SIGNER);
    AUTO_BUF struct buf public = BUF(1024);
    note_verifier_format(note_signer_verifier(signer), &public);
    assert_string_equal(buf_text(&public), PETER_VERIFIER);
}

/* RFC 8032 section 7.1, tests 1 to 3: seed, public key, message, signature. */
static void keys_sign_as_rfc_8032_says(void **state)
{
    (void)state;
    static const char *const vectors[][4] = {
        {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
         "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
         "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e3970"
         "1cf9b46bd25bf5f0595bbe24655141438e7a100b"},
        {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
         "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
         "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613"
         "d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"},
        {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
         "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
         "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760"
         "984dc6594a7c15e9716ed28dc027beceea1ec40a"},
    };
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        uint8_t seed[32];
        uint8_t message[2];
        size_t len = strlen(vectors[i][2]) / 2;
        assert_int_equal(hex_decode(vectors[i][0], 64, seed, 32), 0);
        assert_int_equal(hex_decode(vectors[i][2], 2 * len, message, len), 0);
        AUTO_NOTE_SIGNER struct note_signer *signer = NULL;
        assert_int_equal(note_signer_new("example.org/rfc8032", seed, &signer, NULL), 0);
        char hex[129];
        hex_encode(note_signer_verifier(signer)->public_key, 32, hex);
        assert_string_equal(hex, vectors[i][1]);
        uint8_t signature[NOTE_SIGNATURE_LEN];
        assert_int_equal(note_signer_sign(signer, span_of(message, len), signature, NULL), 0);
        hex_encode(signature, sizeof signature, hex);
        assert_string_equal(hex, vectors[i][3]);
    }
}

static void every_flipped_bit_of_a_signature_is_refused(void **state)
{
    (void)state;
    uint8_t seed[32] = {1};
    AUTO_NOTE_SIGNER struct note_signer *signer = NULL;
    assert_int_equal(note_signer_new("example.org/flip", seed, &signer, NULL), 0);
    const struct note_verifier *verifier = note_signer_verifier(signer);
    uint8_t signature[NOTE_SIGNATURE_LEN + 1] = {0};
    struct span text = span_text("a text\n");
    assert_int_equal(note_signer_sign(signer, text, signature, NULL), 0);
    assert_int_equal(note_verifier_check(verifier, text, span_of(signature, 64), NULL), 0);
    for (size_t bit = 0; bit < 512; bit++) {
        struct fault fault = {.code = FAULT_NONE};
        signature[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_int_equal(note_verifier_check(verifier, text, span_of(signature, 64), &fault), -1);
        assert_int_equal(fault.code, FAULT_CONTENT_MISMATCH);
        signature[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    for (size_t len = 0; len <= 65; len++)
        assert_int_equal(note_verifier_check(verifier, text, span_of(signature, len), NULL),
                         len == 64 ? 0 : -1);
    assert_int_equal(
        note_verifier_check(verifier, span_text("a text"), span_of(signature, 64), NULL), -1);
}

static void a_seed_makes_one_key(void **state)
{
    (void)state;
    uint8_t seed[NOTE_SEED_LEN];
    for (size_t i = 0; i < sizeof seed; i++)
        seed[i] = (uint8_t)i;
    AUTO_NOTE_SIGNER struct note_signer *a = NULL;
    AUTO_NOTE_SIGNER struct note_signer *b = NULL;
    assert_int_equal(note_signer_new("example.org/log", seed, &a, NULL), 0);
    AUTO_BUF struct buf text = BUF(1024);
    note_signer_format(a, &text);
    assert_int_equal(note_signer_parse(buf_text(&text), text.len, &b, NULL), 0);
    assert_memory_equal(note_signer_verifier(a), note_signer_verifier(b),
                        sizeof(struct note_verifier));
    AUTO_NOTE_SIGNER struct note_signer *other = NULL;
    assert_int_equal(note_signer_new("example.org/log2", seed, &other, NULL), 0);
    assert_int_not_equal(note_signer_verifier(a)->id, note_signer_verifier(other)->id);
}

/* Every part of a key's text, every byte one higher, with every bit flipped: none is the key. */
static void every_mangled_verifier_key_is_refused(void **state)
{
    (void)state;
    char text[] = PETER_VERIFIER;
    size_t len = strlen(text);
    struct note_verifier verifier;
    for (size_t from = 0; from < len; from++)
        for (size_t to = from; to <= len; to++)
            if (from != 0 || to != len)
                assert_int_equal(note_verifier_parse(text + from, to - from, &verifier, NULL), -1);
    for (size_t bit = 0; bit < len * 8; bit++) {
        struct fault fault = {.code = FAULT_NONE};
        text[bit / 8] = (char)(text[bit / 8] ^ (1 << bit % 8));
        assert_int_equal(note_verifier_parse(text, len, &verifier, &fault), -1);
        assert_int_equal(fault.code, FAULT_KEY_INVALID);
        text[bit / 8] = (char)(text[bit / 8] ^ (1 << bit % 8));
    }
    assert_int_equal(note_verifier_parse(text, len, &verifier, NULL), 0);
}

static int parse_lines(const char *text, size_t max, size_t *ret_count, struct fault *fault)
{
    struct note_verifier verifiers[4];
    return note_verifiers_parse(span_text(text), max, verifiers, ret_count, fault);
}

static void keys_are_read_line_by_line(void **state)
{
    (void)state;
    struct fault fault;
    struct note_verifier verifiers[2];
    uint8_t seed[NOTE_SEED_LEN] = {7};
    size_t count = 9;
    AUTO_NOTE_SIGNER struct note_signer *other = NULL;
    AUTO_BUF struct buf text = BUF(4096);
    assert_int_equal(note_signer_new("other.test/log", seed, &other, &fault), 0);
    buf_puts(&text, PETER_VERIFIER "\n");
    note_verifier_format(note_signer_verifier(other), &text);
    assert_int_equal(note_verifiers_parse(buf_span(&text), 2, verifiers, &count, &fault), 0);
    assert_int_equal(count, 2);
    assert_string_equal(verifiers[0].name, "PeterNeumann");
    assert_int_equal(verifiers[1].id, note_signer_verifier(other)->id);
    buf_puts(&text, "\n"); /* the last newline may be there or not */
    assert_int_equal(note_verifiers_parse(buf_span(&text), 2, verifiers, &count, &fault), 0);
    assert_int_equal(count, 2);
    assert_int_equal(note_verifiers_parse(buf_span(&text), 1, verifiers, &count, &fault), -1);
    assert_non_null(strstr(fault.detail, "more than 1 verifier keys"));
}

static void lines_that_are_no_keys_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } rows[] = {
        {"", "expected a verifier key"},
        {"\n", "line 1: "},
        {"\n" PETER_VERIFIER "\n", "line 1: "},
        {PETER_VERIFIER "\n\n", "line 2: "},
        {PETER_VERIFIER "\r\n", "line 1: "},
        {PETER_VERIFIER "\n" PETER_SIGNER "\n", "line 2: "},
        {PETER_VERIFIER " " PETER_VERIFIER "\n", "line 1: "},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fault fault;
        size_t count = 9;
        assert_int_equal(parse_lines(rows[i].text, 4, &count, &fault), -1);
        assert_int_equal(fault.code, FAULT_KEY_INVALID);
        if (strstr(fault.detail, rows[i].words) == NULL)
            fail_msg("%zu: %s", i, fault.detail);
        assert_int_equal(count, 9);
    }
}

static void every_mangled_signer_key_is_refused(void **state)
{
    (void)state;
    char text[] = PETER_SIGNER;
    size_t len = strlen(text);
    struct note_signer *signer = NULL;
    for (size_t cut = 0; cut < len; cut++) {
        assert_int_equal(note_signer_parse(text, cut, &signer, NULL), -1);
        assert_int_equal(note_signer_parse(text + len - cut, cut, &signer, NULL), -1);
    }
    for (size_t bit = 0; bit < len * 8; bit++) {
        struct fault fault = {.code = FAULT_NONE};
        text[bit / 8] = (char)(text[bit / 8] ^ (1 << bit % 8));
        assert_int_equal(note_signer_parse(text, len, &signer, &fault), -1);
        assert_int_equal(fault.code, FAULT_KEY_INVALID);
        assert_null(strstr(fault.detail, "AYEKFALV"));
        text[bit / 8] = (char)(text[bit / 8] ^ (1 << bit % 8));
    }
    assert_null(signer);
}

static void keys_of_other_forms_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        /* a key of another length, of another type, with their own right ids */
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        /* upper-case hex, a short and a long id */
        "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+0c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        (PETER_VERIFIER "\n"),
        (" " PETER_VERIFIER),
        PETER_SIGNER,
        "+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    };
    struct note_verifier verifier;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(note_verifier_parse(bad[i], strlen(bad[i]), &verifier, NULL), -1);
}

static void names_have_no_spaces_and_no_plus(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      " ",
                                      "a b",
                                      "a+b",
                                      "a\tb",
                                      "a\nb",
                                      "a\x1f",
                                      "a\xc2\x85z",
                                      "a\xc2\xa0",
                                      "\xe1\x9a\x80",
                                      "a\xe2\x80\x80",
                                      "a\xe2\x80\x8a",
                                      "a\xe2\x80\xa8",
                                      "a\xe2\x80\xa9",
                                      "a\xe2\x80\xaf",
                                      "a\xe2\x81\x9f",
                                      "a\xe3\x80\x80",
                                      "a\xff",
                                      "a\xc0\x80"};
    static const char *const good[] = {"a", "example.org/log42", "\xc3\xa9t\xc3\xa9",
                                       "a\xe2\x80\x94", "a\xe2\x80\x8b" /* U+200B is no space */};
    uint8_t seed[NOTE_SEED_LEN] = {0};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct note_signer *signer = NULL;
        struct fault fault = {.code = FAULT_NONE};
        assert_false(note_name_valid(bad[i], strlen(bad[i])));
        assert_int_equal(note_signer_new(bad[i], seed, &signer, &fault), -1);
        assert_int_equal(fault.code, FAULT_KEY_INVALID);
    }
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_true(note_name_valid(good[i], strlen(good[i])));
    char longest[NOTE_NAME_MAX + 1];
    memset(longest, 'n', sizeof longest);
    assert_true(note_name_valid(longest, NOTE_NAME_MAX));
    assert_false(note_name_valid(longest, NOTE_NAME_MAX + 1));
    assert_false(note_name_valid("a\0b", 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_known_verifier_key_is_read_and_written),
        cmocka_unit_test(a_known_signer_key_is_read_and_written),
        cmocka_unit_test(keys_sign_as_rfc_8032_says),
        cmocka_unit_test(every_flipped_bit_of_a_signature_is_refused),
        cmocka_unit_test(a_seed_makes_one_key),
        cmocka_unit_test(every_mangled_verifier_key_is_refused),
        cmocka_unit_test(keys_are_read_line_by_line),
        cmocka_unit_test(lines_that_are_no_keys_are_refused),
        cmocka_unit_test(every_mangled_signer_key_is_refused),
        cmocka_unit_test(keys_of_other_forms_are_refused),
        cmocka_unit_test(names_have_no_spaces_and_no_plus),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
