/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The user engine as the waist sees it: descriptors, mappings, waiting.
 * See engine.h for who holds whom.
 */
#include "user/user.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "user/engine.h"
#include "user/tracee.h"

/* Small numbers are left out: 0 means "none" in many a field of bpf(2). */
#define FIRST_FD 3
/* How long the sources may run on before the reader's turn. */
#define SLICE_US 5000

int skep_user_fd(struct skep_user *user, enum skep_user_kind kind, void *take_obj)
{
	struct skep_slot slot = {.kind = kind, .obj = take_obj};
	size_t i;

	for (i = 0; i < user->slots.len; i++) {
		if (user->slots.data[i].kind != SKEP_USER_NONE)
			continue;
		user->slots.data[i] = slot;
		return (int)i + FIRST_FD;
	}
	if (skep_vec_push(&user->slots, slot)) {
		skep_obj_put(kind, take_obj);
		return -ENOMEM;
	}
	return (int)i + FIRST_FD;
}

struct skep_slot *skep_user_slot(struct skep_user *user, int fd)
{
	if (fd < FIRST_FD || (size_t)(fd - FIRST_FD) >= user->slots.len)
		return NULL;
	if (user->slots.data[fd - FIRST_FD].kind == SKEP_USER_NONE)
		return NULL;
	return &user->slots.data[fd - FIRST_FD];
}

void *skep_user_obj(struct skep_user *user, int fd, enum skep_user_kind kind, int *ret)
{
	struct skep_slot *slot = skep_user_slot(user, fd);

	*ret = !slot ? -EBADF : slot->kind != kind ? -EINVAL : 0;
	return *ret ? NULL : slot->obj;
}

static int user_event(struct skep_sys *sys, const struct skep_event *ev)
{
	struct skep_user *user = (struct skep_user *)sys;
	struct skep_err err = SKEP_ERR_INIT;
	struct skep_opened *opened;
	int ret;

	sys->why[0] = '\0';
	ret = skep_user_event(user, ev, NULL, &opened, &err);
	if (ret == 0)
		ret = skep_user_fd(user, SKEP_USER_EVENT, opened);
	if (ret < 0 && err.tag != SKEP_E_NONE)
		snprintf(sys->why, sizeof(sys->why), "%.*s", (int)sizeof(sys->why) - 1, err.msg);
	skep_err_deinit(&err);
	return ret;
}

static void *user_map(struct skep_sys *sys, int fd, off_t off, size_t len, int prot)
{
	struct skep_slot *slot = skep_user_slot((struct skep_user *)sys, fd);
	struct skep_opened *opened;
	void *p;

	if (!slot)
		return (void *)(intptr_t)-EBADF;
	if (slot->kind == SKEP_USER_MAP) {
		p = skep_map_sys_mmap(slot->obj, off, len, prot);
	} else if (slot->kind == SKEP_USER_EVENT) {
		opened = slot->obj;
		p = opened->ring && !off ? skep_perf_ring_mmap(opened->ring, len, prot)
					 : (void *)(intptr_t)-EINVAL;
	} else {
		p = (void *)(intptr_t)-ENODEV;
	}
	if (!skep_sys_is_err(p))
		slot->mapped = true;
	return p;
}

/* A reader would find data in something mapped. */
static bool ring_ready(const struct skep_user *user)
{
	const struct skep_slot *it;

	skep_vec_each (&user->slots, it) {
		if (!it->mapped)
			continue;
		if (it->kind == SKEP_USER_MAP) {
			const struct skep_map *map = it->obj;

			if (map->ops->ready && map->ops->ready(map))
				return true;
		} else if (skep_perf_ring_ready(((struct skep_opened *)it->obj)->ring)) {
			return true;
		}
	}
	return false;
}

