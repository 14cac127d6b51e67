/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Objects of anybody's making, opened and loaded into an engine that says yes
 * to everything but every third program, which it refuses with the tail of
 * the input as the verifier's log.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "obj/load.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fake {
	struct skep_sys sys;
	const uint8_t *data;
	size_t size;
	unsigned int loads;
};

static int refuse(struct fake *f, const union bpf_attr *attr)
{
	size_t n = f->size < 512 ? f->size : 512;

	if (attr->log_buf && attr->log_size > n) {
		memcpy((void *)(uintptr_t)attr->log_buf, f->data + f->size - n, n);
		((char *)(uintptr_t)attr->log_buf)[n] = '\0';
	}
	return -EACCES;
}

static int fake_bpf(struct skep_sys *sys, int cmd, union bpf_attr *attr, unsigned int size)
{
	struct fake *f = (struct fake *)sys;
	const struct bpf_insn *insns;
	uint32_t i, sum = 0;

	if (cmd == BPF_MAP_UPDATE_ELEM)
		return 0;
	if (cmd == BPF_PROG_LOAD) {
		/* All instructions must be readable. */
		insns = (const void *)(uintptr_t)attr->insns;
		for (i = 0; i < attr->insn_cnt; i++)
			sum += insns[i].code + (uint32_t)insns[i].imm;
		if (++f->loads % 3 == 1 + (sum & 1))
			return refuse(f, attr);
	}
	return 100;
}

static int fake_event(struct skep_sys *sys, const struct skep_event *ev)
{
	return 101;
}

/* Arenas are written to. */
static void *fake_map(struct skep_sys *sys, int fd, off_t off, size_t len, int prot)
{
	void *p = len > (16u << 20) ? MAP_FAILED
				    : mmap(NULL, len, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? (void *)(intptr_t)-ENOMEM : p;
}

static int fake_close(struct skep_sys *sys, int fd)
{
	return 0;
}

static const struct skep_sys_ops fake_ops = {
	.name = "fake",
	.bpf = fake_bpf,
	.event = fake_event,
	.map = fake_map,
	.close = fake_close,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fake fake = {.sys = {.ops = &fake_ops}, .data = data, .size = size};
	struct skep_load_opts opts = {.sz = sizeof(opts)};
	struct skep_err err = SKEP_ERR_INIT;
	struct skep_loaded *loaded;
	struct skep_obj *obj;
	uint32_t i;

	opts.scope_tasks = size & 1;
	opts.count_losses = size & 2;
	if (skep_obj_open(&obj, data, size, "fuzz.o", NULL, &err) == 0) {
		for (i = 0; i < obj->nr_maps; i++)
			skep_obj_set_global(obj, obj->maps[i].name, "1", NULL);
		skep_obj_set_global(obj, "target", "7", NULL);
		skep_obj_set_global(obj, "name", "text", NULL);
		if (skep_load(&loaded, obj, &fake.sys, &opts, &err) == 0) {
			for (i = 0; i < loaded->nr_maps; i++)
				skep_loaded_attach_map(loaded, &loaded->maps[i], NULL);
			skep_loaded_destroy(loaded);
		}
		skep_obj_destroy(obj);
	} else if (!err.msg[0]) {
		__builtin_trap(); /* a refusal without a sentence */
	}
	skep_err_deinit(&err);
	return 0;
}
