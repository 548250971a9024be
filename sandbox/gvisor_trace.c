/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/gvisor_trace.h"

#include "base/file.h"
#include "sandbox/path.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include <fcntl.h>

#define SOCKET_NAME "trace.sock"
#define FILE_NAME "trace.json"
#define MESSAGES_A_TURN 256 /* then the run's other descriptors are looked at again */
#define MESSAGE_MAX 16384   /* the longest part of one is a path */

struct gvisor_trace {
    int epoll; /* of the two below */
    int listener;
    int peer; /* -1 before it comes and after it is gone */
    bool agreed;
    unsigned hits;
};

/* ---- what is asked for ---- */

/* The calls that can meet one of the limits, by the names the sentry has for them. */
static const char *const points[] = {
    /* a process too many */
    "syscall/clone/exit", "syscall/fork/exit", "syscall/vfork/exit", "syscall/sysno/435/exit",
    /* a descriptor too many */
    "syscall/open/exit", "syscall/openat/exit", "syscall/creat/exit", "syscall/dup/exit",
    "syscall/fcntl/exit", "syscall/pipe/exit", "syscall/pipe2/exit", "syscall/socket/exit",
    "syscall/socketpair/exit", "syscall/accept/exit", "syscall/accept4/exit",
    "syscall/eventfd/exit", "syscall/eventfd2/exit", "syscall/signalfd/exit",
    "syscall/signalfd4/exit", "syscall/timerfd_create/exit", "syscall/inotify_init/exit",
    "syscall/inotify_init1/exit", "syscall/sysno/213/exit", "syscall/sysno/291/exit",
    "syscall/sysno/319/exit",
    /* a byte too many: truncate, ftruncate, fallocate */
    "syscall/sysno/76/exit", "syscall/sysno/77/exit", "syscall/sysno/285/exit"};

/* These too, with the path of what is written to. */
static const char *const writes[] = {"syscall/write/exit", "syscall/pwrite64/exit",
                                     "syscall/writev/exit", "syscall/pwritev/exit",
                                     "syscall/pwritev2/exit"};

/* It tries for some 5 ms before it drops a message: a tool that calls faster than we read is
 * slowed to our pace, and one whose reader is stuck is not. */
static void describe_session(struct buf *ret_text)
{
    buf_puts(ret_text, "{\"trace_session\":{\"name\":\"Default\",\"points\":[");
    for (size_t i = 0; i < ARRAY_LEN(points); i++)
        buf_printf(ret_text, "{\"name\":\"%s\"},", points[i]);
    for (size_t i = 0; i < ARRAY_LEN(writes); i++)
        buf_printf(ret_text, "%s{\"name\":\"%s\",\"optional_fields\":[\"fd_path\"]}",
                   i > 0 ? "," : "", writes[i]);
    buf_puts(ret_text, "],\"sinks\":[{\"name\":\"remote\",\"config\":{"
                       "\"endpoint\":\"runtime/" SOCKET_NAME "\","
                       "\"retries\":6,\"backoff\":\"50us\",\"backoff_max\":\"2ms\"}}]}}");
}

static int write_file(const char *path, struct fault *fault)
{
    AUTO_BUF struct buf text = BUF(8192);
    describe_session(&text);
    if (buf_failed(&text))
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, text.data, text.len) != (ssize_t)text.len)
        return fault_errno(fault, "cannot write %s", path);
    return 0;
}

/* ---- the socket ---- */

/* A socket's path has 107 bytes at most, a state folder's may have more: so by its descriptor. */
static int listen_in(const char *folder, struct fault *fault)
{
    AUTO_CLOSE int at = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/" SOCKET_NAME, at);
    if (at < 0 || fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) != 0 ||
        listen(fd, 1) != 0)
        return fault_errno(fault, "cannot listen in %s", folder);
    return TAKE_FD(fd);
}

static int watch(const struct gvisor_trace *trace, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    return epoll_ctl(trace->epoll, EPOLL_CTL_ADD, fd, &event);
}

