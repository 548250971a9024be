/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receipts, and everyone who forges one: whatever is changed in a good receipt, down to the
 * bit, it is no longer believed.
 */
#include "ledger/receipt.h"

#include "base/encode.h"
#include "tests/unit/ledger/reference.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define ORIGIN "example.org/sallyport"
#define LOG_SIZE 77
#define LOG_INDEX 42

static struct digest leaves[LOG_SIZE];
static struct note_signer *signer;

static int set_up(void **state)
{
    (void)state;
    uint8_t seed[NOTE_SEED_LEN] = {9};
    for (size_t i = 0; i < LOG_SIZE; i++)
        leaves[i] = reference_entry_leaf(i);
    return note_signer_new(ORIGIN, seed, &signer, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    note_signer_free(signer);
    return 0;
}

static void checkpoint_make(size_t size, const struct note_signer *by, struct buf *note)
{
    struct digest root = reference_root(leaves, size);
    struct checkpoint checkpoint;
    const struct note_signer *signers[] = {by};
    assert_int_equal(checkpoint_init(&checkpoint, ORIGIN, size, &root, NULL), 0);
    assert_int_equal(checkpoint_sign(&checkpoint, signers, 1, note, NULL), 0);
}

static void receipt_make(size_t index, size_t size, struct buf *text)
{
    struct merkle_proof proof;
    proof.count = reference_path(index, leaves, size, proof.hashes);
    AUTO_BUF struct buf note = BUF(NOTE_MAX);
    checkpoint_make(size, signer, &note);
    assert_int_equal(receipt_format(index, &proof, buf_span(&note), text, NULL), 0);
}

static int verify(struct span text, uint64_t entry, struct fault *fault)
{
    struct digest hash = reference_entry(entry);
    return receipt_verify(text, ORIGIN, note_signer_verifier(signer), 1, &hash, NULL, NULL, fault);
}

static void refused(struct span text, enum fault_code code)
{
    struct fault fault = {.code = FAULT_NONE};
    assert_int_equal(verify(text, LOG_INDEX, &fault), -1);
    assert_int_equal(fault.code, code);
}

/* A good receipt with `old` replaced by `new`, once. */
static void forge(struct buf *forged, const char *old, const char *new)
{
    AUTO_BUF struct buf good = BUF(RECEIPT_MAX);
    receipt_make(LOG_INDEX, LOG_SIZE, &good);
    const char *at = strstr(buf_text(&good), old);
    assert_non_null(at);
    buf_reset(forged);
    buf_append(forged, good.data, (size_t)(at - buf_text(&good)));
    buf_puts(forged, new);
    buf_puts(forged, at + strlen(old));
    assert_false(buf_failed(forged));
}

static void refused_forgery(const char *old, const char *new, enum fault_code code)
{
    AUTO_BUF struct buf forged = BUF(RECEIPT_MAX);
    forge(&forged, old, new);
    refused(buf_span(&forged), code);
}

static void every_receipt_of_a_log_verifies(void **state)
{
    (void)state;
    for (size_t size = 1; size <= LOG_SIZE; size += 4)
        for (size_t index = 0; index < size; index++) {
            AUTO_BUF struct buf text = BUF(RECEIPT_MAX);
            receipt_make(index, size, &text);
            struct digest entry = reference_entry(index);
            struct receipt receipt;
            struct checkpoint checkpoint;
            assert_int_equal(receipt_verify(buf_span(&text), ORIGIN, note_signer_verifier(signer),
                                            1, &entry, &receipt, &checkpoint, NULL),
                             0);
            assert_int_equal(receipt.index, index);
            assert_int_equal(receipt.extra.len, 0);
            assert_int_equal(checkpoint.size, size);
            struct digest root = reference_root(leaves, size);
            assert_true(digest_equal(&checkpoint.root, &root));
        }
}

static void a_receipt_has_the_form_of_the_specification(void **state)
{
    (void)state;
    AUTO_BUF struct buf text = BUF(RECEIPT_MAX);
    receipt_make(1, 2, &text);
    AUTO_BUF struct buf note = BUF(NOTE_MAX);
    checkpoint_make(2, signer, &note);
    AUTO_BUF struct buf expected = BUF(RECEIPT_MAX);
    buf_puts(&expected, "c2sp.org/tlog-proof@v1\nindex 1\n");
    /* base64 of reference_entry_leaf(0), by hand */
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < 43; i++) {
        unsigned bits = 0;
        for (size_t b = i * 6; b < i * 6 + 6; b++)
            bits = bits << 1 | (b < 256 ? leaves[0].bytes[b / 8] >> (7 - b % 8) & 1U : 0);
        buf_append(&expected, &alphabet[bits], 1);
    }
    buf_puts(&expected, "=\n\n");
    buf_append(&expected, note.data, note.len);
    assert_string_equal(buf_text(&text), buf_text(&expected));
}

