/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of a root that is to be packed: paths of this machine with every folder and
 * symbolic link on the way, so that each resolves there as it does here. Ordered by path.
 */
#pragma once

#include "base/fault.h"

#include <stdbool.h>
#include <stdint.h>

#define LAYOUT_ENTRIES_MAX 65536
#define LAYOUT_BYTES_MAX ((int64_t)2 * 1024 * 1024 * 1024)

enum layout_kind { LAYOUT_FOLDER, LAYOUT_FILE, LAYOUT_LINK };

struct layout_entry {
    enum layout_kind kind;
    char *path;      /* physical, absolute: no link but the last part */
    char *target;    /* of a link; relative, whatever it was */
    bool executable; /* of a file */
    int64_t size;    /* of a file */
};

struct layout;
#define AUTO_LAYOUT AUTO(layout_cleanup)

/* `root` stands before every path: "" for this machine's own. */
int layout_new(const char *root, struct layout **ret_layout, struct fault *fault) MUST_CHECK;
void layout_free(struct layout *layout);
void layout_cleanup(struct layout **layout);
const char *layout_root(const struct layout *layout);

/* Adds what an absolute path names: a file, or a folder without what is in it. ret_physical (may
 * be NULL) is its path without links, which the caller frees. FAULT_NOT_FOUND if nothing is there,
 * FAULT_ARTIFACT_INVALID for devices, pipes and sockets. */
int layout_add(struct layout *layout, const char *path, char **ret_physical,
               struct fault *fault) MUST_CHECK;

/* The same, and for a folder all below it. */
int layout_add_tree(struct layout *layout, const char *path, struct fault *fault) MUST_CHECK;

size_t layout_count(const struct layout *layout);
const struct layout_entry *layout_at(const struct layout *layout, size_t n);
