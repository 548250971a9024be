/* SPDX-License-Identifier: Apache-2.0 */
/* An SBOM as a publisher attaches it: whatever is accepted has a summary that fits its place. */
#include "base/text.h"
#include "trust/sbom.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool truth)
{
    if (!truth)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sbom sbom;
    struct fault fault = {0};
    if (sbom_read(span_of(data, size), &sbom, &fault) != 0) {
        require(fault.code == FAULT_ARTIFACT_INVALID);
        require(utf8_valid(fault.detail, strlen(fault.detail)));
        return 0;
    }
    AUTO_BUF struct buf text = BUF(DOCUMENT_SUMMARY_MAX);
    AUTO_JSON json_t *summary = sbom_summary(&sbom);
    json_append(&text, summary);
    require(!buf_failed(&text) && utf8_valid(sbom.name, strlen(sbom.name)));
    require(sbom.components >= 0 && sbom.components <= DOCUMENT_CONTAINERS_MAX);
    return 0;
}