/* Made by another implementation of the tree, the formats and Ed25519. */
static void a_foreign_receipt_verifies(void **state)
{
    (void)state;
    static const char text[] = "c2sp.org/tlog-proof@v1\n"
                               "index 42\n"
                               "FFeBO6cPpFplPJ/DvhL3YrA2H0x499ys1HRT3qdfNJQ=\n"
                               "xqaEXU3rf5VDvXr046UqIq160XETxA5xXzr3d854VkM=\n"
                               "8JNxT4N3glHMu770dkhILBXfH4G90zEPT+FdIBEYJFE=\n"
                               "jOFNLJP41zshmFmbd5evMlabQhITPP2RRe9aVRQ0u5M=\n"
                               "7sAc7R9mxlNbV5tqZzBzzgBBkX0fg/AACCYGstUgOdo=\n"
                               "dWeWs/lC4kF+VlEXk1tU8+OegxQeA9eErYCfw/dE/V4=\n"
                               "9/E1fhJHqhVXHq/uRG49vFUBxrnyzf7/K2oZLyRAqO0=\n"
                               "\n"
                               "example.org/fuzz\n"
                               "77\n"
                               "Aumomb6rqGD+W3vRigsLcEqWkI5aq1aobBJ4igKrJZ8=\n"
                               "\n"
                               "\xe2\x80\x94"
                               " example.org/fuzz "
                               "0dPYU2IBdn4T08wNblEqxE5rdeKQeQNiPbvhbhIIyaQMsfcpheLDo4Y2IvwFnDxeCNR"
                               "HSMY0jT1VYbGca+z2znsCsgI=\n";
    static const char key[] =
        "example.org/fuzz+d1d3d853+AepKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs";
    struct digest entry = reference_sha256("event 42", 8);
    struct note_verifier verifier;
    struct receipt receipt;
    struct checkpoint checkpoint;
    assert_int_equal(note_verifier_parse(key, strlen(key), &verifier, NULL), 0);
    assert_int_equal(receipt_verify(span_text(text), "example.org/fuzz", &verifier, 1, &entry,
                                    &receipt, &checkpoint, NULL),
                     0);
    assert_int_equal(receipt.index, 42);
    assert_int_equal(checkpoint.size, 77);
}

static void extra_data_is_read_and_not_believed(void **state)
{
    (void)state;
    AUTO_BUF struct buf forged = BUF(RECEIPT_MAX);
    forge(&forged, "\nindex", "\nextra aGVsbG8=\nindex");
    struct digest entry = reference_entry(LOG_INDEX);
    struct receipt receipt;
    assert_int_equal(receipt_verify(buf_span(&forged), ORIGIN, note_signer_verifier(signer), 1,
                                    &entry, &receipt, NULL, NULL),
                     0);
    assert_true(span_equal(receipt.extra, span_text("aGVsbG8=")));
    refused_forgery("\nindex", "\nextra \nindex", FAULT_MALFORMED_REQUEST);
    refused_forgery("\nindex", "\nextra\nindex", FAULT_MALFORMED_REQUEST);
    refused_forgery("\nindex", "\nextra aGVsbG8\nindex", FAULT_MALFORMED_REQUEST);
    refused_forgery("\nindex", "\nextra aGVsbG9=\nindex", FAULT_MALFORMED_REQUEST);
    refused_forgery("\nindex", "\nextra aGVsbG8=\nextra aGVsbG8=\nindex", FAULT_MALFORMED_REQUEST);
    refused_forgery("index 42\n", "index 42\nextra aGVsbG8=\n", FAULT_MALFORMED_REQUEST);
}

