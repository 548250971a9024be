/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/elf.h"

#include "base/buf.h"

#include <elf.h>
#include <string.h>
#include <sys/stat.h>

#define SEGMENTS_MAX 256
#define DYNAMIC_MAX 65536 /* entries */
#define STRINGS_MAX ((size_t)16 * 1024 * 1024)
#define TEXT_MAX 4096 /* of one name or search path */

/* A file while it is taken apart. */
struct reading {
    int fd;
    const char *name;
    uint64_t size;
    Elf64_Ehdr header;
    Elf64_Phdr *segments;
    Elf64_Dyn *dynamic;
    size_t dynamic_count;
    char *strings; /* with a NUL after them */
    size_t strings_len;
};

static int broken(const struct reading *reading, const char *what, struct fault *fault)
{
    return fault_set(fault, FAULT_ARTIFACT_INVALID, "%s: not a sound ELF file: %s", reading->name,
                     what);
}

/* Exactly len bytes at an offset. */
static int read_at(const struct reading *reading, uint64_t offset, void *data, size_t len)
{
    if (offset > reading->size || len > reading->size - offset)
        return -1;
    return pread(reading->fd, data, len, (off_t)offset) == (ssize_t)len ? 0 : -1;
}

/* A copy of len bytes at an offset, and a NUL; NULL where they are not there. */
static void *read_copy(const struct reading *reading, uint64_t offset, size_t len)
{
    char *copy = malloc(len + 1);
    if (copy == NULL || read_at(reading, offset, copy, len) != 0) {
        free(copy);
        return NULL;
    }
    copy[len] = '\0';
    return copy;
}

static int read_header(struct reading *reading, struct fault *fault)
{
    const Elf64_Ehdr *header = &reading->header;
    struct stat stat;
    if (fstat(reading->fd, &stat) != 0)
        return fault_errno(fault, "cannot look at %s", reading->name);
    reading->size = (uint64_t)stat.st_size;
    if (!S_ISREG(stat.st_mode) || !elf_is(reading->fd) ||
        read_at(reading, 0, &reading->header, sizeof reading->header) != 0)
        return fault_set(fault, FAULT_ARTIFACT_INVALID, "%s: not an ELF program or library",
                         reading->name);
    if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB)
        return fault_set(fault, FAULT_ARTIFACT_INVALID,
                         "%s: expected a 64-bit little-endian ELF file", reading->name);
    if (header->e_type != ET_EXEC && header->e_type != ET_DYN)
        return broken(reading, "neither a program nor a library", fault);
    if (header->e_phnum > SEGMENTS_MAX || header->e_phentsize != sizeof(Elf64_Phdr))
        return broken(reading, "its program headers", fault);
    return 0;
}

static const Elf64_Phdr *find_segment(const struct reading *reading, uint32_t type)
{
    for (size_t i = 0; i < reading->header.e_phnum; i++)
        if (reading->segments[i].p_type == type)
            return &reading->segments[i];
    return NULL;
}

/* The file offset of an address, with how many bytes follow it in its segment. */
static int find_address(const struct reading *reading, uint64_t address, uint64_t *ret_offset,
                        uint64_t *ret_len)
{
    for (size_t i = 0; i < reading->header.e_phnum; i++) {
        const Elf64_Phdr *segment = &reading->segments[i];
        if (segment->p_type != PT_LOAD || address < segment->p_vaddr ||
            address - segment->p_vaddr >= segment->p_filesz ||
            segment->p_offset > UINT64_MAX - segment->p_filesz)
            continue;
        *ret_offset = segment->p_offset + (address - segment->p_vaddr);
        *ret_len = segment->p_filesz - (address - segment->p_vaddr);
        return 0;
    }
    return -1;
}

static int read_interpreter(const struct reading *reading, struct elf *elf, struct fault *fault)
{
    const Elf64_Phdr *segment = find_segment(reading, PT_INTERP);
    if (segment == NULL)
        return 0;
    if (segment->p_filesz < 2 || segment->p_filesz > TEXT_MAX)
        return broken(reading, "the name of its loader", fault);
    size_t len = (size_t)segment->p_filesz;
    elf->interpreter = read_copy(reading, segment->p_offset, len);
    if (elf->interpreter == NULL || elf->interpreter[0] != '/' ||
        strlen(elf->interpreter) != len - 1)
        return broken(reading, "the name of its loader", fault);
    return 0;
}

static uint64_t dynamic_value(const struct reading *reading, int64_t tag)
{
    for (size_t i = 0; i < reading->dynamic_count; i++)
        if (reading->dynamic[i].d_tag == tag)
            return reading->dynamic[i].d_un.d_val;
    return 0;
}

