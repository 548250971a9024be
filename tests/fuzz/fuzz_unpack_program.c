/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a program: copied exactly, or refused. */
#include "unpack/program.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_BYTES (1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char folder[] = "/dev/shm/sallyport-fuzz.XXXXXX";
    struct fault fault = {0};
    AUTO_CLOSE int fd = memfd_create("program", MFD_CLOEXEC);
    if (mkdtemp(folder) == NULL || fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    AUTO_CLOSE int root = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    AUTO(place_end) struct place place;
    place_begin(&place, root, MAX_BYTES, 4);
    int result = program_unpack(fd, "bin/tool", &place, &fault);
    struct stat stat;
    bool there = fstatat(root, "bin/tool", &stat, AT_SYMLINK_NOFOLLOW) == 0;
    if (result == 0 && (!there || stat.st_size != (off_t)size || (stat.st_mode & 0111) == 0))
        abort();
    if (result != 0 && (there || fault.code != FAULT_ARTIFACT_INVALID))
        abort();
    (void)unlinkat(root, "bin/tool", 0);
    (void)unlinkat(root, "bin", AT_REMOVEDIR);
    if (rmdir(folder) != 0)
        abort();
    return 0;
}