static void forged_wrong_index(void **state)
{
    (void)state;
    for (unsigned index = 0; index < LOG_SIZE + 10; index++) {
        char line[32];
        (void)snprintf(line, sizeof line, "index %u\n", index);
        if (index != LOG_INDEX)
            refused_forgery("index 42\n", line, FAULT_CONTENT_MISMATCH);
    }
    refused_forgery("index 42\n", "index 9223372036854775807\n", FAULT_CONTENT_MISMATCH);
    refused_forgery("index 42\n", "index 9223372036854775808\n", FAULT_MALFORMED_REQUEST);
    refused_forgery("index 42\n", "index 18446744073709551658\n", FAULT_MALFORMED_REQUEST);
}

static void forged_size_zero(void **state)
{
    (void)state;
    AUTO_BUF struct buf note = BUF(NOTE_MAX);
    checkpoint_make(0, signer, &note);
    AUTO_BUF struct buf text = BUF(RECEIPT_MAX);
    buf_puts(&text, "c2sp.org/tlog-proof@v1\nindex 0\n\n");
    buf_append(&text, note.data, note.len);
    refused(buf_span(&text), FAULT_CONTENT_MISMATCH);
    struct merkle_proof none = {.count = 0};
    buf_reset(&text);
    assert_int_equal(receipt_format(0, &none, buf_span(&note), &text, NULL), -1);
}

static void forged_hashes(void **state)
{
    (void)state;
    AUTO_BUF struct buf good = BUF(RECEIPT_MAX);
    receipt_make(LOG_INDEX, LOG_SIZE, &good);
    struct receipt receipt;
    assert_int_equal(receipt_parse(buf_span(&good), &receipt, NULL), 0);
    assert_int_equal(receipt.proof.count, 7);
    const char spare[] = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n";
    /* A spare hash at each place, and each hash left out. */
    for (size_t i = 0; i <= receipt.proof.count; i++) {
        AUTO_BUF struct buf forged = BUF(RECEIPT_MAX);
        size_t at = strlen("c2sp.org/tlog-proof@v1\nindex 42\n") + 45 * i;
        buf_append(&forged, good.data, at);
        buf_puts(&forged, spare);
        buf_append(&forged, good.data + at, good.len - at);
        refused(buf_span(&forged), FAULT_CONTENT_MISMATCH);
        if (i == receipt.proof.count)
            break;
        buf_reset(&forged);
        buf_append(&forged, good.data, at);
        buf_append(&forged, good.data + at + 45, good.len - at - 45);
        refused(buf_span(&forged), FAULT_CONTENT_MISMATCH);
    }
    /* More than any tree can have. */
    AUTO_BUF struct buf many = BUF(RECEIPT_MAX);
    for (int i = 0; i < 64 - 7; i++)
        buf_puts(&many, spare);
    char line[8192];
    (void)snprintf(line, sizeof line, "index 42\n%s", buf_text(&many));
    refused_forgery("index 42\n", line, FAULT_MALFORMED_REQUEST);
}