static int read_dynamic(struct reading *reading, struct fault *fault)
{
    const Elf64_Phdr *segment = find_segment(reading, PT_DYNAMIC);
    if (segment == NULL)
        return 0;
    size_t count = (size_t)(segment->p_filesz / sizeof(Elf64_Dyn));
    if (count > DYNAMIC_MAX)
        return broken(reading, "its dynamic section", fault);
    reading->dynamic = read_copy(reading, segment->p_offset, count * sizeof(Elf64_Dyn));
    if (reading->dynamic == NULL)
        return broken(reading, "its dynamic section", fault);
    while (reading->dynamic_count < count &&
           reading->dynamic[reading->dynamic_count].d_tag != DT_NULL)
        reading->dynamic_count++;
    uint64_t address = dynamic_value(reading, DT_STRTAB), len = dynamic_value(reading, DT_STRSZ);
    uint64_t offset, room;
    if (len == 0)
        return 0;
    if (len > STRINGS_MAX || find_address(reading, address, &offset, &room) != 0 || len > room)
        return broken(reading, "its strings", fault);
    reading->strings_len = (size_t)len;
    reading->strings = read_copy(reading, offset, reading->strings_len);
    return reading->strings == NULL ? broken(reading, "its strings", fault) : 0;
}

static int copy_string(const struct reading *reading, uint64_t at, char **ret_text,
                       struct fault *fault)
{
    if (reading->strings == NULL || at >= reading->strings_len)
        return broken(reading, "a string outside its table", fault);
    size_t len = strlen(reading->strings + at);
    if (len == 0 || len > TEXT_MAX)
        return broken(reading, "an empty or overlong name", fault);
    char *copy = strndup(reading->strings + at, len);
    if (copy == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    free(*ret_text);
    *ret_text = copy;
    return 0;
}

static int read_names(const struct reading *reading, struct elf *elf, struct fault *fault)
{
    for (size_t i = 0; i < reading->dynamic_count; i++) {
        const Elf64_Dyn *entry = &reading->dynamic[i];
        char **where = NULL;
        if (entry->d_tag == DT_NEEDED) {
            if (elf->needed_count == ELF_NEEDED_MAX)
                return broken(reading, "too many libraries", fault);
            where = &elf->needed[elf->needed_count++];
        } else if (entry->d_tag == DT_SONAME)
            where = &elf->soname;
        else if (entry->d_tag == DT_RPATH)
            where = &elf->rpath;
        else if (entry->d_tag == DT_RUNPATH)
            where = &elf->runpath;
        bool empty_path = (entry->d_tag == DT_RPATH || entry->d_tag == DT_RUNPATH) &&
                          reading->strings != NULL && entry->d_un.d_val < reading->strings_len &&
                          reading->strings[entry->d_un.d_val] == '\0';
        if (where != NULL && !empty_path &&
            copy_string(reading, entry->d_un.d_val, where, fault) != 0)
            return -1;
    }
    return 0;
}

bool elf_is(int fd)
{
    char magic[SELFMAG];
    return pread(fd, magic, sizeof magic, 0) == SELFMAG && memcmp(magic, ELFMAG, SELFMAG) == 0;
}

static int read_parts(struct reading *reading, struct elf *elf, struct fault *fault)
{
    if (read_header(reading, fault) != 0)
        return -1;
    size_t len = reading->header.e_phnum * sizeof(Elf64_Phdr);
    reading->segments = read_copy(reading, reading->header.e_phoff, len);
    if (reading->segments == NULL)
        return broken(reading, "its program headers", fault);
    elf->machine = reading->header.e_machine;
    if (read_interpreter(reading, elf, fault) != 0 || read_dynamic(reading, fault) != 0)
        return -1;
    return read_names(reading, elf, fault);
}

int elf_read(int fd, const char *name, struct elf **ret_elf, struct fault *fault)
{
    AUTO_ELF struct elf *elf = calloc(1, sizeof *elf);
    if (elf == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    struct reading reading = {.fd = fd, .name = name};
    int result = read_parts(&reading, elf, fault);
    free(reading.segments);
    free(reading.dynamic);
    free(reading.strings);
    if (result == 0)
        *ret_elf = TAKE(elf);
    return result;
}

void elf_free(struct elf *elf)
{
    if (elf == NULL)
        return;
    free(elf->interpreter);
    free(elf->soname);
    free(elf->rpath);
    free(elf->runpath);
    for (size_t i = 0; i < elf->needed_count; i++)
        free(elf->needed[i]);
    free(elf);
}

void elf_cleanup(struct elf **elf)
{
    elf_free(*elf);
}
