/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/note.h"

#include "base/encode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Keys and signatures of the format's first implementation (golang.org/x/mod/sumdb/note). */
#define PETER_VERIFIER "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
#define PETER_SIGNER                                                                               \
    "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
#define ENOCH_VERIFIER "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
#define TEXT                                                                                       \
    "If you think cryptography is the answer to your problem,\n"                                   \
    "then you don't know what your problem is.\n"
#define PETER_BASE64                                                                               \
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
#define ENOCH_BASE64                                                                               \
    "rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ="
#define DASH "\xe2\x80\x94 "
#define PETER DASH "PeterNeumann " PETER_BASE64 "\n"
#define ENOCH DASH "EnochRoot " ENOCH_BASE64 "\n"

static struct note_verifier verifier_of(const char *text)
{
    struct note_verifier verifier;
    assert_int_equal(note_verifier_parse(text, strlen(text), &verifier, NULL), 0);
    return verifier;
}

static void assert_span(struct span span, const char *text)
{
    assert_true(span_equal(span, span_text(text)));
}

static void opened(const char *note, const struct note_verifier *verifiers, size_t count)
{
    struct note found;
    assert_int_equal(note_open(span_text(note), verifiers, count, &found, NULL), 0);
    assert_span(found.text, TEXT);
}

static void refused(struct span note, const struct note_verifier *verifiers, size_t count,
                    enum fault_code code)
{
    struct note found = {.signature_count = 42};
    struct fault fault = {.code = FAULT_NONE};
    assert_int_equal(note_open(note, verifiers, count, &found, &fault), -1);
    assert_int_equal(fault.code, code);
    assert_int_equal(found.signature_count, 42);
}

static void signing_gives_the_known_note(void **state)
{
    (void)state;
    AUTO_NOTE_SIGNER struct note_signer *peter = NULL;
    assert_int_equal(note_signer_parse(PETER_SIGNER, strlen(PETER_SIGNER), &peter, NULL), 0);
    const struct note_signer *signers[] = {peter};
    AUTO_BUF struct buf note = BUF(NOTE_MAX);
    assert_int_equal(note_sign(span_text(TEXT), signers, 1, &note, NULL), 0);
    assert_string_equal(buf_text(&note), TEXT "\n" PETER);
}

static void known_notes_open(void **state)
{
    (void)state;
    struct note_verifier both[] = {verifier_of(PETER_VERIFIER), verifier_of(ENOCH_VERIFIER)};
    opened(TEXT "\n" PETER, both, 1);
    opened(TEXT "\n" PETER ENOCH, both, 1);
    opened(TEXT "\n" PETER ENOCH, both + 1, 1);
    opened(TEXT "\n" ENOCH PETER, both, 2);
    struct note note;
    assert_int_equal(note_open(span_text(TEXT "\n" PETER ENOCH), both, 1, &note, NULL), 0);
    assert_int_equal(note.signature_count, 2);
    assert_true(note.signatures[0].verified);
    assert_false(note.signatures[1].verified);
    assert_span(note.signatures[1].name, "EnochRoot");
    assert_int_equal(note.signatures[1].id, 0xaf0cfe78);
    assert_span(note.signatures[1].base64, ENOCH_BASE64);
}

/* The two examples of the C2SP specifications. Their keys are not published: they are read, and
 * not believed. */
static void examples_of_the_specification_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *note;
        size_t text_len;
        const char *name;
        uint32_t id;
    } cases[] = {
        {"Ognuno sta solo sul cuor della terra\n"
         "trafitto da un raggio di sole:\n"
         "\n"
         "ed \xc3\xa8 subito sera.\n"
         "\n" DASH "quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC"
         "+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n",
         88, "quasimodo.example/salvatore", 0x367ba04b},
        {"example.com/behind-the-sofa\n"
         "20852163\n"
         "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
         "\n" DASH "example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe"
         "4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n",
         82, "example.com/behind-the-sofa", 0x033de0ae},
    };
    struct note_verifier peter = verifier_of(PETER_VERIFIER);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct note note;
        assert_int_equal(note_parse(span_text(cases[i].note), &note, NULL), 0);
        assert_int_equal(note.text.len, cases[i].text_len);
        assert_int_equal(note.signature_count, 1);
        assert_span(note.signatures[0].name, cases[i].name);
        assert_int_equal(note.signatures[0].id, cases[i].id);
        assert_false(note.signatures[0].verified);
        refused(span_text(cases[i].note), &peter, 1, FAULT_CONTENT_MISMATCH);
    }
}

static void unknown_keys_are_ignored(void **state)
{
    (void)state;
    struct note_verifier peter = verifier_of(PETER_VERIFIER);
    /* Peter's name with another id, his id under another name, and a type of 5 bytes. */
    opened(TEXT "\n" DASH "PeterNeumann AAAAAAA=\n" PETER, &peter, 1);
    opened(TEXT "\n" DASH "PeterNewman " PETER_BASE64 "\n" PETER, &peter, 1);
    refused(span_text(TEXT "\n" DASH "PeterNewman " PETER_BASE64 "\n"), &peter, 1,
            FAULT_CONTENT_MISMATCH);
    refused(span_text(TEXT "\n" ENOCH), &peter, 1, FAULT_CONTENT_MISMATCH);
    refused(span_text(TEXT "\n" PETER), NULL, 0, FAULT_CONTENT_MISMATCH);
}

