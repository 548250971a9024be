/* SPDX-License-Identifier: Apache-2.0 */
/* jws verify: a token from stdin, its payload to stdout if the signature holds. */
#include "cli/commands.h"
#include "cli/keyfile.h"
#include "cli/outcome.h"

#include <string.h>

int jws_verify(struct client *client, const struct args *args, struct fault *fault)
{
    const char *pem = args_value(args, "key"), *jwk = args_value(args, "jwk");
    AUTO_BUF struct buf text = BUF(TOKEN_MAX + 1);
    AUTO_TOKEN struct token *token = NULL;
    struct fault cause = {0};
    if ((pem == NULL) == (jwk == NULL))
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "expected one of --key and --jwk");
    if (client_read("-", &text, fault) != 0)
        return -1;
    if (text.len > 0 && text.data[text.len - 1] == '\n')
        text.len--;
    /* What is no token is not valid either: the same exit code, with the reason. */
    if (token_parse(buf_span(&text), &token, &cause) != 0)
        return fault_set(fault, FAULT_SIGNATURE_INVALID, "%s", cause.detail);
    if (keyfile_verify(pem != NULL ? pem : jwk, jwk != NULL, args_value(args, "alg"), token,
                       &cause) != 0)
        return fault_set(fault, cause.code, "%s",
                         cause.code == FAULT_SIGNATURE_INVALID ? "the signature is not valid"
                                                               : cause.detail);
    return output_bytes(&client->output, token->payload, fault);
}
