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
#include "trust/token.h"

#include <openssl/crypto.h>
#include <string.h>

#define PEM_MAX 16384
#define SECRET_MAX 1024

/* A key as the body gives it; exactly one of pem, jwk and secret is there. */
struct offer {
    const char *kid, *alg_name, *pem, *secret, *not_before, *not_after;
    json_t *jwk;
    enum jws_alg alg;
    int64_t not_before_ms, not_after_ms;
};

static int read_time(const char *name, const char *text, int64_t *ret_ms, struct fault *fault)
{
    *ret_ms = INT64_MIN;
    if (text != NULL && time_parse(text, strlen(text), ret_ms) != 0)
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "%s: expected an RFC 3339 date-time",
                         name);
    return 0;
}

static int read_offer(const json_t *body, struct offer *ret_offer, struct fault *fault)
{
    struct offer offer = {0};
    const struct json_field fields[] = {
        {"kid", JSON_KIND_STRING, true, 1, TOKEN_KID_MAX, &offer.kid},
        {"alg", JSON_KIND_STRING, true, 1, 16, &offer.alg_name},
        {"public_pem", JSON_KIND_STRING, false, 1, PEM_MAX, &offer.pem},
        {"jwk", JSON_KIND_OBJECT, false, 0, 0, &offer.jwk},
        {"secret", JSON_KIND_STRING, false, 1, 2 * SECRET_MAX, &offer.secret},
        {"not_before", JSON_KIND_STRING, false, 1, 64, &offer.not_before},
        {"not_after", JSON_KIND_STRING, false, 1, 64, &offer.not_after},
    };
    if (json_read(body, "", fields, ARRAY_LEN(fields), true, FAULT_MALFORMED_REQUEST, fault) != 0 ||
        read_time("not_before", offer.not_before, &offer.not_before_ms, fault) != 0 ||
        read_time("not_after", offer.not_after, &offer.not_after_ms, fault) != 0)
        return -1;
    if (offer.not_before_ms != INT64_MIN && offer.not_after_ms != INT64_MIN &&
        offer.not_before_ms >= offer.not_after_ms)
        return fault_set(fault, FAULT_KEY_INVALID, "not_after: expected a time after not_before");
    if (!token_kid_valid(offer.kid))
        return fault_set(fault, FAULT_KEY_INVALID,
                         "kid: expected 1 to %d printable ASCII characters", TOKEN_KID_MAX);
    if (jws_alg_parse(offer.alg_name, &offer.alg) != 0)
        return fault_set(fault, FAULT_KEY_INVALID, "alg: not an algorithm served here");
    if ((offer.pem != NULL) + (offer.jwk != NULL) + (offer.secret != NULL) != 1)
        return fault_set(fault, FAULT_MALFORMED_REQUEST,
                         "expected exactly one of public_pem, jwk and secret");
    if (jws_alg_is_hmac(offer.alg) != (offer.secret != NULL))
        return fault_set(fault, FAULT_KEY_INVALID,
                         "alg: HS* takes a secret, the others a public key");
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

enum answer handle_key_add(struct request *request)
{
    struct fault fault;
    struct offer offer;
    AUTO_JSON json_t *body = NULL;
    AUTO_BUF struct buf pem = BUF(PEM_MAX);
    AUTO_BUF struct buf wrapped = BUF(2048);
    AUTO_EVENT struct event *event = NULL;
    if (request_check_query(request, NULL, NULL, &fault) != 0 ||
        body_object(request, &body, &fault) != 0 || read_offer(body, &offer, &fault) != 0 ||
        (offer.secret != NULL ? wrap_secret(request, &offer, &wrapped, &fault)
                              : check_public(&offer, &pem, &fault)) != 0)
        return reply_fault(request, &fault);
    struct key_record record = {.kid = offer.kid,
                                .alg = offer.alg,
                                .public_pem = buf_text(&pem),
                                .wrapped_secret = buf_span(&wrapped),
                                .not_before_ms = offer.not_before_ms,
                                .not_after_ms = offer.not_after_ms,
                                .created_by = caller_of(request)->principal,
                                .created_by_key = caller_of(request)->api_key_id,
                                .created_ms = clock_wall_ms(),
                                .revoked_ms = INT64_MIN};
    if (build_added(request, &record, &event, &fault) != 0 ||
        keys_add(pg_of(request), caller_of(request)->tenant_id, &record, event, &fault) != 0)
        return reply_fault(request, &fault);
    return reply_json(request, 201, key_json(&record));
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
