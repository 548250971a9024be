/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/urn.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!urn_valid((const char *)data, size))
        return 0;
    if (size < 8 || size > URN_MAX)
        abort();
    for (size_t i = 0; i < size; i++)
        if (data[i] <= 0x20 || data[i] >= 0x7f || strchr("\"#<>?[\\]^`{|}", data[i]) != NULL)
            abort();
    return 0;
}