static void a_bad_signature_of_a_known_key_rejects_the_note(void **state)
{
    (void)state;
    struct note_verifier both[] = {verifier_of(PETER_VERIFIER), verifier_of(ENOCH_VERIFIER)};
    /* Peter's id in front of Enoch's signature bytes, of zeros, and of too few. */
    static const char *const lines[] = {
        DASH "PeterNeumann x08goxzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01"
             "oOTGwnWLox33WWd1RvMc+QQ=\n",
        DASH "PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqf"
             "qdngotpRZb6KE6RyyBwJnAI=\n",
        DASH "PeterNeumann x08gowA=\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        AUTO_BUF struct buf note = BUF(4096);
        buf_printf(&note, "%s\n%s%s%s", TEXT, lines[i], PETER, ENOCH);
        refused(buf_span(&note), both, 2, FAULT_CONTENT_MISMATCH);
        buf_reset(&note);
        buf_printf(&note, "%s\n%s%s%s", TEXT, PETER, ENOCH, lines[i]);
        refused(buf_span(&note), both, 2, FAULT_CONTENT_MISMATCH);
        /* To whom knows only Enoch, it is an unknown key's. */
        opened(buf_text(&note), both + 1, 1);
    }
}

/* Whoever finds a key of the same name and id gets a failure, not a way in. */
static void two_keys_of_one_id_must_both_agree(void **state)
{
    (void)state;
    struct note_verifier keys[] = {verifier_of(PETER_VERIFIER), verifier_of(PETER_VERIFIER)};
    opened(TEXT "\n" PETER, keys, 2);
    memcpy(keys[1].public_key, verifier_of(ENOCH_VERIFIER).public_key, NOTE_PUBLIC_KEY_LEN);
    refused(span_text(TEXT "\n" PETER), keys, 2, FAULT_CONTENT_MISMATCH);
}

static void every_flipped_bit_is_refused(void **state)
{
    (void)state;
    char note[] = TEXT "\n" PETER;
    size_t len = strlen(note);
    struct note_verifier peter = verifier_of(PETER_VERIFIER);
    for (size_t bit = 0; bit < len * 8; bit++) {
        struct note found;
        struct fault fault = {.code = FAULT_NONE};
        note[bit / 8] = (char)(note[bit / 8] ^ (1 << bit % 8));
        assert_int_equal(note_open(span_of(note, len), &peter, 1, &found, &fault), -1);
        assert_true(fault.code == FAULT_MALFORMED_REQUEST || fault.code == FAULT_CONTENT_MISMATCH);
        note[bit / 8] = (char)(note[bit / 8] ^ (1 << bit % 8));
    }
    for (size_t cut = 0; cut < len; cut++)
        refused(span_of(note, cut), &peter, 1, FAULT_MALFORMED_REQUEST);
}

static void what_is_no_note_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "\n",
        "\n\n",
        TEXT,
        TEXT "\n",
        TEXT PETER,                                  /* no blank line */
        TEXT "\n" DASH "PeterNeumann " PETER_BASE64, /* no newline at the end */
        TEXT "\n" PETER "\n",                        /* the last blank line ends the note */
        TEXT "\n" PETER "Unexpected line.\n",
        TEXT "\n" DASH "Peter Neumann " PETER_BASE64 "\n",
        TEXT "\n" DASH "Peter+Neumann " PETER_BASE64 "\n",
        TEXT "\n" DASH " " PETER_BASE64 "\n",
        TEXT "\n" DASH "PeterNeumann  " PETER_BASE64 "\n",
        TEXT "\n" DASH "PeterNeumann " PETER_BASE64 " \n",
        TEXT "\n" DASH "PeterNeumann\n",
        TEXT "\n" DASH "PeterNeumann \n",
        TEXT "\n" DASH "PeterNeumann AAAA\n",     /* no id */
        TEXT "\n" DASH "PeterNeumann AAAAAA==\n", /* an id and nothing */
        TEXT "\n" DASH "PeterNeumann AAAAAAB=\n", /* not canonical */
        TEXT "\n" DASH "PeterNeumann AAAAAAA\n",  /* no padding */
        TEXT "\n" DASH "PeterNeumann AAAAAA_=\n",
        TEXT "\n- PeterNeumann " PETER_BASE64 "\n",            /* a hyphen */
        TEXT "\n\xe2\x80\x93 PeterNeumann " PETER_BASE64 "\n", /* U+2013 */
        TEXT "\n\xe2\x80\x94PeterNeumann " PETER_BASE64 "\n",
        "\x01" TEXT "\n" PETER,
        "\t" TEXT "\n" PETER,
        "\xff" TEXT "\n" PETER,
        "\xed\xa0\x80" TEXT "\n" PETER,
        TEXT "\r\n" PETER,
        TEXT "\n" DASH "PeterNeumann " PETER_BASE64 "\r\n",
    };
    struct note_verifier peter = verifier_of(PETER_VERIFIER);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        refused(span_text(bad[i]), &peter, 1, FAULT_MALFORMED_REQUEST);
    static const char nul[] = "a\0b\n\n" PETER;
    refused(span_of(nul, sizeof nul - 1), &peter, 1, FAULT_MALFORMED_REQUEST);
}

