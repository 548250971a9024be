/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/token.h"

#include "base/encode.h"
#include "base/json.h"

#include <string.h>

#define HEADER_MAX 4096    /* decoded */
#define SIGNATURE_MAX 1024 /* decoded: RSA with 8,192 bits */
#define BASE64URL_LEN(bytes) (((bytes)*4 + 2) / 3)

enum { PART_HEADER, PART_PAYLOAD, PART_SIGNATURE, PART_COUNT };
static const char *const part_names[PART_COUNT] = {"header", "payload", "signature"};

/* The public face first, so that one pointer serves for both. */
struct token_store {
    struct token token;
    struct buf payload;
    struct buf signature;
    char text[];
};

static int split(struct span text, struct span ret_parts[PART_COUNT], struct fault *fault)
{
    if (text.len == 0)
        return fault_set(fault, FAULT_MALFORMED_TOKEN, "token: is empty");
    const uint8_t *at = text.data;
    const uint8_t *end = at + text.len;
    for (int i = 0; i < PART_COUNT; i++) {
        const uint8_t *dot = at == end ? NULL : memchr(at, '.', (size_t)(end - at));
        bool last = i == PART_COUNT - 1;
        if ((dot == NULL) != last)
            return fault_set(fault, FAULT_MALFORMED_TOKEN,
                             "token: expected exactly three parts separated by dots");
        const uint8_t *stop = last ? end : dot;
        if (stop == at)
            return fault_set(fault, FAULT_MALFORMED_TOKEN, "%s: is empty", part_names[i]);
        ret_parts[i] = span_of(at, (size_t)(stop - at));
        at = last ? end : dot + 1;
    }
    return 0;
}

static int decode_part(int part, struct span text, size_t max, struct buf *ret_bytes,
                       struct fault *fault)
{
    if (text.len > BASE64URL_LEN(max))
        return fault_set(fault, FAULT_MALFORMED_TOKEN, "%s: longer than %zu bytes",
                         part_names[part], max);
    *ret_bytes = BUF(max);
    if (base64url_decode(ret_bytes, (const char *)text.data, text.len) != 0)
        return fault_set(fault, FAULT_MALFORMED_TOKEN, "%s: expected canonical base64url",
                         part_names[part]);
    return 0;
}

/* Members that change how a token is to be read or with what it is proven (RFC 7515 section 4.1,
 * RFC 7516, RFC 7797): we implement none of them, so their presence alone refuses the token. */
static int refuse_meaning(const json_t *header, struct fault *fault)
{
    static const char *const refused[] = {"crit", "b64", "zip", "enc", "jwk", "jku", "x5u", "x5c"};
    for (size_t i = 0; i < ARRAY_LEN(refused); i++)
        if (json_object_get(header, refused[i]) != NULL)
            return fault_set(fault, FAULT_MALFORMED_TOKEN, "header.%s: is not accepted",
                             refused[i]);
    return 0;
}

bool token_kid_valid(const char *kid)
{
    size_t len = strlen(kid);
    if (len < 1 || len > TOKEN_KID_MAX)
        return false;
    for (size_t i = 0; i < len; i++)
        if (kid[i] < '!' || kid[i] > '~')
            return false;
    return true;
}

static int read_header(struct span bytes, struct token *ret_token, struct fault *fault)
{
    AUTO_JSON json_t *header = NULL;
    if (json_object_parse(bytes, FAULT_MALFORMED_TOKEN, "header", &header, fault) != 0 ||
        refuse_meaning(header, fault) != 0)
        return -1;
    const char *alg = NULL, *kid = NULL, *typ = NULL;
    const struct json_field fields[] = {
        {.name = "alg", .kind = JSON_KIND_STRING, .required = true, .ret = &alg},
        {.name = "kid", .kind = JSON_KIND_STRING, .ret = &kid},
        {.name = "typ", .kind = JSON_KIND_STRING, .ret = &typ},
    };
    if (json_read(header, "header.", fields, ARRAY_LEN(fields), false, FAULT_MALFORMED_TOKEN,
                  fault) != 0)
        return -1;
    if (jws_alg_parse(alg, &ret_token->alg) != 0)
        return fault_set(fault, FAULT_MALFORMED_TOKEN,
                         "header.alg: expected one of HS256, HS384, HS512, RS256, PS256, ES256, "
                         "ES384, EdDSA");
    if (kid != NULL && !token_kid_valid(kid))
        return fault_set(fault, FAULT_MALFORMED_TOKEN,
                         "header.kid: expected 1 to %d printable ASCII characters, no space",
                         TOKEN_KID_MAX);
    ret_token->typ_manifest = typ != NULL && strcmp(typ, TOKEN_TYP_MANIFEST) == 0;
    if (typ != NULL && !ret_token->typ_manifest && strcmp(typ, "JWT") != 0)
        return fault_set(fault, FAULT_MALFORMED_TOKEN, "header.typ: expected JWT or %s",
                         TOKEN_TYP_MANIFEST);
    if (kid != NULL)
        memcpy(ret_token->kid, kid, strlen(kid) + 1);
    return 0;
}

int token_parse(struct span text, struct token **ret_token, struct fault *fault)
{
    if (text.len > TOKEN_MAX)
        return fault_set(fault, FAULT_TOO_LARGE, "token: longer than %d bytes", TOKEN_MAX);
    struct span parts[PART_COUNT];
    AUTO_BUF struct buf header = BUF(0);
    if (split(text, parts, fault) != 0 ||
        decode_part(PART_HEADER, parts[PART_HEADER], HEADER_MAX, &header, fault) != 0)
        return -1;

    struct token_store *store = calloc(1, sizeof *store + text.len + 1);
    if (store == NULL)
        return fault_errno(fault, "token");
    AUTO_TOKEN struct token *token = &store->token;
    if (read_header(buf_span(&header), token, fault) != 0 ||
        decode_part(PART_SIGNATURE, parts[PART_SIGNATURE], SIGNATURE_MAX, &store->signature,
                    fault) != 0 ||
        decode_part(PART_PAYLOAD, parts[PART_PAYLOAD], TOKEN_MAX, &store->payload, fault) != 0)
        return -1;
    memcpy(store->text, text.data, text.len);
    token->text = span_of(store->text, text.len);
    token->signing_input = span_of(store->text, text.len - parts[PART_SIGNATURE].len - 1);
    token->payload = buf_span(&store->payload);
    token->signature = buf_span(&store->signature);
    token->signing_digest = digest_of_span(token->signing_input);
    *ret_token = TAKE(token);
    return 0;
}

void token_free(struct token *token)
{
    if (token == NULL)
        return;
    struct token_store *store = (struct token_store *)token;
    buf_free(&store->payload);
    buf_free(&store->signature);
    free(store);
}

void token_cleanup(struct token **token)
{
    token_free(*token);
}
