/* SPDX-License-Identifier: Apache-2.0 */
/* sign: a manifest from the command line, its inputs pushed, the token to stdout. */
#include "base/clock.h"
#include "base/uuid.h"
#include "cli/commands.h"
#include "cli/keyfile.h"
#include "cli/order.h"
#include "cli/upload.h"
#include "trust/manifest.h"

#include <string.h>

/* Tenant and operator as the command line says, else as the server knows the caller. */
static int find_author(struct client *client, const struct args *args, json_t **whoami,
                       struct order *order, struct fault *fault)
{
    order->tenant_id = client->tenant;
    order->operator_id = args_value(args, "operator");
    if (order->tenant_id != NULL && order->operator_id != NULL)
        return 0;
    if (args_flag(args, "offline"))
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "--offline needs --tenant and --operator");
    if (!client_has_key(client))
        return fault_set(
            fault, FAULT_MALFORMED_REQUEST,
            "--tenant and --operator are needed where there is no API key to ask with");
    if (client_json(client, "/v1/whoami", NULL, whoami, fault) != 0)
        return -1;
    if (order->tenant_id == NULL &&
        client_member(*whoami, "tenant_id", &order->tenant_id, fault) != 0)
        return -1;
    return order->operator_id == NULL
               ? client_member(*whoami, "principal", &order->operator_id, fault)
               : 0;
}

/* Each --input's file, pushed (unless offline) and named by its digest. */
static int take_inputs(struct client *client, const struct args *args, json_t *inputs,
                       struct fault *fault)
{
    bool offline = args_flag(args, "offline");
    size_t count = args_count(args, "input");
    if (count > 0 && !offline && !client_has_key(client))
        return fault_set(fault, FAULT_NOT_AUTHENTICATED,
                         "--input pushes the file: an API key is needed, or --offline");
    for (size_t i = 0; i < count; i++) {
        AUTO_FREE char *name = NULL;
        const char *file;
        struct digest digest;
        if (args_pair("input", args_nth(args, "input", i), &name, &file, fault) != 0 ||
            (offline ? upload_digest(file, &digest, fault)
                     : upload_input(client, file, &digest, NULL, fault)) != 0)
            return -1;
        if (json_array_append_new(inputs, json_pack("{s:s, s:s}", "name", name, "sha256",
                                                    digest_format(&digest).text)) != 0)
            return fault_set(fault, FAULT_MANIFEST_INVALID, "--input: expected UTF-8 text");
    }
    return 0;
}

static int read_signer(const struct args *args, struct sign_key **ret_key, struct fault *fault)
{
    const char *pem = args_value(args, "key"), *secret = args_value(args, "secret-file");
    const char *alg = args_value(args, "alg");
    if ((pem == NULL) == (secret == NULL))
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "expected one of --key and --secret-file");
    return pem != NULL ? keyfile_signer(pem, alg, ret_key, fault)
                       : keyfile_secret_signer(secret, alg, ret_key, fault);
}

static int read_stdin_file(const struct args *args, struct buf *text, struct fault *fault)
{
    const char *path = args_value(args, "stdin-file");
    if (path == NULL)
        return 0;
    if (client_read(path, text, fault) != 0)
        return -1;
    if (text->len > 0 && memchr(text->data, '\0', text->len) != NULL)
        return fault_set(fault, FAULT_MANIFEST_INVALID,
                         "--stdin-file: a NUL byte; give such a file as an input");
    return 0;
}

int sign_run(struct client *client, const struct args *args, struct fault *fault)
{
    AUTO_SIGN_KEY struct sign_key *key = NULL;
    AUTO_JSON json_t *whoami = NULL, *inputs = json_array();
    AUTO_BUF struct buf stdin_text = BUF(MANIFEST_STDIN_MAX);
    AUTO_BUF struct buf payload = BUF(TOKEN_MAX), token = BUF(TOKEN_MAX);
    struct uuid id = uuid_v7();
    struct uuid_text id_text = uuid_format(&id);
    struct order order = {.inputs = inputs, .now_ms = clock_wall_ms(), .id = id_text.text};
    if (read_signer(args, &key, fault) != 0 || read_stdin_file(args, &stdin_text, fault) != 0 ||
        find_author(client, args, &whoami, &order, fault) != 0 ||
        take_inputs(client, args, inputs, fault) != 0)
        return -1;
    if (args_value(args, "stdin-file") != NULL)
        order.stdin_text = buf_text(&stdin_text);
    if (order_write(args, &order, &payload, fault) != 0 ||
        token_sign(key, args_value(args, "kid"), TOKEN_TYP_MANIFEST, buf_span(&payload), &token,
                   fault) != 0)
        return -1;
    output_note("a manifest is kept for ever: it must hold no secret");
    if (output_bytes(&client->output, buf_span(&token), fault) != 0)
        return -1;
    return output_bytes(&client->output, span_text("\n"), fault);
}
