/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loader and the libraries of a program, found as the loader will find them in a root that
 * has only what is packed: DT_RPATH and DT_RUNPATH, then the loader's own folders. No cache, no
 * environment; nothing of the program is run.
 */
#pragma once

#include "cli/layout.h"

struct libraries;
#define AUTO_LIBRARIES AUTO(libraries_cleanup)

int libraries_new(struct layout *layout, struct libraries **ret_libraries,
                  struct fault *fault) MUST_CHECK;
void libraries_free(struct libraries *libraries);
void libraries_cleanup(struct libraries **libraries);

/* Adds a program to the layout with its loader and all it needs. FAULT_ARTIFACT_INVALID names what
 * is missing, or says that the file is no program. */
int libraries_add_program(struct libraries *libraries, const char *path,
                          struct fault *fault) MUST_CHECK;

/* The same for every ELF file in the layout that has not been looked at: what --with brought. To
 * be called after libraries_add_program(), whose loader serves them too. */
int libraries_add_rest(struct libraries *libraries, struct fault *fault) MUST_CHECK;
