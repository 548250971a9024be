/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/note_key.h"

#include "base/digest.h"
#include "base/encode.h"
#include "base/text.h"

#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <string.h>

#define TYPE_ED25519 0x01
#define KEY_ID_LEN 4
#define PRIVATE_PREFIX "PRIVATE+KEY+"
/* A type byte, then a public key or a seed: both are 32 bytes. */
#define KEY_BLOB_LEN 33

struct note_signer {
    struct note_verifier verifier;
    EVP_PKEY *key;
};

static void context_cleanup(EVP_MD_CTX **context)
{
    EVP_MD_CTX_free(*context);
}

static void key_cleanup(EVP_PKEY **key)
{
    EVP_PKEY_free(*key);
}

/* What OpenSSL left in this thread's queue would be blamed on its next user. */
static int openssl_fault(struct fault *fault, const char *what)
{
    ERR_clear_error();
    return fault_set(fault, FAULT_INTERNAL, "note: OpenSSL %s", what);
}

/* Unicode's White_Space above U+007F: U+0085, 00A0, 1680, 2000 to 200A, 2028, 2029, 202F, 205F
 * and 3000. */
static const char *const spaces[] = {"\xc2\x85",     "\xc2\xa0",     "\xe1\x9a\x80", "\xe2\x80\x80",
                                     "\xe2\x80\x81", "\xe2\x80\x82", "\xe2\x80\x83", "\xe2\x80\x84",
                                     "\xe2\x80\x85", "\xe2\x80\x86", "\xe2\x80\x87", "\xe2\x80\x88",
                                     "\xe2\x80\x89", "\xe2\x80\x8a", "\xe2\x80\xa8", "\xe2\x80\xa9",
                                     "\xe2\x80\xaf", "\xe2\x81\x9f", "\xe3\x80\x80"};

bool note_name_valid(const char *name, size_t len)
{
    if (len < 1 || len > NOTE_NAME_MAX || !utf8_valid(name, len))
        return false;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)name[i] <= ' ' || name[i] == '+')
            return false;
    for (size_t i = 0; i < ARRAY_LEN(spaces); i++)
        if (memmem(name, len, spaces[i], strlen(spaces[i])) != NULL)
            return false;
    return true;
}

