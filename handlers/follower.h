/* SPDX-License-Identifier: Apache-2.0 */
/* One reader of live output: what follower.c (its stream) and followers.c (the thread that looks
 * for all of them) share. */
#pragma once

#include "handlers/followers.h"
#include "storage/outputs.h"

struct follower {
    struct followers *hub;
    struct request *request;
    struct follower *next;
    uint64_t serial; /* ascending in the list */
    char tenant_id[TENANT_ID_MAX + 1];
    char principal[PRINCIPAL_MAX + 1];
    char api_key_id[API_KEY_ID_LEN + 1];
    struct uuid execution_id;
    const char *stream;
    /* under followers->mutex */
    struct output_look look;
    bool dead; /* the key is */
    /* the source's alone */
    int64_t offset;   /* of the next byte to be said */
    struct buf ahead; /* bytes from there on: ahead_at of them are said */
    size_t ahead_at;
    int64_t said_ms; /* monotonic; 0: nothing yet */
};

/* Takes the reader in, and out again (the context_free of its stream: frees it). */
int followers_join(struct followers *followers, struct follower *follower,
                   struct fault *fault) MUST_CHECK;
void followers_leave(void *follower);
/* What is known of it now. */
void followers_news(struct follower *follower, struct output_look *ret_look, bool *ret_dead);

/* Answers with the stored bytes of "stdout" or "stderr" from `offset` on, and with what comes,
 * until the execution has ended, the caller's key lives no more, or the server drains. */
enum answer follower_answer(struct request *request, const struct uuid *execution_id,
                            const char *stream, int64_t offset);
