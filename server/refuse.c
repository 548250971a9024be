/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the library refuses by itself: a request it cannot parse never reaches our code. It
 * answers with a page of HTML, without a request id, and (0.9.75, on a bad Content-Length) with
 * the head of the answer sent twice. There is no option against it, but it gives those answers
 * through its own exported MHD_queue_response(), and the definition in a program stands
 * before that in a shared library. So here is ours: it writes a problem document to the socket
 * and says no, upon which the library closes the connection. Our own answers go to the
 * library's function directly (http.queue), which start-up looks up once.
 *
 * Should a later library no longer call through this door, its pages come back, nothing else.
 */
#include "server/http_internal.h"

#include <dlfcn.h>
#include <sys/socket.h>

queue_response refuse_library_queue(void)
{
    void *symbol = dlsym(RTLD_NEXT, "MHD_queue_response");
    queue_response queue;
    _Static_assert(sizeof queue == sizeof symbol, "POSIX: dlsym() gives functions too");
    __builtin_memcpy(&queue, &symbol, sizeof queue);
    return queue;
}

static struct fault fault_of_status(unsigned status)
{
    struct fault fault = {0};
    if (status == MHD_HTTP_CONTENT_TOO_LARGE || status == MHD_HTTP_URI_TOO_LONG ||
        status == MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE)
        (void)fault_set(&fault, FAULT_TOO_LARGE,
                        "the request's head or a length in it is too large");
    else if (status >= 500 && status != MHD_HTTP_HTTP_VERSION_NOT_SUPPORTED)
        (void)fault_set(&fault, FAULT_INTERNAL, "the request could not be answered");
    else
        (void)fault_set(&fault, FAULT_MALFORMED_REQUEST, "the request is not HTTP/1.1 or HTTP/1.0");
    return fault;
}

/* Bytes the client has sent that nobody will read: closing over them would reset the
 * connection, and the client might lose the answer. */
static void socket_drop_input(int fd)
{
    char bytes[4096];
    for (int i = 0; i < 64; i++)
        if (recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) <= 0)
            return;
}

__attribute__((visibility("default"))) enum MHD_Result
MHD_queue_response(struct MHD_Connection *connection, unsigned status,
                   struct MHD_Response *response)
{
    struct peer *peer = peer_of(connection);
    if (peer == NULL) { /* no connection of ours */
        queue_response queue = refuse_library_queue();
        return queue == NULL ? MHD_NO : queue(connection, status, response);
    }
    struct fault fault = fault_of_status(status);
    pthread_mutex_lock(&peer->lock);
    if (peer->state <= PEER_BUSY) {
        peer_refuse(peer, &fault);
        socket_drop_input(peer->fd);
    }
    peer_enter(peer, PEER_DEAD, 0);
    pthread_mutex_unlock(&peer->lock);
    return MHD_NO;
}
