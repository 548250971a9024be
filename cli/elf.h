/* SPDX-License-Identifier: Apache-2.0 */
/* What a 64-bit little-endian ELF file says it needs to be loaded (System V gABI, chapter 5). */
#pragma once

#include "base/fault.h"

#include <stdbool.h>
#include <stdint.h>

#define ELF_NEEDED_MAX 512

/* Texts are owned; NULL where the file says nothing. */
struct elf {
    uint16_t machine;
    char *interpreter; /* the loader; NULL for what is static, and for libraries */
    char *soname;
    char *rpath;   /* colon-separated, as it stands in the file */
    char *runpath; /* the same */
    char *needed[ELF_NEEDED_MAX];
    size_t needed_count;
};

#define AUTO_ELF AUTO(elf_cleanup)

/* Does the file begin as an ELF file does? False too where it cannot be read. */
bool elf_is(int fd);

/* Reads an executable or a shared object; `name` is for faults. FAULT_ARTIFACT_INVALID where it is
 * of another kind, or broken: every offset, count and text is checked against the file. */
int elf_read(int fd, const char *name, struct elf **ret_elf, struct fault *fault) MUST_CHECK;
void elf_free(struct elf *elf);
void elf_cleanup(struct elf **elf);
