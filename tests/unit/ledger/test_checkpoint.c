/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/checkpoint.h"

#include "tests/unit/ledger/reference.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define ORIGIN "example.org/sallyport"
#define ROOT "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="
#define EMPTY_ROOT "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="

static struct note_signer *signer_of(const char *name, uint8_t seed_byte)
{
    uint8_t seed[NOTE_SEED_LEN] = {seed_byte};
    struct note_signer *signer = NULL;
    assert_int_equal(note_signer_new(name, seed, &signer, NULL), 0);
    return signer;
}

static void texts_go_both_ways(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *origin;
        uint64_t size;
        const char *extensions;
    } cases[] = {
        {"example.com/behind-the-sofa\n20852163\n" ROOT "\n", "example.com/behind-the-sofa",
         20852163, ""},
        {"a\n0\n" EMPTY_ROOT "\n", "a", 0, ""},
        {"a b+c\n1\n" ROOT "\n", "a b+c", 1, ""},
        {"o\n9223372036854775807\n" ROOT "\n", "o", INT64_MAX, ""},
        {"o\n7\n" ROOT "\nx\n y \n", "o", 7, "x\n y \n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct checkpoint found;
        assert_int_equal(checkpoint_parse(span_text(cases[i].text), &found, NULL), 0);
        assert_string_equal(found.origin, cases[i].origin);
        assert_int_equal(found.size, cases[i].size);
        assert_true(span_equal(found.extensions, span_text(cases[i].extensions)));
        AUTO_BUF struct buf text = BUF(CHECKPOINT_TEXT_MAX);
        assert_int_equal(checkpoint_format(&found, &text, NULL), 0);
        assert_string_equal(buf_text(&text), cases[i].text);
    }
}

static void other_texts_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "\n",
        "o",
        "o\n",
        "o\n7\n",
        "o\n7\n" ROOT,
        "\n7\n" ROOT "\n",
        "o\n\n" ROOT "\n",
        "o\n07\n" ROOT "\n",
        "o\n00\n" ROOT "\n",
        "o\n+7\n" ROOT "\n",
        "o\n-7\n" ROOT "\n",
        "o\n 7\n" ROOT "\n",
        "o\n7 \n" ROOT "\n",
        "o\n0x7\n" ROOT "\n",
        "o\n9223372036854775808\n" ROOT "\n",
        "o\n18446744073709551616\n" ROOT "\n",
        "o\n7\n " ROOT "\n",
        "o\n7\n" ROOT " \n",
        "o\n7\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2J=\n", /* not canonical */
        "o\n7\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I\n",  /* no padding */
        "o\n7\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxqw==\n", /* 31 bytes */
        "o\n7\nCsUYapGGPo4dkMgIAUqom_Xajj7h2fB2MPA3j2jxq2I=\n", /* base64url */
        "o\n0\n" ROOT "\n",                                     /* size 0 has one root only */
        "o\n7\n" ROOT "\n\n",
        "o\n7\n" ROOT "\nx\n\n",
        "o\n7\n" ROOT "\n\nx\n",
        "o\n7\n" ROOT "\nx",
        "o\r\n7\r\n" ROOT "\r\n",
        "o\n7\r\n" ROOT "\n",
        "o\n7\n" ROOT "\r\n",
        "o\t\n7\n" ROOT "\n",
        "\xff\n7\n" ROOT "\n",
        "o\n7\n" ROOT "\n\xc0\x80\n",
    };
    struct checkpoint found = {.size = 42};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct fault fault = {.code = FAULT_NONE};
        assert_int_equal(checkpoint_parse(span_text(bad[i]), &found, &fault), -1);
        assert_int_equal(fault.code, FAULT_MALFORMED_REQUEST);
    }
    assert_int_equal(found.size, 42);
    static const char nul[] = "o\0\n7\n" ROOT "\n";
    assert_int_equal(checkpoint_parse(span_of(nul, sizeof nul - 1), &found, NULL), -1);
}

static void long_texts_are_refused(void **state)
{
    (void)state;
    struct checkpoint found;
    AUTO_BUF struct buf text = BUF(2 * CHECKPOINT_TEXT_MAX);
    for (size_t len = CHECKPOINT_ORIGIN_MAX; len <= CHECKPOINT_ORIGIN_MAX + 1; len++) {
        buf_reset(&text);
        buf_printf(&text, "%0*d\n7\n" ROOT "\n", (int)len, 0);
        assert_int_equal(checkpoint_parse(buf_span(&text), &found, NULL),
                         len == CHECKPOINT_ORIGIN_MAX ? 0 : -1);
    }
    buf_reset(&text);
    buf_puts(&text, "o\n7\n" ROOT "\n");
    while (text.len + 2 <= CHECKPOINT_TEXT_MAX)
        buf_puts(&text, "x\n");
    assert_int_equal(checkpoint_parse(buf_span(&text), &found, NULL), 0);
    buf_puts(&text, "x\n");
    assert_int_equal(checkpoint_parse(buf_span(&text), &found, NULL), -1);
}

