/* SPDX-License-Identifier: Apache-2.0 */
/* armory pack: a program of this machine, with all that it loads, as a rootfs archive. */
#include "cli/commands.h"
#include "cli/libraries.h"
#include "cli/tarball.h"

#include <limits.h>
#include <string.h>

/* An absolute path as the user meant it; links in it stay. */
static int full_path(const char *path, struct buf *ret_path, struct fault *fault)
{
    char folder[PATH_MAX];
    if (path[0] == '/') {
        buf_puts(ret_path, path);
    } else {
        if (getcwd(folder, sizeof folder) == NULL)
            return fault_errno(fault, "cannot tell the current folder");
        buf_printf(ret_path, "%s/%s", folder, path);
    }
    return buf_failed(ret_path) ? fault_set(fault, FAULT_MALFORMED_REQUEST, "a path too long") : 0;
}

static int collect(const struct args *args, const char *program, struct layout *layout,
                   struct fault *fault)
{
    AUTO_LIBRARIES struct libraries *libraries = NULL;
    if (libraries_new(layout, &libraries, fault) != 0 ||
        libraries_add_program(libraries, program, fault) != 0)
        return -1;
    for (size_t i = 0; i < args_count(args, "with"); i++) {
        AUTO_BUF struct buf path = BUF(PATH_MAX);
        if (full_path(args_nth(args, "with", i), &path, fault) != 0 ||
            layout_add_tree(layout, buf_text(&path), fault) != 0)
            return -1;
    }
    return libraries_add_rest(libraries, fault);
}

static int report(struct client *client, const char *file, const char *program,
                  const struct layout *layout, const struct digest *digest, int64_t size,
                  struct fault *fault)
{
    static const struct column columns[] = {{"sha256", "sha256", COLUMN_TEXT},
                                            {"file", "file", COLUMN_TEXT},
                                            {"size", "size", COLUMN_TEXT},
                                            {"entries", "entries", COLUMN_TEXT},
                                            {"entrypoint", "entrypoint", COLUMN_TEXT}};
    AUTO_JSON json_t *packed = json_pack(
        "{s:s, s:s, s:I, s:I, s:s}", "sha256", digest_format(digest).text, "file", file, "size",
        (json_int_t)size, "entries", (json_int_t)layout_count(layout), "entrypoint", program);
    if (packed == NULL)
        return fault_set(fault, FAULT_INTERNAL, "%s: not a name that JSON can hold", file);
    return output_record(&client->output, columns, ARRAY_LEN(columns), packed, fault);
}

int armory_pack(struct client *client, const struct args *args, struct fault *fault)
{
    const char *file;
    struct digest digest;
    int64_t size = 0;
    AUTO_BUF struct buf program = BUF(PATH_MAX);
    AUTO_LAYOUT struct layout *layout = NULL;
    if (args_need(args, "out", &file, fault) != 0 ||
        full_path(args->operands[0], &program, fault) != 0 || layout_new("", &layout, fault) != 0 ||
        collect(args, buf_text(&program), layout, fault) != 0 ||
        tarball_write(layout, file, &digest, &size, fault) != 0)
        return -1;
    return report(client, file, buf_text(&program), layout, &digest, size, fault);
}
