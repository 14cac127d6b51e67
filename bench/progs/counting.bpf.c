// SPDX-License-Identifier: BSD-2-Clause
/* Map-heavy: 64 keys counted in a hash and in a per-CPU array. */
#include "bench.h"

#ifdef __bpf__
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, u32);
	__type(value, u64);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 64);
	__type(key, u32);
	__type(value, u64);
} classes SEC(".maps");

BENCH(counting)
{
	u64 one = 1, *v;
	u32 i, key, done = 0;

	for (i = 0; i < 64; i++) {
		key = (pkt[i] ^ i) & 63;
		v = bpf_map_lookup_elem(&flows, &key);
		if (v)
			__sync_fetch_and_add(v, 1);
		else
			bpf_map_update_elem(&flows, &key, &one, BPF_ANY);
		v = bpf_map_lookup_elem(&classes, &key);
		if (v) {
			*v += 1;
			done++;
		}
	}
	return done;
}
#endif
