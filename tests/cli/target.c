/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The command that the tests of the examples observe: a known number of system
 * calls and library calls, and no others that they count.  It leaves its
 * process id in the file "pid".
 */
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct option longs[] = {{"beta", 0, NULL, 'b'}, {0}};

static void opens_and_reads(void)
{
	static char buf[5000];
	int one = open("one", O_RDONLY), n;

	open("missing", O_RDONLY);
	open("two", O_RDONLY);
	for (n = 1; n <= 1000; n *= 10)
		if (read(one, buf, (size_t)n) != n)
			exit(10);
	/* The rest, 3889 bytes, and the end. */
	if (read(one, buf, sizeof(buf)) != 3889 || read(one, buf, sizeof(buf)) != 0)
		exit(11);
}

static void writes(void)
{
	int null = open("/dev/null", O_WRONLY), n;
	static char buf[1000];

	for (n = 10; n <= 1000; n *= 10)
		if (write(null, buf, (size_t)n) != n)
			exit(12);
}

static void leave_pid(void)
{
	int fd = open("pid", O_WRONLY | O_CREAT | O_TRUNC, 0644);
	char text[16];

	snprintf(text, sizeof(text), "%7d", (int)getpid());
	if (write(fd, text, 7) != 7)
		exit(13);
}

int main(int argc, char **argv)
{
	char *args[] = {"target", "-a", "-a", "--beta", NULL};
	int status = argc > 1 ? atoi(argv[1]) : 0;

	opens_and_reads();
	writes();
	getenv("SKEP_FIRST");
	getenv("SKEP_SECOND");
	while (getopt_long(4, args, "a", longs, NULL) != -1)
		;
	leave_pid();
	if (argc > 2 && !strcmp(argv[2], "kill"))
		kill(getpid(), 9);
	if (argc > 2 && !strcmp(argv[2], "sleep"))
		sleep(30);
	return status;
}
