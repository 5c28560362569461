/* Two processes that talk: a child is forked before the driver is started, and one of the two is killed at will. */
#ifndef PEERS_H
#define PEERS_H

#define _GNU_SOURCE
#include "driver.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

static pid_t peer;
static int line;

/* Sends bytes, and a file descriptor unless it is -1. */
static inline void tell(const void *bytes, size_t size, int descriptor) {
    struct iovec part = {(void *)bytes, size};
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (descriptor >= 0) {
        message.msg_control = control.room, message.msg_controllen = sizeof control.room;
        control.head = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.head), &descriptor, sizeof descriptor);
    }
    TRUE(sendmsg(line, &message, 0) == (ssize_t)size);
}

/* Waits for bytes; gives the file descriptor that came with them, or -1. */
static inline int hear(void *bytes, size_t size) {
    struct iovec part = {bytes, size};
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    int descriptor = -1;
    TRUE(recvmsg(line, &message, 0) == (ssize_t)size);
    if (message.msg_controllen > 0)
        memcpy(&descriptor, CMSG_DATA(&control.head), sizeof descriptor);
    return descriptor;
}

static inline void go_on(void) {
    tell("x", 1, -1);
}

static inline void wait_for_peer(void) {
    char word;
    hear(&word, 1);
}

/* Makes the other process; true in the child. */
static inline int split(void) {
    int ends[2];
    pid_t parent = getpid();
    TRUE(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
    peer = fork();
    line = ends[peer == 0];
    close(ends[peer != 0]);
    /* Nothing here takes a second; what would wait for ever has failed. */
    alarm(60);
    if (peer == 0) {
        peer = parent;
        return 1;
    }
    return 0;
}

/* The child is killed, and is gone when this comes back. */
static inline void kill_child(void) {
    int status = 0;
    TRUE(kill(peer, SIGKILL) == 0);
    TRUE(waitpid(peer, &status, 0) == peer && WIFSIGNALED(status));
}

/* The child ends by itself, well. */
static inline void child_ends(void) {
    int status = 0;
    TRUE(waitpid(peer, &status, 0) == peer && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static inline size_t free_bytes(void) {
    size_t free_now = 0;
    MUST(cuMemGetInfo_v2(&free_now, NULL));
    return free_now;
}

/* The other process cannot be suspended, and goes on. */
static inline void peer_cannot_be_suspended(void) {
    CUlockArgs none = {0};
    MUST(cuCheckpointProcessLock(peer, &none));
    EXPECT(801, cuCheckpointProcessCheckpoint(peer, NULL));
    MUST(cuCheckpointProcessUnlock(peer, NULL));
}

#endif