static uint32_t u32_of(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* SHA-256(name || 0x0A || type || public key)[:4] */
static uint32_t key_id(struct span name, const uint8_t public_key[NOTE_PUBLIC_KEY_LEN])
{
    uint8_t input[NOTE_NAME_MAX + 2 + NOTE_PUBLIC_KEY_LEN];
    memcpy(input, name.data, name.len);
    input[name.len] = '\n';
    input[name.len + 1] = TYPE_ED25519;
    memcpy(input + name.len + 2, public_key, NOTE_PUBLIC_KEY_LEN);
    struct digest digest = digest_of(input, name.len + 2 + NOTE_PUBLIC_KEY_LEN);
    return u32_of(digest.bytes);
}

static struct note_verifier verifier_of(struct span name,
                                        const uint8_t public_key[NOTE_PUBLIC_KEY_LEN])
{
    struct note_verifier verifier = {.id = key_id(name, public_key)};
    memcpy(verifier.name, name.data, name.len);
    memcpy(verifier.public_key, public_key, NOTE_PUBLIC_KEY_LEN);
    return verifier;
}

/* `<name>+<8 hex digits>+<base64 of KEY_BLOB_LEN bytes, the type first>`. The base64 may hold
 * plus signs, the name may not. */
static int key_text_parse(struct span text, struct span *ret_name, uint32_t *ret_id,
                          uint8_t ret_blob[KEY_BLOB_LEN])
{
    const uint8_t *plus = text.len == 0 ? NULL : memchr(text.data, '+', text.len);
    if (plus == NULL)
        return -1;
    struct span name = span_of(text.data, (size_t)(plus - text.data));
    struct span rest = span_of(plus + 1, text.len - name.len - 1);
    uint8_t id[KEY_ID_LEN];
    if (!note_name_valid((const char *)name.data, name.len) || rest.len < HEX_LEN(KEY_ID_LEN) + 1 ||
        rest.data[HEX_LEN(KEY_ID_LEN)] != '+' ||
        hex_decode((const char *)rest.data, HEX_LEN(KEY_ID_LEN), id, KEY_ID_LEN) != 0)
        return -1;
    size_t skip = HEX_LEN(KEY_ID_LEN) + 1;
    AUTO_BUF struct buf blob = BUF(KEY_BLOB_LEN);
    int status = base64_decode(&blob, (const char *)rest.data + skip, rest.len - skip);
    bool good = status == 0 && blob.len == KEY_BLOB_LEN && blob.data[0] == TYPE_ED25519;
    if (good) {
        memcpy(ret_blob, blob.data, KEY_BLOB_LEN);
        *ret_name = name;
        *ret_id = u32_of(id);
    }
    if (blob.data != NULL)
        OPENSSL_cleanse(blob.data, blob.cap);
    return good ? 0 : -1;
}

int note_verifier_parse(const char *text, size_t len, struct note_verifier *ret_verifier,
                        struct fault *fault)
{
    struct span name;
    uint32_t id;
    uint8_t blob[KEY_BLOB_LEN];
    if (key_text_parse(span_of(text, len), &name, &id, blob) != 0)
        return fault_set(fault, FAULT_KEY_INVALID,
                         "verifier key: expected <name>+<8 hex digits>+<base64 of an Ed25519 key>");
    struct note_verifier verifier = verifier_of(name, blob + 1);
    if (verifier.id != id)
        return fault_set(fault, FAULT_KEY_INVALID,
                         "verifier key: the id is not that of this name and key");
    *ret_verifier = verifier;
    return 0;
}

int note_verifiers_parse(struct span text, size_t max, struct note_verifier *ret_verifiers,
                         size_t *ret_count, struct fault *fault)
{
    size_t count = 0;
    struct fault cause = {0};
    while (text.len > 0) {
        const uint8_t *newline = memchr(text.data, '\n', text.len);
        size_t len = newline == NULL ? text.len : (size_t)(newline - text.data);
        if (count == max)
            return fault_set(fault, FAULT_KEY_INVALID, "more than %zu verifier keys", max);
        if (note_verifier_parse((const char *)text.data, len, &ret_verifiers[count], &cause) != 0)
            return fault_set(fault, cause.code, "line %zu: %s", count + 1, cause.detail);
        count++;
        len += newline == NULL ? 0 : 1;
        text = span_of(text.data + len, text.len - len);
    }
    if (count == 0)
        return fault_set(fault, FAULT_KEY_INVALID, "expected a verifier key: <name>+<id>+<key>");
    *ret_count = count;
    return 0;
}

void note_verifier_format(const struct note_verifier *verifier, struct buf *buf)
{
    uint8_t blob[KEY_BLOB_LEN] = {TYPE_ED25519};
    memcpy(blob + 1, verifier->public_key, NOTE_PUBLIC_KEY_LEN);
    buf_printf(buf, "%s+%08" PRIx32 "+", verifier->name, verifier->id);
    base64_encode(buf, blob, sizeof blob);
}

static int signer_make(struct span name, const uint8_t seed[NOTE_SEED_LEN],
                       struct note_signer **ret_signer, struct fault *fault)
{
    AUTO_NOTE_SIGNER struct note_signer *signer = calloc(1, sizeof *signer);
    if (signer == NULL)
        return fault_set(fault, FAULT_INTERNAL, "signer key: no memory");
    uint8_t public_key[NOTE_PUBLIC_KEY_LEN];
    size_t len = sizeof public_key;
    signer->key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, NOTE_SEED_LEN);
    if (signer->key == NULL || EVP_PKEY_get_raw_public_key(signer->key, public_key, &len) != 1)
        return openssl_fault(fault, "gave no Ed25519 key");
    signer->verifier = verifier_of(name, public_key);
    *ret_signer = TAKE(signer);
    return 0;
}

int note_signer_new(const char *name, const uint8_t seed[NOTE_SEED_LEN],
                    struct note_signer **ret_signer, struct fault *fault)
{
    struct span span = span_text(name);
    if (!note_name_valid(name, span.len))
        return fault_set(fault, FAULT_KEY_INVALID,
                         "signer key: the name has 1 to %d bytes of UTF-8, without spaces, "
                         "control characters and plus signs",
                         NOTE_NAME_MAX);
    return signer_make(span, seed, ret_signer, fault);
}

