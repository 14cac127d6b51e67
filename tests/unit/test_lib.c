/* SPDX-License-Identifier: BSD-2-Clause */
/* include/skep from one thread: loading, checks, helpers, regions, maps, ends of runs. */
#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>

#include "skep/skep.h"
#include "tap.h"

static struct skep_err *err;

struct world {
	struct skep_engine *engine;
	struct skep_thread *thread;
};

static struct world open_world(const struct skep_engine_opts *opts)
{
	struct world w = {0};

	if (skep_engine_create(&w.engine, opts, err) < 0 ||
	    skep_thread_create(&w.thread, w.engine, err) < 0) {
		printf("Bail out! %s\n", skep_err_text(err));
		exit(1);
	}
	return w;
}

static void close_world(struct world *w)
{
	skep_thread_destroy(w->thread);
	skep_engine_destroy(w->engine);
}

static struct skep_program *assemble(struct world *w, const char *text,
				     const struct skep_program_opts *opts)
{
	struct skep_program *program = NULL;

	if (skep_program_assemble(&program, w->engine, text, opts, err) < 0)
		printf("# %s\n", skep_err_text(err));
	return program;
}

/* Runs @text on @ctx: r0, or the negative status. */
static int64_t run(struct world *w, const char *text, void *ctx, size_t len)
{
	struct skep_program *program = assemble(w, text, NULL);
	uint64_t r0 = 77;
	int ret;

	if (!program)
		return INT64_MIN;
	ret = skep_run(w->thread, program, ctx, len, &r0, err);
	skep_program_destroy(program);
	if (ret < 0)
		printf("# %s: %s\n", skep_err_kind(err), skep_err_text(err));
	return ret < 0 ? ret : (int64_t)r0;
}

static void test_access(struct world *w)
{
	uint8_t ctx[16] = {1, 2, 3}, secret[8] = {9};
	uint64_t addr = 0;
	uint32_t len = 0;
	bool write = true;
	char text[128];

	is_int(run(w, "r0 = *(u8 *)(r1 + 2)\nexit", ctx, sizeof(ctx)), 3, "the context is there");
	is_int(run(w, "r0 = r2\nexit", ctx, sizeof(ctx)), 16, "r2 is its length");
	is_int(run(w, "*(u8 *)(r1 + 3) = 7\nr0 = 0\nexit", ctx, sizeof(ctx)), 0, "it is written");
	is_int(ctx[3], 7, "... in place");
	is_int(run(w, "r0 = 1\nr0 = *(u32 *)(r1 + 14)\nexit", ctx, sizeof(ctx)), -EFAULT,
	       "beyond it is an error");
	is_str(skep_err_kind(err), "E_RUN_ACCESS", "... of its kind");
	is_int(skep_err_insn(err), 1, "... that names the instruction");
	ok(skep_err_access(err, &addr, &len, &write) && addr == (uintptr_t)ctx + 14 && len == 4 &&
		   !write,
	   "... and the access");
	is_int(run(w, "r0 = 0\nexit", NULL, 0), 0, "no context");
	is_int(skep_err_errno(err), 0, "the error is empty after a call that worked");
	snprintf(text, sizeof(text), "r1 = 0x%llx ll\nr0 = *(u8 *)(r1 + 0)\nexit",
		 (unsigned long long)(uintptr_t)secret);
	is_int(run(w, text, NULL, 0), -EFAULT, "memory of the process is not the program's");
	is_int(skep_thread_region(w->thread, secret, sizeof(secret), false, err), 0, "a region");
	is_int(run(w, text, NULL, 0), 9, "... makes it so");
	snprintf(text, sizeof(text), "r1 = 0x%llx ll\n*(u8 *)(r1 + 0) = 1\nr0 = 0\nexit",
		 (unsigned long long)(uintptr_t)secret);
	is_int(run(w, text, NULL, 0), -EFAULT, "... for reading");
	skep_thread_no_regions(w->thread);
}

/* read_in(address, size), fixed(address of 8), text, each gives its first byte. */
static uint64_t first(struct skep_thread *thread, void *data, const uint64_t arg[5])
{
	++*(int *)data;
	return *(const uint8_t *)(uintptr_t)arg[0];
}

static uint64_t ends(struct skep_thread *thread, void *data, const uint64_t arg[5])
{
	return skep_thread_fail(thread, "enough");
}

