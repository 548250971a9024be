/* SPDX-License-Identifier: Apache-2.0 */
/* /v1/keys: the keys manifests are verified with. */
#include "base/clock.h"
#include "base/encode.h"
#include "handlers/execution_json.h"
#include "handlers/gateway.h"
#include "handlers/handlers.h"
#include "handlers/media.h"
#include "handlers/request_event.h"
#include "storage/key_open.h"
#include "trust/jwks.h"
#include "trust/token.h"

#include <openssl/crypto.h>
#include <string.h>

#define PEM_MAX 16384
#define SECRET_MAX 1024

/* Keys as the body gives them: exactly one of jwks, pem, jwk and secret is there. */
struct offer {
    const char *kid, *alg_name, *pem, *secret, *not_before, *not_after;
    json_t *jwk, *jwks;
    enum jws_alg alg; /* not of a set */
    int64_t not_before_ms, not_after_ms;
};

/* The same judged, ready to be stored; what the records borrow is the body's or here. */
struct addition {
    size_t count;
    struct key_record records[JWK_SET_MAX];
    struct event *events[JWK_SET_MAX];
    struct buf pem, wrapped; /* of one key */
    struct jwk_set *set;     /* or of a set */
};

static void addition_cleanup(struct addition *addition)
{
    for (size_t i = 0; i < addition->count; i++)
        event_free(addition->events[i]);
    buf_free(&addition->pem);
    buf_free(&addition->wrapped);
    jwk_set_free(addition->set);
}

static int read_time(const char *name, const char *text, int64_t *ret_ms, struct fault *fault)
{
    *ret_ms = INT64_MIN;
    if (text != NULL && time_parse(text, strlen(text), ret_ms) != 0)
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "%s: expected an RFC 3339 date-time",
                         name);
    return 0;
}

static int read_times(struct offer *offer, struct fault *fault)
{
    if (read_time("not_before", offer->not_before, &offer->not_before_ms, fault) != 0 ||
        read_time("not_after", offer->not_after, &offer->not_after_ms, fault) != 0)
        return -1;
    if (offer->not_before_ms != INT64_MIN && offer->not_after_ms != INT64_MIN &&
        offer->not_before_ms >= offer->not_after_ms)
        return fault_set(fault, FAULT_KEY_INVALID, "not_after: expected a time after not_before");
    return 0;
}

/* A set's keys say themselves what one key's body says beside it. */
static int check_members(struct offer *offer, struct fault *fault)
{
    if ((offer->jwks != NULL) + (offer->pem != NULL) + (offer->jwk != NULL) +
            (offer->secret != NULL) !=
        1)
        return fault_set(fault, FAULT_MALFORMED_REQUEST,
                         "expected exactly one of public_pem, jwk, secret and jwks");
    if (offer->jwks != NULL && (offer->kid != NULL || offer->alg_name != NULL))
        return fault_set(fault, FAULT_MALFORMED_REQUEST,
                         "%s: not with jwks, each of whose keys has its own",
                         offer->kid != NULL ? "kid" : "alg");
    if (offer->jwks != NULL)
        return 0;
    if (offer->kid == NULL || offer->alg_name == NULL)
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "%s: required",
                         offer->kid == NULL ? "kid" : "alg");
    if (!token_kid_valid(offer->kid))
        return fault_set(fault, FAULT_KEY_INVALID,
                         "kid: expected 1 to %d printable ASCII characters", TOKEN_KID_MAX);
    if (jws_alg_parse(offer->alg_name, &offer->alg) != 0)
        return fault_set(fault, FAULT_KEY_INVALID, "alg: not an algorithm served here");
    if (jws_alg_is_hmac(offer->alg) != (offer->secret != NULL))
        return fault_set(fault, FAULT_KEY_INVALID,
                         "alg: HS* takes a secret, the others a public key");
    return 0;
}

