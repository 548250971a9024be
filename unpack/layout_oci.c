/* SPDX-License-Identifier: Apache-2.0 */
#include "unpack/layout_internal.h"

#include <string.h>

#define INDEX_MAX 64 /* descriptors in one index */

#define OCI "application/vnd.oci.image."
#define DOCKER "application/vnd.docker."
static const char *const index_types[] = {OCI "index.v1+json",
                                          DOCKER "distribution.manifest.list.v2+json", NULL};
static const char *const manifest_types[] = {OCI "manifest.v1+json",
                                             DOCKER "distribution.manifest.v2+json", NULL};
static const char *const config_types[] = {OCI "config.v1+json", DOCKER "container.image.v1+json",
                                           NULL};

/* All there are: what is encrypted, foreign or not to be distributed has other names. */
static const struct {
    const char *type;
    enum packing packing;
} layer_types[] = {
    {OCI "layer.v1.tar", PACKING_NONE},
    {OCI "layer.v1.tar+gzip", PACKING_GZIP},
    {OCI "layer.v1.tar+zstd", PACKING_ZSTD},
    {DOCKER "image.rootfs.diff.tar", PACKING_NONE},
    {DOCKER "image.rootfs.diff.tar.gzip", PACKING_GZIP},
    {DOCKER "image.rootfs.diff.tar.zstd", PACKING_ZSTD},
};

static bool is_one_of(const char *type, const char *const *types)
{
    for (; *types != NULL; types++) {
        if (strcmp(type, *types) == 0)
            return true;
    }
    return false;
}

/* ---- descriptors ---- */

/* A reference to a blob (OCI image spec, "Content Descriptors"). */
struct reference {
    const char *type;
    struct digest digest;
    int64_t size;
    const json_t *platform; /* NULL where it has none */
    bool elsewhere;         /* it names other places to fetch it from */
};

static int read_reference(const json_t *value, const char *document, struct reference *ret,
                          struct fault *fault)
{
    const char *digest = NULL;
    struct reference reference = {0};
    const struct json_field fields[] = {
        {"mediaType", JSON_KIND_STRING, true, 1, 255, &reference.type},
        {"digest", JSON_KIND_STRING, true, 1, 255, &digest},
        {"size", JSON_KIND_INTEGER, true, 0, INT64_MAX, &reference.size},
        {"platform", JSON_KIND_OBJECT, false, 0, 0, &reference.platform},
    };
    char prefix[100];
    (void)snprintf(prefix, sizeof prefix, "%.90s: ", document);
    if (!json_is_object(value))
        return layout_refuse(document, "a descriptor that is no object", fault);
    if (json_read(value, prefix, fields, ARRAY_LEN(fields), false, FAULT_ARTIFACT_INVALID, fault) !=
        0)
        return -1;
    if (digest_parse(digest, strlen(digest), &reference.digest) != 0)
        return layout_refuse(document, "digest: expected sha256 and 64 lower-case digits", fault);
    reference.elsewhere = json_object_get(value, "urls") != NULL;
    *ret = reference;
    return 0;
}

/* The blob, which has to be there and to be what was named. */
static int find_blob(const struct spool *spool, const struct reference *reference,
                     const struct spool_member **ret_blob, struct fault *fault)
{
    char name[16 + DIGEST_TEXT_LEN];
    (void)snprintf(name, sizeof name, "blobs/sha256/%s", digest_hex(&reference->digest).text);
    const struct spool_member *blob = spool_find(spool, name);
    if (blob == NULL)
        return layout_refuse(name, "not in the archive", fault);
    if (blob->size != reference->size)
        return layout_refuse(name, "not of the size that its descriptor says", fault);
    if (!digest_equal(&blob->sha256, &reference->digest))
        return layout_refuse(name, "its bytes have another digest", fault);
    *ret_blob = blob;
    return 0;
}

/* Two readings of one document are how such things are abused: it has to say what it is, and
 * may not be the other thing too. */
