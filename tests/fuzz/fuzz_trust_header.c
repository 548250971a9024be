/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes are a header's JSON: past the base64 that a fuzzer has a hard time with. */
#include "base/encode.h"
#include "base/json.h"
#include "trust/token.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool truth)
{
    if (!truth)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_BUF struct buf text = BUF(2 * TOKEN_MAX);
    base64url_encode(&text, data, size);
    buf_puts(&text, ".e30.AA");
    AUTO_TOKEN struct token *token = NULL;
    struct fault fault = {0};
    if (buf_failed(&text) || token_parse(buf_span(&text), &token, &fault) != 0)
        return 0;
    /* What a lenient reader would see is what the parser saw. */
    AUTO_JSON json_t *header = json_loadb((const char *)data, size, 0, NULL);
    require(size <= 4096 && json_is_object(header));
    require(strcmp(json_string_value(json_object_get(header, "alg")), jws_alg_name(token->alg)) ==
            0);
    const char *kid = json_string_value(json_object_get(header, "kid"));
    require(strcmp(kid == NULL ? "" : kid, token->kid) == 0);
    require(json_object_get(header, "crit") == NULL && json_object_get(header, "b64") == NULL &&
            json_object_get(header, "jwk") == NULL);
    return 0;
}