static int read_offer(const json_t *body, struct offer *ret_offer, struct fault *fault)
{
    struct offer offer = {0};
    const struct json_field fields[] = {
        {"kid", JSON_KIND_STRING, false, 1, TOKEN_KID_MAX, &offer.kid},
        {"alg", JSON_KIND_STRING, false, 1, 16, &offer.alg_name},
        {"public_pem", JSON_KIND_STRING, false, 1, PEM_MAX, &offer.pem},
        {"jwk", JSON_KIND_OBJECT, false, 0, 0, &offer.jwk},
        {"secret", JSON_KIND_STRING, false, 1, 2 * SECRET_MAX, &offer.secret},
        {"jwks", JSON_KIND_OBJECT, false, 0, 0, &offer.jwks},
        {"not_before", JSON_KIND_STRING, false, 1, 64, &offer.not_before},
        {"not_after", JSON_KIND_STRING, false, 1, 64, &offer.not_after},
    };
    if (json_read(body, "", fields, ARRAY_LEN(fields), true, FAULT_MALFORMED_REQUEST, fault) != 0 ||
        read_times(&offer, fault) != 0 || check_members(&offer, fault) != 0)
        return -1;
    *ret_offer = offer;
    return 0;
}

/* Checks the secret as a key and encrypts it. */
static int wrap_secret(const struct request *request, const struct offer *offer,
                       struct buf *ret_wrapped, struct fault *fault)
{
    const struct gateway *gateway = gateway_of(request);
    AUTO_BUF struct buf secret = BUF(SECRET_MAX);
    AUTO_BUF struct buf context = BUF(512);
    AUTO_TRUST_KEY struct trust_key *key = NULL;
    if (gateway->config.master_key == NULL)
        return fault_set(fault, FAULT_KEY_INVALID,
                         "secret: this gateway has no master key, so it takes no HMAC keys");
    if (base64url_decode(&secret, offer->secret, strlen(offer->secret)) != 0)
        return fault_set(fault, FAULT_KEY_INVALID, "secret: expected base64url of at most %d bytes",
                         SECRET_MAX);
    key_wrap_context(caller_of(request)->tenant_id, offer->kid, &context);
    int status = trust_key_from_secret(offer->alg, buf_span(&secret), &key, fault);
    if (status == 0)
        status = secret_wrap(gateway->config.master_key, buf_span(&context), buf_span(&secret),
                             ret_wrapped, fault);
    OPENSSL_cleanse(secret.data, secret.cap);
    return status;
}

static int check_public(const struct offer *offer, struct buf *ret_pem, struct fault *fault)
{
    AUTO_TRUST_KEY struct trust_key *key = NULL;
    AUTO_BUF struct buf jwk = BUF(PEM_MAX);
    if (offer->pem != NULL) {
        buf_puts(ret_pem, offer->pem);
        return trust_key_from_pem(offer->alg, span_text(offer->pem), &key, fault);
    }
    json_append(&jwk, offer->jwk);
    if (buf_failed(&jwk))
        return fault_set(fault, FAULT_KEY_INVALID, "jwk: larger than %d bytes", PEM_MAX);
    return trust_key_from_jwk(offer->alg, buf_span(&jwk), &key, ret_pem, fault);
}

/* The next record, with what all of a body's keys have in common. */
static struct key_record *add_record(const struct request *request, const struct offer *offer,
                                     struct addition *addition)
{
    struct key_record *record = &addition->records[addition->count++];
    *record = (struct key_record){.public_pem = "",
                                  .not_before_ms = offer->not_before_ms,
                                  .not_after_ms = offer->not_after_ms,
                                  .created_by = caller_of(request)->principal,
                                  .created_by_key = caller_of(request)->api_key_id,
                                  .created_ms = clock_wall_ms(),
                                  .revoked_ms = INT64_MIN};
    return record;
}

static int judge_one(const struct request *request, const struct offer *offer,
                     struct addition *addition, struct fault *fault)
{
    if ((offer->secret != NULL ? wrap_secret(request, offer, &addition->wrapped, fault)
                               : check_public(offer, &addition->pem, fault)) != 0)
        return -1;
    struct key_record *record = add_record(request, offer, addition);
    record->kid = offer->kid;
    record->alg = offer->alg;
    record->public_pem = buf_text(&addition->pem);
    record->wrapped_secret = buf_span(&addition->wrapped);
    return 0;
}

static int judge_set(const struct request *request, const struct offer *offer,
                     struct addition *addition, struct fault *fault)
{
    if (jwk_set_read(offer->jwks, &addition->set, fault) != 0)
        return -1;
    for (size_t i = 0; i < addition->set->count; i++) {
        struct jwk_entry *entry = &addition->set->entries[i];
        struct key_record *record = add_record(request, offer, addition);
        record->kid = entry->kid;
        record->alg = entry->alg;
        record->public_pem = buf_text(&entry->pem);
    }
    return 0;
}

