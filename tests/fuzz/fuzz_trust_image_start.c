/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as what an unpacker says of an image: refused with a reason, or believed, and then it
 * has one form, which is believed again and stays the same. */
#include "trust/image.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct image *image)
{
    AUTO_IMAGE struct image *again = NULL;
    struct fault fault = {0};
    if (image_parse(image->json, &again, &fault) != 0 || !span_equal(image->json, again->json))
        abort();
    if (image->uid < 0 || image->gid < 0 || image->working_dir[0] != '/')
        abort();
    if (image->entrypoint_count > 0 &&
        (image->entrypoint[0][0] != '/' || strncmp(image->entrypoint[0], "/in/", 4) == 0))
        abort();
    for (size_t i = 0; i < image->env_count; i++)
        if (strncmp(image->env[i].name, "LD_", 3) == 0 || strchr(image->env[i].name, '=') != NULL)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_IMAGE struct image *image = NULL;
    struct fault fault = {0};
    int result = image_parse(span_of(data, size), &image, &fault);
    if ((result == 0) != (fault.code == FAULT_NONE) || (result == 0) != (image != NULL))
        abort();
    if (result != 0 && fault.code != FAULT_ARTIFACT_INVALID)
        abort();
    if (result == 0)
        check(image);
    return 0;
}