static void forged_numbers_and_lines(void **state)
{
    (void)state;
    static const char *const replaced[][2] = {
        {"index 42\n", "index 042\n"}, /* a leading zero */
        {"index 42\n", "index +42\n"},
        {"index 42\n", "index -42\n"},
        {"index 42\n", "index  42\n"},
        {"index 42\n", "index 42 \n"},
        {"index 42\n", "index 42\r\n"},
        {"index 42\n", "index\t42\n"},
        {"index 42\n", "Index 42\n"},
        {"index 42\n", "42\n"},
        {"index 42\n", "index 0x2a\n"},
        {"index 42\n", "index \n"},
        {"index 42\n", "index\n"},
        {"index 42\n", ""},
        {"index 42\n", "index 42\nindex 42\n"},
        {"index 42\n", "index 42\n\n"}, /* the note would begin with hashes */
        {"@v1\n", "@v2\n"},
        {"@v1\n", "@v1\r\n"},
        {"@v1\n", "@v1 \n"},
        {"@v1\n", "@v1\n\n"},
        {"c2sp", " c2sp"},
        {"c2sp", "\xef\xbb\xbf"
                 "c2sp"},
        {"=\n\n", "=\n"}, /* no empty line before the checkpoint */
        {"=\n\n", "=\n\n\n"},
        {"=\n\n", "=\r\n\r\n"},
        {"=\n", "\n"}, /* a hash without padding */
        {"=\n", "==\n"},
        {"=\n", " =\n"},
        {"=\n", "= \n"},
        {"\n77\n", "\n077\n"},
        {"\n77\n", "\n77 \n"},
        {"\n77\n", "\n77\r\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(replaced); i++)
        refused_forgery(replaced[i][0], replaced[i][1], FAULT_MALFORMED_REQUEST);
}

static void forged_non_canonical_base64(void **state)
{
    (void)state;
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    AUTO_BUF struct buf good = BUF(RECEIPT_MAX);
    receipt_make(LOG_INDEX, LOG_SIZE, &good);
    /* The character before the padding has two spare bits: set them, in hash, root, signature. */
    size_t found = 0;
    for (size_t i = 1; i + 1 < good.len; i++) {
        if (good.data[i] != '=' || good.data[i + 1] != '\n')
            continue;
        found++;
        uint8_t kept = good.data[i - 1];
        const char *at = strchr(alphabet, kept);
        assert_non_null(at);
        for (size_t spare = 1; spare < 4; spare++) {
            good.data[i - 1] = (uint8_t)alphabet[(size_t)(at - alphabet) | spare];
            refused(buf_span(&good), FAULT_MALFORMED_REQUEST);
        }
        good.data[i - 1] = kept;
    }
    assert_int_equal(found, 7 + 1 + 1); /* the path, the root, the signature: 68 bytes */
    assert_int_equal(verify(buf_span(&good), LOG_INDEX, NULL), 0);
}

static void forged_crlf(void **state)
{
    (void)state;
    AUTO_BUF struct buf good = BUF(RECEIPT_MAX);
    receipt_make(LOG_INDEX, LOG_SIZE, &good);
    AUTO_BUF struct buf forged = BUF(RECEIPT_MAX);
    for (size_t i = 0; i < good.len; i++) {
        if (good.data[i] == '\n')
            buf_puts(&forged, "\r");
        buf_append(&forged, &good.data[i], 1);
    }
    refused(buf_span(&forged), FAULT_MALFORMED_REQUEST);
}

static void forged_trailing_bytes(void **state)
{
    (void)state;
    static const char *const tails[] = {"\n", " ", "x", "x\n", "\r\n", "\n\n", "index 42\n"};
    for (size_t i = 0; i < ARRAY_LEN(tails); i++) {
        AUTO_BUF struct buf text = BUF(RECEIPT_MAX);
        receipt_make(LOG_INDEX, LOG_SIZE, &text);
        buf_puts(&text, tails[i]);
        refused(buf_span(&text), FAULT_MALFORMED_REQUEST);
    }
    AUTO_BUF struct buf text = BUF(RECEIPT_MAX);
    receipt_make(LOG_INDEX, LOG_SIZE, &text);
    buf_append(&text, "", 1);
    refused(buf_span(&text), FAULT_MALFORMED_REQUEST);
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    AUTO_BUF struct buf text = BUF(RECEIPT_MAX);
    receipt_make(LOG_INDEX, LOG_SIZE, &text);
    for (size_t len = 0; len < text.len; len++)
        refused(span_of(text.data, len), FAULT_MALFORMED_REQUEST);
}

static void every_flipped_bit_is_refused(void **state)
{
    (void)state;
    AUTO_BUF struct buf text = BUF(RECEIPT_MAX);
    receipt_make(LOG_INDEX, LOG_SIZE, &text);
    for (size_t bit = 0; bit < text.len * 8; bit++) {
        struct fault fault = {.code = FAULT_NONE};
        text.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_int_equal(verify(buf_span(&text), LOG_INDEX, &fault), -1);
        assert_true(fault.code == FAULT_MALFORMED_REQUEST || fault.code == FAULT_CONTENT_MISMATCH);
        text.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
}

static void forged_for_another_entry(void **state)
{
    (void)state;
    AUTO_BUF struct buf text = BUF(RECEIPT_MAX);
    receipt_make(LOG_INDEX, LOG_SIZE, &text);
    for (uint64_t other = 0; other < LOG_SIZE; other++) {
        struct fault fault = {.code = FAULT_NONE};
        assert_int_equal(verify(buf_span(&text), other, &fault), other == LOG_INDEX ? 0 : -1);
        assert_int_equal(fault.code, other == LOG_INDEX ? FAULT_NONE : FAULT_CONTENT_MISMATCH);
    }
}

/* A whole log of their own, signed with a key of their own under our name. */
static void forged_with_another_key(void **state)
{
    (void)state;
    uint8_t seed[NOTE_SEED_LEN] = {10};
    AUTO_NOTE_SIGNER struct note_signer *other = NULL;
    assert_int_equal(note_signer_new(ORIGIN, seed, &other, NULL), 0);
    AUTO_BUF struct buf note = BUF(NOTE_MAX);
    checkpoint_make(LOG_SIZE, other, &note);
    struct merkle_proof proof;
    proof.count = reference_path(LOG_INDEX, leaves, LOG_SIZE, proof.hashes);
    AUTO_BUF struct buf text = BUF(RECEIPT_MAX);
    assert_int_equal(receipt_format(LOG_INDEX, &proof, buf_span(&note), &text, NULL), 0);
    refused(buf_span(&text), FAULT_CONTENT_MISMATCH);
}

static void forged_for_another_log(void **state)
{
    (void)state;
    AUTO_BUF struct buf text = BUF(RECEIPT_MAX);
    receipt_make(LOG_INDEX, LOG_SIZE, &text);
    struct digest entry = reference_entry(LOG_INDEX);
    struct fault fault = {.code = FAULT_NONE};
    assert_int_equal(receipt_verify(buf_span(&text), "example.org/elsewhere",
                                    note_signer_verifier(signer), 1, &entry, NULL, NULL, &fault),
                     -1);
    assert_int_equal(fault.code, FAULT_CONTENT_MISMATCH);
}

/* The path of one tree under the checkpoint of another. */
static void forged_with_a_checkpoint_of_another_size(void **state)
{
    (void)state;
    struct merkle_proof proof;
    proof.count = reference_path(LOG_INDEX, leaves, 70, proof.hashes);
    AUTO_BUF struct buf note = BUF(NOTE_MAX);
    checkpoint_make(LOG_SIZE, signer, &note);
    AUTO_BUF struct buf text = BUF(RECEIPT_MAX);
    assert_int_equal(receipt_format(LOG_INDEX, &proof, buf_span(&note), &text, NULL), 0);
    refused(buf_span(&text), FAULT_CONTENT_MISMATCH);
}

/* One more signature line: an id and 64 bytes that no key of ours made. */
static void add_signature(struct buf *text, const char *name, uint32_t id, size_t signature_len)
{
    uint8_t bytes[4 + 512] = {(uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8),
                              (uint8_t)id};
    memset(bytes + 4, 0x5a, signature_len);
    buf_printf(text, "\xe2\x80\x94 %s ", name);
    base64_encode(text, bytes, 4 + signature_len);
    buf_puts(text, "\n");
}

/* Witnesses and keys to come are not ours to know (C2SP signed-note): they change nothing. A false
 * signature in our key's name and id spoils all. */
static void signatures_beside_ours(void **state)
{
    (void)state;
    uint32_t id = note_signer_verifier(signer)->id;
    struct digest entry = reference_entry(LOG_INDEX);
    AUTO_BUF struct buf text = BUF(RECEIPT_MAX);
    receipt_make(LOG_INDEX, LOG_SIZE, &text);
    size_t plain = text.len;
    add_signature(&text, "witness.example/w1", 0x01020304, 72); /* timestamped */
    add_signature(&text, ORIGIN, id ^ 1, 64);                   /* our name, another key */
    add_signature(&text, "another.example", id, 64);            /* our id, another name */
    add_signature(&text, "witness.example/w1", 0x01020305, 500);
    assert_int_equal(verify(buf_span(&text), LOG_INDEX, NULL), 0);
    size_t good = text.len;
    add_signature(&text, ORIGIN, id, 64);
    refused(buf_span(&text), FAULT_CONTENT_MISMATCH);
    text.len = good;
    add_signature(&text, ORIGIN, id, 63);
    refused(buf_span(&text), FAULT_CONTENT_MISMATCH);
    text.len = plain;
    for (unsigned i = 0; i < NOTE_SIGNATURES_MAX - 1; i++)
        add_signature(&text, "witness.example/many", i, 64);
    assert_int_equal(verify(buf_span(&text), LOG_INDEX, NULL), 0);
    /* All but ours: a note that nobody we know has signed. */
    AUTO_BUF struct buf theirs = BUF(RECEIPT_MAX);
    const char *first = strstr(buf_text(&text), "\n\n" ORIGIN);
    assert_non_null(first);
    const char *ours = strstr(first + 2, "\n\n");
    assert_non_null(ours);
    const char *next = strchr(ours + 2, '\n');
    buf_append(&theirs, text.data, (size_t)(ours + 2 - buf_text(&text)));
    buf_puts(&theirs, next + 1);
    refused(buf_span(&theirs), FAULT_CONTENT_MISMATCH);
    assert_int_equal(receipt_verify(buf_span(&theirs), ORIGIN, note_signer_verifier(signer), 0,
                                    &entry, NULL, NULL, NULL),
                     -1);
}

static void only_well_formed_receipts_are_written(void **state)
{
    (void)state;
    struct merkle_proof proof;
    proof.count = reference_path(LOG_INDEX, leaves, LOG_SIZE, proof.hashes);
    AUTO_BUF struct buf note = BUF(NOTE_MAX);
    checkpoint_make(LOG_SIZE, signer, &note);
    AUTO_BUF struct buf text = BUF(RECEIPT_MAX);
    assert_int_equal(receipt_format(LOG_SIZE, &proof, buf_span(&note), &text, NULL), -1);
    proof.count--;
    assert_int_equal(receipt_format(LOG_INDEX, &proof, buf_span(&note), &text, NULL), -1);
    proof.count++;
    assert_int_equal(receipt_format(LOG_INDEX, &proof, span_text("no note\n"), &text, NULL), -1);
    assert_int_equal(text.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_receipt_of_a_log_verifies),
        cmocka_unit_test(a_receipt_has_the_form_of_the_specification),
        cmocka_unit_test(a_foreign_receipt_verifies),
        cmocka_unit_test(extra_data_is_read_and_not_believed),
        cmocka_unit_test(forged_wrong_index),
        cmocka_unit_test(forged_size_zero),
        cmocka_unit_test(forged_hashes),
        cmocka_unit_test(forged_numbers_and_lines),
        cmocka_unit_test(forged_non_canonical_base64),
        cmocka_unit_test(forged_crlf),
        cmocka_unit_test(forged_trailing_bytes),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(every_flipped_bit_is_refused),
        cmocka_unit_test(forged_for_another_entry),
        cmocka_unit_test(forged_with_another_key),
        cmocka_unit_test(forged_for_another_log),
        cmocka_unit_test(forged_with_a_checkpoint_of_another_size),
        cmocka_unit_test(signatures_beside_ours),
        cmocka_unit_test(only_well_formed_receipts_are_written),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