int note_signer_parse(const char *text, size_t len, struct note_signer **ret_signer,
                      struct fault *fault)
{
    struct span name;
    uint32_t id;
    uint8_t blob[KEY_BLOB_LEN];
    size_t prefix = strlen(PRIVATE_PREFIX);
    if (len < prefix || memcmp(text, PRIVATE_PREFIX, prefix) != 0 ||
        key_text_parse(span_of(text + prefix, len - prefix), &name, &id, blob) != 0)
        return fault_set(fault, FAULT_KEY_INVALID,
                         "signer key: expected " PRIVATE_PREFIX
                         "<name>+<8 hex digits>+<base64 of an Ed25519 seed>");
    AUTO_NOTE_SIGNER struct note_signer *signer = NULL;
    int status = signer_make(name, blob + 1, &signer, fault);
    OPENSSL_cleanse(blob, sizeof blob);
    if (status != 0)
        return -1;
    if (signer->verifier.id != id)
        return fault_set(fault, FAULT_KEY_INVALID,
                         "signer key: the id is not that of this name and key");
    *ret_signer = TAKE(signer);
    return 0;
}

void note_signer_format(const struct note_signer *signer, struct buf *buf)
{
    uint8_t blob[KEY_BLOB_LEN] = {TYPE_ED25519};
    size_t len = NOTE_SEED_LEN;
    if (EVP_PKEY_get_raw_private_key(signer->key, blob + 1, &len) != 1) {
        ERR_clear_error();
        buf->failed = true;
        return;
    }
    /* grown once, so that no copy of the secret stays behind in freed memory */
    (void)buf_reserve(buf, strlen(PRIVATE_PREFIX) + NOTE_NAME_MAX + 64);
    buf_printf(buf, PRIVATE_PREFIX "%s+%08" PRIx32 "+", signer->verifier.name, signer->verifier.id);
    base64_encode(buf, blob, sizeof blob);
    OPENSSL_cleanse(blob, sizeof blob);
}

const struct note_verifier *note_signer_verifier(const struct note_signer *signer)
{
    return &signer->verifier;
}

void note_signer_free(struct note_signer *signer)
{
    if (signer == NULL)
        return;
    EVP_PKEY_free(signer->key); /* OpenSSL wipes what it frees */
    free(signer);
}

void note_signer_cleanup(struct note_signer **signer)
{
    note_signer_free(*signer);
}

int note_signer_sign(const struct note_signer *signer, struct span bytes,
                     uint8_t ret_signature[NOTE_SIGNATURE_LEN], struct fault *fault)
{
    uint8_t signature[NOTE_SIGNATURE_LEN];
    size_t len = sizeof signature;
    AUTO(context_cleanup) EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (context == NULL || EVP_DigestSignInit(context, NULL, NULL, NULL, signer->key) != 1 ||
        EVP_DigestSign(context, signature, &len, bytes.data, bytes.len) != 1 ||
        len != sizeof signature)
        return openssl_fault(fault, "did not sign");
    memcpy(ret_signature, signature, sizeof signature);
    return 0;
}

int note_verifier_check(const struct note_verifier *verifier, struct span bytes,
                        struct span signature, struct fault *fault)
{
    AUTO(key_cleanup)
    EVP_PKEY *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, verifier->public_key,
                                                NOTE_PUBLIC_KEY_LEN);
    AUTO(context_cleanup) EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (key == NULL || context == NULL || EVP_DigestVerifyInit(context, NULL, NULL, NULL, key) != 1)
        return openssl_fault(fault, "can't verify Ed25519");
    if (signature.len == NOTE_SIGNATURE_LEN &&
        EVP_DigestVerify(context, signature.data, signature.len, bytes.data, bytes.len) == 1)
        return 0;
    ERR_clear_error();
    return fault_set(fault, FAULT_CONTENT_MISMATCH,
                     "note: the signature of %.100s+%08" PRIx32 " is not valid", verifier->name,
                     verifier->id);
}
