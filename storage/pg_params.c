/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/pg.h"

#include <arpa/inet.h>
#include <endian.h>
#include <string.h>

/* Type OIDs are fixed in PostgreSQL's catalogue (src/include/catalog/pg_type.dat). */
enum {
    OID_BOOL = 16,
    OID_BYTEA = 17,
    OID_INT8 = 20,
    OID_INT4 = 23,
    OID_TEXT = 25,
    OID_TIMESTAMPTZ = 1184,
    OID_UUID = 2950,
    OID_BYTEA_ARRAY = 1001,
    OID_TEXT_ARRAY = 1009,
    OID_INT8_ARRAY = 1016,
    OID_TIMESTAMPTZ_ARRAY = 1185,
    OID_UUID_ARRAY = 2951,
};

#define EPOCH_2000_MS INT64_C(946684800000)

static void param_bind(struct pg_params *params, Oid type, const void *value, size_t len)
{
    if (params->count == PG_PARAMS_MAX || len > INT32_MAX) {
        params->failed = true;
        return;
    }
    int i = params->count++;
    params->types[i] = type;
    params->values[i] = value;
    params->lengths[i] = (int)len;
    params->formats[i] = 1;
}

/* Binds up to 16 bytes, copied. */
static void param_bind_small(struct pg_params *params, Oid type, const void *value, size_t len)
{
    if (params->count == PG_PARAMS_MAX) {
        params->failed = true;
        return;
    }
    uint8_t *place = params->small[params->count];
    memcpy(place, value, len);
    param_bind(params, type, place, len);
}

void pg_text(struct pg_params *params, const char *text)
{
    param_bind(params, OID_TEXT, text, text == NULL ? 0 : strlen(text));
}

void pg_bytes(struct pg_params *params, struct span bytes)
{
    param_bind(params, OID_BYTEA, bytes.data, bytes.len);
}

void pg_digest(struct pg_params *params, const struct digest *digest)
{
    param_bind(params, OID_BYTEA, digest, DIGEST_LEN);
}

void pg_uuid(struct pg_params *params, const struct uuid *uuid)
{
    param_bind(params, OID_UUID, uuid, sizeof uuid->bytes);
}

void pg_int8(struct pg_params *params, int64_t value)
{
    uint64_t wire = htobe64((uint64_t)value);
    param_bind_small(params, OID_INT8, &wire, sizeof wire);
}

void pg_int4(struct pg_params *params, int32_t value)
{
    uint32_t wire = htonl((uint32_t)value);
    param_bind_small(params, OID_INT4, &wire, sizeof wire);
}

void pg_int4_null(struct pg_params *params)
{
    param_bind(params, OID_INT4, NULL, 0);
}

void pg_bool(struct pg_params *params, bool value)
{
    uint8_t wire = value ? 1 : 0;
    param_bind_small(params, OID_BOOL, &wire, sizeof wire);
}

static bool time_is_null(int64_t wall_ms)
{
    return wall_ms == INT64_MIN || wall_ms == INT64_MAX;
}

static uint64_t time_wire(int64_t wall_ms)
{
    return htobe64((uint64_t)((wall_ms - EPOCH_2000_MS) * 1000));
}

void pg_time(struct pg_params *params, int64_t wall_ms)
{
    uint64_t wire = time_is_null(wall_ms) ? 0 : time_wire(wall_ms);
    if (time_is_null(wall_ms))
        param_bind(params, OID_TIMESTAMPTZ, NULL, 0);
    else
        param_bind_small(params, OID_TIMESTAMPTZ, &wire, sizeof wire);
}

struct array_type {
    Oid element;
    Oid array;
};

static const struct array_type array_types[] = {
    [PG_ARRAY_TEXT] = {OID_TEXT, OID_TEXT_ARRAY},
    [PG_ARRAY_BYTEA] = {OID_BYTEA, OID_BYTEA_ARRAY},
    [PG_ARRAY_UUID] = {OID_UUID, OID_UUID_ARRAY},
    [PG_ARRAY_INT8] = {OID_INT8, OID_INT8_ARRAY},
    [PG_ARRAY_TIME] = {OID_TIMESTAMPTZ, OID_TIMESTAMPTZ_ARRAY},
};

/* Array wire form: dimensions, has-null flag, element OID, then length and lower bound of the one
 * dimension, then each element as length and bytes (src/backend/utils/adt/arrayfuncs.c). */
enum { ARRAY_HEADER = 20 };

struct pg_array pg_array_new(enum pg_array_kind kind)
{
    struct pg_array array = {.kind = kind, .body = BUF(PG_ARRAY_MAX)};
    static const uint8_t room[ARRAY_HEADER];
    buf_append(&array.body, room, sizeof room);
    return array;
}