static uint64_t grants(struct skep_thread *thread, void *data, const uint64_t arg[5])
{
	skep_thread_grant(thread, data, 8);
	return (uintptr_t)data;
}

static uint64_t twice(struct skep_thread *thread, void *data, const uint64_t arg[5])
{
	uint64_t args[5] = {arg[1]}, sum = 0, r0;
	int i;

	for (i = 0; i < 2 && skep_thread_call(thread, arg[0], args, &r0) == 0; i++)
		sum += r0;
	return sum;
}

static uint64_t again(struct skep_thread *thread, void *data, const uint64_t arg[5])
{
	uint64_t r0;

	return (uint64_t)-skep_run(thread, *(struct skep_program **)data, NULL, 0, &r0, NULL);
}

static void add(struct skep_engine *engine, uint32_t number, const char *name, struct skep_param a,
		struct skep_param b, skep_helper_call *call, void *data)
{
	struct skep_helper_opts o = {.sz = sizeof(o),
				     .number = number,
				     .name = name,
				     .params = {a, b},
				     .call = call,
				     .data = data};

	is_int(skep_engine_helper(engine, &o, err), 0, name);
}

static void test_helpers(const struct skep_engine_opts *opts)
{
	struct world w = open_world(opts);
	struct skep_param none = {0}, number = {.kind = SKEP_PARAM_NUMBER};
	struct skep_param in = {.kind = SKEP_PARAM_IN}, size = {.kind = SKEP_PARAM_SIZE};
	struct skep_param eight = {.kind = SKEP_PARAM_IN, .bytes = 8};
	struct skep_param fn = {.kind = SKEP_PARAM_FUNCTION}, text = {.kind = SKEP_PARAM_TEXT};
	struct skep_helper_opts bad = {
		.sz = sizeof(bad), .number = 9, .call = first, .params = {in}};
	struct skep_program *self;
	uint64_t granted = 41, r0;
	uint8_t ctx[8] = "x";
	int calls = 0;

	add(w.engine, 1000, "read_in", in, size, first, &calls);
	add(w.engine, 1001, "read_eight", eight, none, first, &calls);
	add(w.engine, 1002, "read_text", text, none, first, &calls);
	add(w.engine, 1003, "ends", none, none, ends, NULL);
	add(w.engine, 1004, "grants", none, none, grants, &granted);
	add(w.engine, 1005, "twice", fn, number, twice, NULL);
	add(w.engine, 7, "my_random", number, none, first, &calls);
	add(w.engine, 1006, "again", none, none, again, &self);
	is_int(skep_engine_helper(w.engine, &bad, err), -EINVAL, "memory needs a size");
	bad.number = 1000;
	is_int(skep_engine_helper(w.engine, &bad, err), -EEXIST, "a number is given once");

	is_int(run(&w, "r2 = 8\ncall read_in\nexit", ctx, 8), 'x', "a helper by name");
	is_int(run(&w, "call 1001\nexit", ctx, 8), 'x', "... by number");
	is_int(run(&w, "call read_text\nexit", ctx, 8), 'x', "text");
	is_int(run(&w, "call 7\nexit", ctx, 8), 'x', "one of Linux's is replaced");
	is_int(calls, 4, "each was called");
	is_int(run(&w, "call read_eight\nr0 += 1\nexit", ctx, 8), 'x' + 1, "... and came back");
	is_int(run(&w, "call 1234\nexit", ctx, 8), INT64_MIN, "an unknown number is refused");
	is_str(skep_err_kind(err), "E_UNSUPPORTED", "... in words");
	is_int(run(&w, "call ends\nr0 = 1\nexit", ctx, 8), -EPERM, "a helper ends the run");
	is_str(skep_err_kind(err), "E_RUN_HELPER", "... of its kind");
	is_int(run(&w, "call grants\nr0 = *(u64 *)(r0 + 0)\nexit", NULL, 0), 41,
	       "a helper hands out memory");
	is_int(run(&w, "r1 = code_addr pc+4\nr2 = 20\ncall twice\nexit\nr0 = r1\nr0 += 1\nexit",
		   NULL, 0),
	       42, "a helper calls back");
	self = assemble(&w, "call again\nexit", NULL);
	ok(skep_run(w.thread, self, NULL, 0, &r0, err) == 0 && r0 == EBUSY,
	   "a thread runs one program at a time");
	if (!opts || !opts->trusted) {
		memset(ctx, 'y', sizeof(ctx));
		calls = 0;
		is_int(run(&w, "r2 = 9\ncall read_in\nexit", ctx, 8), -EFAULT, "a size too large");
		is_int(run(&w, "r1 += 1\ncall read_eight\nexit", ctx, 8), -EFAULT, "too few bytes");
		is_int(run(&w, "call read_text\nexit", ctx, 8), -EFAULT, "text without end");
		is_int(run(&w, "r1 = 5\nr2 = 5\ncall twice\nexit", NULL, 0), -EFAULT,
		       "no function");
		is_int(calls, 0, "no helper saw these");
		is_int(run(&w, "r6 = r1\ncall grants\nr1 = r0\nr0 = *(u64 *)(r1 + 8)\nexit", ctx,
			   8),
		       -EFAULT, "not more than was handed out");
	}
	close_world(&w);
}

