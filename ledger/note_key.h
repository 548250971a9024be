/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys of C2SP signed notes: Ed25519 (type 0x01) and nothing else. Key texts that are not
 * strict and right are FAULT_KEY_INVALID.
 */
#pragma once

#include "base/buf.h"
#include "base/fault.h"

#define NOTE_NAME_MAX 255
#define NOTE_SEED_LEN 32
#define NOTE_PUBLIC_KEY_LEN 32
#define NOTE_SIGNATURE_LEN 64

/* A public key and the name it signs under. */
struct note_verifier {
    char name[NOTE_NAME_MAX + 1];
    uint32_t id; /* SHA-256(name || 0x0A || 0x01 || public key)[:4], big-endian */
    uint8_t public_key[NOTE_PUBLIC_KEY_LEN];
};

/* A private key and its verifier; wiped when freed. */
struct note_signer;
#define AUTO_NOTE_SIGNER AUTO(note_signer_cleanup)

/* True for 1 to NOTE_NAME_MAX bytes of UTF-8 without Unicode spaces, characters below U+0020 and
 * plus signs. */
bool note_name_valid(const char *name, size_t len);

/* `<name>+<8 hex digits: id>+<base64: 0x01 || public key>`; the id must be that of name and key. */
int note_verifier_parse(const char *text, size_t len, struct note_verifier *ret_verifier,
                        struct fault *fault) MUST_CHECK;
/* One a line, 1 to `max` of them, which ret_verifiers has room for. The fault names the line. */
int note_verifiers_parse(struct span text, size_t max, struct note_verifier *ret_verifiers,
                         size_t *ret_count, struct fault *fault) MUST_CHECK;
void note_verifier_format(const struct note_verifier *verifier, struct buf *buf);

/* The key of a 32-byte seed (RFC 8032), which the caller draws and wipes. */
int note_signer_new(const char *name, const uint8_t seed[NOTE_SEED_LEN],
                    struct note_signer **ret_signer, struct fault *fault) MUST_CHECK;
/* `PRIVATE+KEY+<name>+<id>+<base64: 0x01 || seed>`; the fault says nothing of the key. */
int note_signer_parse(const char *text, size_t len, struct note_signer **ret_signer,
                      struct fault *fault) MUST_CHECK;
/* Appends the secret text: for a file of mode 0600. The caller wipes the buffer. */
void note_signer_format(const struct note_signer *signer, struct buf *buf);
const struct note_verifier *note_signer_verifier(const struct note_signer *signer);
void note_signer_free(struct note_signer *signer);
void note_signer_cleanup(struct note_signer **signer);

/* The Ed25519 signature (RFC 8032) of the bytes. FAULT_INTERNAL if OpenSSL can't. */
int note_signer_sign(const struct note_signer *signer, struct span bytes,
                     uint8_t ret_signature[NOTE_SIGNATURE_LEN], struct fault *fault) MUST_CHECK;

/* Is it the key's signature of the bytes? FAULT_CONTENT_MISMATCH where not, of whatever length;
 * FAULT_INTERNAL if OpenSSL can't. */
int note_verifier_check(const struct note_verifier *verifier, struct span bytes,
                        struct span signature, struct fault *fault) MUST_CHECK;