static json_t *key_json(const struct key_record *record)
{
    return json_pack("{s:s, s:s, s:o, s:o, s:s, s:o, s:o}", "kid", record->kid, "alg",
                     jws_alg_name(record->alg), "not_before", json_time(record->not_before_ms),
                     "not_after", json_time(record->not_after_ms), "created_by", record->created_by,
                     "created_at", json_time(record->created_ms), "revoked_at",
                     json_time(record->revoked_ms));
}

static int build_added(const struct request *request, const struct key_record *record,
                       struct event **ret_event, struct fault *fault)
{
    json_t *data =
        json_pack("{s:s, s:s, s:o, s:o, s:s, s:s?}", "kid", record->kid, "alg",
                  jws_alg_name(record->alg), "not_before", json_time(record->not_before_ms),
                  "not_after", json_time(record->not_after_ms), "principal", record->created_by,
                  "public_pem", record->public_pem[0] == '\0' ? NULL : record->public_pem);
    return request_event(request, EVENT_KEY_ADDED, record->kid, data, ret_event, fault);
}

static enum answer reply_added(struct request *request, const struct addition *addition)
{
    if (addition->set == NULL)
        return reply_json(request, 201, key_json(&addition->records[0]));
    AUTO_JSON json_t *items = json_array();
    for (size_t i = 0; i < addition->count; i++)
        if (json_array_append_new(items, key_json(&addition->records[i])) != 0)
            return reply_json(request, 201, NULL);
    return reply_json(request, 201, json_pack("{s:O}", "items", items));
}

enum answer handle_key_add(struct request *request)
{
    struct fault fault;
    struct offer offer;
    AUTO_JSON json_t *body = NULL;
    AUTO(addition_cleanup)
    struct addition addition = {.pem = BUF(PEM_MAX), .wrapped = BUF(2048)};
    if (request_check_query(request, NULL, NULL, &fault) != 0 ||
        body_object(request, &body, &fault) != 0 || read_offer(body, &offer, &fault) != 0)
        return reply_fault(request, &fault);
    if ((offer.jwks != NULL ? judge_set(request, &offer, &addition, &fault)
                            : judge_one(request, &offer, &addition, &fault)) != 0)
        return reply_fault(request, &fault);
    for (size_t i = 0; i < addition.count; i++)
        if (build_added(request, &addition.records[i], &addition.events[i], &fault) != 0)
            return reply_fault(request, &fault);
    if (keys_add(pg_of(request), caller_of(request)->tenant_id, addition.records,
                 (const struct event *const *)addition.events, addition.count, &fault) != 0)
        return reply_fault(request, &fault);
    return reply_added(request, &addition);
}

enum answer handle_key_revoke(struct request *request)
{
    const char *tenant = caller_of(request)->tenant_id;
    const char *kid = request_path_value(request, "kid");
    struct fault fault;
    AUTO_EVENT struct event *event = NULL;
    if (request_check_query(request, NULL, NULL, &fault) != 0)
        return reply_fault(request, &fault);
    if (kid == NULL || !token_kid_valid(kid)) {
        (void)fault_set(&fault, FAULT_NOT_FOUND, "no such key");
        return reply_fault(request, &fault);
    }
    json_t *data = json_pack("{s:s, s:s}", "kid", kid, "principal", caller_of(request)->principal);
    if (request_event(request, EVENT_KEY_REVOKED, kid, data, &event, &fault) != 0 ||
        keys_revoke(pg_of(request), tenant, kid, caller_of(request)->api_key_id, event, &fault) !=
            0)
        return reply_fault(request, &fault);
    return reply_empty(request, 204);
}

static int append_key(void *context, const struct key_record *record)
{
    return json_array_append_new(context, key_json(record));
}

enum answer handle_key_list(struct request *request)
{
    struct fault fault;
    AUTO_JSON json_t *items = json_array();
    if (request_check_query(request, NULL, NULL, &fault) != 0 ||
        keys_list(pg_of(request), caller_of(request)->tenant_id, append_key, items, &fault) != 0)
        return reply_fault(request, &fault);
    return reply_page(request, TAKE(items), NULL);
}
