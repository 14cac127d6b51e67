/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The observed command: does a known number of things.
 *   target calls N KIDS [CGROUP]   N getpgid(2), work(), static probes, in itself and each child
 *   target udp N [CGROUP]          N datagrams to itself over lo
 *   target tcp N [CGROUP]          N connections to itself over lo, one message each
 *   target wait FILE               until FILE is gone, calling work() now and then
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "note.h"

/* A semaphore as systemtap's <sys/sdt.h> lays it out. */
__attribute__((section(".probes"), used)) volatile unsigned short probes_guarded_semaphore;

__attribute__((noinline)) int work(int i)
{
	__asm__ volatile("" ::: "memory");
	return i + 1;
}

__attribute__((noinline)) void fire(uint64_t i, int32_t neg, uint8_t *mem)
{
#ifdef __x86_64__
	__asm__ volatile(NOTE("plain", "0", "8@%%rdi -4@%%esi 1@3(%%rdx) -2@$-7")::"D"(i), "S"(neg),
			 "d"(mem)
			 : "memory");
	if (probes_guarded_semaphore)
		__asm__ volatile(NOTE("guarded", "probes_guarded_semaphore", "8@%%rdi")::"D"(i)
				 : "memory");
#endif
}

static void calls(int n)
{
	uint8_t mem[4] = {1, 2, 3, 200};
	int i;

	for (i = 0; i < n; i++) {
		getpgid(getpid());
		work(i);
		fire((uint64_t)i + 10, -5, mem);
	}
}

static int listener(int type, struct sockaddr_in *at)
{
	socklen_t len = sizeof(*at);
	int fd = socket(AF_INET, type, 0);

	memset(at, 0, sizeof(*at));
	at->sin_family = AF_INET;
	at->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (struct sockaddr *)at, len) || getsockname(fd, (struct sockaddr *)at, &len))
		exit(3);
	if (type == SOCK_STREAM && listen(fd, 8))
		exit(3);
	return fd;
}

static void talk(int type, int n)
{
	struct sockaddr_in at;
	int i, in = listener(type, &at), out, got;
	char c = 'x';

	for (i = 0; i < n; i++) {
		out = socket(AF_INET, type, 0);
		if (connect(out, (struct sockaddr *)&at, sizeof(at)))
			exit(4);
		got = type == SOCK_STREAM ? accept(in, NULL, NULL) : in;
		if (write(out, &c, 1) != 1 || read(got, &c, 1) != 1)
			exit(5);
		close(out);
		if (got != in)
			close(got);
	}
}

static void enter(const char *cgroup)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, "0", 1) != 1)
		exit(6);
	close(fd);
}

int main(int argc, char **argv)
{
	int n = argc > 2 ? atoi(argv[2]) : 0, i;

	if (argc > 2 && !strcmp(argv[1], "wait")) {
		while (access(argv[2], F_OK) == 0) {
			calls(1);
			usleep(1000);
		}
		return 0;
	}
	if (argc > 3 && argv[argc - 1][0] == '/')
		enter(argv[argc - 1]);
	if (argc > 2 && !strcmp(argv[1], "udp"))
		talk(SOCK_DGRAM, n);
	else if (argc > 2 && !strcmp(argv[1], "tcp"))
		talk(SOCK_STREAM, n);
	else if (argc > 3 && !strcmp(argv[1], "calls"))
		for (i = atoi(argv[3]); i > 0; i--)
			if (fork() == 0) {
				calls(n);
				_exit(0);
			}
	if (argc > 2 && !strcmp(argv[1], "calls"))
		calls(n);
	while (wait(NULL) > 0)
		;
	return 0;
}