/* A command ended since the last look. */
static bool command_ended(struct skep_user *user)
{
	bool any = false;
	size_t i;

	for (i = user->commands.len; i-- > 0;) {
		if (!user->commands.data[i]->ended)
			continue;
		user->commands.data[i] = user->commands.data[--user->commands.len];
		any = true;
	}
	return any;
}

/* poll(2) on the sources and the watched descriptors: > 0 when one of the latter is readable. */
static int wait_fds(struct skep_user *user, int timeout_ms)
{
	SKEP_AUTO_FREE struct pollfd *fds = calloc(user->watched.len + 1, sizeof(*fds));
	nfds_t n = 0;
	size_t i;
	int ret, hits = 0;

	if (!fds)
		return -ENOMEM;
	for (i = 0; i < user->watched.len; i++)
		fds[n++] = (struct pollfd){.fd = user->watched.data[i], .events = POLLIN};
	if (user->tracer)
		fds[n++] = (struct pollfd){.fd = skep_tracer_fd(user->tracer), .events = POLLIN};
	ret = poll(fds, n, timeout_ms);
	if (ret < 0)
		return -errno;
	for (i = 0; i < user->watched.len; i++)
		hits += fds[i].revents != 0;
	return hits;
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int user_wait(struct skep_sys *sys, int timeout_ms)
{
	struct skep_user *user = (struct skep_user *)sys;
	int64_t end = now_ms() + timeout_ms, left;
	int did, ret;

	for (;;) {
		did = user->tracer ? skep_tracer_step(user->tracer, SLICE_US) : 0;
		if (did < 0)
			return did;
		/* No short cut: a command's end is told once. */
		ret = command_ended(user);
		if (ring_ready(user) || ret)
			return 1;
		left = timeout_ms < 0 ? -1 : end - now_ms();
		if (timeout_ms >= 0 && left < 0)
			left = 0;
		ret = wait_fds(user, did ? 0 : (int)left);
		if (ret)
			return ret;
		if (timeout_ms >= 0 && left == 0 && !did)
			return 0;
		if (timeout_ms >= 0 && now_ms() >= end && did)
			return 0;
	}
}

static int user_watch(struct skep_sys *sys, int fd)
{
	struct skep_user *user = (struct skep_user *)sys;
	size_t i;

	for (i = 0; i < user->watched.len; i++) {
		if (user->watched.data[i] == fd)
			return 0;
	}
	return skep_vec_push(&user->watched, fd);
}

static bool has_fd(const struct skep_user *user, const void *obj)
{
	const struct skep_slot *it;

	skep_vec_each (&user->slots, it) {
		if (it->obj == obj)
			return true;
	}
	return false;
}

static int user_close(struct skep_sys *sys, int fd)
{
	struct skep_user *user = (struct skep_user *)sys;
	struct skep_slot *slot = skep_user_slot(user, fd), old;

	if (!slot)
		return -EBADF;
	old = *slot;
	*slot = (struct skep_slot){0};
	if (old.kind == SKEP_USER_MAP) {
		struct skep_map *map = old.obj;

		if (map->ops->release && !has_fd(user, map))
			map->ops->release(map);
	}
	skep_obj_put(old.kind, old.obj);
	skep_user_sweep(user);
	return 0;
}

static int told(struct skep_sys *sys, struct skep_err *err, int ret)
{
	sys->why[0] = '\0';
	if (ret < 0 && err->tag != SKEP_E_NONE)
		snprintf(sys->why, sizeof(sys->why), "%.*s", (int)sizeof(sys->why) - 1, err->msg);
	skep_err_deinit(err);
	return ret;
}

/* Made when the first source or command asks: programs that only test-run need none. */
static int make_tracer(struct skep_user *user, struct skep_err *err)
{
	struct skep_tracer_opts opts = {.sz = sizeof(opts),
					.user = user,
					.log = user->log,
					.printk = skep_user_printk,
					.task = skep_user_task};

	return user->tracer ? 0 : skep_tracer_create(&user->tracer, &opts, err);
}

struct skep_tracer *skep_user_tracer(struct skep_user *user)
{
	make_tracer(user, NULL);
	return user->tracer;
}

static int user_spawn(struct skep_sys *sys, struct skep_command *cmd)
{
	struct skep_user *user = (struct skep_user *)sys;
	struct skep_err err = SKEP_ERR_INIT;
	int ret = make_tracer(user, &err);

	if (ret == 0)
		ret = skep_vec_reserve(&user->commands, 1);
	if (ret == 0)
		ret = skep_tracer_spawn(user->tracer, cmd, &err);
	if (ret == 0)
		ret = skep_vec_push(&user->commands, cmd);
	return told(sys, &err, ret);
}

static int user_release(struct skep_sys *sys, struct skep_command *cmd)
{
	struct skep_user *user = (struct skep_user *)sys;
	struct skep_err err = SKEP_ERR_INIT;
	int ret = user->tracer ? skep_tracer_release(user->tracer, cmd, &err) : -EINVAL;

	return told(sys, &err, ret);
}

static void user_reap(struct skep_sys *sys, struct skep_command *cmd)
{
	struct skep_user *user = (struct skep_user *)sys;
	size_t i;

	for (i = user->commands.len; i-- > 0;) {
		if (user->commands.data[i] == cmd)
			user->commands.data[i] = user->commands.data[--user->commands.len];
	}
	if (user->tracer)
		skep_tracer_reap(user->tracer, cmd);
}

static void user_destroy(struct skep_sys *sys)
{
	struct skep_user *user = (struct skep_user *)sys;
	size_t i;
	int k;

	for (i = 0; i < user->slots.len; i++) {
		if (user->slots.data[i].kind != SKEP_USER_NONE)
			user_close(sys, (int)i + FIRST_FD);
	}
	skep_user_sweep(user);
	skep_tracer_destroy(user->tracer);
	skep_vm_destroy(user->vm);
	skep_packet_deinit(&user->packet);
	for (k = 0; k < SKEP_USER_IDS; k++)
		skep_vec_deinit(&user->ids[k]);
	skep_vec_deinit(&user->slots);
	skep_vec_deinit(&user->watched);
	skep_vec_deinit(&user->commands);
	free(user);
}

static void user_note(struct skep_sys *sys, int fd, uint32_t insn, const char *text)
{
	struct skep_prog *prog;
	int ret;

	prog = skep_user_obj((struct skep_user *)sys, fd, SKEP_USER_PROG, &ret);
	if (prog)
		skep_prog_note(prog, insn, text);
}

static const struct skep_sys_ops ops = {
	.name = "user",
	.bpf = skep_user_bpf,
	.event = user_event,
	.map = user_map,
	.wait = user_wait,
	.watch = user_watch,
	.close = user_close,
	.note = user_note,
	.spawn = user_spawn,
	.release = user_release,
	.reap = user_reap,
	.destroy = user_destroy,
};

struct skep_sys *skep_sys_user_create(struct skep_log *log, const struct skep_user_opts *opts)
{
	struct skep_user *user = calloc(1, sizeof(*user));

	if (!user)
		return NULL;
	user->sys.ops = &ops;
	user->sys.log = log;
	user->sys.scoped = true;
	user->sys.faults = &user->faults;
	user->log = log;
	if (opts)
		user->opts = *opts;
	if (skep_vm_create(&user->vm, NULL)) {
		free(user);
		return NULL;
	}
	return &user->sys;
}

struct skep_vm_prog *skep_sys_user_prog(struct skep_sys *sys, int fd)
{
	int ret;
	struct skep_prog *prog = skep_user_obj((struct skep_user *)sys, fd, SKEP_USER_PROG, &ret);

	return prog ? prog->vm : NULL;
}

struct skep_map *skep_sys_user_map(struct skep_sys *sys, int fd)
{
	int ret;

	return skep_user_obj((struct skep_user *)sys, fd, SKEP_USER_MAP, &ret);
}