static void sixteen_signatures_are_taken_and_no_more(void **state)
{
    (void)state;
    struct note_verifier peter = verifier_of(PETER_VERIFIER);
    AUTO_BUF struct buf note = BUF(NOTE_MAX);
    buf_puts(&note, TEXT "\n");
    for (int i = 0; i < 15; i++)
        buf_puts(&note, ENOCH);
    buf_puts(&note, PETER);
    opened(buf_text(&note), &peter, 1);
    buf_puts(&note, ENOCH);
    refused(buf_span(&note), &peter, 1, FAULT_MALFORMED_REQUEST);
}

static void large_unknown_signatures_are_taken(void **state)
{
    (void)state;
    struct note_verifier peter = verifier_of(PETER_VERIFIER);
    static const uint8_t blob[5000] = {1};
    AUTO_BUF struct buf note = BUF(2 * NOTE_MAX);
    buf_puts(&note, TEXT "\n");
    for (int i = 0; i < 15; i++) {
        buf_puts(&note, DASH "witness.example/w1 ");
        base64_encode(&note, blob, sizeof blob);
        buf_puts(&note, "\n");
    }
    buf_puts(&note, PETER);
    opened(buf_text(&note), &peter, 1);
    AUTO_BUF struct buf padded = BUF(2 * NOTE_MAX);
    while (padded.len + note.len <= NOTE_MAX)
        buf_puts(&padded, "x\n");
    buf_append(&padded, note.data, note.len);
    refused(buf_span(&padded), &peter, 1, FAULT_MALFORMED_REQUEST);
}

static void a_text_may_hold_blank_lines_and_dashes(void **state)
{
    (void)state;
    static const char *const texts[] = {"\n", "\n\n", "a\n\n" DASH "b AAAAAAA=\n", "\n\nx\n\n\ny\n",
                                        DASH "EnochRoot " ENOCH_BASE64 "\n"};
    AUTO_NOTE_SIGNER struct note_signer *peter = NULL;
    assert_int_equal(note_signer_parse(PETER_SIGNER, strlen(PETER_SIGNER), &peter, NULL), 0);
    const struct note_signer *signers[] = {peter};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        AUTO_BUF struct buf note = BUF(NOTE_MAX);
        assert_int_equal(note_sign(span_text(texts[i]), signers, 1, &note, NULL), 0);
        struct note found;
        assert_int_equal(note_open(buf_span(&note), note_signer_verifier(peter), 1, &found, NULL),
                         0);
        assert_span(found.text, texts[i]);
        assert_int_equal(found.signature_count, 1);
    }
}

static void what_cannot_be_a_text_is_not_signed(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "abc", "a\r\n", "a\tb\n", "\xff\n"};
    AUTO_NOTE_SIGNER struct note_signer *peter = NULL;
    assert_int_equal(note_signer_parse(PETER_SIGNER, strlen(PETER_SIGNER), &peter, NULL), 0);
    const struct note_signer *signers[NOTE_SIGNATURES_MAX + 1];
    for (size_t i = 0; i < ARRAY_LEN(signers); i++)
        signers[i] = peter;
    AUTO_BUF struct buf note = BUF(2 * NOTE_MAX);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(note_sign(span_text(bad[i]), signers, 1, &note, NULL), -1);
    assert_int_equal(note_sign(span_text(TEXT), signers, 0, &note, NULL), -1);
    assert_int_equal(note_sign(span_text(TEXT), signers, ARRAY_LEN(signers), &note, NULL), -1);
    AUTO_FREE char *large = malloc(NOTE_MAX);
    memset(large, '\n', NOTE_MAX);
    assert_int_equal(note_sign(span_of(large, NOTE_MAX), signers, 1, &note, NULL), -1);
    assert_int_equal(note.len, 0);
    AUTO_BUF struct buf tight = BUF(100);
    assert_int_equal(note_sign(span_text(TEXT), signers, 1, &tight, NULL), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signing_gives_the_known_note),
        cmocka_unit_test(known_notes_open),
        cmocka_unit_test(examples_of_the_specification_are_read),
        cmocka_unit_test(unknown_keys_are_ignored),
        cmocka_unit_test(a_bad_signature_of_a_known_key_rejects_the_note),
        cmocka_unit_test(two_keys_of_one_id_must_both_agree),
        cmocka_unit_test(every_flipped_bit_is_refused),
        cmocka_unit_test(what_is_no_note_is_refused),
        cmocka_unit_test(sixteen_signatures_are_taken_and_no_more),
        cmocka_unit_test(large_unknown_signatures_are_taken),
        cmocka_unit_test(a_text_may_hold_blank_lines_and_dashes),
        cmocka_unit_test(what_cannot_be_a_text_is_not_signed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
