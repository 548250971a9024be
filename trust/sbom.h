/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A software bill of materials, read for its summary: SPDX 2.2 and 2.3 JSON (spdxVersion, SPDXID,
 * packages), CycloneDX 1.2 and later 1.x JSON (ECMA-424: bomFormat, specVersion, components).
 */
#pragma once

#include "base/buf.h"
#include "base/fault.h"
#include "trust/document.h"

struct sbom {
    const char *format;                  /* "spdx" or "cyclonedx" */
    char version[DOCUMENT_TEXT_MAX + 1]; /* of the format: "2.3", "1.6" */
    char name[DOCUMENT_TEXT_MAX + 1];    /* what it describes; "" where it doesn't say */
    int64_t components;                  /* packages, or components with those inside them */
    int64_t created_ms;                  /* INT64_MIN where it doesn't say */
};

/* FAULT_ARTIFACT_INVALID naming the member: not one of the two formats, or both at once, a member
 * that its format requires missing or of another kind, one identifier for two components. */
int sbom_read(struct span document, struct sbom *ret_sbom, struct fault *fault) MUST_CHECK;

/* {format, version, name, components, created}; NULL without memory. */
json_t *sbom_summary(const struct sbom *sbom);