static void test_maps(struct world *w)
{
	struct skep_map_opts o = {.sz = sizeof(o),
				  .name = "hits",
				  .type = BPF_MAP_TYPE_HASH,
				  .key_size = 4,
				  .value_size = 8,
				  .max_entries = 4};
	struct skep_program_opts p = {.sz = sizeof(p), .nr_maps = 2};
	struct skep_program *count, *jump, *target;
	struct skep_map *maps[2] = {0}, *none;
	uint32_t key = 5, next;
	uint64_t value = 0, r0;
	int i;

	is_int(skep_map_make(&maps[0], w->engine, &o, err), 0, "a map");
	o.type = BPF_MAP_TYPE_PROG_ARRAY;
	o.name = "jumps";
	o.value_size = 4;
	is_int(skep_map_make(&maps[1], w->engine, &o, err), 0, "an array of programs");
	o.max_entries = 0;
	ok(skep_map_make(&none, w->engine, &o, err) == -EINVAL && !none &&
		   strstr(skep_err_text(err), "jumps"),
	   "a map that cannot be says why");
	o.type = BPF_MAP_TYPE_ARRAY_OF_MAPS;
	ok(skep_map_make(&none, w->engine, &o, err) == -EOPNOTSUPP && !none &&
		   strstr(skep_err_text(err), "map 'jumps': maps of maps come with an object"),
	   "maps of maps: %s", skep_err_text(err));
	p.maps = maps;
	count = assemble(w,
			 "*(u32 *)(r10 - 4) = 5\nr2 = r10\nr2 += -4\nr1 = map_fd hits\n"
			 "call map_lookup_elem\nif r0 == 0 goto +2\nr1 = 1\n"
			 "lock *(u64 *)(r0 + 0) += r1\nr0 = 0\nexit",
			 &p);
	is_int(skep_map_update_elem(maps[0], &key, &value, BPF_NOEXIST), 0, "an element");
	is_int(skep_map_update_elem(maps[0], &key, &value, BPF_NOEXIST), -EEXIST, "... is there");
	for (i = 0; i < 3; i++)
		skep_run(w->thread, count, NULL, 0, &r0, err);
	ok(skep_map_lookup_elem(maps[0], &key, &value) == 0 && value == 3, "counted");
	ok(*(uint64_t *)skep_map_value(maps[0], &key) == 3, "the value in place");
	ok(skep_map_next_key(maps[0], NULL, &next) == 0 && next == 5 &&
		   skep_map_next_key(maps[0], &next, &next) == -ENOENT,
	   "one key");
	is_int(skep_map_delete_elem(maps[0], &key), 0, "deleted");
	is_int(skep_map_lookup_elem(maps[0], &key, &value), -ENOENT, "... and gone");
	is_str(skep_map_name(maps[0]), "hits", "its name");

	jump = assemble(w, "r2 = map_fd jumps\nr3 = 1\ncall tail_call\nr0 = 100\nexit", &p);
	target = assemble(w, "r0 = 200\nexit", NULL);
	ok(skep_run(w->thread, jump, NULL, 0, &r0, err) == 0 && r0 == 100, "an empty slot");
	is_int(skep_map_set_program(maps[1], 1, target, err), 0, "a program in it");
	ok(skep_run(w->thread, jump, NULL, 0, &r0, err) == 0 && r0 == 200, "... is entered");
	is_int(skep_map_set_program(maps[1], 1, NULL, err), 0, "out of it again");
	ok(skep_run(w->thread, jump, NULL, 0, &r0, err) == 0 && r0 == 100, "... and is not");
	skep_map_set_program(maps[1], 1, jump, err);
	is_int(skep_map_set_program(maps[1], 4, target, err), -E2BIG, "no such slot");
	is_int(skep_map_set_program(maps[0], 1, target, err), -EINVAL, "no such array");
	/* What holds itself goes with the engine. */
}

