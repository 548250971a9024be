/* SPDX-License-Identifier: Apache-2.0 */
/* The smallest ELF files that say what they need: headers, PT_LOAD, PT_DYNAMIC, strings. */
#pragma once

#include "base/buf.h"

#include <elf.h>
#include <string.h>

#define ELF_MAKE_NAMES 8

struct elf_make {
    const char *interpreter;
    const char *soname;
    const char *rpath;
    const char *runpath;
    const char *needed[ELF_MAKE_NAMES]; /* ends with NULL */
    uint16_t machine;                   /* 0: x86-64 */
};

/* Strings at 2048, the dynamic section at 1024; one segment of 4096 bytes at address 0x400000. */
#define ELF_MAKE_SIZE 4096
#define ELF_MAKE_DYNAMIC 1024
#define ELF_MAKE_STRINGS 2048
#define ELF_MAKE_ADDRESS 0x400000

struct elf_making {
    uint8_t bytes[ELF_MAKE_SIZE];
    size_t strings; /* used */
    size_t entries;
};

static inline uint64_t elf_make_string(struct elf_making *making, const char *text)
{
    size_t at = making->strings, len = strlen(text) + 1;
    memcpy(making->bytes + ELF_MAKE_STRINGS + at, text, len);
    making->strings += len;
    return at;
}

static inline void elf_make_entry(struct elf_making *making, int64_t tag, uint64_t value)
{
    Elf64_Dyn entry = {.d_tag = tag, .d_un.d_val = value};
    memcpy(making->bytes + ELF_MAKE_DYNAMIC + making->entries++ * sizeof entry, &entry,
           sizeof entry);
}

static inline void elf_make_text(struct elf_making *making, int64_t tag, const char *text)
{
    if (text != NULL)
        elf_make_entry(making, tag, elf_make_string(making, text));
}

static inline struct elf_making elf_make(const struct elf_make *what)
{
    struct elf_making making = {.strings = 1};
    Elf64_Phdr segments[3] = {
        {.p_type = PT_LOAD,
         .p_vaddr = ELF_MAKE_ADDRESS,
         .p_filesz = ELF_MAKE_SIZE,
         .p_memsz = ELF_MAKE_SIZE},
        {.p_type = PT_DYNAMIC, .p_offset = ELF_MAKE_DYNAMIC},
        {.p_type = PT_NULL},
    };
    for (size_t i = 0; i < ELF_MAKE_NAMES && what->needed[i] != NULL; i++)
        elf_make_text(&making, DT_NEEDED, what->needed[i]);
    elf_make_text(&making, DT_SONAME, what->soname);
    elf_make_text(&making, DT_RPATH, what->rpath);
    elf_make_text(&making, DT_RUNPATH, what->runpath);
    if (what->interpreter != NULL) {
        segments[2] = (Elf64_Phdr){.p_type = PT_INTERP,
                                   .p_filesz = strlen(what->interpreter) + 1,
                                   .p_offset = ELF_MAKE_STRINGS +
                                               elf_make_string(&making, what->interpreter)};
    }
    elf_make_entry(&making, DT_STRTAB, ELF_MAKE_ADDRESS + ELF_MAKE_STRINGS);
    elf_make_entry(&making, DT_STRSZ, making.strings);
    elf_make_entry(&making, DT_NULL, 0);
    segments[1].p_filesz = making.entries * sizeof(Elf64_Dyn);
    Elf64_Ehdr header = {.e_type = ET_DYN,
                         .e_machine = what->machine == 0 ? EM_X86_64 : what->machine,
                         .e_phoff = sizeof header,
                         .e_phentsize = sizeof segments[0],
                         .e_phnum = 3};
    memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    memcpy(making.bytes, &header, sizeof header);
    memcpy(making.bytes + sizeof header, segments, sizeof segments);
    return making;
}
