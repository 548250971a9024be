/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server of a test's own: gives prepared answers, one a connection, and keeps the requests. Once
 * it has no answer left it takes no more connections.
 */
#pragma once

#include "base/buf.h"
#include "cli/http.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define PEER_ANSWERS_MAX 16
#define PEER_BYTES_MAX ((size_t)8 * 1024 * 1024)

struct peer_answer {
    const char *status;  /* "200 OK" */
    const char *headers; /* each with its CRLF; NULL: none */
    const void *body;
    size_t len;
};

struct peer {
    int fd;
    pthread_t thread;
    char url[64];
    struct peer_answer answers[PEER_ANSWERS_MAX];
    size_t answer_count;
    struct buf requests[PEER_ANSWERS_MAX];
    size_t served; /* of them; to be read after peer_stop() */
};

/* How many bytes of body the head announces. */
static inline size_t peer_body_len(const struct buf *head)
{
    const char *found = strcasestr(buf_text(head), "\r\nContent-Length:");
    return found == NULL ? 0 : (size_t)strtoul(found + 17, NULL, 10);
}

static inline void peer_write(int fd, const void *data, size_t len)
{
    const char *at = data;
    while (len > 0) {
        ssize_t n = send(fd, at, len, MSG_NOSIGNAL);
        if (n <= 0)
            return; /* the client has had enough: it may */
        at += n;
        len -= (size_t)n;
    }
}

/* A request, head and body. */
static inline void peer_read(int fd, struct buf *request)
{
    static const char proceed[] = "HTTP/1.1 100 Continue\r\n\r\n";
    size_t need = SIZE_MAX;
    char chunk[65536];
    while (request->len < need) {
        ssize_t n = recv(fd, chunk, sizeof chunk, 0);
        if (n <= 0)
            return;
        buf_append(request, chunk, (size_t)n);
        const char *end = need == SIZE_MAX ? strstr(buf_text(request), "\r\n\r\n") : NULL;
        if (end == NULL)
            continue;
        need = (size_t)(end - buf_text(request)) + 4 + peer_body_len(request);
        if (strcasestr(buf_text(request), "\r\nExpect: 100-continue") != NULL)
            peer_write(fd, proceed, sizeof proceed - 1);
    }
}

static inline void peer_serve(struct peer *peer, int fd, const struct peer_answer *answer)
{
    struct buf *request = &peer->requests[peer->served];
    struct buf head = BUF(65536);
    *request = BUF(PEER_BYTES_MAX);
    peer_read(fd, request);
    buf_printf(&head, "HTTP/1.1 %s\r\nContent-Length: %zu\r\nConnection: close\r\n%s\r\n",
               answer->status, answer->len, answer->headers == NULL ? "" : answer->headers);
    peer_write(fd, buf_text(&head), head.len);
    if (strncmp(buf_text(request), "HEAD ", 5) != 0)
        peer_write(fd, answer->body, answer->len);
    buf_free(&head);
    peer->served++;
}

static inline void *peer_run(void *context)
{
    struct peer *peer = context;
    while (peer->served < peer->answer_count) {
        int fd = accept4(peer->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            break;
        peer_serve(peer, fd, &peer->answers[peer->served]);
        (void)shutdown(fd, SHUT_WR);
        char rest[4096];
        while (recv(fd, rest, sizeof rest, 0) > 0) /* so that closing does not reset */
            continue;
        (void)close(fd);
    }
    (void)shutdown(peer->fd, SHUT_RDWR);
    return NULL;
}

static inline void peer_add(struct peer *peer, const char *status, const char *headers,
                            const char *body)
{
    peer->answers[peer->answer_count++] = (struct peer_answer){status, headers, body, strlen(body)};
}

/* Answers added before are given from now on. */
static inline bool peer_start(struct peer *peer)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (peer->fd < 0 || bind(peer->fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(peer->fd, 16) != 0 || getsockname(peer->fd, (struct sockaddr *)&address, &len) != 0)
        return false;
    (void)snprintf(peer->url, sizeof peer->url, "http://127.0.0.1:%u", ntohs(address.sin_port));
    return pthread_create(&peer->thread, NULL, peer_run, peer) == 0;
}

static inline void peer_stop(struct peer *peer)
{
    (void)shutdown(peer->fd, SHUT_RDWR);
    (void)pthread_join(peer->thread, NULL);
    (void)close(peer->fd);
}

static inline void peer_free(struct peer *peer)
{
    for (size_t i = 0; i < peer->served; i++)
        buf_free(&peer->requests[i]);
    free(peer);
}
