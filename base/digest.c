/* SPDX-License-Identifier: Apache-2.0 */
/* OpenSSL 3's one-shot SHA256() looks its algorithm up at every call, which costs four times the
 * hash of a Merkle node; the calls it deprecates do not. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "base/digest.h"

#include "base/encode.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <string.h>

struct digest_stream {
    EVP_MD_CTX *context;
};

struct digest digest_of(const void *data, size_t len)
{
    struct digest digest;
    SHA256_CTX context;
    (void)SHA256_Init(&context); /* these can't fail */
    if (len > 0)
        (void)SHA256_Update(&context, data, len);
    (void)SHA256_Final(digest.bytes, &context);
    return digest;
}

struct digest digest_of_span(struct span span)
{
    return digest_of(span.data, span.len);
}

bool digest_equal(const struct digest *a, const struct digest *b)
{
    return CRYPTO_memcmp(a->bytes, b->bytes, DIGEST_LEN) == 0;
}

struct digest_text digest_format(const struct digest *digest)
{
    struct digest_text text = {"sha256:"};
    hex_encode(digest->bytes, DIGEST_LEN, text.text + 7);
    return text;
}

struct digest_text digest_hex(const struct digest *digest)
{
    struct digest_text text;
    hex_encode(digest->bytes, DIGEST_LEN, text.text);
    return text;
}

int digest_parse(const char *text, size_t len, struct digest *ret_digest)
{
    if (len != DIGEST_TEXT_LEN || memcmp(text, "sha256:", 7) != 0)
        return -1;
    return hex_decode(text + 7, len - 7, ret_digest->bytes, DIGEST_LEN);
}

int digest_parse_any(const char *text, size_t len, struct digest *ret_digest)
{
    if (len == HEX_LEN(DIGEST_LEN))
        return hex_decode(text, len, ret_digest->bytes, DIGEST_LEN);
    return digest_parse(text, len, ret_digest);
}

struct digest_stream *digest_stream_new(void)
{
    AUTO_DIGEST_STREAM struct digest_stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL)
        return NULL;
    stream->context = EVP_MD_CTX_new();
    if (stream->context == NULL || EVP_DigestInit_ex(stream->context, EVP_sha256(), NULL) != 1)
        return NULL;
    return TAKE(stream);
}

void digest_stream_update(struct digest_stream *stream, const void *data, size_t len)
{
    if (EVP_DigestUpdate(stream->context, data, len) != 1)
        abort(); /* SHA-256 over memory cannot fail; a wrong digest must not go on */
}

struct digest digest_stream_value(const struct digest_stream *stream)
{
    struct digest digest;
    EVP_MD_CTX *copy = EVP_MD_CTX_new();
    if (copy == NULL || EVP_MD_CTX_copy_ex(copy, stream->context) != 1 ||
        EVP_DigestFinal_ex(copy, digest.bytes, NULL) != 1)
        abort();
    EVP_MD_CTX_free(copy);
    return digest;
}

void digest_stream_free(struct digest_stream *stream)
{
    if (stream == NULL)
        return;
    EVP_MD_CTX_free(stream->context);
    free(stream);
}

void digest_stream_cleanup(struct digest_stream **stream)
{
    digest_stream_free(*stream);
}
