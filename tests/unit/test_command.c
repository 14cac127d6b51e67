/* SPDX-License-Identifier: BSD-2-Clause */
/* src/sys/command: holding a command before its first system call. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys/command.h"
#include "sys/sys.h"
#include "tap.h"

static void wait_end(struct skep_held *held)
{
	struct pollfd p = {held->pidfd, POLLIN, 0};

	poll(&p, 1, 10000);
}

/* The state letter of /proc/PID/stat; 'x': no such process. */
static char state_of(pid_t pid)
{
	char path[64], c = 'x';
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "r");
	if (f && fscanf(f, "%*d (%*[^)]) %c", &c) != 1)
		c = 'x';
	if (f)
		fclose(f);
	return c;
}

static void test_run(bool freeze)
{
	char *argv[] = {"sh", "-c", "exit 7", NULL};
	struct skep_err err = SKEP_ERR_INIT;
	struct skep_held held;

	is_int(skep_held_start(&held, argv, NULL, NULL, &err), 0, "start");
	is_int(skep_held_arm(&held, NULL, 0, &err), 0, "arm");
	ok(state_of(held.pid) == 'R', "an armed child spins in user mode");
	if (freeze) {
		is_int(skep_held_freeze(&held, &err), 0, "freeze");
		ok(state_of(held.pid) == 'T', "a frozen child stands");
	}
	ok(!skep_held_reap(&held), "the held child has not ended");
	skep_held_release(&held);
	wait_end(&held);
	ok(skep_held_reap(&held) && WIFEXITED(held.status) && WEXITSTATUS(held.status) == 7,
	   "released, it ran and its status is told");
	is_int(skep_held_exec_errno(&held), 0, "exec succeeded");
	skep_held_deinit(&held);
}

static void test_exec_failure(void)
{
	char *argv[] = {"/dev/null", NULL}, *missing[] = {"no-such-command-xyz", NULL};
	struct skep_err err = SKEP_ERR_INIT;
	struct skep_held held;

	skep_held_start(&held, argv, NULL, NULL, &err);
	skep_held_arm(&held, NULL, 0, &err);
	skep_held_release(&held);
	wait_end(&held);
	ok(skep_held_reap(&held) && WEXITSTATUS(held.status) == 127, "failed exec exits 127");
	is_int(skep_held_exec_errno(&held), EACCES, "and its errno is told");
	skep_held_deinit(&held);
	is_int(skep_held_start(&held, missing, NULL, NULL, &err), -ENOENT, "not in PATH");
	is_str(err.msg, "'no-such-command-xyz': there is no such command in PATH", "the sentence");
	skep_held_deinit(&held);
	skep_err_deinit(&err);
}

static int hook(void *arg, const void *msg, size_t len)
{
	int *shared = arg;

	if (len == 3 && !memcmp(msg, "bad", 3))
		return -EDOM;
	shared[0] = (int)len;
	shared[1] = getpid();
	return 0;
}

static void test_hook(void)
{
	char *argv[] = {"true", NULL}, big[5000] = {0};
	int *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct skep_err err = SKEP_ERR_INIT;
	struct skep_held held;

	skep_held_start(&held, argv, hook, shared, &err);
	is_int(skep_held_arm(&held, big, sizeof(big), &err), 0, "arm with a message");
	ok(shared[0] == (int)sizeof(big) && shared[1] == held.pid,
	   "the hook ran in the child with the whole message");
	skep_held_deinit(&held);
	ok(held.pid == -1 && WIFSIGNALED(held.status) && WTERMSIG(held.status) == SIGKILL,
	   "deinit ends a held child");
	skep_held_start(&held, argv, hook, shared, &err);
	is_int(skep_held_arm(&held, "bad", 3, &err), -EDOM, "the hook's failure comes back");
	skep_held_deinit(&held);
	skep_err_deinit(&err);
	munmap(shared, 4096);
}

/* What system calls a released child makes first, seen by ptrace. */
static void test_first_call(void)
{
	char *argv[] = {"true", NULL};
	struct skep_err err = SKEP_ERR_INIT;
	struct user_regs_struct regs = {0};
	struct skep_held held;
	int status = 0;

	skep_held_start(&held, argv, NULL, NULL, &err);
	skep_held_arm(&held, NULL, 0, &err);
	if (ptrace(PTRACE_SEIZE, held.pid, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) < 0) {
		ok(true, "# SKIP no ptrace here");
		skep_held_deinit(&held);
		return;
	}
	ptrace(PTRACE_INTERRUPT, held.pid, NULL, NULL);
	waitpid(held.pid, &status, __WALL);
	skep_held_release(&held);
	ptrace(PTRACE_SYSCALL, held.pid, NULL, 0);
	waitpid(held.pid, &status, __WALL);
#if defined(__x86_64__)
	ptrace(PTRACE_GETREGS, held.pid, NULL, &regs);
	ok(WIFSTOPPED(status) && WSTOPSIG(status) == (SIGTRAP | 0x80) && regs.orig_rax == 59,
	   "the first system call after release is execve");
#endif
	ptrace(PTRACE_DETACH, held.pid, NULL, 0);
	wait_end(&held);
	skep_held_deinit(&held);
}

/* A parent that is killed takes its held child along, frozen or not. */
static void test_parent_death(bool freeze)
{
	int fds[2], i;
	pid_t parent, child = -1;

	if (pipe(fds) < 0)
		return;
	parent = fork();
	if (parent == 0) {
		char *argv[] = {"sleep", "60", NULL};
		struct skep_held held;

		skep_held_start(&held, argv, NULL, NULL, NULL);
		skep_held_arm(&held, NULL, 0, NULL);
		if (freeze)
			skep_held_freeze(&held, NULL);
		if (write(fds[1], &held.pid, sizeof(held.pid)) < 0)
			_exit(1);
		pause();
	}
	if (read(fds[0], &child, sizeof(child)) != sizeof(child))
		child = -1;
	ok(child > 0 && state_of(child) == (freeze ? 'T' : 'R'), "the grandchild is held");
	kill(parent, SIGKILL);
	waitpid(parent, NULL, 0);
	for (i = 0; i < 500 && strchr("RT", state_of(child)); i++)
		usleep(10000);
	ok(!strchr("RT", state_of(child)), "its parent's death ends a %s child",
	   freeze ? "frozen" : "spinning");
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
	test_run(false);
	test_run(true);
	test_exec_failure();
	test_hook();
	test_first_call();
	test_parent_death(false);
	test_parent_death(true);
	return done();
}
