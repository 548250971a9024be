/* SPDX-License-Identifier: Apache-2.0 */
#include "unpack/layout_internal.h"

#include <string.h>

void layout_free(struct layout *layout)
{
    json_decref(layout->config);
    layout->config = NULL;
}

void layout_tell(const char *document, const char *why, struct fault *fault)
{
    fault_write(fault, FAULT_ARTIFACT_INVALID, "%.90s: %s", document, why);
}

int layout_load(const struct spool *spool, const struct spool_member *member, bool array,
                json_t **ret_value, struct fault *fault)
{
    AUTO_BUF struct buf text = BUF(LAYOUT_JSON_MAX);
    char name[92];
    (void)snprintf(name, sizeof name, "%.90s", member->name);
    if (spool_load(spool, member, &text, fault) != 0)
        return -1;
    return (array ? json_array_parse : json_object_parse)(buf_span(&text), FAULT_ARTIFACT_INVALID,
                                                          name, ret_value, fault);
}

/* ---- the configuration ---- */

static int check_machine(const json_t *config, const char *name, struct fault *fault)
{
    const char *os = NULL, *architecture = NULL;
    const struct json_field fields[] = {
        {"os", JSON_KIND_STRING, true, 1, 64, &os},
        {"architecture", JSON_KIND_STRING, true, 1, 64, &architecture},
    };
    if (json_read(config, "config.", fields, ARRAY_LEN(fields), false, FAULT_ARTIFACT_INVALID,
                  fault) != 0)
        return -1;
    if (strcmp(os, "linux") != 0 || strcmp(architecture, LAYOUT_ARCHITECTURE) != 0)
        return layout_refuse(name, "the image is not for linux/" LAYOUT_ARCHITECTURE, fault);
    return 0;
}

static int read_diff_ids(const json_t *config, const char *name, struct layout *layout,
                         struct fault *fault)
{
    const json_t *rootfs = NULL, *ids = NULL;
    const char *type = NULL;
    const struct json_field outer[] = {{"rootfs", JSON_KIND_OBJECT, true, 0, 0, &rootfs}};
    const struct json_field inner[] = {
        {"type", JSON_KIND_STRING, true, 1, 64, &type},
        {"diff_ids", JSON_KIND_ARRAY, true, 1, LAYOUT_LAYERS_MAX, &ids},
    };
    if (json_read(config, "config.", outer, ARRAY_LEN(outer), false, FAULT_ARTIFACT_INVALID,
                  fault) != 0 ||
        json_read(rootfs, "config.rootfs.", inner, ARRAY_LEN(inner), false, FAULT_ARTIFACT_INVALID,
                  fault) != 0)
        return -1;
    if (strcmp(type, "layers") != 0)
        return layout_refuse(name, "rootfs.type: expected layers", fault);
    if (json_array_size(ids) != layout->layer_count)
        return layout_refuse(name, "it has not as many diff_ids as the image has layers", fault);
    for (size_t i = 0; i < layout->layer_count; i++) {
        const char *id = json_string_value(json_array_get(ids, i));
        if (id == NULL || digest_parse(id, strlen(id), &layout->layers[i].diff_id) != 0)
            return layout_refuse(name, "a diff_id that is no SHA-256 digest", fault);
    }
    return 0;
}

int layout_read(const struct spool *spool, struct layout *ret_layout, struct fault *fault)
{
    struct layout_parts parts = {0};
    AUTO(layout_free) struct layout layout = {0};
    bool oci = spool_find(spool, "oci-layout") != NULL || spool_find(spool, "index.json") != NULL;
    if (!oci && spool_find(spool, "manifest.json") == NULL)
        return fault_set(fault, FAULT_ARTIFACT_INVALID,
                         "no image: expected an OCI image layout or what docker save writes");
    if ((oci ? layout_read_oci : layout_read_docker)(spool, &parts, fault) != 0 ||
        layout_load(spool, parts.config, false, &layout.config, fault) != 0)
        return -1;
    memcpy(layout.layers, parts.layers, sizeof parts.layers);
    layout.layer_count = parts.layer_count;
    if (check_machine(layout.config, parts.config->name, fault) != 0 ||
        read_diff_ids(layout.config, parts.config->name, &layout, fault) != 0)
        return -1;
    *ret_layout = layout;
    layout.config = NULL;
    return 0;
}