struct depths {
	uintptr_t low, high;
	int calls;
};

static uint64_t note_depth(struct skep_thread *thread, void *data, const uint64_t arg[5])
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);
	struct depths *d = data;

	d->low = !d->calls || here < d->low ? here : d->low;
	d->high = !d->calls || here > d->high ? here : d->high;
	d->calls++;
	return 0;
}

/* 33 tail calls from the start, and from a function six deep: the C stack stays where it is. */
static void test_tail_calls(const struct skep_engine_opts *opts)
{
	static const char *const starts[] = {
		"r2 = map_fd jumps\nr3 = 0\ncall tail_call\nr0 = 1\nexit",
		"call pc+1\nexit\ncall pc+1\nexit\ncall pc+1\nexit\ncall pc+1\nexit\ncall "
		"pc+1\nexit\n"
		"call pc+1\nexit\nr2 = map_fd jumps\nr3 = 0\ncall tail_call\nr0 = 1\nexit",
	};
	struct world w = open_world(opts);
	struct skep_map_opts o = {.sz = sizeof(o),
				  .name = "jumps",
				  .type = BPF_MAP_TYPE_PROG_ARRAY,
				  .key_size = 4,
				  .value_size = 4,
				  .max_entries = 1};
	struct skep_param none = {0};
	struct skep_program_opts p = {.sz = sizeof(p), .nr_maps = 1};
	struct skep_program *start, *again;
	struct skep_map *map;
	struct depths d = {0};
	uint64_t r0 = 0;
	int i;

	add(w.engine, 1000, "note_depth", none, none, note_depth, &d);
	is_int(skep_map_make(&map, w.engine, &o, err), 0, "an array for it");
	p.maps = &map;
	again = assemble(&w,
			 "r6 = r1\ncall note_depth\nr1 = r6\nr2 = map_fd jumps\nr3 = 0\n"
			 "call tail_call\nr0 = 2\nexit",
			 &p);
	is_int(skep_map_set_program(map, 0, again, err), 0, "a program that enters itself");
	for (i = 0; i < 2; i++) {
		d.calls = 0;
		start = assemble(&w, starts[i], &p);
		ok(skep_run(w.thread, start, &w, 8, &r0, err) == 0 && r0 == 2,
		   "the last comes back");
		is_int(d.calls, 33, "33 tail calls");
		ok(d.high == d.low, "... on one place of the stack");
	}
	close_world(&w);
}

static int sum_record(void *data, const void *record, size_t len)
{
	*(uint64_t *)data += *(const uint64_t *)record;
	return len == 8 ? 0 : -EINVAL;
}

static void test_ring(struct world *w)
{
	struct skep_map_opts o = {.sz = sizeof(o),
				  .name = "events",
				  .type = BPF_MAP_TYPE_RINGBUF,
				  .max_entries = 4096};
	struct skep_map *map;
	struct skep_program_opts p = {.sz = sizeof(p), .maps = &map, .nr_maps = 1};
	struct skep_program *prog;
	uint64_t ctx = 40, r0, sum = 0;

	is_int(skep_map_make(&map, w->engine, &o, err), 0, "a ring buffer");
	prog = assemble(w, "r2 = r1\nr1 = map_fd events\nr3 = 8\nr4 = 0\ncall ringbuf_output\nexit",
			&p);
	skep_run(w->thread, prog, &ctx, 8, &r0, err);
	ctx = 2;
	skep_run(w->thread, prog, &ctx, 8, &r0, err);
	is_int(skep_map_read_ring(map, sum_record, &sum, err), 2, "two records");
	is_int((long long)sum, 42, "... as written");
	is_int(skep_map_read_ring(map, sum_record, &sum, err), 0, "once");
}

/* Calls what follows, again and again. */
#define LOOP "r1 = 8388608\nr2 = code_addr pc+6\nr3 = 0\nr4 = 0\ncall bpf_loop\nr0 = 0\nexit\n"

