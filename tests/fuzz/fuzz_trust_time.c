/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 3339 text: what is read is written as text that reads as the same instant. */
#include "base/clock.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t ms = 0, again = 0;
    if (time_parse((const char *)data, size, &ms) != 0)
        return 0;
    struct time_text text = time_format(ms);
    /* An offset can carry the first and the last day out of the years that have text. */
    if (strncmp(text.text, "0000", 4) == 0 || strncmp(text.text, "9999-12-31", 10) == 0)
        return 0;
    if (time_parse(text.text, TIME_TEXT_LEN, &again) != 0 || again != ms)
        abort();
    return 0;
}
