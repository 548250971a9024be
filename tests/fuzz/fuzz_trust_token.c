/* SPDX-License-Identifier: Apache-2.0 */
/* Token text as a stranger sends it. What parses is one canonical text, and no key proves it
 * by either backend, since none of the keys here ever signed anything. */
#include "base/encode.h"
#include "trust/backend.h"
#include "trust/token.h"
#include "trust/verify.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool truth)
{
    if (!truth)
        abort();
}

/* The parts encode back to the very text. */
static void check_canonical(const struct token *token)
{
    AUTO_BUF struct buf again = BUF(TOKEN_MAX);
    const uint8_t *dot = memchr(token->text.data, '.', token->text.len);
    buf_append(&again, token->text.data, (size_t)(dot - token->text.data) + 1);
    base64url_encode(&again, token->payload.data, token->payload.len);
    buf_puts(&again, ".");
    base64url_encode(&again, token->signature.data, token->signature.len);
    require(span_equal(buf_span(&again), token->text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_TOKEN struct token *token = NULL;
    struct fault fault = {0};
    if (token_parse(span_of(data, size), &token, &fault) != 0) {
        require(token == NULL && fault.code != FAULT_NONE && fault.detail[0] != '\0');
        return 0;
    }
    check_canonical(token);
    require(token->kid[0] == '\0' || token_kid_valid(token->kid));
    const struct trust_key *key = stand_in_key(token->alg, token->signature.len);
    const struct verify_policy libjwt = {VERIFY_LIBJWT, VERIFY_LIBJWT};
    const struct verify_policy evp = {VERIFY_EVP, VERIFY_EVP};
    int by_evp = token_verify(token, key, evp, &fault);
    require(token_verify(token, key, libjwt, &fault) == by_evp);
    require(token_verify(token, NULL, evp, &fault) == -1 && fault.code == FAULT_SIGNATURE_INVALID);
    return 0;
}
