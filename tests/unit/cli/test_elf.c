/* SPDX-License-Identifier: Apache-2.0 */
/* What a file needs, and every way a file can lie about itself. */
#include "cli/elf.h"

#include "tests/unit/cli/elf_make.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <cmocka.h>

static int file_of(const void *bytes, size_t len)
{
    int fd = memfd_create("elf", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), (ssize_t)len);
    return fd;
}

static const struct elf_make sample = {.interpreter = "/lib64/ld.so",
                                       .soname = "libself.so.1",
                                       .rpath = "/a:/b",
                                       .runpath = "$ORIGIN/../lib",
                                       .needed = {"libc.so.6", "libm.so.6"}};

static void test_reads_what_is_needed(void **state)
{
    (void)state;
    struct elf_making making = elf_make(&sample);
    AUTO_CLOSE int fd = file_of(making.bytes, ELF_MAKE_SIZE);
    AUTO_ELF struct elf *elf = NULL;
    struct fault fault = {0};
    if (elf_read(fd, "sample", &elf, &fault) != 0)
        fail_msg("%s", fault.detail);
    assert_int_equal(elf->machine, EM_X86_64);
    assert_string_equal(elf->interpreter, "/lib64/ld.so");
    assert_string_equal(elf->soname, "libself.so.1");
    assert_string_equal(elf->rpath, "/a:/b");
    assert_string_equal(elf->runpath, "$ORIGIN/../lib");
    assert_int_equal(elf->needed_count, 2);
    assert_string_equal(elf->needed[0], "libc.so.6");
    assert_string_equal(elf->needed[1], "libm.so.6");
}

static void test_reads_a_real_program(void **state)
{
    (void)state;
    AUTO_CLOSE int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    AUTO_ELF struct elf *elf = NULL;
    assert_true(elf_is(fd));
    assert_int_equal(elf_read(fd, "self", &elf, NULL), 0);
    assert_non_null(elf->interpreter);
    bool libc = false;
    for (size_t i = 0; i < elf->needed_count; i++)
        libc = libc || strncmp(elf->needed[i], "libc.so", 7) == 0;
    assert_true(libc);
}

static void expect_refused(const void *bytes, size_t len, const char *what)
{
    AUTO_CLOSE int fd = file_of(bytes, len);
    AUTO_ELF struct elf *elf = NULL;
    struct fault fault = {0};
    if (elf_read(fd, "sample", &elf, &fault) == 0)
        fail_msg("taken: %s", what);
    assert_null(elf);
    assert_int_equal(fault.code, FAULT_ARTIFACT_INVALID);
}

static void test_other_files_are_refused(void **state)
{
    (void)state;
    struct elf_making making = elf_make(&sample);
    expect_refused("", 0, "nothing");
    expect_refused("#!/bin/sh\n", 10, "a script");
    expect_refused(ELFMAG, SELFMAG, "the magic alone");
    Elf64_Ehdr header;
    memcpy(&header, making.bytes, sizeof header);
    header.e_ident[EI_CLASS] = ELFCLASS32;
    memcpy(making.bytes, &header, sizeof header);
    expect_refused(making.bytes, ELF_MAKE_SIZE, "32 bits");
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_type = ET_REL;
    memcpy(making.bytes, &header, sizeof header);
    expect_refused(making.bytes, ELF_MAKE_SIZE, "an object file");
}

/* A copy of the sample with one 8-byte field of a segment or dynamic entry changed. */
static struct elf_making damaged(size_t offset, uint64_t value)
{
    struct elf_making making = elf_make(&sample);
    memcpy(making.bytes + offset, &value, sizeof value);
    return making;
}

static void test_lies_are_refused(void **state)
{
    (void)state;
    const size_t segment = sizeof(Elf64_Phdr), load = sizeof(Elf64_Ehdr);
    const size_t dynamic = load + segment, interp = dynamic + segment;
    const size_t strings = ELF_MAKE_DYNAMIC + 5 * sizeof(Elf64_Dyn);
    static const uint64_t values[] = {UINT64_MAX, UINT64_MAX - 8, 1ULL << 63, 1ULL << 40,
                                      ELF_MAKE_SIZE};
    const struct {
        size_t offset;
        const char *what;
    } fields[] = {
        {offsetof(Elf64_Ehdr, e_phoff), "program headers outside the file"},
        {interp + offsetof(Elf64_Phdr, p_offset), "the loader's name outside the file"},
        {interp + offsetof(Elf64_Phdr, p_filesz), "a loader's name too long"},
        {dynamic + offsetof(Elf64_Phdr, p_offset), "a dynamic section outside the file"},
        {dynamic + offsetof(Elf64_Phdr, p_filesz), "a dynamic section too long"},
        {ELF_MAKE_DYNAMIC + 8, "a name outside the strings"},
        {strings + 8, "strings outside the segment"},
        {strings + 24, "strings too long"},
        {load + offsetof(Elf64_Phdr, p_offset), "a segment outside the file"},
    };
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        for (size_t v = 0; v < ARRAY_LEN(values); v++) {
            struct elf_making making = damaged(fields[i].offset, values[v]);
            expect_refused(making.bytes, ELF_MAKE_SIZE, fields[i].what);
        }
}

/* Every truncation and many changes of single bytes: refused or read, never more than the file. */
static void test_damage_is_survived(void **state)
{
    (void)state;
    struct elf_making making = elf_make(&sample);
    for (size_t len = 0; len < ELF_MAKE_STRINGS + making.strings; len += 7) {
        AUTO_CLOSE int fd = file_of(making.bytes, len);
        AUTO_ELF struct elf *elf = NULL;
        assert_int_equal(elf_read(fd, "cut", &elf, NULL), -1);
    }
    size_t taken = 0;
    for (size_t at = 0; at < ELF_MAKE_STRINGS + making.strings; at++)
        for (int value = 0; value < 256; value += 51) {
            struct elf_making copy = making;
            copy.bytes[at] = (uint8_t)value;
            AUTO_CLOSE int fd = file_of(copy.bytes, ELF_MAKE_SIZE);
            AUTO_ELF struct elf *elf = NULL;
            taken += elf_read(fd, "changed", &elf, NULL) == 0 ? 1 : 0;
        }
    assert_true(taken > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_what_is_needed),    cmocka_unit_test(test_reads_a_real_program),
        cmocka_unit_test(test_other_files_are_refused), cmocka_unit_test(test_lies_are_refused),
        cmocka_unit_test(test_damage_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