static void test_ends(struct world *w)
{
	struct skep_item items[3] = {0};
	uint64_t ctx[3] = {1, 0, 3};
	struct skep_program *prog;
	int i;

	is_int(run(w, "goto -1", NULL, 0), -ELOOP, "a loop without end has one");
	is_str(skep_err_kind(err), "E_RUN_LIMIT", "... of its kind");
	is_int(run(w, "call pc+1\nexit\ncall pc-1\nexit", NULL, 0), -ELOOP, "so has a recursion");
	/* Callbacks without a jump back: 8 Mi times 8 Mi times 8 Mi. */
	is_int(run(w, LOOP LOOP LOOP "r0 = 0\nexit", NULL, 0), -ELOOP, "so have loops in loops");
	ok(strstr(skep_err_text(err), "budget"), "... by the budget");
	skep_thread_interrupt(w->thread);
	is_int(run(w, "r0 = 1\nexit", NULL, 0), -ECANCELED, "interrupted before it began");
	is_str(skep_err_kind(err), "E_RUN_STOPPED", "... of its kind");
	is_int(run(w, "r0 = 1\nexit", NULL, 0), 1, "once");

	prog = assemble(w, "r0 = *(u64 *)(r1 + 0)\nexit", NULL);
	for (i = 0; i < 3; i++) {
		items[i].ctx = &ctx[i];
		items[i].len = i == 1 ? 4 : 8;
	}
	is_int((long long)skep_run_batch(w->thread, prog, items, 3, err), 3, "a batch is run");
	ok(items[0].r0 == 1 && items[0].status == 0, "its first");
	ok(items[2].r0 == 3 && items[2].status == 0, "its last");
	is_int(items[1].status, -EFAULT, "the one between fails");
	is_str(skep_err_kind(err), "E_RUN_ACCESS", "... and is told");
	skep_thread_interrupt(w->thread);
	is_int((long long)skep_run_batch(w->thread, prog, items, 3, err), 1, "a batch is ended");
	is_int(items[0].status, -ECANCELED, "... by its interruption");
}

static void test_refused(void)
{
	struct skep_engine_opts o = {.sz = sizeof(o), .catch_faults = true};
	struct skep_engine *engine;
	struct skep_object *object;
	struct skep_program *prog;
	struct world w;

	is_int(skep_engine_create(&engine, &o, err), -EINVAL, "options that do not go together");
	ok(!engine, "... make no engine");
	w = open_world(NULL);
	is_int(skep_program_assemble(&prog, w.engine, "r0 = banana\nexit", NULL, err), -EINVAL,
	       "text that is no program");
	is_str(skep_err_kind(err), "E_ASM_SYNTAX", "... of its kind");
	is_int(skep_program_load(&prog, w.engine, "\xff\0\0\0\0\0\0", 1, NULL, err), -EINVAL,
	       "bytes that are no program");
	is_int(skep_object_open_memory(&object, w.engine, "ELF", 3, "three", err), -EINVAL,
	       "bytes that are no object");
	is_int(skep_object_open(&object, w.engine, "/nonexistent", err), -ENOENT, "no file");
	ok(skep_err_text(err)[0] && strstr(skep_err_text(err), "/nonexistent"), "... by its name");
	is_int(skep_object_open(&object, w.engine, "/nonexistent", NULL), -ENOENT,
	       "no error wanted");
	close_world(&w);
}

int main(void)
{
	struct skep_engine_opts o = {.sz = sizeof(o), .budget = 2 << 20};
	struct world w;

	err = skep_err_create();
	is_str(skep_version(), "0.1.0", "the version");
	for (int jit = SKEP_JIT_AUTO; jit <= SKEP_JIT_OFF; jit += SKEP_JIT_OFF) {
		for (int blind = 0; blind <= (jit == SKEP_JIT_AUTO); blind++) {
			o.jit = jit;
			o.blind = blind;
			printf("# jit %d, blind %d\n", jit, blind);
			w = open_world(&o);
			test_access(&w);
			test_maps(&w);
			test_ring(&w);
			test_ends(&w);
			close_world(&w);
			o.trusted = false;
			test_helpers(&o);
			test_tail_calls(&o);
			o.trusted = true;
			test_helpers(&o);
			test_tail_calls(&o);
			o.trusted = false;
		}
	}
	test_refused();
	skep_err_destroy(err);
	return done();
}
