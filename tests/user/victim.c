/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Commands for the tests of the ptrace machine: each does one thing that is
 * easy to lose or to disturb by tracing, and prints what it saw of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t got[NSIG];

static void count(int sig)
{
	got[sig]++;
}

static int opens(int n)
{
	for (; n > 0; n--)
		open("/nonexistent/file", O_RDONLY);
	return 0;
}

static void *thread_open(void *arg)
{
	char path[64];

	snprintf(path, sizeof(path), "/nonexistent/t%d", (int)(intptr_t)arg);
	open(path, O_RDONLY);
	return NULL;
}

static int threads(int n)
{
	pthread_t tid[64];
	int i;

	for (i = 0; i < n; i++)
		pthread_create(&tid[i], NULL, thread_open, (void *)(intptr_t)i);
	for (i = 0; i < n; i++)
		pthread_join(tid[i], NULL);
	return 0;
}

static int vfork_exec(int times)
{
	volatile int n;
	int status;
	pid_t pid;

	for (n = times; n > 0; n--) {
		pid = vfork();
		if (!pid) {
			execl("/bin/true", "true", NULL);
			_exit(1);
		}
		waitpid(pid, &status, 0);
		if (status)
			return 1;
	}
	return 0;
}

static void *exec_echo(void *arg)
{
	execl("/bin/echo", "echo", "execed", NULL);
	return NULL;
}

static int thread_exec(int n)
{
	pthread_t tid;

	pthread_create(&tid, NULL, thread_open, NULL);
	pthread_create(&tid, NULL, exec_echo, NULL);
	pause();
	return 1;
}

static int storm(int n)
{
	int i, status, good = 0;

	for (i = 0; i < n; i++) {
		if (fork())
			continue;
		open("/nonexistent/storm", O_RDONLY);
		_exit(i % 3);
	}
	while (wait(&status) > 0)
		good += WIFEXITED(status);
	printf("%d\n", good);
	return 0;
}

/* A child stopped and continued, as a shell sees its jobs; caught signals. */
static int signals(int n)
{
	int status, stopped;
	pid_t pid;

	for (n = 0; n < 3; n++)
		signal((int[]){SIGUSR1, SIGCHLD, SIGTSTP}[n], count);
	raise(SIGUSR1);
	kill(getpid(), SIGTSTP);
	pid = fork();
	if (!pid) {
		signal(SIGTSTP, SIG_DFL);
		raise(SIGTSTP);
		raise(SIGSTOP);
		open("/nonexistent/continued", O_RDONLY);
		raise(SIGTERM);
	}
	for (n = 0; n < 2; n++) {
		do
			stopped = waitpid(pid, &status, WUNTRACED);
		while (stopped < 0 && errno == EINTR);
		printf("stopped by %d\n", WIFSTOPPED(status) ? WSTOPSIG(status) : -1);
		usleep(20000);
		kill(pid, SIGCONT);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	printf("ended by %d\n", WIFSIGNALED(status) ? WTERMSIG(status) : -1);
	printf("usr1 %d tstp %d chld %s\n", got[SIGUSR1], got[SIGTSTP],
	       got[SIGCHLD] ? "yes" : "no");
	fflush(stdout);
	kill(getpid(), SIGTERM);
	return 1;
}

static void print_mask(const char *when)
{
	cpu_set_t set;

	sched_getaffinity(0, sizeof(set), &set);
	printf("%s %d\n", when, CPU_COUNT(&set));
}

static int affinity(int n)
{
	cpu_set_t set, old;
	pid_t pid;

	sched_getaffinity(0, sizeof(old), &old);
	print_mask("first");
	opens(n);
	print_mask("busy");
	opens(n);
	pid = fork();
	if (!pid) {
		print_mask("child");
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	CPU_ZERO(&set);
	CPU_SET(0, &set);
	opens(n);
	sched_setaffinity(0, sizeof(set), &set);
	opens(n);
	print_mask("set");
	sched_setaffinity(0, sizeof(old), &old);
	opens(n);
	print_mask("back");
	return 0;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

__attribute__((noinline)) static unsigned int leaf(double end)
{
	volatile unsigned int x = 0;

	while (now() < end)
		for (int i = 0; i < 10000; i++)
			x = x * 7 + 1;
	return x;
}

__attribute__((noinline)) static unsigned int middle(double end)
{
	return leaf(end) + 1;
}

static int spin(int ms)
{
	return middle(now() + ms / 1e3) == 12345;
}

/* Says when it is there, then opens at a walking pace until told to stop. */
static int loop(int n)
{
	printf("ready\n");
	fflush(stdout);
	signal(SIGTERM, count);
	for (n = 0; !got[SIGTERM]; n++) {
		open("/nonexistent/loop", O_RDONLY);
		usleep(1000);
	}
	printf("done\n");
	return 5;
}

static int daemonize(int n)
{
	if (fork())
		return 0;
	setsid();
	for (;;)
		pause();
}

static int int80(int n)
{
	long ret = -1;

#if defined(__x86_64__)
	/* getpid(2) of i386 */
	__asm__ volatile("int $0x80" : "=a"(ret) : "a"(20) : "memory");
#endif
	printf("%s\n", ret == getpid() ? "same pid" : "other");
	return 0;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(int n);
	} modes[] = {
		{"opens", opens},	{"threads", threads},
		{"vfork", vfork_exec},	{"thread-exec", thread_exec},
		{"storm", storm},	{"signals", signals},
		{"affinity", affinity}, {"spin", spin},
		{"loop", loop},		{"daemon", daemonize},
		{"int80", int80},
	};
	size_t i;

	for (i = 0; argc > 1 && i < sizeof(modes) / sizeof(modes[0]); i++)
		if (!strcmp(argv[1], modes[i].name))
			return modes[i].run(argc > 2 ? atoi(argv[2]) : 0);
	fprintf(stderr, "victim: no such mode\n");
	return 2;
}