static int check_document(const json_t *document, const char *name, const char *const *types,
                          const char *foreign, struct fault *fault)
{
    int64_t version = 0;
    const char *type = NULL;
    const struct json_field fields[] = {
        {"schemaVersion", JSON_KIND_INTEGER, true, 2, 2, &version},
        {"mediaType", JSON_KIND_STRING, false, 1, 255, &type},
    };
    char prefix[100];
    (void)snprintf(prefix, sizeof prefix, "%.90s: ", name);
    if (json_read(document, prefix, fields, ARRAY_LEN(fields), false, FAULT_ARTIFACT_INVALID,
                  fault) != 0)
        return -1;
    if (type != NULL && !is_one_of(type, types))
        return layout_refuse(name, "mediaType: not what it was referred to as", fault);
    if (json_object_get(document, foreign) != NULL)
        return layout_refuse(name, "it is an index and a manifest at once", fault);
    return 0;
}

/* ---- choosing ---- */

static bool is_for_us(const struct reference *reference)
{
    if (reference->platform == NULL) /* then its configuration decides */
        return true;
    const char *os = json_string_value(json_object_get(reference->platform, "os"));
    const char *machine = json_string_value(json_object_get(reference->platform, "architecture"));
    return os != NULL && machine != NULL && strcmp(os, "linux") == 0 &&
           strcmp(machine, LAYOUT_ARCHITECTURE) == 0;
}

/* The one manifest for this machine, so far. The texts of `found` end with their document. */
struct choice {
    struct digest digest;
    int64_t size;
    bool found;
};

static int choose(struct choice *choice, const struct reference *reference, struct fault *fault)
{
    if (!is_for_us(reference))
        return 0;
    if (choice->found && !digest_equal(&choice->digest, &reference->digest))
        return fault_set(fault, FAULT_ARTIFACT_INVALID,
                         "more than one image for linux/" LAYOUT_ARCHITECTURE
                         "; expected exactly one");
    *choice = (struct choice){reference->digest, reference->size, true};
    return 0;
}

static int read_index(const struct spool *spool, const struct spool_member *member, int depth,
                      struct choice *choice, struct fault *fault);

static int read_index_entry(const struct spool *spool, const json_t *value, const char *name,
                            int depth, struct choice *choice, struct fault *fault)
{
    struct reference reference;
    const struct spool_member *nested;
    if (read_reference(value, name, &reference, fault) != 0)
        return -1;
    if (is_one_of(reference.type, manifest_types))
        return choose(choice, &reference, fault);
    if (!is_one_of(reference.type, index_types))
        return fault_set(fault, FAULT_ARTIFACT_INVALID, "%.90s: unknown media type %.100s", name,
                         reference.type);
    if (depth > 0)
        return layout_refuse(name, "an index in an index in an index", fault);
    return find_blob(spool, &reference, &nested, fault) != 0
               ? -1
               : read_index(spool, nested, depth + 1, choice, fault);
}

static int read_index(const struct spool *spool, const struct spool_member *member, int depth,
                      struct choice *choice, struct fault *fault)
{
    AUTO_JSON json_t *index = NULL;
    const json_t *entries = NULL;
    const struct json_field fields[] = {
        {"manifests", JSON_KIND_ARRAY, true, 1, INDEX_MAX, &entries}};
    if (layout_load(spool, member, false, &index, fault) != 0 ||
        check_document(index, member->name, index_types, "layers", fault) != 0 ||
        json_read(index, "index.", fields, ARRAY_LEN(fields), false, FAULT_ARTIFACT_INVALID,
                  fault) != 0)
        return -1;
    for (size_t i = 0; i < json_array_size(entries); i++) {
        if (read_index_entry(spool, json_array_get(entries, i), member->name, depth, choice,
                             fault) != 0)
            return -1;
    }
    return 0;
}

/* ---- the manifest ---- */

