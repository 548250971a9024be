/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/sbom.h"

#include "base/text.h"

#include <string.h>

/* The identifiers seen so far, borrowed from the tree: pointers in a buffer. */
#define IDS_BYTES_MAX (DOCUMENT_CONTAINERS_MAX * sizeof(const char *))

static void id_note(struct buf *ids, const json_t *id)
{
    const char *text = json_string_value(id);
    if (text != NULL)
        buf_append(ids, &text, sizeof text);
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int ids_check(struct buf *ids, const char *name, struct fault *fault)
{
    const char **list = (const char **)(void *)ids->data;
    size_t count = ids->len / sizeof *list;
    if (buf_failed(ids))
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    if (count > 1)
        qsort(list, count, sizeof *list, compare_texts);
    for (size_t i = 1; i < count; i++)
        if (strcmp(list[i - 1], list[i]) == 0)
            return fault_set(fault, FAULT_ARTIFACT_INVALID, "%s: %.64s names two of them", name,
                             list[i]);
    return 0;
}

/* ---- SPDX ---- */

static int spdx_packages(const json_t *packages, struct sbom *sbom, struct fault *fault)
{
    AUTO_BUF struct buf ids = BUF(IDS_BYTES_MAX);
    size_t i;
    json_t *package, *name, *id;
    json_array_foreach(packages, i, package)
    {
        char prefix[DOCUMENT_PREFIX_MAX];
        (void)snprintf(prefix, sizeof prefix, "packages[%zu].", i);
        if (document_member(package, prefix, "name", JSON_KIND_STRING, true, &name, fault) != 0 ||
            document_member(package, prefix, "SPDXID", JSON_KIND_STRING, true, &id, fault) != 0)
            return -1;
        id_note(&ids, id);
    }
    sbom->components = (int64_t)json_array_size(packages);
    return ids_check(&ids, "packages[].SPDXID", fault);
}

static int spdx_read(const json_t *object, struct sbom *sbom, struct fault *fault)
{
    json_t *version, *id, *creation, *packages;
    if (document_member(object, "", "spdxVersion", JSON_KIND_STRING, true, &version, fault) != 0 ||
        document_member(object, "", "SPDXID", JSON_KIND_STRING, true, &id, fault) != 0 ||
        document_text(object, "", "name", true, sbom->name, fault) != 0 ||
        document_member(object, "", "creationInfo", JSON_KIND_OBJECT, true, &creation, fault) !=
            0 ||
        document_time(creation, "creationInfo.", "created", true, &sbom->created_ms, fault) != 0 ||
        document_member(object, "", "packages", JSON_KIND_ARRAY, true, &packages, fault) != 0)
        return -1;
    const char *text = json_string_value(version);
    if (strcmp(text, "SPDX-2.2") != 0 && strcmp(text, "SPDX-2.3") != 0)
        return fault_set(fault, FAULT_ARTIFACT_INVALID, "spdxVersion: expected SPDX-2.2 or 2.3");
    if (strcmp(json_string_value(id), "SPDXRef-DOCUMENT") != 0)
        return fault_set(fault, FAULT_ARTIFACT_INVALID, "SPDXID: expected SPDXRef-DOCUMENT");
    sbom->format = "spdx";
    (void)snprintf(sbom->version, sizeof sbom->version, "%s", text + strlen("SPDX-"));
    return spdx_packages(packages, sbom, fault);
}

/* ---- CycloneDX ---- */

/* Components hold components; the parser has bounded how deep. */
static int cyclonedx_components(const json_t *components, const char *above, struct buf *ids,
                                struct sbom *sbom, struct fault *fault)
{
    size_t i;
    json_t *component, *name, *type, *id, *inner;
    json_array_foreach(components, i, component)
    {
        char prefix[DOCUMENT_PREFIX_MAX];
        (void)snprintf(prefix, sizeof prefix, "%.200scomponents[%zu].", above, i);
        if (document_member(component, prefix, "type", JSON_KIND_STRING, true, &type, fault) != 0 ||
            document_member(component, prefix, "name", JSON_KIND_STRING, true, &name, fault) != 0 ||
            document_member(component, prefix, "bom-ref", JSON_KIND_STRING, false, &id, fault) !=
                0 ||
            document_member(component, prefix, "components", JSON_KIND_ARRAY, false, &inner,
                            fault) != 0)
            return -1;
        id_note(ids, id);
        sbom->components++;
        if (inner != NULL && cyclonedx_components(inner, prefix, ids, sbom, fault) != 0)
            return -1;
    }
    return 0;
}

/* "1.N" with N of 2 or more: 1.2 is the first version that has a JSON form. */
static bool cyclonedx_version_valid(const char *text)
{
    if (strncmp(text, "1.", 2) != 0 || !text_in_set(text + 2, strlen(text + 2), 1, 2, "0123456789"))
        return false;
    return text[3] == '\0' ? text[2] >= '2' : text[2] != '0';
}

static int cyclonedx_read(const json_t *object, struct sbom *sbom, struct fault *fault)
{
    AUTO_BUF struct buf ids = BUF(IDS_BYTES_MAX);
    json_t *bom, *version, *metadata, *subject = NULL, *components;
    if (document_member(object, "", "bomFormat", JSON_KIND_STRING, true, &bom, fault) != 0 ||
        document_member(object, "", "specVersion", JSON_KIND_STRING, true, &version, fault) != 0 ||
        document_member(object, "", "metadata", JSON_KIND_OBJECT, false, &metadata, fault) != 0 ||
        document_time(metadata, "metadata.", "timestamp", false, &sbom->created_ms, fault) != 0 ||
        document_member(metadata, "metadata.", "component", JSON_KIND_OBJECT, false, &subject,
                        fault) != 0 ||
        document_text(subject, "metadata.component.", "name", subject != NULL, sbom->name, fault) !=
            0 ||
        document_member(object, "", "components", JSON_KIND_ARRAY, true, &components, fault) != 0)
        return -1;
    if (strcmp(json_string_value(bom), "CycloneDX") != 0)
        return fault_set(fault, FAULT_ARTIFACT_INVALID, "bomFormat: expected CycloneDX");
    if (!cyclonedx_version_valid(json_string_value(version)))
        return fault_set(fault, FAULT_ARTIFACT_INVALID, "specVersion: expected 1.2 or a later 1.x");
    sbom->format = "cyclonedx";
    (void)snprintf(sbom->version, sizeof sbom->version, "%s", json_string_value(version));
    if (cyclonedx_components(components, "", &ids, sbom, fault) != 0)
        return -1;
    return ids_check(&ids, "components[].bom-ref", fault);
}

int sbom_read(struct span document, struct sbom *ret_sbom, struct fault *fault)
{
    struct sbom sbom = {.created_ms = INT64_MIN};
    AUTO_JSON json_t *object = NULL;
    if (document_parse(document, "the SBOM", &object, fault) != 0)
        return -1;
    bool spdx = json_object_get(object, "spdxVersion") != NULL;
    bool cyclonedx = json_object_get(object, "bomFormat") != NULL;
    if (spdx == cyclonedx)
        return fault_set(fault, FAULT_ARTIFACT_INVALID,
                         "the SBOM: expected spdxVersion (SPDX 2.2 or 2.3) or bomFormat "
                         "(CycloneDX), found %s",
                         spdx ? "both" : "neither");
    if ((spdx ? spdx_read(object, &sbom, fault) : cyclonedx_read(object, &sbom, fault)) != 0)
        return -1;
    *ret_sbom = sbom;
    return 0;
}

json_t *sbom_summary(const struct sbom *sbom)
{
    return json_pack("{s:s, s:s, s:o, s:I, s:o}", "format", sbom->format, "version", sbom->version,
                     "name", document_text_json(sbom->name), "components",
                     (json_int_t)sbom->components, "created", document_time_json(sbom->created_ms));
}
