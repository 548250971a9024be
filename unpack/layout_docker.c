/* SPDX-License-Identifier: Apache-2.0 */
#include "unpack/layout_internal.h"

#include <string.h>

static int find(const struct spool *spool, const char *path, const struct spool_member **ret_member,
                struct fault *fault)
{
    char name[PLACE_PATH_MAX + 1];
    if (place_clean(path, name, fault) != 0)
        return -1;
    const struct spool_member *member = spool_find(spool, name);
    if (member == NULL)
        return fault_set(fault, FAULT_ARTIFACT_INVALID, "manifest.json: no %.150s in the archive",
                         name);
    *ret_member = member;
    return 0;
}

/* Layers have no media type here: they are plain, or gzip by its first bytes (RFC 1952). */
static int find_packing(const struct spool *spool, const struct spool_member *blob,
                        enum packing *ret_packing, struct fault *fault)
{
    uint8_t magic[2] = {0};
    if (spool_read(spool, blob, 0, magic, sizeof magic) < 0)
        return fault_errno(fault, "cannot read back %.100s", blob->name);
    *ret_packing = magic[0] == 0x1f && magic[1] == 0x8b ? PACKING_GZIP : PACKING_NONE;
    return 0;
}

/* The configuration is named by its digest: <hex>.json, or blobs/sha256/<hex>. */
static int check_config_name(const struct spool_member *config, const char *path,
                             struct fault *fault)
{
    struct digest named;
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    if (digest_parse_any(name, strcspn(name, "."), &named) != 0)
        return layout_refuse("manifest.json", "Config: expected a name by digest", fault);
    return digest_equal(&named, &config->sha256)
               ? 0
               : layout_refuse(config->name, "its bytes have another digest", fault);
}

static int read_image(const struct spool *spool, const json_t *image, struct layout_parts *parts,
                      struct fault *fault)
{
    const char *config = NULL;
    const json_t *layers = NULL;
    const struct json_field fields[] = {
        {"Config", JSON_KIND_STRING, true, 1, PLACE_PATH_MAX, &config},
        {"Layers", JSON_KIND_ARRAY, true, 1, LAYOUT_LAYERS_MAX, &layers},
    };
    if (!json_is_object(image))
        return layout_refuse("manifest.json", "an image that is no object", fault);
    if (json_read(image, "manifest.json: ", fields, ARRAY_LEN(fields), false,
                  FAULT_ARTIFACT_INVALID, fault) != 0 ||
        find(spool, config, &parts->config, fault) != 0 ||
        check_config_name(parts->config, config, fault) != 0)
        return -1;
    parts->layer_count = json_array_size(layers);
    for (size_t i = 0; i < parts->layer_count; i++) {
        const char *path = json_string_value(json_array_get(layers, i));
        struct layer *layer = &parts->layers[i];
        if (path == NULL)
            return layout_refuse("manifest.json", "Layers: expected strings", fault);
        if (find(spool, path, &layer->blob, fault) != 0 ||
            find_packing(spool, layer->blob, &layer->packing, fault) != 0)
            return -1;
    }
    return 0;
}

int layout_read_docker(const struct spool *spool, struct layout_parts *ret_parts,
                       struct fault *fault)
{
    AUTO_JSON json_t *images = NULL;
    if (layout_load(spool, spool_find(spool, "manifest.json"), true, &images, fault) != 0)
        return -1;
    if (json_array_size(images) != 1)
        return layout_refuse("manifest.json", "expected exactly one image", fault);
    return read_image(spool, json_array_get(images, 0), ret_parts, fault);
}
