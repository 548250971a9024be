/* SPDX-License-Identifier: Apache-2.0 */
/* PEM (RFC 7468) to a verification key: one object, nothing before it, nothing after it. */
#include "trust/key_parts.h"

#include "base/encode.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <string.h>

struct pem_kind {
    const char *begin;
    const char *end;
    EVP_PKEY *(*read)(struct span der);
};

static EVP_PKEY *read_spki(struct span der)
{
    const unsigned char *at = der.data;
    AUTO_PKEY EVP_PKEY *pkey = d2i_PUBKEY(NULL, &at, (long)der.len);
    return at == der.data + der.len ? TAKE(pkey) : NULL;
}

/* Only the key is taken: whether and how long it is trusted is the key record's word, not the
 * certificate's. */
static EVP_PKEY *read_certificate(struct span der)
{
    const unsigned char *at = der.data;
    X509 *certificate = d2i_X509(NULL, &at, (long)der.len);
    EVP_PKEY *pkey = NULL;
    if (certificate != NULL && at == der.data + der.len)
        pkey = X509_get_pubkey(certificate);
    X509_free(certificate);
    return pkey;
}

static const struct pem_kind kinds[] = {
    {"-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----", read_spki},
    {"-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----", read_certificate},
};

/* The next line without its end; false after the last. */
static bool next_line(struct span *rest, struct span *ret_line)
{
    if (rest->len == 0)
        return false;
    const uint8_t *newline = memchr(rest->data, '\n', rest->len);
    size_t len = newline == NULL ? rest->len : (size_t)(newline - rest->data);
    size_t step = newline == NULL ? len : len + 1;
    *ret_line = span_of(rest->data, len > 0 && rest->data[len - 1] == '\r' ? len - 1 : len);
    *rest = span_of(rest->data + step, rest->len - step);
    return true;
}

static bool line_is(struct span line, const char *text)
{
    return span_equal(line, span_text(text));
}

static const struct pem_kind *kind_of(struct span line)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (line_is(line, kinds[i].begin))
            return &kinds[i];
    return NULL;
}

/* The decoded bytes between the two boundaries. */
static int unarmour(struct span pem, const struct pem_kind **ret_kind, struct buf *der,
                    struct fault *fault)
{
    struct span rest = pem, line;
    const struct pem_kind *kind = next_line(&rest, &line) ? kind_of(line) : NULL;
    if (kind == NULL)
        return fault_set(fault, FAULT_KEY_INVALID,
                         "key: expected PEM that begins with a PUBLIC KEY or CERTIFICATE line");
    AUTO_BUF struct buf text = BUF(KEY_TEXT_MAX);
    bool ended = false;
    while (!ended && next_line(&rest, &line)) {
        ended = line_is(line, kind->end);
        if (!ended)
            buf_append(&text, line.data, line.len);
    }
    if (!ended)
        return fault_set(fault, FAULT_KEY_INVALID, "key: PEM without its END line");
    while (next_line(&rest, &line))
        if (line.len != 0)
            return fault_set(fault, FAULT_KEY_INVALID,
                             "key: expected one PEM object and nothing after it");
    if (text.len == 0 || base64_decode(der, (const char *)text.data, text.len) != 0)
        return fault_set(fault, FAULT_KEY_INVALID, "key: PEM with text that is not base64");
    *ret_kind = kind;
    return 0;
}

static int read_pem(struct span pem, EVP_PKEY **ret_pkey, struct fault *fault)
{
    if (pem.len > KEY_TEXT_MAX)
        return fault_set(fault, FAULT_KEY_INVALID, "key: PEM longer than %d bytes", KEY_TEXT_MAX);
    if (pem.len > 0 && memmem(pem.data, pem.len, "PRIVATE KEY", 11) != NULL)
        return fault_set(fault, FAULT_KEY_INVALID, "key: is private, expected a public key");
    AUTO_BUF struct buf der = BUF(KEY_TEXT_MAX);
    const struct pem_kind *kind = NULL;
    if (unarmour(pem, &kind, &der, fault) != 0)
        return -1;
    EVP_PKEY *pkey = kind->read(buf_span(&der));
    ERR_clear_error();
    if (pkey == NULL)
        return fault_set(fault, FAULT_KEY_INVALID,
                         "key: the PEM does not hold one public key of a known type");
    *ret_pkey = pkey;
    return 0;
}

int trust_key_from_pem(enum jws_alg alg, struct span pem, struct trust_key **ret_key,
                       struct fault *fault)
{
    AUTO_PKEY EVP_PKEY *pkey = NULL;
    if (read_pem(pem, &pkey, fault) != 0)
        return -1;
    return trust_key_from_pkey(alg, &pkey, ret_key, fault);
}

int trust_key_reopen(enum jws_alg alg, struct span pem, struct trust_key **ret_key,
                     struct fault *fault)
{
    AUTO_PKEY EVP_PKEY *pkey = NULL;
    if (read_pem(pem, &pkey, fault) != 0 || public_key_recheck(alg, pkey, fault) != 0)
        return -1;
    return trust_key_around(alg, &pkey, ret_key, fault);
}
