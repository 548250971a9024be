/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the readers of attached documents share: bounds, and members that strangers wrote. A member
 * that is null counts as absent. All faults are FAULT_ARTIFACT_INVALID and name the member.
 */
#pragma once

#include "base/json.h"

#define DOCUMENT_MAX (4u * 1024 * 1024)
#define DOCUMENT_TEXT_MAX 256 /* bytes of a text in a summary; a longer one is cut */
#define DOCUMENT_SUMMARY_MAX 8192
#define DOCUMENT_PREFIX_MAX 256

/* A parsed tree takes up to 80 times its text ("{},{},..."); these two keep that of any document
 * below 100 MiB, and are far from what scanners write (a container to each 32 bytes of the largest
 * document, a comma to each 8). Callers parse one document at a time. */
#define DOCUMENT_CONTAINERS_MAX (128u * 1024)
#define DOCUMENT_COMMAS_MAX (512u * 1024)

/* json_object_parse() within these bounds. The caller owns the result. */
int document_parse(struct span bytes, const char *what, json_t **ret_object,
                   struct fault *fault) MUST_CHECK;

/* The member of this kind, borrowed; NULL where it is absent and not required. */
int document_member(const json_t *object, const char *prefix, const char *name, enum json_kind kind,
                    bool required, json_t **ret_value, struct fault *fault) MUST_CHECK;

/* A string member, cut to DOCUMENT_TEXT_MAX bytes into ret_text (of one byte more); "" where it is
 * absent. Required: at least one byte. */
int document_text(const json_t *object, const char *prefix, const char *name, bool required,
                  char *ret_text, struct fault *fault) MUST_CHECK;

/* An RFC 3339 date-time; INT64_MIN where it is absent or "", and not required. */
int document_time(const json_t *object, const char *prefix, const char *name, bool required,
                  int64_t *ret_ms, struct fault *fault) MUST_CHECK;

/* For summaries: null for "", for INT64_MIN. */
json_t *document_text_json(const char *text);
json_t *document_time_json(int64_t ms);
