/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/wrap.h"

#include "base/encode.h"
#include "base/uuid.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <string.h>

/* version (1) | nonce (12) | ciphertext | tag (16); the version and the context are authenticated
 */
#define WRAP_VERSION 1
#define NONCE_LEN 12
#define TAG_LEN 16
#define OVERHEAD (1 + NONCE_LEN + TAG_LEN)
#define PLAIN_MAX 4096

static void cipher_cleanup(EVP_CIPHER_CTX **context)
{
    EVP_CIPHER_CTX_free(*context);
}
#define AUTO_CIPHER AUTO(cipher_cleanup)

int master_key_parse(struct span text, struct master_key *ret_key, struct fault *fault)
{
    size_t len = text.len;
    if (len == HEX_LEN(MASTER_KEY_LEN) + 1 && text.data[len - 1] == '\n')
        len--;
    struct master_key key;
    if (len != HEX_LEN(MASTER_KEY_LEN) ||
        hex_decode((const char *)text.data, len, key.bytes, sizeof key.bytes) != 0)
        return fault_set(fault, FAULT_KEY_INVALID, "master key: expected 64 lower-case hex digits");
    bool repeated = memcmp(key.bytes, key.bytes + 1, sizeof key.bytes - 1) == 0;
    if (!repeated)
        *ret_key = key;
    OPENSSL_cleanse(&key, sizeof key);
    return repeated ? fault_set(fault, FAULT_KEY_INVALID, "master key: is one byte repeated") : 0;
}

/* A context ready for data: key and nonce set, version and context authenticated. */
static EVP_CIPHER_CTX *cipher_new(const struct master_key *key, const uint8_t *header,
                                  struct span context, bool encrypt)
{
    AUTO_CIPHER EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    int ignored;
    if (cipher == NULL || context.len > PLAIN_MAX ||
        EVP_CipherInit_ex2(cipher, EVP_aes_256_gcm(), key->bytes, header + 1, encrypt, NULL) != 1 ||
        EVP_CipherUpdate(cipher, NULL, &ignored, header, 1) != 1 ||
        (context.len > 0 &&
         EVP_CipherUpdate(cipher, NULL, &ignored, context.data, (int)context.len) != 1))
        return NULL;
    return TAKE(cipher);
}

int secret_wrap(const struct master_key *key, struct span context, struct span secret,
                struct buf *ret_wrapped, struct fault *fault)
{
    if (secret.len == 0 || secret.len > PLAIN_MAX || context.len > PLAIN_MAX)
        return fault_set(fault, FAULT_KEY_INVALID, "secret: expected 1 to %d bytes", PLAIN_MAX);
    uint8_t out[OVERHEAD + PLAIN_MAX] = {WRAP_VERSION};
    random_bytes(out + 1, NONCE_LEN);
    uint8_t *text = out + 1 + NONCE_LEN;
    AUTO_CIPHER EVP_CIPHER_CTX *cipher = cipher_new(key, out, context, true);
    int len = 0, rest = 0;
    if (cipher == NULL || EVP_CipherUpdate(cipher, text, &len, secret.data, (int)secret.len) != 1 ||
        EVP_CipherFinal_ex(cipher, text + len, &rest) != 1 || (size_t)(len + rest) != secret.len ||
        EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, text + secret.len) != 1) {
        ERR_clear_error();
        return fault_set(fault, FAULT_INTERNAL, "secret: could not be encrypted");
    }
    buf_append(ret_wrapped, out, OVERHEAD + secret.len);
    return buf_failed(ret_wrapped) ? fault_set(fault, FAULT_INTERNAL, "secret: no room") : 0;
}

static bool open_wrapped(const struct master_key *key, struct span context, struct span wrapped,
                         uint8_t *ret_plain)
{
    size_t plain_len = wrapped.len - OVERHEAD;
    const uint8_t *text = wrapped.data + 1 + NONCE_LEN;
    uint8_t tag[TAG_LEN];
    memcpy(tag, text + plain_len, TAG_LEN);
    AUTO_CIPHER EVP_CIPHER_CTX *cipher = cipher_new(key, wrapped.data, context, false);
    int len = 0, rest = 0;
    return cipher != NULL && EVP_CipherUpdate(cipher, ret_plain, &len, text, (int)plain_len) == 1 &&
           EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, tag) == 1 &&
           EVP_CipherFinal_ex(cipher, ret_plain + len, &rest) == 1 &&
           (size_t)(len + rest) == plain_len;
}

int secret_unwrap(const struct master_key *key, struct span context, struct span wrapped,
                  struct buf *ret_secret, struct fault *fault)
{
    uint8_t plain[PLAIN_MAX];
    bool opened = wrapped.len > OVERHEAD && wrapped.len <= OVERHEAD + PLAIN_MAX &&
                  wrapped.data[0] == WRAP_VERSION && open_wrapped(key, context, wrapped, plain);
    if (opened)
        buf_append(ret_secret, plain, wrapped.len - OVERHEAD);
    OPENSSL_cleanse(plain, sizeof plain);
    ERR_clear_error();
    if (!opened)
        return fault_set(fault, FAULT_KEY_INVALID,
                         "secret: does not open under this master key and context");
    return buf_failed(ret_secret) ? fault_set(fault, FAULT_INTERNAL, "secret: no room") : 0;
}
