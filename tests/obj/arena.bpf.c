// SPDX-License-Identifier: BSD-2-Clause
// Variables in an arena, pages of it, and what can be wrong with one.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define __arena __attribute__((address_space(1)))

#ifndef PAGES
#define PAGES 64
#endif
#ifndef FLAGS
#define FLAGS (1 << 10) /* BPF_F_MMAPABLE */
#endif
#ifndef PADDING
#define PADDING 0
#endif

char LICENSE[] SEC("license") = "GPL";

#ifndef NO_ARENA
struct {
	__uint(type, 33); /* BPF_MAP_TYPE_ARENA */
	__uint(map_flags, FLAGS);
	__uint(max_entries, PAGES);
#ifdef ADDRESS
	enum { address = ADDRESS } map_extra;
#endif
} arena SEC(".maps");
#endif

#ifdef TWO_ARENAS
struct {
	__uint(type, 33);
	__uint(map_flags, FLAGS);
	__uint(max_entries, 1);
} arena2 SEC(".maps");
#endif

void __arena *bpf_arena_alloc_pages(void *map, void __arena *addr, __u32 pages, int node,
				    __u64 flags) __attribute__((section(".ksyms")));

#ifndef BARE
int __arena counter = 40;
int __arena text[4] = {1, 2, 3, 4};
char __arena padding[PADDING + 1] = {1};
#endif

/* What the program saw. */
long before, sum, page;

SEC("syscall") int use(void *ctx)
{
#ifndef BARE
	before = counter;
	counter += 2;
	sum = text[0] + text[1] + text[2] + text[3];
#endif
#ifndef NO_ARENA
	long __arena *p = bpf_arena_alloc_pages(&arena, (void __arena *)0, 1, -1, 0);

	if (!p)
		return 1;
	*p = 77;
	page = *p;
#endif
	return 0;
}
