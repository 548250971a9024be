/* SPDX-License-Identifier: Apache-2.0 */
#include "base/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* FIPS 180-4 example vectors (NIST CSRC, SHA256.pdf) and the empty string. */
static const char *const vectors[][2] = {
    {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
};
#define ABC_TEXT "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static void known_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        struct digest digest = digest_of(vectors[i][0], strlen(vectors[i][0]));
        struct digest of_span = digest_of_span(span_text(vectors[i][0]));
        assert_string_equal(digest_hex(&digest).text, vectors[i][1]);
        assert_true(digest_equal(&digest, &of_span));
    }
    struct digest nothing = digest_of(NULL, 0);
    assert_string_equal(digest_hex(&nothing).text, vectors[0][1]);
}

static void a_stream_gives_the_same_at_any_cut(void **state)
{
    (void)state;
    uint8_t data[300];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 31);
    struct digest whole = digest_of(data, sizeof data);
    for (size_t cut = 0; cut <= sizeof data; cut++) {
        AUTO_DIGEST_STREAM struct digest_stream *stream = digest_stream_new();
        assert_non_null(stream);
        digest_stream_update(stream, data, cut);
        digest_stream_update(stream, data, 0);
        digest_stream_update(stream, data + cut, sizeof data - cut);
        struct digest value = digest_stream_value(stream);
        assert_true(digest_equal(&value, &whole));
    }
}

/* A value in between does not end the stream. */
static void a_stream_goes_on_after_a_value(void **state)
{
    (void)state;
    AUTO_DIGEST_STREAM struct digest_stream *stream = digest_stream_new();
    assert_non_null(stream);
    struct digest empty = digest_stream_value(stream);
    assert_string_equal(digest_hex(&empty).text, vectors[0][1]);
    digest_stream_update(stream, "abc", 3);
    for (int again = 0; again < 2; again++) {
        struct digest abc = digest_stream_value(stream);
        assert_string_equal(digest_format(&abc).text, ABC_TEXT);
    }
    digest_stream_update(stream, "d", 1);
    struct digest abcd = digest_stream_value(stream), expected = digest_of("abcd", 4);
    assert_true(digest_equal(&abcd, &expected));
    digest_stream_free(NULL);
}

static void equal_means_every_bit(void **state)
{
    (void)state;
    struct digest a = digest_of("a", 1);
    for (size_t bit = 0; bit < 8 * DIGEST_LEN; bit++) {
        struct digest b = a;
        assert_true(digest_equal(&a, &b));
        b.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(digest_equal(&a, &b));
    }
}

static void text_and_back(void **state)
{
    (void)state;
    struct digest digest = digest_of("abc", 3), back = {0};
    struct digest_text text = digest_format(&digest);
    assert_string_equal(text.text, ABC_TEXT);
    assert_int_equal(strlen(text.text), DIGEST_TEXT_LEN);
    assert_int_equal(digest_parse(text.text, DIGEST_TEXT_LEN, &back), 0);
    assert_true(digest_equal(&digest, &back));
    back = (struct digest){0};
    assert_int_equal(digest_parse_any(text.text, DIGEST_TEXT_LEN, &back), 0);
    assert_true(digest_equal(&digest, &back));
    back = (struct digest){0};
    assert_int_equal(digest_parse_any(text.text + 7, 64, &back), 0);
    assert_true(digest_equal(&digest, &back));
}

static void only_the_one_text_is_read(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "sha256:",
        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015a",
        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad0",
        "sha256:BA7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "SHA256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "sha512:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "sha256-ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "sha256:ga7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "sha256: a7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "sha256:0xba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015",
        " sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015a",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct digest digest = {.bytes = {0x5a}}, before = digest;
        assert_int_equal(digest_parse(bad[i], strlen(bad[i]), &digest), -1);
        assert_int_equal(digest_parse_any(bad[i], strlen(bad[i]), &digest), -1);
        assert_memory_equal(&digest, &before, sizeof digest);
    }
    struct digest digest;
    assert_int_equal(digest_parse(&ABC_TEXT[7], 64, &digest), -1);
    assert_int_equal(digest_parse(ABC_TEXT "\0", DIGEST_TEXT_LEN + 1, &digest), -1);
    assert_int_equal(digest_parse_any(&ABC_TEXT[8], 63, &digest), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),
        cmocka_unit_test(a_stream_gives_the_same_at_any_cut),
        cmocka_unit_test(a_stream_goes_on_after_a_value),
        cmocka_unit_test(equal_means_every_bit),
        cmocka_unit_test(text_and_back),
        cmocka_unit_test(only_the_one_text_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
