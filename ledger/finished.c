/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/finished.h"

#include "base/clock.h"
#include "base/encode.h"
#include "base/json.h"
#include "base/text.h"

#include <string.h>

/* Values. Each returns an owned json_t, or NULL without memory or where text is not UTF-8. */

static json_t *text_value(const char *text)
{
    return text == NULL ? json_null() : json_string(text);
}

static json_t *digest_value(const struct digest *digest)
{
    return digest == NULL ? json_null() : json_string(digest_format(digest).text);
}

static json_t *time_value(int64_t ms)
{
    return ms == 0 ? json_null() : json_string(time_format(ms).text);
}

static json_t *shared_value(json_t *value)
{
    return value == NULL ? json_null() : json_incref(value);
}

static json_t *texts_value(const char *const *texts, size_t count)
{
    AUTO_JSON json_t *array = json_array();
    if (array == NULL)
        return NULL;
    for (size_t i = 0; i < count; i++)
        if (json_array_append_new(array, json_string(texts[i])) != 0)
            return NULL;
    return TAKE(array);
}

/* Sets a member; false without a value. */
static bool put(json_t *object, const char *name, json_t *value)
{
    return json_object_set_new(object, name, value) == 0;
}

/* The name of a stream's member: "stdout" and "_sha256". */
static bool put_of(json_t *object, const char *stream, const char *suffix, json_t *value)
{
    char name[40];
    (void)snprintf(name, sizeof name, "%s%s", stream, suffix);
    return put(object, name, value);
}

/* Streams */

/* As text where it can be, else as base64. What was cut, here or when it was stored, may end
 * inside a character, which is then left out; what is whole may not. */
static bool put_inline(json_t *data, const char *name, const struct finished_stream *stream)
{
    if (!stream->captured)
        return put(data, name, json_null());
    struct span all = stream->stored;
    if (all.len > EVENT_STREAM_INLINE_MAX)
        all.len = EVENT_STREAM_INLINE_MAX;
    struct span text = all;
    if (all.len < stream->whole_bytes)
        text.len -= utf8_ragged(text.data, text.len);
    if (utf8_valid(text.data, text.len) &&
        (text.len == 0 || memchr(text.data, '\0', text.len) == NULL))
        return put(data, name,
                   json_stringn_nocheck(text.len == 0 ? "" : (const char *)text.data, text.len));
    AUTO_BUF struct buf base64 = BUF(2 * EVENT_STREAM_INLINE_MAX);
    base64_encode(&base64, all.data, all.len);
    return !buf_failed(&base64) &&
           put_of(data, name, "_base64", json_string_nocheck(buf_text(&base64)));
}

static bool put_stream(json_t *data, const char *name, const struct finished_stream *stream)
{
    bool has = stream->captured;
    /* Stored whole, it has the whole's hash: stream_check() has seen to that. */
    struct digest stored = stream->whole_sha256;
    if (has && stream->stored.len < stream->whole_bytes)
        stored = digest_of_span(stream->stored);
    return put_of(data, name, "_sha256", digest_value(has ? &stream->whole_sha256 : NULL)) &&
           put_of(data, name, "_bytes",
                  has ? json_integer((json_int_t)stream->whole_bytes) : json_null()) &&
           put_of(data, name, "_stored_sha256", digest_value(has ? &stored : NULL)) &&
           put_of(data, name, "_stored_bytes",
                  has ? json_integer((json_int_t)stream->stored.len) : json_null()) &&
           put_of(data, name, "_truncated",
                  has ? json_boolean(stream->stored.len < stream->whole_bytes) : json_null());
}

/* Facts */

static int contradiction(struct fault *fault, const char *what)
{
    return fault_set(fault, FAULT_INTERNAL, "finished: %s", what);
}

static int stream_check(const struct finished_stream *stream, struct fault *fault)
{
    if (!stream->captured)
        return 0;
    if (stream->whole_bytes > INT64_MAX || stream->stored.len > stream->whole_bytes)
        return contradiction(fault, "more of a stream is stored than passed");
    if (stream->stored.len < stream->whole_bytes)
        return 0;
    struct digest stored = digest_of_span(stream->stored);
    if (!digest_equal(&stored, &stream->whole_sha256))
        return contradiction(fault, "a stream stored whole has another hash than the whole");
    return 0;
}

static int facts_check(const struct finished_facts *facts, struct fault *fault)
{
    if (facts->task_id == NULL || facts->tenant_id == NULL || facts->operator_id == NULL ||
        facts->correlation_id == NULL || facts->target_urn == NULL)
        return contradiction(fault, "an identifier is missing");
    if (!execution_state_is_end(facts->state))
        return contradiction(fault, "the state is no end");
    if (facts->state == EXECUTION_SUCCEEDED && facts->exit_code != 0)
        return contradiction(fault, "succeeded, but not with exit code 0");
    if (facts->manifest_jws.len == 0 || facts->manifest_jws.len > EVENT_JWS_MAX)
        return contradiction(fault, "the JWS has 1 byte to 128 KiB");
    if (!json_is_object(facts->policy_decision))
        return contradiction(fault, "the policy decision is no object");
    if (facts->finished_ms == 0)
        return contradiction(fault, "there is no finishing time");
    if (stream_check(&facts->out, fault) != 0)
        return -1;
    return stream_check(&facts->err, fault);
}

