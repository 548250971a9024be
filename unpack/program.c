/* SPDX-License-Identifier: Apache-2.0 */
#include "unpack/program.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define COPY_SIZE 65536
#define SEGMENTS_MAX 128

#if defined(__x86_64__)
#define OUR_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define OUR_MACHINE EM_AARCH64
#else
#error "name this machine's ELF number"
#endif

static int refuse(struct fault *fault, const char *why)
{
    return fault_set(fault, FAULT_ARTIFACT_INVALID, "not a static program for this machine: %s",
                     why);
}

/* All of it, or an error (ENODATA where the file ends before). */
static int read_at(int fd, void *data, size_t len, int64_t offset)
{
    ssize_t n = pread(fd, data, len, offset);
    if (n >= 0 && (size_t)n < len)
        errno = ENODATA;
    return n == (ssize_t)len ? 0 : -1;
}

static int check_segments(int fd, const Elf64_Ehdr *header, struct fault *fault)
{
    if (header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phnum == 0 ||
        header->e_phnum > SEGMENTS_MAX || header->e_phoff > INT64_MAX / 2)
        return refuse(fault, "its program headers are not usable");
    bool loads = false;
    for (unsigned i = 0; i < header->e_phnum; i++) {
        Elf64_Phdr segment;
        if (read_at(fd, &segment, sizeof segment,
                    (int64_t)(header->e_phoff + i * sizeof segment)) != 0)
            return refuse(fault, "its program headers are cut off");
        if (segment.p_type == PT_INTERP)
            return refuse(fault,
                          "it asks for an interpreter; pack it with its libraries as rootfs");
        loads = loads || segment.p_type == PT_LOAD;
    }
    return loads ? 0 : refuse(fault, "it has nothing to load");
}

static int check(int fd, struct fault *fault)
{
    Elf64_Ehdr header;
    if (read_at(fd, &header, sizeof header, 0) != 0 || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
        return refuse(fault, "not an ELF file");
    if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
        header.e_machine != OUR_MACHINE)
        return refuse(fault, "built for another machine");
    if (header.e_type != ET_EXEC && header.e_type != ET_DYN)
        return refuse(fault, "not an executable");
    return check_segments(fd, &header, fault);
}

int program_unpack(int fd, const char *path, struct place *place, struct fault *fault)
{
    struct stat stat;
    if (fstat(fd, &stat) != 0)
        return fault_errno(fault, "cannot look at the artifact");
    if (check(fd, fault) != 0)
        return -1;
    AUTO(place_file_discard) struct place_file file = {.fd = -1};
    AUTO_FREE uint8_t *bytes = malloc(COPY_SIZE);
    if (bytes == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    if (place_file_begin(place, path, true, stat.st_size, &file, fault) != 0)
        return -1;
    for (int64_t at = 0;;) {
        ssize_t n = pread(fd, bytes, COPY_SIZE, at);
        if (n < 0)
            return fault_errno(fault, "cannot read the artifact");
        if (n == 0)
            return place_file_end(&file, fault);
        if (place_file_write(&file, at, bytes, (size_t)n, fault) != 0)
            return -1;
        at += n;
    }
}
