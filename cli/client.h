/* SPDX-License-Identifier: Apache-2.0 */
/* What a command runs with: where the server is, who calls, where output goes. */
#pragma once

#include "base/json.h"
#include "cli/args.h"
#include "cli/http.h"
#include "cli/output.h"

#define CLIENT_URL_DEFAULT "http://127.0.0.1:8080"
#define CLIENT_PAGE_MAX 500
#define CLIENT_LIST_MAX 100000

struct client {
    const char *url;     /* NULL: neither option nor environment names one */
    const char *tenant;  /* NULL: the key's own */
    const char *ca_file; /* NULL: the system's */
    struct buf api_key;  /* a secret; empty where there is none */
    struct output output;
    struct http *http; /* opened by the first call */
    int exit_code;     /* of a command that did what it was asked to; enum outcome */
};

/* Takes SALLYPORT_URL, SALLYPORT_API_KEY, SALLYPORT_CA_FILE, then the options that every
 * command has. */
int client_open(const struct args *args, struct client *ret_client, struct fault *fault) MUST_CHECK;
void client_close(struct client *client);

bool client_has_key(const struct client *client);

/* http_call(), for a caller: FAULT_NOT_AUTHENTICATED, without a word sent, if there is no API
 * key. */
int client_call(struct client *client, const struct http_request *request,
                struct http_answer *ret_answer, struct fault *fault) MUST_CHECK;

/* JSON objects to and from a path. `body` NULL sends GET, else POST. */
int client_json(struct client *client, const char *path, const json_t *body, json_t **ret_object,
                struct fault *fault) MUST_CHECK;

/* An answer's body as an object. FAULT_INTERNAL if it is not one. */
int client_parse(const struct http_answer *answer, json_t **ret_object,
                 struct fault *fault) MUST_CHECK;

/* Prints the items below `path` (with its filters), page by page from --after on, until --limit
 * (default: `limit`) of them are there. `limit` 0: a list that has no pages. */
int client_list(struct client *client, const struct args *args, const struct buf *path,
                int64_t limit, const struct column *columns, size_t column_count,
                struct fault *fault) MUST_CHECK;

/* A member of an answer that must be a string; FAULT_INTERNAL naming it otherwise. Borrowed. */
int client_member(const json_t *object, const char *name, const char **ret_text,
                  struct fault *fault) MUST_CHECK;

/* A file that the command line names, "-" for stdin. FAULT_MALFORMED_REQUEST if it is not there. */
int client_read(const char *path, struct buf *buf, struct fault *fault) MUST_CHECK;

/* The same for a secret: only its owner may be able to read the file. */
int client_read_secret(const char *path, struct buf *buf, struct fault *fault) MUST_CHECK;

/* A digest that the command line names. */
int client_digest(const char *text, struct digest *ret_digest, struct fault *fault) MUST_CHECK;