/* SHA-256 of a value's compact JSON, as it stands in the event; `null` where there is none. */
static int compact_hash(const json_t *value, struct digest *ret_hash, struct fault *fault)
{
    AUTO_BUF struct buf text = BUF(EVENT_MAX);
    if (value == NULL)
        buf_puts(&text, "null");
    else
        json_append(&text, value);
    if (buf_failed(&text))
        return fault_set(fault, FAULT_TOO_LARGE, "finished: a report larger than an event");
    *ret_hash = digest_of_span(buf_span(&text));
    return 0;
}

int finished_fingerprint(const struct finished_facts *facts, struct digest *ret_fingerprint,
                         struct fault *fault)
{
    struct digest checks;
    struct digest policy;
    if (compact_hash(facts->isolation_checks, &checks, fault) != 0 ||
        compact_hash(facts->policy_decision, &policy, fault) != 0)
        return -1;
    struct digest_text checks_hex = digest_hex(&checks);
    struct digest_text policy_hex = digest_hex(&policy);
    struct digest_text manifest_hex = digest_hex(&facts->manifest_sha256);
    struct digest_text tool_hex = digest_hex(&facts->tool_sha256);
    struct time_text finished = time_format(facts->finished_ms);
    const struct jcs_member members[] = {
        {"attestation_measurement_hash", checks_hex.text},
        {"manifest_hash", manifest_hex.text},
        {"operator_id", facts->operator_id},
        {"policy_decision_hash", policy_hex.text},
        {"tenant_id", facts->tenant_id},
        {"timestamp", finished.text},
        {"tool_hash", tool_hex.text},
    };
    AUTO_BUF struct buf text = BUF(EVENT_MAX);
    jcs_object(&text, members, ARRAY_LEN(members));
    if (buf_failed(&text))
        return fault_set(fault, FAULT_INTERNAL, "finished: no room for the fingerprint");
    *ret_fingerprint = digest_of_span(buf_span(&text));
    return 0;
}

/* The event */

static bool put_identity(json_t *data, const struct finished_facts *facts)
{
    return put(data, "task_id", text_value(facts->task_id)) &&
           put(data, "tenant_id", text_value(facts->tenant_id)) &&
           put(data, "operator_id", text_value(facts->operator_id)) &&
           put(data, "correlation_id", text_value(facts->correlation_id)) &&
           put(data, "tool_sha256", digest_value(&facts->tool_sha256)) &&
           put(data, "descriptor_sha256", digest_value(facts->descriptor_sha256)) &&
           put(data, "target_urn", text_value(facts->target_urn));
}

static bool put_outcome(json_t *data, const struct finished_facts *facts)
{
    const char *status = facts->state == EXECUTION_SUCCEEDED ? "success" : "failed";
    return put(data, "status", text_value(status)) &&
           put(data, "state", text_value(execution_state_name(facts->state))) &&
           put(data, "reason", text_value(facts->reason)) &&
           put(data, "exit_code",
               facts->exit_code < 0 ? json_null() : json_integer(facts->exit_code)) &&
           put(data, "signal", facts->signal == 0 ? json_null() : json_integer(facts->signal)) &&
           put(data, "limits_hit", texts_value(facts->limits_hit, facts->limits_hit_count)) &&
           put(data, "argv",
               facts->argv == NULL ? json_null() : texts_value(facts->argv, facts->argv_count));
}

static bool put_streams(json_t *data, const struct finished_facts *facts)
{
    return put_inline(data, "stdout", &facts->out) && put_inline(data, "stderr", &facts->err) &&
           put_stream(data, "stdout", &facts->out) && put_stream(data, "stderr", &facts->err);
}

static json_t *metadata_value(const struct finished_facts *facts)
{
    AUTO_JSON json_t *metadata = json_object();
    bool good = metadata != NULL && put(metadata, "runtime", text_value(facts->runtime)) &&
                put(metadata, "isolation_checks", shared_value(facts->isolation_checks)) &&
                put(metadata, "limits", shared_value(facts->limits)) &&
                put(metadata, "usage", shared_value(facts->usage)) &&
                put(metadata, "worker", text_value(facts->worker));
    return good ? TAKE(metadata) : NULL;
}

static bool put_evidence(json_t *data, const struct finished_facts *facts,
                         const struct digest *fingerprint)
{
    return put(data, "manifest_jws",
               json_stringn((const char *)facts->manifest_jws.data, facts->manifest_jws.len)) &&
           put(data, "manifest_sha256", digest_value(&facts->manifest_sha256)) &&
           put(data, "policy_decision", shared_value(facts->policy_decision)) &&
           put(data, "execution_fingerprint", text_value(digest_hex(fingerprint).text)) &&
           put(data, "execution_metadata", metadata_value(facts)) &&
           put(data, "started_at", time_value(facts->started_ms)) &&
           put(data, "finished_at", time_value(facts->finished_ms));
}

int finished_data(const struct finished_facts *facts, json_t **ret_data, struct fault *fault)
{
    struct digest fingerprint;
    if (facts_check(facts, fault) != 0 || finished_fingerprint(facts, &fingerprint, fault) != 0)
        return -1;
    AUTO_JSON json_t *data = json_object();
    if (data == NULL || !put_identity(data, facts) || !put_outcome(data, facts) ||
        !put_streams(data, facts) || !put_evidence(data, facts, &fingerprint))
        return fault_set(fault, FAULT_INTERNAL, "finished: no memory, or a text is not UTF-8");
    *ret_data = TAKE(data);
    return 0;
}
