/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A folder tree as one value. tree_measure() reads everything; tree_stamp() only looks, and
 * is what every run can afford. Neither follows a link.
 */
#pragma once

#include "base/digest.h"
#include "base/fault.h"

#include <sys/types.h>

struct tree_sum {
    /* Over path, type, mode and size of everything, content of files, targets of links: the
     * same tree gives the same digest anywhere. */
    struct digest content;
    /* Over path, inode, type, mode, owner, links, size, mtime and ctime of everything: changes
     * with any change of this very tree, and only then. */
    struct digest stamp;
    uint64_t entries; /* below the root */
    uint64_t bytes;   /* of regular files */
};

int tree_measure(const char *path, struct tree_sum *ret_sum, struct fault *fault) MUST_CHECK;

/* The stamp alone. */
int tree_stamp(const char *path, struct digest *ret_stamp, struct fault *fault) MUST_CHECK;

/*
 * Takes a tree from an unpacker nobody trusts: everything becomes uid:gid's, folders 0755,
 * files 0755 or 0644 by their owner's x bit, no other bit stays. What is not a file, folder or
 * link, is too deep, or passes a maximum, is FAULT_ARTIFACT_INVALID. Nobody else may have the tree
 * open.
 */
int tree_seal(const char *path, uid_t uid, gid_t gid, uint64_t max_entries, uint64_t max_bytes,
              struct fault *fault) MUST_CHECK;