static void an_origin_is_a_key_name(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "a b", "a+b", "a\nb", "a\xc2\xa0", "\xff"};
    struct digest root = reference_entry(1);
    struct checkpoint checkpoint = {.size = 42};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct fault fault = {.code = FAULT_NONE};
        assert_int_equal(checkpoint_init(&checkpoint, bad[i], 7, &root, &fault), -1);
        assert_int_equal(fault.code, FAULT_KEY_INVALID);
    }
    assert_int_equal(checkpoint.size, 42);
    assert_int_equal(checkpoint_init(&checkpoint, ORIGIN, 7, &root, NULL), 0);
    assert_string_equal(checkpoint.origin, ORIGIN);
    assert_int_equal(checkpoint.size, 7);
    assert_int_equal(checkpoint.extensions.len, 0);
}

/* A struct filled past checkpoint_init() cannot be made to read as another head. */
static void nothing_is_written_that_reads_otherwise(void **state)
{
    (void)state;
    static const struct checkpoint bad[] = {
        {.origin = "o\n9\n" ROOT, .size = 7},
        {.origin = "", .size = 7},
        {.origin = "o", .size = 0},
        {.origin = "o", .size = MERKLE_SIZE_MAX + 1},
        {.origin = "o\r", .size = 7},
        {.origin = "o", .size = 7, .extensions = {(const uint8_t *)"x", 1}},
        {.origin = "o", .size = 7, .extensions = {(const uint8_t *)"\n", 1}},
        {.origin = "o", .size = 7, .extensions = {(const uint8_t *)"x\n\n", 3}},
    };
    AUTO_NOTE_SIGNER struct note_signer *signer = signer_of(ORIGIN, 1);
    const struct note_signer *signers[] = {signer};
    AUTO_BUF struct buf text = BUF(NOTE_MAX);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(checkpoint_format(&bad[i], &text, NULL), -1);
        assert_int_equal(checkpoint_sign(&bad[i], signers, 1, &text, NULL), -1);
    }
    assert_int_equal(text.len, 0);
}

static void a_signed_checkpoint_opens(void **state)
{
    (void)state;
    AUTO_NOTE_SIGNER struct note_signer *old = signer_of(ORIGIN, 1);
    AUTO_NOTE_SIGNER struct note_signer *new = signer_of(ORIGIN, 2);
    const struct note_signer *both[] = {old, new};
    struct digest root = reference_entry(3);
    struct checkpoint checkpoint;
    assert_int_equal(checkpoint_init(&checkpoint, ORIGIN, 12345, &root, NULL), 0);
    AUTO_BUF struct buf note = BUF(NOTE_MAX);
    /* While a key is being replaced both sign; whoever knows either can open it. */
    assert_int_equal(checkpoint_sign(&checkpoint, both, 2, &note, NULL), 0);
    for (size_t i = 0; i < 2; i++) {
        struct checkpoint found;
        assert_int_equal(checkpoint_open(buf_span(&note), ORIGIN, note_signer_verifier(both[i]), 1,
                                         &found, NULL),
                         0);
        assert_string_equal(found.origin, ORIGIN);
        assert_int_equal(found.size, 12345);
        assert_true(digest_equal(&found.root, &root));
    }
}

static void another_log_or_key_does_not_open(void **state)
{
    (void)state;
    AUTO_NOTE_SIGNER struct note_signer *signer = signer_of(ORIGIN, 1);
    AUTO_NOTE_SIGNER struct note_signer *other = signer_of(ORIGIN, 2);
    const struct note_signer *signers[] = {signer};
    struct digest root = reference_entry(3);
    struct checkpoint checkpoint;
    struct checkpoint found = {.size = 42};
    struct fault fault = {.code = FAULT_NONE};
    AUTO_BUF struct buf note = BUF(NOTE_MAX);
    assert_int_equal(checkpoint_init(&checkpoint, ORIGIN, 5, &root, NULL), 0);
    assert_int_equal(checkpoint_sign(&checkpoint, signers, 1, &note, NULL), 0);
    assert_int_equal(checkpoint_open(buf_span(&note), "example.org/other",
                                     note_signer_verifier(signer), 1, &found, &fault),
                     -1);
    assert_int_equal(fault.code, FAULT_CONTENT_MISMATCH);
    assert_int_equal(
        checkpoint_open(buf_span(&note), ORIGIN, note_signer_verifier(other), 1, &found, &fault),
        -1);
    assert_int_equal(fault.code, FAULT_CONTENT_MISMATCH);
    /* Signed, but no checkpoint. */
    buf_reset(&note);
    assert_int_equal(note_sign(span_text(ORIGIN "\n05\n" ROOT "\n"), signers, 1, &note, NULL), 0);
    assert_int_equal(
        checkpoint_open(buf_span(&note), ORIGIN, note_signer_verifier(signer), 1, &found, &fault),
        -1);
    assert_int_equal(fault.code, FAULT_MALFORMED_REQUEST);
    assert_int_equal(found.size, 42);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_go_both_ways),
        cmocka_unit_test(other_texts_are_refused),
        cmocka_unit_test(long_texts_are_refused),
        cmocka_unit_test(an_origin_is_a_key_name),
        cmocka_unit_test(nothing_is_written_that_reads_otherwise),
        cmocka_unit_test(a_signed_checkpoint_opens),
        cmocka_unit_test(another_log_or_key_does_not_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
