/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the unpacker share: packed samples that a script makes, a target folder, and
 * beside it what nothing that is unpacked may touch.
 */
#pragma once

#include "tests/sandbox/harness.h"

#include "runner/unpack.h"

struct unpacking {
    char folder[64];
    char samples[96], canary[96], target[96];
    struct unpack_config config;
    struct tree_sum before; /* of the canary */
};

/* A file that anybody could change, in a folder that anybody can reach. */
static void unpacking_make_canary(const char *folder, const char *name)
{
    char path[256];
    struct fault fault = {0};
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(file_replace(path, "alive", 5, 0666, &fault), 0);
    assert_int_equal(chmod(path, 0666), 0);
}

/* `script` makes the samples in the folder it is given. */
static void unpacking_begin(struct unpacking *unpacking, const char *script)
{
    harness_need_root();
    (void)snprintf(unpacking->folder, sizeof unpacking->folder, "/tmp/sallyport-unpack.XXXXXX");
    assert_non_null(mkdtemp(unpacking->folder));
    assert_int_equal(chmod(unpacking->folder, 0777), 0); /* nothing but the unpacker protects it */
    (void)snprintf(unpacking->samples, sizeof unpacking->samples, "%s/samples", unpacking->folder);
    (void)snprintf(unpacking->canary, sizeof unpacking->canary, "%s/canary", unpacking->folder);
    (void)snprintf(unpacking->target, sizeof unpacking->target, "%s/target", unpacking->folder);
    harness_make_folder(unpacking->samples, "");
    harness_make_folder(unpacking->canary, "/etc");
    unpacking_make_canary(unpacking->canary, "etc/passwd");
    unpacking_make_canary(unpacking->canary, "etc/shadow");
    assert_int_equal(chmod(unpacking->canary, 0777), 0);
    const char *const make[] = {"/usr/bin/python3", "-B", script, unpacking->samples, NULL};
    if (harness_command(make) != 0)
        fail_msg("%s made no samples: python3 and zstd are needed", script);
    unpacking->config = unpack_config_defaults();
    unpacking->config.max_bytes = 64 * MIB;
    unpacking->config.max_entries = 2000;
    unpacking->config.cpu_seconds = 20;
    struct fault fault = {0};
    assert_int_equal(tree_measure(unpacking->canary, &unpacking->before, &fault), 0);
}

static int unpacking_end(void **state)
{
    struct unpacking *unpacking = *state;
    struct fault fault = {0};
    assert_int_equal(dir_remove(unpacking->folder, &fault), 0);
    return 0;
}

/* The packed file, opened, and a fresh folder for what comes out of it. */
static int unpacking_open(struct unpacking *unpacking, const char *path, struct fault *fault)
{
    assert_int_equal(dir_remove(unpacking->target, fault), 0);
    assert_int_equal(mkdir(unpacking->target, 0700), 0);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void assert_canary_lives(const struct unpacking *unpacking, const char *name)
{
    struct tree_sum now;
    struct fault fault = {0};
    assert_int_equal(tree_measure(unpacking->canary, &now, &fault), 0);
    if (!digest_equal(&now.stamp, &unpacking->before.stamp))
        fail_msg("%s touched what is outside its folder", name);
    assert_int_equal(harness_count_entries(unpacking->folder), 3);
}
