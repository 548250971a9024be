/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: the tool reaches nobody: no address, no socket of the host's, no other family; only its
 * own loopback, on which nobody is. */
#include "tests/sandbox/escape.h"

#include <netinet/in.h>

/* Whoever comes to one of these has got out. */
struct listeners {
    int tcp, udp, tcp6, path, abstract;
    int port, port6;
    char path_name[100], abstract_name[64];
};

static int bound(int family, int type, void *address, socklen_t len)
{
    int fd = socket(family, type | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, address, len), 0);
    if (type == SOCK_STREAM)
        assert_int_equal(listen(fd, 8), 0);
    return fd;
}

static void listen_inet(struct listeners *l)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct sockaddr_in6 address6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    socklen_t len = sizeof address, len6 = sizeof address6;
    l->tcp = bound(AF_INET, SOCK_STREAM, &address, len);
    assert_int_equal(getsockname(l->tcp, (struct sockaddr *)&address, &len), 0);
    l->port = ntohs(address.sin_port);
    l->udp = bound(AF_INET, SOCK_DGRAM, &address, len);
    l->tcp6 = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (l->tcp6 < 0 || bind(l->tcp6, (struct sockaddr *)&address6, len6) != 0 ||
        listen(l->tcp6, 8) != 0) { /* a host without IPv6 has no such listener to protect */
        cleanup_close(&l->tcp6);
        l->tcp6 = -1;
        l->port6 = l->port;
        return;
    }
    assert_int_equal(getsockname(l->tcp6, (struct sockaddr *)&address6, &len6), 0);
    l->port6 = ntohs(address6.sin6_port);
}

/* Where PostgreSQL's would be, in a folder that everybody may enter, and an abstract one. */
static void listen_unix(struct listeners *l, const struct harness *harness)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)escape_path(harness, "/.s.PGSQL.5432", l->path_name, sizeof l->path_name);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", l->path_name);
    l->path = bound(AF_UNIX, SOCK_STREAM, &address, sizeof address);
    assert_int_equal(chmod(l->path_name, 0777), 0);
    (void)snprintf(l->abstract_name, sizeof l->abstract_name, "sallyport-escape-%d", (int)getpid());
    address = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(address.sun_path + 1, l->abstract_name, strlen(l->abstract_name));
    l->abstract =
        bound(AF_UNIX, SOCK_STREAM, &address,
              (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(l->abstract_name)));
}

static void assert_nobody_came(struct listeners *l)
{
    int *fds[] = {&l->tcp, &l->udp, &l->tcp6, &l->path, &l->abstract};
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        struct pollfd waiting = {.fd = *fds[i], .events = POLLIN};
        assert_int_equal(poll(&waiting, 1, 0), 0);
        cleanup_close(fds[i]);
    }
    assert_int_equal(unlink(l->path_name), 0);
}

static void test_the_hosts_sockets(void **state)
{
    struct harness *harness = *state;
    struct listeners l;
    listen_inet(&l);
    listen_unix(&l, harness);
    char tcp[64], udp[64], tcp6[64], abstract[128];
    (void)snprintf(tcp, sizeof tcp, "connect 127.0.0.1 %d", l.port);
    (void)snprintf(udp, sizeof udp, "send 127.0.0.1 %d", l.port);
    (void)snprintf(tcp6, sizeof tcp6, "connect6 ::1 %d", l.port6);
    (void)snprintf(abstract, sizeof abstract, "connect_unix @%s", l.abstract_name);
    const struct attempt attempts[] = {
        REFUSED(tcp, "ECONNREFUSED"), /* its own loopback, where nobody listens */
        HARMLESS(udp, "done", "a datagram on its own loopback goes to nobody"),
        REFUSED(tcp6, "ECONNREFUSED"),
        REFUSED("connect_unix %/.s.PGSQL.5432", "ENOENT"),
        REFUSED("connect_unix /proc/1/root%/.s.PGSQL.5432", "ENOENT"),
        REFUSED("connect_unix /var/run/postgresql/.s.PGSQL.5432", "ENOENT"),
        REFUSED("connect_unix /run/docker.sock", "ENOENT"),
        REFUSED("connect_unix /run/systemd/private", "ENOENT"),
        REFUSED(abstract, "ECONNREFUSED"),
    };
    escape_attempts(harness, HARNESS_JOB("x"), attempts, ARRAY_LEN(attempts));
    assert_nobody_came(&l);
}

static void test_addresses_elsewhere(void **state)
{
    static const struct attempt attempts[] = {
        REFUSED("connect 192.0.2.1 80", "EHOSTUNREACH"),
        REFUSED("connect 169.254.169.254 80", "EHOSTUNREACH"), /* a cloud's metadata */
        REFUSED("connect 10.0.0.1 22", "EHOSTUNREACH"),
        REFUSED("connect6 2001:db8::1 80", "EHOSTUNREACH"),
        REFUSED("connect6 fe80::1 80", "ENETUNREACH"),
        REFUSED("send 192.0.2.1 53", "EHOSTUNREACH"),
        REFUSED("send 255.255.255.255 67", "ENETUNREACH"),
        REFUSED("send 224.0.0.251 5353", "ENETUNREACH"),
        SAYS("interfaces", "interfaces: lo", "its own"),
        HARMLESS("talk_to_self", "done", "a tool may use its own loopback: nobody else is there"),
    };
    escape_attempts(*state, HARNESS_JOB("x"), attempts, ARRAY_LEN(attempts));
}

static void test_families(void **state)
{
    static const struct attempt attempts[] = {
        HARMLESS("socket tcp", "done", "see above: it reaches nobody"),
        HARMLESS("socket udp", "done", "see above"),
        HARMLESS("socket tcp6", "done", "see above"),
        HARMLESS("socket unix", "done", "between its own processes"),
        HARMLESS("socket netlink_route", "done", "answers of gVisor's kernel on its own network"),
        REFUSED("socket raw", "EPERM"),
        REFUSED("socket raw_tcp", "EPERM"),
        REFUSED("socket raw6", "EPERM"),
        REFUSED("socket packet", "EPERM"),
        REFUSED("socket packet_cooked", "EPERM"),
        REFUSED("socket netlink_audit", "EPROTONOSUPPORT"),
        REFUSED("socket netlink_netfilter", "EPROTONOSUPPORT"),
        REFUSED("socket vsock", "EAFNOSUPPORT"),
        REFUSED("socket alg", "EAFNOSUPPORT"),
        REFUSED("socket bluetooth", "EAFNOSUPPORT"),
        REFUSED("socket can", "EAFNOSUPPORT"),
        REFUSED("socket xdp", "EAFNOSUPPORT"),
    };
    escape_attempts(*state, HARNESS_JOB("x"), attempts, ARRAY_LEN(attempts));
}

int main(void)
{
#define CASE(name) cmocka_unit_test_teardown(name, escape_nothing_left)
    const struct CMUnitTest tests[] = {
        CASE(test_the_hosts_sockets),
        CASE(test_addresses_elsewhere),
        CASE(test_families),
    };
    return cmocka_run_group_tests(tests, escape_setup, harness_teardown);
}
