/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a program may touch in checked mode: the stack from its own frame to
 * the entry's, its context, the packet, the regions of the run, the values of
 * its maps and of those that it found in maps, and what helpers handed out.
 * Everything else ends the run.
 *
 * The interpreter asks here only when neither the stack nor the last range
 * found here holds the access; the answer is remembered, apart for reading
 * and for writing, until skep_vm_moved().
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vm/run.h"

/* Sites begin with what they most likely touch, if the program may; else with @none. */
static void prepare_sites(struct skep_vm *vm, uint64_t none)
{
	const struct skep_vm_native *native = vm->prog->native;
	const struct skep_vm_packet *packet = vm->run->packet;
	const struct {
		uint64_t start, size;
		bool write;
	} where[SKEP_VM_LIKELY] = {
		[SKEP_VM_IN_CTX] = {(uintptr_t)vm->run->ctx, vm->run->ctx_len, vm->run->ctx_write},
		[SKEP_VM_IN_PACKET] = {packet ? (uintptr_t)packet->data : 0,
				       packet ? (uint64_t)(packet->data_end - packet->data) : 0,
				       packet && packet->write},
	};
	unsigned int i;

	for (i = 0; i < native->sites; i++) {
		const struct skep_vm_site_use *use = &native->use[i];

		/* One byte further, or a longer access: not good. */
		vm->site[i] = (struct skep_vm_site){.start = none};
		if (where[use->likely].size >= use->len && where[use->likely].write >= use->write)
			vm->site[i] = (struct skep_vm_site){
				.start = where[use->likely].start,
				.last = where[use->likely].size - use->len,
			};
	}
}

void skep_vm_moved(struct skep_vm *vm)
{
	/* The entry's frame is always there, so that the check needs no "nothing remembered". */
	uint64_t start = (uintptr_t)(vm->stack + sizeof(vm->stack) - SKEP_VM_STACK);
	uint64_t size = SKEP_VM_STACK;
	unsigned int i;

	if (!vm->checked) /* nobody asks; skep_vm_enter() comes here again when that changes */
		return;
	for (i = 0; i < 2; i++) {
		/* What most programs touch first. */
		bool ctx = vm->run->ctx_len >= sizeof(uint64_t) && (i == 0 || vm->run->ctx_write);

		vm->hit[i].start = ctx ? (uintptr_t)vm->run->ctx : start;
		vm->hit[i].size = ctx ? vm->run->ctx_len : size;
	}
	if (vm->prog && vm->prog->native)
		prepare_sites(vm, start);
}

static uint64_t within(uint64_t addr, uint64_t start, uint64_t end)
{
	return addr >= start && addr < end ? end - addr : 0;
}

/* The map with @addr in a value, which ends at *@end; NULL: none that the program may use. */
static const struct skep_map *map_at(const struct skep_vm *vm, uint64_t addr, uint64_t *end)
{
	const struct skep_vm_prog *prog = vm->prog;
	uint32_t i;
	size_t h;

	for (i = 0; i < prog->nr_maps; i++) {
		*end = skep_map_bound(prog->maps[i], addr);
		if (*end)
			return prog->maps[i];
	}
	for (h = vm->held.len; h-- > 0;) {
		if (vm->held.data[h].kind != SKEP_VM_HELD_MAP)
			continue;
		*end = skep_map_bound(vm->held.data[h].map, addr);
		if (*end)
			return vm->held.data[h].map;
	}
	return NULL;
}

static uint64_t map_reach(const struct skep_vm *vm, uint64_t addr, bool write)
{
	uint64_t end;
	const struct skep_map *map = map_at(vm, addr, &end);

	if (!map || map->flags & (write ? BPF_F_RDONLY_PROG : BPF_F_WRONLY_PROG))
		return 0;
	return end - addr;
}

static uint64_t held_reach(const struct skep_vm *vm, uint64_t addr)
{
	size_t i;

	for (i = 0; i < vm->held.len; i++) {
		const struct skep_vm_hold *hold = &vm->held.data[i];
		uint64_t n = within(addr, hold->start, hold->end);

		if (n && hold->kind != SKEP_VM_HELD_LOCK)
			return n;
	}
	return 0;
}

static uint64_t run_reach(const struct skep_vm *vm, uint64_t addr, bool write)
{
	const struct skep_vm_run *run = vm->run;
	const struct skep_vm_packet *packet = run->packet;
	uint64_t n = 0;
	unsigned int i;

	if (!write || run->ctx_write)
		n = within(addr, (uintptr_t)run->ctx, (uintptr_t)run->ctx + run->ctx_len);
	if (!n && packet && (!write || packet->write)) {
		n = within(addr, (uintptr_t)packet->data, (uintptr_t)packet->data_end);
		if (!n && packet->meta)
			n = within(addr, (uintptr_t)packet->meta, (uintptr_t)packet->data);
	}
	for (i = 0; !n && i < run->nr_regions; i++)
		if (!write || run->regions[i].write)
			n = within(addr, run->regions[i].start, run->regions[i].end);
	return n;
}

static uint64_t reach(const struct skep_vm *vm, uint64_t addr, bool write)
{
	uint64_t n = within(addr, vm->lo, vm->lo + vm->span);

	if (!n)
		n = run_reach(vm, addr, write);
	if (!n)
		n = map_reach(vm, addr, write);
	if (!n)
		n = held_reach(vm, addr);
	return n;
}

uint64_t skep_vm_reach(struct skep_vm *vm, uint64_t addr, bool write)
{
	if (!vm->checked)
		skep_vm_set_stack(vm, vm->depth);
	return reach(vm, addr, write);
}