static void array_element(struct pg_array *array, const void *data, size_t len)
{
    uint32_t wire = htonl(data == NULL ? UINT32_MAX : (uint32_t)len);
    buf_append(&array->body, &wire, sizeof wire);
    if (data == NULL)
        array->has_null = true;
    else
        buf_append(&array->body, data, len);
    array->count++;
}

void pg_array_bytes(struct pg_array *array, struct span bytes)
{
    array_element(array, bytes.data, bytes.len);
}

void pg_array_text(struct pg_array *array, const char *text)
{
    array_element(array, text, text == NULL ? 0 : strlen(text));
}

void pg_array_null(struct pg_array *array)
{
    array_element(array, NULL, 0);
}

void pg_array_uuid(struct pg_array *array, const struct uuid *uuid)
{
    array_element(array, uuid, sizeof uuid->bytes);
}

void pg_array_int(struct pg_array *array, int64_t value)
{
    bool time = array->kind == PG_ARRAY_TIME;
    if (time && time_is_null(value)) {
        pg_array_null(array);
        return;
    }
    uint64_t wire = time ? time_wire(value) : htobe64((uint64_t)value);
    array_element(array, &wire, sizeof wire);
}

void pg_array_bind(struct pg_params *params, struct pg_array *array)
{
    if (buf_failed(&array->body)) {
        params->failed = true;
        return;
    }
    /* The one empty array PostgreSQL reads as empty has no dimension at all. */
    uint32_t header[5] = {htonl(array->count == 0 ? 0 : 1), htonl(array->has_null ? 1 : 0),
                          htonl(array_types[array->kind].element), htonl((uint32_t)array->count),
                          htonl(1)};
    size_t len = array->count == 0 ? 12 : array->body.len;
    memcpy(array->body.data, header, sizeof header);
    param_bind(params, array_types[array->kind].array, array->body.data, len);
}

void pg_array_free(struct pg_array *array)
{
    buf_free(&array->body);
}

bool pg_is_null(const PGresult *result, int row, int column)
{
    return PQgetisnull(result, row, column) != 0;
}

int64_t pg_get_int(const PGresult *result, int row, int column)
{
    if (pg_is_null(result, row, column))
        return 0;
    const char *value = PQgetvalue(result, row, column);
    int len = PQgetlength(result, row, column);
    uint64_t number = 0;
    for (int i = 0; i < len && i < 8; i++)
        number = number << 8 | (uint8_t)value[i];
    if (len == 2)
        return (int16_t)number;
    return len == 4 ? (int32_t)number : (int64_t)number;
}

bool pg_get_bool(const PGresult *result, int row, int column)
{
    return pg_get_int(result, row, column) != 0;
}

const char *pg_get_text(const PGresult *result, int row, int column)
{
    return PQgetvalue(result, row, column); /* libpq ends binary values with a NUL too */
}

struct span pg_get_bytes(const PGresult *result, int row, int column)
{
    return span_of(PQgetvalue(result, row, column), (size_t)PQgetlength(result, row, column));
}

struct uuid pg_get_uuid(const PGresult *result, int row, int column)
{
    struct uuid uuid = {0};
    if (PQgetlength(result, row, column) == sizeof uuid.bytes)
        memcpy(uuid.bytes, PQgetvalue(result, row, column), sizeof uuid.bytes);
    return uuid;
}

struct digest pg_get_digest(const PGresult *result, int row, int column)
{
    struct digest digest = {0};
    if (PQgetlength(result, row, column) == DIGEST_LEN)
        memcpy(digest.bytes, PQgetvalue(result, row, column), DIGEST_LEN);
    return digest;
}

int64_t pg_get_time(const PGresult *result, int row, int column)
{
    if (pg_is_null(result, row, column))
        return INT64_MIN;
    int64_t us = pg_get_int(result, row, column);
    int64_t ms = us / 1000 - (us % 1000 < 0 ? 1 : 0); /* -infinity is INT64_MIN: not negated */
    return ms + EPOCH_2000_MS;
}

int64_t pg_affected(const PGresult *result)
{
    const char *text = PQcmdTuples((PGresult *)(uintptr_t)result);
    return strtoll(text, NULL, 10);
}

int64_t pg_lock_key(const char *kind, const char *tenant, struct span name)
{
    AUTO_BUF struct buf text = BUF(1024);
    buf_append(&text, kind, strlen(kind) + 1);
    buf_append(&text, tenant, strlen(tenant) + 1);
    buf_append(&text, name.data, name.len);
    if (buf_failed(&text))
        abort(); /* names are bounded far below */
    struct digest digest = digest_of_span(buf_span(&text));
    uint64_t key;
    memcpy(&key, digest.bytes, sizeof key);
    return (int64_t)be64toh(key);
}
