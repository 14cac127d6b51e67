/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Probes of kernels that have no perf PMU for them (before 4.17): an event is
 * written to tracefs' kprobe_events or uprobe_events and opened by its id.
 *
 * Such an event outlives its process: a guard removes those of an engine.  It
 * knows them by their names, p<pid>_<nanoseconds at the first>_<number>.
 * https://docs.kernel.org/trace/kprobetrace.html, uprobetracer.html
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sys/kernel.h"

#define GROUP "skep"
#define TRIES 150 /* of the guard, 20 ms each: the kernel lets go of a dead process's later */

static const char *const files[] = {"kprobe_events", "uprobe_events"};

/* Appends a command: a file that is opened otherwise forgets everybody's events. */
static int command(int dir, bool uprobe, const char *text)
{
	SKEP_AUTO_CLOSE int fd = openat(dir, files[uprobe], O_WRONLY | O_APPEND | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static int delete_event(const struct skep_kernel *k, const struct skep_kernel_probe *p)
{
	char text[80];

	snprintf(text, sizeof(text), "-%s%u\n", k->probe_names, p->number);
	return command(k->tracefs, p->uprobe, text);
}

/* What the guard is told. */
struct group {
	int dir;
	const char *names;
};

/* Removes the event that @line defines if it is the group's; false: that failed. */
static bool remove_own(const struct group *g, bool uprobe, char *line)
{
	char *name = strstr(line, g->names), text[96] = "-";
	size_t n = name ? strcspn(name, " ") : 0;

	if (!n || n > sizeof(text) - 3)
		return true;
	memcpy(text + 1, name, n);
	text[n + 1] = '\n';
	return command(g->dir, uprobe, text) == 0;
}

/* The same with all lines of a file. */
static bool remove_all(const struct group *g, bool uprobe)
{
	SKEP_AUTO_CLOSE int fd = openat(g->dir, files[uprobe], O_RDONLY | O_CLOEXEC);
	char text[8192], *line, *end; /* a path, and what stands around it */
	size_t len = 0;
	bool all = true;
	ssize_t n;

	while (fd >= 0 && (n = read(fd, text + len, sizeof(text) - 1 - len)) > 0) {
		len += (size_t)n;
		text[len] = '\0';
		for (line = text; (end = strchr(line, '\n')); line = end + 1) {
			*end = '\0';
			all &= remove_own(g, uprobe, line);
		}
		len = strlen(line);
		memmove(text, line, len);
	}
	return all;
}

static void undo(void *ctx)
{
	const struct timespec pause = {.tv_nsec = 20000000};
	int tries = TRIES;
	bool all;

	do {
		all = remove_all(ctx, false);
		all &= remove_all(ctx, true);
	} while (!all && --tries && nanosleep(&pause, NULL) == 0);
}

static int start_guard(struct skep_kernel *k)
{
	struct group g = {k->tracefs, k->probe_names};
	struct timespec t;
	int ret;

	clock_gettime(CLOCK_MONOTONIC, &t);
	snprintf(k->probe_names, sizeof(k->probe_names), ":" GROUP "/p%d_%" PRIu64 "_",
		 (int)getpid(), (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec);
	ret = skep_guard_start(&k->probe_guard, undo, &g, k->tracefs);
	if (ret < 0)
		skep_kernel_why(k, "no process can be started that removes the probe later: %s",
				strerror(-ret));
	return ret;
}

/* Writes the event's definition. */
static int define(const struct skep_kernel *k, const struct skep_event *ev, unsigned int number)
{
	bool uprobe = ev->kind == SKEP_EVENT_UPROBE;
	char text[4400], via[32], ref[32] = "";
	SKEP_AUTO_CLOSE int fd = -1;
	const char *path;
	int n;

	if (uprobe) {
		path = ev->uprobe.path;
		if (strpbrk(path, " \t\n:")) {
			/* A name that the kernel cannot read in such a line. */
			fd = open(path, O_RDONLY | O_CLOEXEC);
			if (fd < 0)
				return -errno;
			snprintf(via, sizeof(via), "/proc/self/fd/%d", fd);
			path = via;
		}
		if (ev->uprobe.ref_ctr)
			snprintf(ref, sizeof(ref), "(0x%" PRIx64 ")", ev->uprobe.ref_ctr);
		n = snprintf(text, sizeof(text), "%c%s%u %s:0x%" PRIx64 "%s\n",
			     ev->uprobe.ret ? 'r' : 'p', k->probe_names, number, path,
			     ev->uprobe.offset, ref);
	} else {
		n = snprintf(text, sizeof(text), "%c%s%u %s+%" PRIu64 "\n",
			     ev->kprobe.ret ? 'r' : 'p', k->probe_names, number, ev->kprobe.func,
			     ev->kprobe.offset);
	}
	return n >= (int)sizeof(text) ? -ENAMETOOLONG : command(k->tracefs, uprobe, text);
}

int skep_kernel_probe_add(struct skep_kernel *k, const struct skep_event *ev,
			  struct perf_event_attr *attr)
{
	struct skep_kernel_probe probe = {.fd = SKEP_PROBE_NEW,
					  .uprobe = ev->kind == SKEP_EVENT_UPROBE,
					  .number = ++k->probe_count};
	int dir = skep_kernel_tracefs(k), ret;
	char name[64];

	if (dir < 0 || faccessat(dir, files[probe.uprobe], F_OK, 0) < 0)
		return -ENXIO;
	ret = k->probe_guard.fd < 0 ? start_guard(k) : 0;
	if (ret == 0)
		ret = skep_vec_push(&k->probes, probe);
	if (ret < 0)
		return ret;
	ret = define(k, ev, probe.number);
	if (ret < 0) {
		k->probes.len--;
		skep_kernel_why_event(k, ev, ret);
		if (ret == -EINVAL && probe.uprobe && ev->uprobe.ref_ctr)
			skep_kernel_why(k, "this kernel cannot count up the semaphore of a static "
					   "probe, which came with Linux 4.20");
		return ret;
	}
	snprintf(name, sizeof(name), "%s%u", strchr(k->probe_names, '/') + 1, probe.number);
	ret = skep_kernel_tracepoint_id(k, GROUP, name);
	if (ret < 0) {
		skep_kernel_probe_opened(k, ret);
		return ret;
	}
	attr->type = PERF_TYPE_TRACEPOINT;
	attr->config = (uint64_t)ret;
	return 0;
}

/* Removes what no descriptor holds any more; what is busy stays for later. */
static void remove_closed(struct skep_kernel *k)
{
	size_t i = 0;

	while (i < k->probes.len) {
		const struct skep_kernel_probe *p = &k->probes.data[i];

		if (p->fd == SKEP_PROBE_CLOSED && delete_event(k, p) != -EBUSY)
			k->probes.data[i] = k->probes.data[--k->probes.len];
		else
			i++;
	}
}

void skep_kernel_probe_opened(struct skep_kernel *k, int fd)
{
	struct skep_kernel_probe *p;

	skep_vec_each (&k->probes, p)
		if (p->fd == SKEP_PROBE_NEW)
			p->fd = fd < 0 ? SKEP_PROBE_CLOSED : fd;
	remove_closed(k);
}

void skep_kernel_probe_closed(struct skep_kernel *k, int fd)
{
	struct skep_kernel_probe *p;

	skep_vec_each (&k->probes, p)
		if (p->fd == fd)
			p->fd = SKEP_PROBE_CLOSED;
	remove_closed(k);
}

void skep_kernel_probe_deinit(struct skep_kernel *k)
{
	remove_closed(k);
	skep_guard_end(&k->probe_guard);
	skep_vec_deinit(&k->probes);
}
