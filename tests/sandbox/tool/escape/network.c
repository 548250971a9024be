/* SPDX-License-Identifier: Apache-2.0 */
/* Steps on sockets. */
#include "escape.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/vm_sockets.h>
#include <net/if.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const struct {
    const char *name;
    int family, type, protocol;
} kinds[] = {
    {"tcp", AF_INET, SOCK_STREAM, 0},
    {"udp", AF_INET, SOCK_DGRAM, 0},
    {"tcp6", AF_INET6, SOCK_STREAM, 0},
    {"raw", AF_INET, SOCK_RAW, IPPROTO_ICMP},
    {"raw_tcp", AF_INET, SOCK_RAW, IPPROTO_TCP},
    {"raw6", AF_INET6, SOCK_RAW, IPPROTO_ICMPV6},
    {"packet", AF_PACKET, SOCK_RAW, 0x0300},
    {"packet_cooked", AF_PACKET, SOCK_DGRAM, 0x0300},
    {"netlink_route", AF_NETLINK, SOCK_RAW, 0},
    {"netlink_audit", AF_NETLINK, SOCK_RAW, 9},
    {"netlink_netfilter", AF_NETLINK, SOCK_RAW, 12},
    {"vsock", AF_VSOCK, SOCK_STREAM, 0},
    {"alg", AF_ALG, SOCK_SEQPACKET, 0},
    {"bluetooth", AF_BLUETOOTH, SOCK_RAW, 1},
    {"can", AF_CAN, SOCK_RAW, 1},
    {"xdp", AF_XDP, SOCK_RAW, 0},
    {"unix", AF_UNIX, SOCK_STREAM, 0},
};

static long do_socket(char **words)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(kinds[i].name, words[0]) == 0)
            return socket(kinds[i].family, kinds[i].type, kinds[i].protocol);
    }
    errno = EINVAL;
    return -1;
}

static struct sockaddr_in address_of(char **words)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)number(words[1]))};
    inet_pton(AF_INET, words[0], &address.sin_addr);
    return address;
}

static long do_connect(char **words)
{
    struct sockaddr_in address = address_of(words);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return fd < 0 ? -1 : connect(fd, (struct sockaddr *)&address, sizeof address);
}

static long do_connect6(char **words)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6,
                                   .sin6_port = htons((uint16_t)number(words[1]))};
    inet_pton(AF_INET6, words[0], &address.sin6_addr);
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    return fd < 0 ? -1 : connect(fd, (struct sockaddr *)&address, sizeof address);
}

static long do_send(char **words)
{
    struct sockaddr_in address = address_of(words);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    return fd < 0 ? -1 : sendto(fd, "x", 1, 0, (struct sockaddr *)&address, sizeof address);
}

/* "@name" is an abstract one. */
static long do_connect_unix(char **words)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(words[0]);
    if (len >= sizeof address.sun_path)
        len = sizeof address.sun_path - 1;
    memcpy(address.sun_path, words[0], len);
    if (address.sun_path[0] == '@')
        address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    return fd < 0 ? -1
                  : connect(fd, (struct sockaddr *)&address,
                            (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
}

/* Listens on its own loopback and talks to itself. */
static long do_talk_to_self(char **words)
{
    (void)words;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&address, len) != 0 || listen(listener, 1) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &len) != 0)
        return -1;
    return connect(fd, (struct sockaddr *)&address, len);
}

static long do_interfaces(char **words)
{
    (void)words;
    struct if_nameindex *list = if_nameindex();
    if (list == NULL)
        return -1;
    printf("interfaces:");
    for (struct if_nameindex *at = list; at->if_index != 0; at++)
        printf(" %s", at->if_name);
    putchar('\n');
    return QUIET;
}

const struct step steps_network[] = {
    {"socket", 1, do_socket},
    {"connect", 2, do_connect},
    {"connect6", 2, do_connect6},
    {"send", 2, do_send},
    {"connect_unix", 1, do_connect_unix},
    {"talk_to_self", 0, do_talk_to_self},
    {"interfaces", 0, do_interfaces},
    {NULL, 0, NULL},
};
