/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a tar, plain or packed: unpacked or refused, within the limits, and never a
 * write outside the folder. */
#include "base/file.h"
#include "unpack/tarball.h"

#include <fcntl.h>
#include <locale.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* As the program does: names are UTF-8. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    return setlocale(LC_CTYPE, "C.UTF-8") == NULL;
}

#define MAX_BYTES (1 << 20)
#define MAX_ENTRIES 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* root/ gets the tree; anything else in the folder would have escaped */
    char folder[] = "/dev/shm/sallyport-fuzz.XXXXXX";
    char path[sizeof folder + 8];
    struct fault fault = {0};
    if (mkdtemp(folder) == NULL)
        abort();
    (void)snprintf(path, sizeof path, "%s/root", folder);
    if (mkdir(path, 0700) != 0)
        abort();
    AUTO_CLOSE int root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    AUTO(place_end) struct place place;
    place_begin(&place, root, MAX_BYTES, MAX_ENTRIES);
    int result = tarball_unpack_bytes(data, size, &place, &fault);
    if ((result == 0) != (fault.code == FAULT_NONE))
        abort();
    if (result != 0 && fault.code != FAULT_ARTIFACT_INVALID && fault.code != FAULT_TOO_LARGE) {
        fprintf(stderr, "%s\n", fault.detail); /* a refusal taken for a failure of ours */
        abort();
    }
    if (place.bytes > MAX_BYTES || place.entries > MAX_ENTRIES)
        abort();
    if (dir_remove(path, &fault) != 0 || rmdir(folder) != 0)
        abort();
    return 0;
}
