/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images of any bytes: unpacked or refused, within the limits, never a write outside the folder,
 * and what is said of their start is JSON. The first byte says what follows: i  an archive, as it
 * is l  a configuration's inner object and layers, each with its length (2 bytes, big-endian)
 *      before; digests and the checksums of tar headers are made right, for otherwise nearly every
 *      change would end at the first door
 */
#include "base/digest.h"
#include "base/file.h"
#include "base/json.h"
#include "unpack/layout_internal.h"
#include "unpack/oci.h"
#include "unpack/start.h"

#include <fcntl.h>
#include <locale.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_BYTES (1 << 20)
#define MAX_ENTRIES 64
#define LAYERS_MAX 4
#define BLOCK 512

/* As the program does: names are UTF-8. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    return setlocale(LC_CTYPE, "C.UTF-8") == NULL;
}

/* ---- an archive of parts ---- */

static void set_checksum(uint8_t *header)
{
    unsigned sum = 0;
    memset(header + 148, ' ', 8);
    for (size_t i = 0; i < BLOCK; i++)
        sum += header[i];
    (void)snprintf((char *)header + 148, 8, "%06o", sum);
}

/* Every block that says it is a header. */
static void mend_layer(struct buf *layer)
{
    for (size_t at = 0; at + BLOCK <= layer->len; at += BLOCK) {
        if (memcmp(layer->data + at + 257, "ustar", 5) == 0)
            set_checksum(layer->data + at);
    }
}

static void add_member(struct buf *archive, const char *name, struct span bytes)
{
    static const uint8_t zeros[BLOCK];
    uint8_t header[BLOCK] = {0};
    (void)snprintf((char *)header, 100, "%s", name);
    (void)snprintf((char *)header + 100, 8, "0000644");
    (void)snprintf((char *)header + 124, 12, "%011zo", bytes.len);
    header[156] = '0';
    memcpy(header + 257, "ustar\00000", 8);
    set_checksum(header);
    buf_append(archive, header, BLOCK);
    buf_append(archive, bytes.data, bytes.len);
    buf_append(archive, zeros, (BLOCK - bytes.len % BLOCK) % BLOCK);
}

static struct span take_part(struct span *rest)
{
    size_t len = rest->len < 2 ? 0 : (size_t)rest->data[0] << 8 | rest->data[1];
    size_t head = rest->len < 2 ? rest->len : 2;
    len = len < rest->len - head ? len : rest->len - head;
    struct span part = span_of(rest->data + head, len);
    *rest = span_of(part.data + len, rest->len - head - len);
    return part;
}

/* What docker save would write of these parts. */
static void compose(struct span rest, struct buf *ret_archive)
{
    AUTO_BUF struct buf config = BUF(1 << 20);
    AUTO_BUF struct buf manifest = BUF(4096);
    struct span inner = take_part(&rest);
    buf_puts(&config, "{\"architecture\":\"" LAYOUT_ARCHITECTURE "\",\"os\":\"linux\",\"config\":");
    buf_append(&config, inner.data, inner.len);
    buf_puts(&config, ",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[");
    buf_puts(&manifest, "\"Layers\":[");
    for (int i = 0; i < LAYERS_MAX && (i == 0 || rest.len > 2); i++) {
        char name[24];
        struct span bytes = take_part(&rest);
        AUTO_BUF struct buf layer = BUF(1 << 17);
        buf_append(&layer, bytes.data, bytes.len);
        mend_layer(&layer);
        struct digest digest = digest_of_span(buf_span(&layer));
        (void)snprintf(name, sizeof name, "%d/layer.tar", i);
        add_member(ret_archive, name, buf_span(&layer));
        buf_printf(&config, "%s\"%s\"", i > 0 ? "," : "", digest_format(&digest).text);
        buf_printf(&manifest, "%s\"%s\"", i > 0 ? "," : "", name);
    }
    buf_puts(&config, "]}}");
    struct digest digest = digest_of_span(buf_span(&config));
    char name[DIGEST_TEXT_LEN + 8];
    (void)snprintf(name, sizeof name, "%s.json", digest_hex(&digest).text);
    add_member(ret_archive, name, buf_span(&config));
    AUTO_BUF struct buf whole = BUF(8192);
    buf_printf(&whole, "[{\"Config\":\"%s\",%s]}]", name, buf_text(&manifest));
    add_member(ret_archive, "manifest.json", buf_span(&whole));
    static const uint8_t end[2 * BLOCK];
    buf_append(ret_archive, end, sizeof end);
}

/* ---- unpacking ---- */

static void check(int result, const struct place *place, const struct buf *start,
                  const struct fault *fault)
{
    if ((result == 0) != (fault->code == FAULT_NONE))
        abort();
    if (result != 0 && fault->code != FAULT_ARTIFACT_INVALID && fault->code != FAULT_TOO_LARGE) {
        fprintf(stderr, "%s\n", fault->detail); /* a refusal taken for a failure of ours */
        abort();
    }
    if (place->bytes > MAX_BYTES || place->entries > MAX_ENTRIES)
        abort();
    AUTO_JSON json_t *said = NULL;
    if (result == 0 &&
        json_object_parse(buf_span(start), FAULT_INTERNAL, "the start", &said, NULL) != 0)
        abort();
}

static void unpack(struct span bytes, int root)
{
    struct fault fault = {0};
    AUTO_CLOSE int archive = memfd_create("image", MFD_CLOEXEC);
    if (archive < 0 || write(archive, bytes.data, bytes.len) != (ssize_t)bytes.len ||
        lseek(archive, 0, SEEK_SET) != 0)
        abort();
    AUTO(place_end) struct place place;
    AUTO_BUF struct buf start = BUF(START_JSON_MAX);
    place_begin(&place, root, MAX_BYTES, MAX_ENTRIES);
    int result = oci_unpack(archive, &place, &start, &fault);
    check(result, &place, &start, &fault);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* root/ gets the tree; anything else in the folder would have escaped */
    char folder[] = "/dev/shm/sallyport-fuzz.XXXXXX";
    char path[sizeof folder + 8];
    struct fault fault = {0};
    AUTO_BUF struct buf composed = BUF(4 << 20);
    if (size < 1)
        return 0;
    struct span bytes = span_of(data + 1, size - 1);
    if (data[0] == 'l') {
        compose(bytes, &composed);
        bytes = buf_span(&composed);
    }
    if (mkdtemp(folder) == NULL)
        abort();
    (void)snprintf(path, sizeof path, "%s/root", folder);
    if (mkdir(path, 0700) != 0)
        abort();
    AUTO_CLOSE int root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    unpack(bytes, root);
    if (dir_remove(path, &fault) != 0 || rmdir(folder) != 0)
        abort();
    return 0;
}
