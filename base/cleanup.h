/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cleanup on the declaration: an owned local names its destructor where it is
 * born, and TAKE() hands it over. Every destructor accepts NULL or -1.
 */
#pragma once

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define AUTO(destructor) __attribute__((cleanup(destructor)))
#define AUTO_FREE AUTO(cleanup_free)
#define AUTO_CLOSE AUTO(cleanup_close)
#define AUTO_FILE AUTO(cleanup_file)
#define AUTO_JSON AUTO(cleanup_json)

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))
#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

/* Hands over an owned pointer or a json_t: the variable is left NULL. */
#define TAKE(pointer)                                                                              \
    __extension__({                                                                                \
        __typeof__(pointer) taken_ = (pointer);                                                    \
        (pointer) = NULL;                                                                          \
        taken_;                                                                                    \
    })

/* Hands over a file descriptor: the variable is left -1. */
#define TAKE_FD(fd)                                                                                \
    __extension__({                                                                                \
        int taken_ = (fd);                                                                         \
        (fd) = -1;                                                                                 \
        taken_;                                                                                    \
    })

static inline void cleanup_free(void *where)
{
    void *pointer = *(void **)where;
    free(pointer);
}

static inline void cleanup_close(const int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

static inline void cleanup_file(FILE **file)
{
    if (*file != NULL)
        (void)fclose(*file);
}

static inline void cleanup_json(json_t **value)
{
    json_decref(*value);
}
