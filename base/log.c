/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"

#include <stdarg.h>

#define LOG_LINE_MAX 8192

static const char *const level_names[] = {
    [LOG_INFO] = "info", [LOG_WARN] = "warn", [LOG_ERROR] = "error"};

void log_write(enum log_level level, const char *msg, const char *pack, ...)
{
    AUTO_JSON json_t *line = json_pack("{s:s, s:s, s:s}", "ts", time_format(clock_wall_ms()).text,
                                       "level", level_names[level], "msg", msg);
    if (line != NULL && pack != NULL) {
        va_list arguments;
        va_start(arguments, pack);
        AUTO_JSON json_t *members = json_vpack_ex(NULL, 0, pack, arguments);
        va_end(arguments);
        if (members == NULL || json_object_update(line, members) != 0)
            (void)json_object_set_new(line, "log_error", json_string("members not packable"));
    }
    AUTO_BUF struct buf text = BUF(LOG_LINE_MAX);
    json_append(&text, line);
    buf_puts(&text, "\n");
    if (buf_failed(&text)) {
        buf_reset(&text);
        buf_printf(&text, "{\"ts\":\"%s\",\"level\":\"%s\",\"msg\":\"a log line %s\"}\n",
                   time_format(clock_wall_ms()).text, level_names[level],
                   line == NULL ? "was not UTF-8" : "was too long");
    }
    ssize_t written = write(STDERR_FILENO, text.data, text.len);
    (void)written; /* nowhere to report it */
}
