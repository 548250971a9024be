/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sallyport-unpack: an artifact on standard input becomes the content of an empty folder. Of an
 * image, standard output says how it is started (unpack/start.h).
 * Started by the worker (runner/unpack.c) as root in namespaces of its own; confines itself
 * before it reads the first byte, and ends with
 *   0   unpacked
 *   10  the artifact is refused, one line on standard error says why
 *   11  this host could not, one line on standard error says why
 *   12  it is larger than MAX_BYTES or MAX_ENTRIES, one line on standard error says which
 * and anything else is its own failure.
 */
#include "base/digest.h"
#include "base/text.h"
#include "unpack/confine.h"
#include "unpack/oci.h"
#include "unpack/program.h"
#include "unpack/start.h"
#include "unpack/tarball.h"

#include <errno.h>
#include <limits.h>
#include <locale.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

enum { OK = 0, REFUSED = 10, FAILED = 11, TOO_LARGE = 12 };

struct order {
    const char *kind;
    int64_t folder, uid, gid, max_bytes, max_entries, cpu_seconds, memory_bytes;
};

static const char usage[] = "usage: sallyport-unpack binary|rootfs|oci FOLDER_FD UID GID MAX_BYTES "
                            "MAX_ENTRIES CPU_SECONDS MEMORY_BYTES <ARTIFACT";

static int parse_number(const char *text, int64_t max, int64_t *ret_number)
{
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || number < 1 || number > max)
        return -1;
    *ret_number = number;
    return 0;
}

static int parse_order(int argc, char **argv, struct order *ret_order, struct fault *fault)
{
    struct order order = {0};
    const struct {
        int64_t *number, max;
    } numbers[] = {
        {&order.folder, INT_MAX},
        {&order.uid, INT_MAX},
        {&order.gid, INT_MAX},
        {&order.max_bytes, INT64_MAX},
        {&order.max_entries, INT64_MAX},
        {&order.cpu_seconds, INT_MAX},
        {&order.memory_bytes, INT64_MAX},
    };
    if (argc != 2 + (int)ARRAY_LEN(numbers))
        return fault_set(fault, FAULT_INTERNAL, "%s", usage);
    order.kind = argv[1];
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        if (parse_number(argv[2 + i], numbers[i].max, numbers[i].number) != 0)
            return fault_set(fault, FAULT_INTERNAL, "%s", usage);
    }
    *ret_order = order;
    return 0;
}

static int unpack_image(struct place *place, struct fault *fault)
{
    AUTO_BUF struct buf start = BUF(START_JSON_MAX);
    if (oci_unpack(STDIN_FILENO, place, &start, fault) != 0)
        return -1;
    struct span left = buf_span(&start);
    while (left.len > 0) {
        ssize_t n = write(STDOUT_FILENO, left.data, left.len);
        if (n < 0)
            return fault_errno(fault, "cannot say how the image is started");
        left = span_of(left.data + n, left.len - (size_t)n);
    }
    return 0;
}

static int unpack(const struct order *order, int root, struct fault *fault)
{
    AUTO(place_end) struct place place;
    place_begin(&place, root, order->max_bytes, order->max_entries);
    if (strcmp(order->kind, "rootfs") == 0)
        return tarball_unpack(STDIN_FILENO, &place, fault);
    if (strcmp(order->kind, "binary") == 0)
        return program_unpack(STDIN_FILENO, "bin/tool", &place, fault);
    if (strcmp(order->kind, "oci") == 0)
        return unpack_image(&place, fault);
    return fault_set(fault, FAULT_INTERNAL, "%s", usage);
}

/* One line, whatever the archive put into it. */
static void say(const char *text)
{
    char line[sizeof(struct fault)];
    size_t len = strnlen(text, sizeof line - 1);
    bool valid = utf8_valid(text, len);
    for (size_t i = 0; i < len; i++) {
        unsigned char byte = (unsigned char)text[i];
        line[i] = byte < 0x20 || byte == 0x7f || (byte >= 0x80 && !valid) ? '?' : text[i];
    }
    line[len] = '\n';
    (void)!write(STDERR_FILENO, line, len + 1);
}

/* This is the first process of its namespace: what it does not handle would not end it. */
static void time_is_up(int signal)
{
    static const char reason[] = "takes too long to unpack\n";
    (void)signal;
    (void)!write(STDERR_FILENO, reason, sizeof reason - 1);
    _exit(REFUSED);
}

int main(int argc, char **argv)
{
    struct fault fault = {0};
    struct order order = {0};
    /* File names are UTF-8; needs files, so it comes first. */
    if (setlocale(LC_CTYPE, "C.UTF-8") == NULL) {
        say("the locale C.UTF-8 is missing");
        return FAILED;
    }
    /* So do libcrypto, for its configuration, and jansson, for the seed of its hash tables. */
    (void)digest_of("", 0);
    json_object_seed(0);
    (void)umask(022);
    if (signal(SIGXCPU, time_is_up) == SIG_ERR) {
        say("cannot handle SIGXCPU");
        return FAILED;
    }
    if (parse_order(argc, argv, &order, &fault) != 0) {
        say(fault.detail);
        return FAILED;
    }
    struct confinement confinement = {
        .folder = (int)order.folder,
        .uid = (uid_t)order.uid,
        .gid = (gid_t)order.gid,
        .cpu_seconds = order.cpu_seconds,
        .memory_bytes = order.memory_bytes,
        .file_bytes = order.max_bytes,
    };
    int root = -1;
    if (confine_enter(&confinement, &root, &fault) != 0) {
        say(fault.detail);
        return FAILED;
    }
    (void)close(confinement.folder);
    if (unpack(&order, root, &fault) == 0)
        return OK;
    say(fault.detail);
    return fault.code == FAULT_ARTIFACT_INVALID ? REFUSED
           : fault.code == FAULT_TOO_LARGE      ? TOO_LARGE
                                                : FAILED;
}
