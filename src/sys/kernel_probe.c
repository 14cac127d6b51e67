/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Probes of kernels that have no perf PMU for them (before 4.17): an event is
 * written to tracefs' kprobe_events or uprobe_events and opened by its id.
 *
 * Such an event outlives its process.  Its name, p<pid>_<nanoseconds of the
 * monotonic clock>, tells who made it when; the first probe of an engine
 * removes those of processes that have ended.  The kernel refuses to remove
 * what is in use (EBUSY), so a wrong guess about who lives does no harm: what
 * is younger than a second is left alone.
 * https://docs.kernel.org/trace/kprobetrace.html, uprobetracer.html
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sys/kernel.h"

#define GROUP  "skep"
#define SECOND UINT64_C(1000000000)

static const char *const files[] = {"kprobe_events", "uprobe_events"};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

/* Appends a command: a file that is opened otherwise forgets everybody's events. */
static int command(int dir, bool uprobe, const char *text)
{
	SKEP_AUTO_CLOSE int fd = openat(dir, files[uprobe], O_WRONLY | O_APPEND | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static int delete_event(int dir, bool uprobe, int pid, uint64_t id)
{
	char text[80];

	snprintf(text, sizeof(text), "-:" GROUP "/p%d_%" PRIu64 "\n", pid, id);
	return command(dir, uprobe, text);
}

/* Removes the events of processes that have ended. */
static void sweep(int dir, bool uprobe)
{
	int fd = openat(dir, files[uprobe], O_RDONLY | O_CLOEXEC), pid;
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	uint64_t id, now = now_ns();
	char line[4400]; /* a path, and what stands around it */
	const char *name;

	if (!f && fd >= 0)
		close(fd);
	while (f && fgets(line, sizeof(line), f)) {
		name = strstr(line, ":" GROUP "/p");
		if (name && sscanf(name, ":" GROUP "/p%d_%" SCNu64 " ", &pid, &id) == 2 &&
		    pid > 0 && (id > now || now - id > SECOND) && kill(pid, 0) < 0 &&
		    errno == ESRCH)
			delete_event(dir, uprobe, pid, id);
	}
	if (f)
		fclose(f);
}

/* Writes the event's definition; @id goes into its name. */
static int define(int dir, const struct skep_event *ev, uint64_t id)
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
		n = snprintf(text, sizeof(text),
			     "%c:" GROUP "/p%d_%" PRIu64 " %s:0x%" PRIx64 "%s\n",
			     ev->uprobe.ret ? 'r' : 'p', (int)getpid(), id, path, ev->uprobe.offset,
			     ref);
	} else {
		n = snprintf(text, sizeof(text), "%c:" GROUP "/p%d_%" PRIu64 " %s+%" PRIu64 "\n",
			     ev->kprobe.ret ? 'r' : 'p', (int)getpid(), id, ev->kprobe.func,
			     ev->kprobe.offset);
	}
	return n >= (int)sizeof(text) ? -ENAMETOOLONG : command(dir, uprobe, text);
}

int skep_kernel_probe_add(struct skep_kernel *k, const struct skep_event *ev,
			  struct perf_event_attr *attr)
{
	struct skep_kernel_probe probe = {.fd = SKEP_PROBE_NEW,
					  .uprobe = ev->kind == SKEP_EVENT_UPROBE,
					  .pid = (int)getpid(),
					  .id = now_ns()};
	int dir = skep_kernel_tracefs(k), ret;
	char name[64];

	if (dir < 0 || faccessat(dir, files[probe.uprobe], F_OK, 0) < 0)
		return -ENXIO;
	if (!(k->swept & 1u << probe.uprobe))
		sweep(dir, probe.uprobe);
	k->swept |= 1u << probe.uprobe;
	ret = skep_vec_push(&k->probes, probe);
	if (ret < 0)
		return ret;
	ret = define(dir, ev, probe.id);
	if (ret < 0) {
		k->probes.len--;
		skep_kernel_why_event(k, ev, ret);
		if (ret == -EINVAL && probe.uprobe && ev->uprobe.ref_ctr)
			skep_kernel_why(k, "this kernel cannot count up the semaphore of a static "
					   "probe, which came with Linux 4.20");
		return ret;
	}
	snprintf(name, sizeof(name), "p%d_%" PRIu64, probe.pid, probe.id);
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

		if (p->fd == SKEP_PROBE_CLOSED &&
		    delete_event(k->tracefs, p->uprobe, p->pid, p->id) != -EBUSY)
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
	skep_vec_deinit(&k->probes);
}
