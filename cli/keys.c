/* SPDX-License-Identifier: Apache-2.0 */
/* Keys: made here, added to and listed from what a tenant trusts. */
#include "base/clock.h"
#include "base/file.h"
#include "base/uuid.h"
#include "cli/commands.h"
#include "cli/keyfile.h"
#include "cli/query.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define PEM_MAX ((size_t)32 * 1024)

static const struct column key_columns[] = {
    {"KID", "kid", COLUMN_TEXT},
    {"ALG", "alg", COLUMN_TEXT},
    {"NOT BEFORE", "not_before", COLUMN_TEXT},
    {"NOT AFTER", "not_after", COLUMN_TEXT},
    {"BY", "created_by", COLUMN_TEXT},
    {"AT", "created_at", COLUMN_TEXT},
    {"REVOKED", "revoked_at", COLUMN_TEXT},
};

/* A new file: what is there is never overwritten, for it might be the only copy of a key. */
static int check_absent(const char *path, struct fault *fault)
{
    struct stat stat;
    if (lstat(path, &stat) == 0)
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "%s is there already", path);
    return errno == ENOENT ? 0 : fault_errno(fault, "cannot look at %s", path);
}

static int write_secret(const char *path, enum jws_alg alg, struct fault *fault)
{
    uint8_t secret[64];
    size_t len = jws_alg_spec(alg)->hash_len;
    random_bytes(secret, len);
    int result = file_replace(path, secret, len, 0600, fault);
    explicit_bzero(secret, sizeof secret);
    return result;
}

static int write_pair(const char *path, const char *public_path, enum jws_alg alg,
                      struct fault *fault)
{
    AUTO_SIGN_KEY struct sign_key *key = NULL;
    AUTO_BUF struct buf public_pem = BUF(PEM_MAX);
    struct buf private_pem = BUF(PEM_MAX);
    if (sign_key_generate(alg, &key, fault) != 0 ||
        sign_key_public_pem(key, &public_pem, fault) != 0)
        return -1;
    int result = sign_key_private_pem(key, &private_pem, fault);
    if (result == 0)
        result = file_replace(path, private_pem.data, private_pem.len, 0600, fault);
    if (private_pem.data != NULL)
        explicit_bzero(private_pem.data, private_pem.cap);
    buf_free(&private_pem);
    if (result != 0)
        return -1;
    return file_replace(public_path, public_pem.data, public_pem.len, 0644, fault);
}

int key_gen(struct client *client, const struct args *args, struct fault *fault)
{
    const char *alg_name, *path;
    enum jws_alg alg;
    AUTO_FREE char *public_path = NULL;
    if (args_need(args, "alg", &alg_name, fault) != 0 ||
        args_need(args, "out", &path, fault) != 0 || keyfile_alg(alg_name, &alg, fault) != 0)
        return -1;
    if (asprintf(&public_path, "%s.pub", path) < 0) {
        public_path = NULL;
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    }
    bool secret = jws_alg_is_hmac(alg);
    if (check_absent(path, fault) != 0 || (!secret && check_absent(public_path, fault) != 0))
        return -1;
    if ((secret ? write_secret(path, alg, fault) : write_pair(path, public_path, alg, fault)) != 0)
        return -1;
    AUTO_JSON json_t *made = json_pack("{s:s, s:s, s:s?}", "alg", alg_name, "private", path,
                                       "public", secret ? NULL : public_path);
    if (made == NULL)
        return fault_set(fault, FAULT_INTERNAL, "%s: not a name that JSON can hold", path);
    return output_record(&client->output, NULL, 0, made, fault);
}

static int add_time(const struct args *args, const char *option, const char *member, json_t *offer,
                    struct fault *fault)
{
    int64_t when;
    const char *text = args_value(args, option);
    if (text == NULL)
        return 0;
    if (time_parse(text, strlen(text), &when) != 0 ||
        json_object_set_new(offer, member, json_string(text)) != 0)
        return fault_set(fault, FAULT_MALFORMED_REQUEST,
                         "--%s: expected a time of RFC 3339, 2026-01-02T03:04:05Z", option);
    return 0;
}

static int send_offer(struct client *client, const struct args *args, json_t *offer,
                      json_t **ret_answer, struct fault *fault)
{
    if (add_time(args, "not-before", "not_before", offer, fault) != 0 ||
        add_time(args, "not-after", "not_after", offer, fault) != 0)
        return -1;
    return client_json(client, "/v1/keys", offer, ret_answer, fault);
}

static int add_set(struct client *client, const struct args *args, const char *path,
                   struct fault *fault)
{
    AUTO_JSON json_t *offer = NULL, *answer = NULL;
    if (args->operand_count != 0 || args_value(args, "file") != NULL ||
        args_value(args, "kid") != NULL || args_value(args, "alg") != NULL)
        return fault_set(fault, FAULT_MALFORMED_REQUEST,
                         "--jwks: takes no other file, and no --kid or --alg: its keys say them");
    if (keyfile_offer_set(path, &offer, fault) != 0 ||
        send_offer(client, args, offer, &answer, fault) != 0)
        return -1;
    const json_t *items = json_object_get(answer, "items");
    if (!json_is_array(items))
        return fault_set(fault, FAULT_INTERNAL, "the server's answer: items: expected an array");
    return output_items(&client->output, key_columns, ARRAY_LEN(key_columns), items, NULL, fault);
}

int key_add(struct client *client, const struct args *args, struct fault *fault)
{
    const char *path = args_value(args, "file"), *set = args_value(args, "jwks");
    AUTO_JSON json_t *offer = NULL, *key = NULL;
    if (set != NULL)
        return add_set(client, args, set, fault);
    if ((path == NULL) == (args->operand_count == 0))
        return fault_set(fault, FAULT_MALFORMED_REQUEST,
                         "expected the key's file, once: FILE or --file FILE");
    path = path == NULL ? args->operands[0] : path;
    if (keyfile_offer(path, args_value(args, "kid"), args_value(args, "alg"), &offer, fault) != 0 ||
        send_offer(client, args, offer, &key, fault) != 0)
        return -1;
    return output_record(&client->output, NULL, 0, key, fault);
}

int key_list(struct client *client, const struct args *args, struct fault *fault)
{
    AUTO_BUF struct buf path = BUF(QUERY_PATH_MAX);
    buf_puts(&path, "/v1/keys");
    return client_list(client, args, &path, 0, key_columns, ARRAY_LEN(key_columns), fault);
}

int key_revoke(struct client *client, const struct args *args, struct fault *fault)
{
    AUTO_BUF struct buf path = BUF(QUERY_PATH_MAX);
    AUTO_HTTP_ANSWER struct http_answer answer = {0};
    buf_puts(&path, "/v1/keys/");
    query_escape(&path, args->operands[0]);
    buf_puts(&path, "/revocation");
    if (buf_failed(&path))
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "expected a kid");
    struct http_request request = {.method = "POST", .path = buf_text(&path)};
    if (client_call(client, &request, &answer, fault) != 0)
        return -1;
    output_note("revoked %s", args->operands[0]);
    return 0;
}