int gvisor_trace_open(const struct bundle *bundle, struct gvisor_trace **ret_trace,
                      struct fault *fault)
{
    AUTO_GVISOR_TRACE struct gvisor_trace *trace = calloc(1, sizeof *trace);
    AUTO_FREE char *file = path_join(bundle_runtime(bundle), FILE_NAME);
    if (trace == NULL || file == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    trace->epoll = trace->listener = trace->peer = -1;
    if (write_file(file, fault) != 0)
        return -1;
    trace->listener = listen_in(bundle_runtime(bundle), fault);
    if (trace->listener < 0)
        return -1;
    trace->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (trace->epoll < 0 || watch(trace, trace->listener) != 0)
        return fault_errno(fault, "cannot watch a socket");
    *ret_trace = TAKE(trace);
    return 0;
}

void gvisor_trace_cleanup(struct gvisor_trace **trace)
{
    if (*trace == NULL)
        return;
    cleanup_close(&(*trace)->peer);
    cleanup_close(&(*trace)->listener);
    cleanup_close(&(*trace)->epoll);
    free(*trace);
}

int gvisor_trace_fd(const struct gvisor_trace *trace)
{
    return trace->epoll;
}

bool gvisor_trace_connected(const struct gvisor_trace *trace)
{
    return trace->agreed;
}

unsigned gvisor_trace_hits(const struct gvisor_trace *trace)
{
    return trace->hits;
}

/* One connection, once: runsc's, made before the sandbox exists. */
static void take_connection(struct gvisor_trace *trace)
{
    int fd = accept4(trace->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    (void)close(TAKE_FD(trace->listener));
    trace->peer = fd;
    if (watch(trace, fd) != 0)
        (void)close(TAKE_FD(trace->peer));
}

/* The first message is the version it speaks, and the answer that we do too (the same bytes). */
static void take_message(struct gvisor_trace *trace, struct span message)
{
    static const uint8_t version_one[] = {0x08, 0x01};
    if (trace->agreed)
        trace->hits |= gvisor_trace_message_hits(message);
    else if (span_equal(message, span_of(version_one, sizeof version_one)))
        trace->agreed = send(trace->peer, version_one, sizeof version_one, MSG_NOSIGNAL) ==
                        (ssize_t)sizeof version_one;
}

void gvisor_trace_take(struct gvisor_trace *trace)
{
    uint8_t bytes[MESSAGE_MAX];
    if (trace->listener >= 0) {
        take_connection(trace);
        return;
    }
    for (int i = 0; i < MESSAGES_A_TURN && trace->peer >= 0; i++) {
        ssize_t n = recv(trace->peer, bytes, sizeof bytes, MSG_TRUNC);
        if (n > 0 && n <= (ssize_t)sizeof bytes)
            take_message(trace, span_of(bytes, (size_t)n));
        else if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        else if (n <= 0)
            (void)close(TAKE_FD(trace->peer));
    }
}

/* ---- what a message says ---- */

/* A header (gVisor, pkg/sentry/seccheck/sinks/remote/wire), then a protocol buffer. */
struct wire_header {
    uint16_t size; /* of the header */
    uint16_t type;
    uint32_t dropped;
};

#define TYPE_RAW 6 /* a call without a type of its own: its number is in another field */

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

/* One field of a protocol buffer. */
struct wire_field {
    uint64_t number;
    uint64_t value;    /* of a varint */
    struct span bytes; /* of bytes */
};

static int take_varint(struct span *rest, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && rest->len > 0; shift += 7) {
        uint8_t byte = *rest->data;
        *rest = span_of(rest->data + 1, rest->len - 1);
        value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            *ret_value = value;
            return 0;
        }
    }
    return -1;
}

/* Cuts the first field off; -1 at the end, and where it is broken. */
static int take_field(struct span *rest, struct wire_field *ret_field)
{
    struct wire_field field = {0};
    uint64_t tag, len = 0;
    if (take_varint(rest, &tag) != 0)
        return -1;
    field.number = tag >> 3;
    if ((tag & 7) == WIRE_VARINT) {
        if (take_varint(rest, &field.value) != 0)
            return -1;
    } else if ((tag & 7) == WIRE_BYTES) {
        if (take_varint(rest, &len) != 0)
            return -1;
    } else if ((tag & 7) == WIRE_FIXED64 || (tag & 7) == WIRE_FIXED32) {
        len = (tag & 7) == WIRE_FIXED64 ? 8 : 4;
    } else {
        return -1;
    }
    if (len > rest->len)
        return -1;
    field.bytes = span_of(rest->data, (size_t)len);
    *rest = span_of(rest->data + len, rest->len - (size_t)len);
    *ret_field = field;
    return 0;
}

/* How one call ended: field 2 holds how, 3 which (4 of a raw one), 5 of a write the path. */
struct call {
    uint64_t number, error;
    struct span path;
};

static struct call read_call(struct span rest, bool raw)
{
    struct call call = {.number = UINT64_MAX};
    for (struct wire_field field; take_field(&rest, &field) == 0;) {
        struct span exit = field.bytes;
        if (field.number == (raw ? 4 : 3))
            call.number = field.value;
        else if (field.number == 5 && !raw)
            call.path = field.bytes;
        for (struct wire_field part; field.number == 2 && take_field(&exit, &part) == 0;) {
            if (part.number == 2)
                call.error = part.value;
        }
    }
    return call;
}

/* /dev/full answers ENOSPC as well, and no other place but /tmp can be written to. */
static bool is_in_tmp(const struct call *call)
{
    static const char tmp[] = "/tmp/";
    return call->number == SYS_fallocate ||
           (call->path.len > strlen(tmp) && memcmp(call->path.data, tmp, strlen(tmp)) == 0);
}

static bool makes_a_process(const struct call *call)
{
    return call->number == SYS_clone || call->number == SYS_fork || call->number == SYS_vfork ||
           call->number == SYS_clone3;
}

unsigned gvisor_trace_message_hits(struct span message)
{
    struct wire_header header;
    if (message.len < sizeof header)
        return 0;
    memcpy(&header, message.data, sizeof header);
    if (header.size < sizeof header || header.size > message.len)
        return 0;
    struct call call = read_call(span_of(message.data + header.size, message.len - header.size),
                                 header.type == TYPE_RAW);
    switch (call.error) {
    case EAGAIN:
        return makes_a_process(&call) ? SANDBOX_HIT_PIDS : 0;
    case EMFILE:
        return SANDBOX_HIT_OPEN_FILES;
    case EFBIG:
        return SANDBOX_HIT_FILE_SIZE;
    case ENOSPC:
        return is_in_tmp(&call) ? SANDBOX_HIT_TMP : 0;
    default:
        return 0;
    }
}