static int read_layer(const struct spool *spool, const json_t *value, const char *name,
                      struct layer *ret_layer, struct fault *fault)
{
    struct reference reference;
    if (read_reference(value, name, &reference, fault) != 0)
        return -1;
    if (reference.elsewhere)
        return layout_refuse(name, "a layer that is to be fetched from elsewhere (urls)", fault);
    for (size_t i = 0; i < ARRAY_LEN(layer_types); i++) {
        if (strcmp(reference.type, layer_types[i].type) != 0)
            continue;
        ret_layer->packing = layer_types[i].packing;
        return find_blob(spool, &reference, &ret_layer->blob, fault);
    }
    return fault_set(fault, FAULT_ARTIFACT_INVALID, "%.90s: a layer of media type %.100s", name,
                     reference.type);
}

static int read_config(const struct spool *spool, const json_t *value, const char *name,
                       const struct spool_member **ret_config, struct fault *fault)
{
    struct reference reference;
    if (read_reference(value, name, &reference, fault) != 0)
        return -1;
    if (!is_one_of(reference.type, config_types))
        return fault_set(fault, FAULT_ARTIFACT_INVALID, "%.90s: a config of media type %.100s",
                         name, reference.type);
    return find_blob(spool, &reference, ret_config, fault);
}

static int read_manifest(const struct spool *spool, const struct spool_member *member,
                         struct layout_parts *parts, struct fault *fault)
{
    AUTO_JSON json_t *manifest = NULL;
    const json_t *config = NULL, *layers = NULL;
    const struct json_field fields[] = {
        {"config", JSON_KIND_OBJECT, true, 0, 0, &config},
        {"layers", JSON_KIND_ARRAY, true, 1, LAYOUT_LAYERS_MAX, &layers},
    };
    if (layout_load(spool, member, false, &manifest, fault) != 0 ||
        check_document(manifest, member->name, manifest_types, "manifests", fault) != 0 ||
        json_read(manifest, "manifest.", fields, ARRAY_LEN(fields), false, FAULT_ARTIFACT_INVALID,
                  fault) != 0 ||
        read_config(spool, config, member->name, &parts->config, fault) != 0)
        return -1;
    parts->layer_count = json_array_size(layers);
    for (size_t i = 0; i < parts->layer_count; i++) {
        if (read_layer(spool, json_array_get(layers, i), member->name, &parts->layers[i], fault) !=
            0)
            return -1;
    }
    return 0;
}

static int check_version(const struct spool *spool, struct fault *fault)
{
    const struct spool_member *marker = spool_find(spool, "oci-layout");
    AUTO_JSON json_t *layout = NULL;
    const char *version = NULL;
    const struct json_field fields[] = {
        {"imageLayoutVersion", JSON_KIND_STRING, true, 1, 64, &version}};
    if (marker == NULL)
        return layout_refuse("oci-layout", "not in the archive", fault);
    if (layout_load(spool, marker, false, &layout, fault) != 0 ||
        json_read(layout, "oci-layout.", fields, ARRAY_LEN(fields), false, FAULT_ARTIFACT_INVALID,
                  fault) != 0)
        return -1;
    return strncmp(version, "1.", 2) == 0
               ? 0
               : layout_refuse("oci-layout", "imageLayoutVersion: expected 1.x", fault);
}

int layout_read_oci(const struct spool *spool, struct layout_parts *ret_parts, struct fault *fault)
{
    struct choice choice = {0};
    const struct spool_member *index = spool_find(spool, "index.json"), *manifest;
    if (check_version(spool, fault) != 0)
        return -1;
    if (index == NULL)
        return layout_refuse("index.json", "not in the archive", fault);
    if (read_index(spool, index, 0, &choice, fault) != 0)
        return -1;
    if (!choice.found)
        return layout_refuse("index.json", "no image for linux/" LAYOUT_ARCHITECTURE, fault);
    const struct reference reference = {.digest = choice.digest, .size = choice.size};
    return find_blob(spool, &reference, &manifest, fault) != 0
               ? -1
               : read_manifest(spool, manifest, ret_parts, fault);
}