bool skep_vm_may_access(struct skep_vm *vm, uint64_t addr, uint64_t len, bool write)
{
	return !vm->checked || !len || reach(vm, addr, write) >= len;
}

/*
 * Where the memory begins that ends at @end and holds @addr, as far as that
 * is known: what is remembered should also hold for what lies before @addr.
 */
static uint64_t begin_of(const struct skep_vm *vm, uint64_t addr, uint64_t end)
{
	const struct skep_vm_run *run = vm->run;
	const struct skep_vm_packet *packet = run->packet;
	const struct skep_map *map;
	uint64_t map_end;
	uint32_t i;

	if (within(addr, (uintptr_t)run->ctx, end) && end == (uintptr_t)run->ctx + run->ctx_len)
		return (uintptr_t)run->ctx;
	if (packet && addr >= (uintptr_t)packet->data && end == (uintptr_t)packet->data_end)
		return (uintptr_t)packet->data;
	for (i = 0; i < run->nr_regions; i++)
		if (addr >= run->regions[i].start && end == run->regions[i].end)
			return run->regions[i].start;
	map = map_at(vm, addr, &map_end);
	/* A value ends where it began and value_size more, or later: rounded up. */
	if (map && map_end == end && end - map->value_size < addr)
		return end - map->value_size;
	return addr;
}

/* Words for what is wrong with @addr: the nearest thing that the author knows. */
static void describe(const struct skep_vm *vm, uint64_t addr, uint64_t len, bool write, char *text,
		     size_t size)
{
	uint64_t n = reach(vm, addr, write), fp = vm->lo + SKEP_VM_STACK;
	const struct skep_vm_run *run = vm->run;

	if (n)
		snprintf(text, size, "only %llu bytes are there", (unsigned long long)n);
	else if (write && reach(vm, addr, false))
		snprintf(text, size, "that memory is read-only");
	else if (addr < 4096)
		snprintf(text, size, "a null pointer; compare a lookup's result with 0 first");
	else if (addr < vm->lo && vm->lo - addr <= 65536)
		snprintf(text, size, "%llu bytes below the frame's %d bytes of stack",
			 (unsigned long long)(vm->lo - addr), SKEP_VM_STACK);
	else if (addr >= fp && addr - fp < sizeof(vm->stack))
		snprintf(text, size, "%llu bytes above the stack", (unsigned long long)(addr - fp));
	else if (run->ctx && addr - (uintptr_t)run->ctx < run->ctx_len + 65536)
		snprintf(text, size, "byte %llu of a context of %zu",
			 (unsigned long long)(addr - (uintptr_t)run->ctx), run->ctx_len);
	else if (run->packet && addr - (uintptr_t)run->packet->data < 65536 * 2)
		snprintf(text, size, "byte %llu of a packet of %td",
			 (unsigned long long)(addr - (uintptr_t)run->packet->data),
			 run->packet->data_end - run->packet->data);
	else
		snprintf(text, size, "not the program's memory");
}

bool skep_vm_find(struct skep_vm *vm, uint64_t addr, uint64_t len, bool write)
{
	uint64_t n = reach(vm, addr, write), start;

	if (n < len)
		return false;
	start = begin_of(vm, addr, addr + n);
	if (addr + n - start >= sizeof(uint64_t))
		vm->hit[write] = (struct skep_vm_span){start, addr + n - start};
	return true;
}

bool skep_vm_check(struct skep_vm *vm, const struct skep_vm_insn *pc, uint64_t addr, uint64_t len,
		   bool write)
{
	char text[128];

	if (skep_vm_find(vm, addr, len, write))
		return true;
	describe(vm, addr, len, write, text, sizeof(text));
	if (vm->err && !vm->failed) {
		vm->err->addr = addr;
		vm->err->len = (uint32_t)len;
		vm->err->write = write;
	}
	skep_vm_fail(vm, pc, SKEP_E_RUN_ACCESS, EFAULT, "%s %llu byte%s at 0x%llx: %s",
		     write ? "writes" : "reads", (unsigned long long)len, len == 1 ? "" : "s",
		     (unsigned long long)addr, text);
	return false;
}

bool skep_vm_is_map(const struct skep_vm *vm, uint64_t addr)
{
	uint32_t i;

	for (i = 0; i < vm->prog->nr_maps; i++)
		if ((uintptr_t)vm->prog->maps[i] == addr)
			return true;
	return skep_vm_holds_map(vm, addr);
}

bool skep_vm_holds_map(const struct skep_vm *vm, uint64_t addr)
{
	size_t i;

	for (i = vm->held.len; i-- > 0;)
		if (vm->held.data[i].kind == SKEP_VM_HELD_MAP && vm->held.data[i].start == addr)
			return true;
	return false;
}

#define NET_OFF (-0x100000) /* SKF_NET_OFF, SKF_LL_OFF of <linux/filter.h> */
#define LL_OFF	(-0x200000)

bool skep_vm_load_packet(struct skep_vm *vm, int32_t off, unsigned int len, uint64_t *value)
{
	const struct skep_vm_packet *packet = vm->run->packet;
	const uint8_t *from;
	uint64_t v = 0;

	if (!packet)
		return false;
	from = packet->data;
	if (off < 0) {
		from = off >= NET_OFF ? packet->net : off >= LL_OFF ? packet->mac : NULL;
		off -= off >= NET_OFF ? NET_OFF : LL_OFF;
	}
	/* The layers' start may lie behind a packet that was cut. */
	if (!from || (int64_t)off + len > packet->data_end - from)
		return false;
	for (from += off; len--; from++)
		v = v << 8 | *from;
	*value = v;
	return true;
}
