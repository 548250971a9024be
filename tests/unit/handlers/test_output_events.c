/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: whatever bytes there are arrive as they were, in events that fit and can be resumed. */
#include "handlers/output_events.h"

#include "base/encode.h"
#include "base/json.h"
#include "base/text.h"
#include "base/uuid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define ROOM 8192

static void assert_event(int64_t offset, struct span bytes, bool last, size_t used,
                         const char *text)
{
    AUTO_BUF struct buf piece = BUF(ROOM);
    assert_int_equal(output_event_append(&piece, offset, bytes, last), used);
    assert_string_equal(buf_text(&piece), text);
}

static void test_text(void **state)
{
    (void)state;
    assert_event(0, span_text("one\n"), false, 4,
                 "id: 4\nevent: output\ndata: {\"offset\":0,\"text\":\"one\\n\"}\n\n");
    assert_event(2147483000, span_text("a\r\n\"\\\x01\x7f"), false, 7,
                 "id: 2147483007\nevent: output\ndata: "
                 "{\"offset\":2147483000,\"text\":\"a\\r\\n\\\"\\\\\\u0001\x7f\"}\n\n");
    assert_event(7, span_text("m\xc3\xa4r"), false, 4,
                 "id: 11\nevent: output\ndata: {\"offset\":7,\"text\":\"m\xc3\xa4r\"}\n\n");
    assert_event(0, span_of("", 0), true, 0, "");
}

static void test_what_is_no_text(void **state)
{
    (void)state;
    assert_event(5, span_of("a\0b", 3), false, 3,
                 "id: 8\nevent: output\ndata: {\"offset\":5,\"base64\":\"YQBi\"}\n\n");
    assert_event(0, span_of("\xff\xfe", 2), false, 2,
                 "id: 2\nevent: output\ndata: {\"offset\":0,\"base64\":\"//4=\"}\n\n");
}

/* The rest of a character may come: it is waited for, but not once nothing comes any more. */
static void test_a_character_is_not_cut(void **state)
{
    (void)state;
    assert_event(0, span_text("ab\xe2\x82"), false, 2,
                 "id: 2\nevent: output\ndata: {\"offset\":0,\"text\":\"ab\"}\n\n");
    assert_event(2, span_text("\xe2\x82"), false, 0, "");
    assert_event(2, span_text("\xe2\x82\xac"), false, 3,
                 "id: 5\nevent: output\ndata: {\"offset\":2,\"text\":\"\xe2\x82\xac\"}\n\n");
    assert_event(2, span_text("\xe2\x82"), true, 2,
                 "id: 4\nevent: output\ndata: {\"offset\":2,\"base64\":\"4oI=\"}\n\n");
}

static void test_no_room_no_event(void **state)
{
    (void)state;
    AUTO_BUF struct buf piece = BUF(OUTPUT_EVENT_ROOM - 1);
    assert_int_equal(output_event_append(&piece, 0, span_text("x"), true), 0);
    assert_int_equal(piece.len, 0);
}

static const json_t *member(json_t *data, const char *name)
{
    return json_object_get(data, name);
}

/* Takes the events of a piece apart; what they hold goes behind `all`. */
static void take_piece(const struct buf *piece, struct buf *all)
{
    const char *at = buf_text(piece);
    while (*at != '\0') {
        long long id = 0;
        int head = 0;
        assert_int_equal(sscanf(at, "id: %lld\nevent: output\ndata: %n", &id, &head), 1);
        const char *end = strstr(at + head, "\n\n");
        assert_non_null(end);
        AUTO_JSON json_t *data = NULL;
        assert_int_equal(json_object_parse(span_of(at + head, (size_t)(end - at - head)),
                                           FAULT_INTERNAL, "data", &data, NULL),
                         0);
        assert_int_equal(json_integer_value(member(data, "offset")), all->len);
        const json_t *text = member(data, "text");
        if (text != NULL)
            buf_append(all, json_string_value(text), json_string_length(text));
        else
            assert_int_equal(base64_decode(all, json_string_value(member(data, "base64")),
                                           json_string_length(member(data, "base64"))),
                             0);
        assert_int_equal(id, all->len);
        at = end + 2;
    }
}

/* Piece by piece, as a stream is sent. */
static void assert_arrives(struct span bytes, size_t room)
{
    AUTO_BUF struct buf all = BUF(bytes.len);
    AUTO_BUF struct buf piece = BUF(room);
    for (size_t at = 0; at < bytes.len;) {
        size_t before = at, used;
        buf_reset(&piece);
        while ((used = output_event_append(&piece, (int64_t)at,
                                           span_of(bytes.data + at, bytes.len - at), true)) > 0)
            at += used;
        assert_false(buf_failed(&piece));
        assert_true(at > before);
        take_piece(&piece, &all);
    }
    assert_true(span_equal(buf_span(&all), bytes));
}

static void test_everything_arrives(void **state)
{
    static const size_t rooms[] = {OUTPUT_EVENT_ROOM, 700, ROOM};
    static const char *const units[] = {
        "x", "\"", "\x01", "\n", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "a\xff"};
    (void)state;
    uint8_t noise[20000];
    random_bytes(noise, sizeof noise);
    for (size_t r = 0; r < ARRAY_LEN(rooms); r++) {
        assert_arrives(span_of(noise, sizeof noise), rooms[r]);
        for (size_t u = 0; u < ARRAY_LEN(units); u++) {
            AUTO_BUF struct buf many = BUF(40000);
            for (int i = 0; i < 9001; i++)
                buf_puts(&many, units[u]);
            assert_arrives(buf_span(&many), rooms[r]);
        }
    }
}

static void assert_end(enum execution_state end, int64_t bytes, int64_t stored, const char *text)
{
    AUTO_BUF struct buf piece = BUF(ROOM);
    output_event_end(&piece, end, "stderr", bytes, stored);
    assert_string_equal(buf_text(&piece), text);
}

static void test_the_end(void **state)
{
    (void)state;
    assert_end(EXECUTION_SUCCEEDED, 5, 5,
               "event: end\ndata: {\"state\":\"succeeded\",\"stderr_bytes\":5,\"stored_bytes\":5,"
               "\"truncated\":false}\n\n");
    assert_end(EXECUTION_FAILED, 6, 5,
               "event: end\ndata: {\"state\":\"failed\",\"stderr_bytes\":6,\"stored_bytes\":5,"
               "\"truncated\":true}\n\n");
    assert_end(EXECUTION_CANCELLED, 0, 0,
               "event: end\ndata: {\"state\":\"cancelled\",\"stderr_bytes\":0,\"stored_bytes\":0,"
               "\"truncated\":false}\n\n");
    assert_end(EXECUTION_LOST, 0, 0,
               "event: end\ndata: {\"state\":\"lost\",\"stderr_bytes\":null,\"stored_bytes\":0,"
               "\"truncated\":true}\n\n");
    assert_end(EXECUTION_FAILED, 0, 3, /* its output was lost with its end */
               "event: end\ndata: {\"state\":\"failed\",\"stderr_bytes\":null,\"stored_bytes\":3,"
               "\"truncated\":true}\n\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_what_is_no_text),
        cmocka_unit_test(test_a_character_is_not_cut),
        cmocka_unit_test(test_no_room_no_event),
        cmocka_unit_test(test_everything_arrives),
        cmocka_unit_test(test_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
