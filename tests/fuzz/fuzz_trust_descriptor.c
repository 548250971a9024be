/* SPDX-License-Identifier: Apache-2.0 */
/* A descriptor's JSON as the database gives it back: what is read is written as the same bytes. */
#include "trust/descriptor.h"
#include "trust/env.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool truth)
{
    if (!truth)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_DESCRIPTOR struct descriptor *descriptor = NULL, *again = NULL;
    struct fault fault = {0};
    if (descriptor_parse(span_of(data, size), &descriptor, &fault) != 0) {
        require(descriptor == NULL && fault.code == FAULT_ARTIFACT_INVALID);
        return 0;
    }
    AUTO_BUF struct buf json = BUF(DESCRIPTOR_JSON_MAX);
    require(descriptor_new(descriptor, &again, &json, &fault) == 0);
    require(span_equal(buf_span(&json), span_of(data, size)));
    require(descriptor->entrypoint_count <= DESCRIPTOR_ENTRYPOINT_MAX);
    require(descriptor->entrypoint_count == 0 || descriptor->entrypoint[0][0] == '/');
    for (size_t i = 0; i < descriptor->env_allowed_count; i++)
        require(!env_name_forbidden(descriptor->env_allowed[i]));
    return 0;
}
