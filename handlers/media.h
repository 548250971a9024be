/* SPDX-License-Identifier: Apache-2.0 */
/* Small readings of a request that several handlers share. */
#pragma once

#include "base/digest.h"
#include "base/json.h"
#include "server/request.h"

#define PAGE_LIMIT_DEFAULT 50
#define PAGE_LIMIT_MAX 500

/* True if Content-Type names exactly this type; parameters are ignored. */
bool media_type_is(const struct request *request, const char *type);
/* True if Accept names this type anywhere. */
bool media_accepts(const struct request *request, const char *type);

/* True if If-None-Match names this entity tag, or any (RFC 9110 section 13.1.2, weak comparison).
 */
bool media_has_etag(const struct request *request, const char *etag);

/* The body as a strict JSON object; 415 for another Content-Type. */
int body_object(const struct request *request, json_t **ret_object, struct fault *fault) MUST_CHECK;

/* {id}: a UUID; FAULT_NOT_FOUND otherwise, for there can be no such thing. */
int path_uuid(const struct request *request, struct uuid *ret_id, struct fault *fault) MUST_CHECK;
/* {sha256}: 64 hex digits, with or without `sha256:`; FAULT_MALFORMED_REQUEST otherwise. */
int path_digest(const struct request *request, struct digest *ret_digest,
                struct fault *fault) MUST_CHECK;

/* A query parameter as an integer in [min, max], without sign or leading zeros; `fallback` where it
 * is absent. */
int query_int(const struct request *request, const char *name, int64_t min, int64_t max,
              int64_t fallback, int64_t *ret_value, struct fault *fault) MUST_CHECK;
/* The same of a header. */
int header_int(const struct request *request, const char *name, int64_t min, int64_t max,
               int64_t fallback, int64_t *ret_value, struct fault *fault) MUST_CHECK;
/* RFC 3339, INT64_MIN where it is absent. */
int query_time(const struct request *request, const char *name, int64_t *ret_ms,
               struct fault *fault) MUST_CHECK;

/* The Link header of RFC 8288 to the next page: this request's query with another `after`. */
void reply_link_next(struct request *request, const char *after);

/* 200 {"items": items, "next": next or null} and the Link header of RFC 8288; takes items over. */
enum answer reply_page(struct request *request, json_t *items, const char *next);
