/* SPDX-License-Identifier: Apache-2.0 */
/* The first byte picks the algorithm, the rest is PEM text; with its top bit set the rest is DER
 * that gets its boundaries here. */
#include "base/encode.h"
#include "trust/key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    enum jws_alg alg = (enum jws_alg)((data[0] & 0x3f) % JWS_ALG_COUNT);
    const char *label = (data[0] & 0x40) != 0 ? "CERTIFICATE" : "PUBLIC KEY";
    AUTO_BUF struct buf pem = BUF(1 << 20);
    if ((data[0] & 0x80) != 0) {
        buf_printf(&pem, "-----BEGIN %s-----\n", label);
        base64_encode(&pem, data + 1, size - 1);
        buf_printf(&pem, "\n-----END %s-----\n", label);
    } else
        buf_append(&pem, data + 1, size - 1);
    AUTO_TRUST_KEY struct trust_key *key = NULL;
    struct fault fault = {0};
    if (trust_key_from_pem(alg, buf_span(&pem), &key, &fault) == 0) {
        if (trust_key_alg(key) != alg || jws_alg_is_hmac(alg))
            abort();
    } else if (key != NULL || fault.code != FAULT_KEY_INVALID)
        abort();
    return 0;
}
