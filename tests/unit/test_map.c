/* SPDX-License-Identifier: BSD-2-Clause */
/* src/map: each kind's rules, then each kind under four threads. */
#include <errno.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "map/map.h"
#include "tap.h"

static struct skep_map *make(uint32_t type, uint32_t key, uint32_t value, uint32_t max,
			     uint32_t flags, int *ret)
{
	union bpf_attr attr = {.map_type = type,
			       .key_size = key,
			       .value_size = value,
			       .max_entries = max,
			       .map_flags = flags};
	struct skep_map *map = NULL;
	int r;

	strcpy(attr.map_name, "m");
	r = skep_map_create(&map, &attr, NULL, NULL, NULL, NULL);
	if (ret)
		*ret = r;
	return map;
}

static int refusal(uint32_t type, uint32_t key, uint32_t value, uint32_t max, uint32_t flags)
{
	int ret;

	skep_map_put(make(type, key, value, max, flags, &ret));
	return ret;
}

static void test_create(void)
{
	union bpf_attr attr = {.map_type = BPF_MAP_TYPE_ARRAY,
			       .key_size = 8,
			       .value_size = 8,
			       .max_entries = 1,
			       .map_name = "hits"};
	struct skep_err err = SKEP_ERR_INIT;
	struct skep_map *map = NULL;

	is_int(skep_map_create(&map, &attr, NULL, NULL, NULL, &err), -EINVAL, "8-byte array key");
	is_str(err.msg, "map 'hits': key_size is 8, arrays have 4-byte keys", "it says why");
	skep_err_deinit(&err);
	is_int(refusal(BPF_MAP_TYPE_HASH, 0, 4, 1, 0), -EINVAL, "hash without a key");
	is_int(refusal(BPF_MAP_TYPE_HASH, 4, 5u << 20, 1, 0), -E2BIG, "hash with huge values");
	is_int(refusal(BPF_MAP_TYPE_LRU_HASH, 4, 4, 1, BPF_F_NO_PREALLOC), -524, "LRU prealloc");
	is_int(refusal(BPF_MAP_TYPE_RINGBUF, 0, 0, 4096 * 3, 0), -EINVAL, "odd ring buffer size");
	is_int(refusal(BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 1, BPF_F_MMAPABLE), -EINVAL,
	       "mmapable per-CPU array");
	is_int(refusal(BPF_MAP_TYPE_SOCKMAP, 4, 4, 1, 0), -EOPNOTSUPP, "sockmap: not here");
	is_int(refusal(99, 4, 4, 1, 0), -EINVAL, "no such type");
	is_str(skep_map_type_name(27), "ringbuf", "type names");
}

static void test_array(void)
{
	struct skep_map *map = make(BPF_MAP_TYPE_ARRAY, 4, 12, 3, BPF_F_MMAPABLE, NULL);
	uint32_t key = 2, next = 0, value[3] = {7, 8, 9};
	uint64_t at;
	uint32_t *mem;

	is_int(skep_map_update(map, &key, value, BPF_ANY, 0), 0, "array update");
	mem = skep_map_lookup(map, &key, 0);
	ok(mem && mem[2] == 9, "array lookup");
	at = (uintptr_t)mem;
	ok(skep_map_bound(map, at + 5) == at + 12 && !skep_map_bound(map, at + 12) &&
		   !skep_map_bound(map, at + 16) && skep_map_bound(map, at - 32) == at - 20 &&
		   !skep_map_bound(map, at - 33),
	   "bound: inside a value, in the gap, around the array");
	key = 3;
	ok(!skep_map_lookup(map, &key, 0), "lookup past the end");
	is_int(skep_map_update(map, &key, value, BPF_ANY, 0), -E2BIG, "update past the end");
	is_int(skep_map_sys_next_key(map, &key, &next), 0, "next of a key outside");
	is_int(next, 0, "is the first");
	key = 2;
	is_int(skep_map_sys_next_key(map, &key, &next), -ENOENT, "the last has no next");
	is_int(skep_map_update(map, &key, value, BPF_NOEXIST, 0), -EEXIST, "elements exist");
	is_int(skep_map_delete(map, &key), -EINVAL, "array elements cannot be deleted");
	mem = skep_map_sys_mmap(map, 0, 48, PROT_READ | PROT_WRITE);
	ok(mem[8] == 7 && mem[10] == 9, "the mapping shows the value");
	mem[8] = 70;
	ok(*(uint32_t *)skep_map_lookup(map, &key, 0) == 70, "and writes to it");
	munmap(mem, 4096);
	is_int(skep_map_sys_freeze(map), 0, "freeze");
	is_int(skep_map_sys_update(map, &key, value, 0), -EPERM, "frozen for the system call");
	is_int(skep_map_update(map, &key, value, 0, 0), 0, "not for programs");
	ok((intptr_t)skep_map_sys_mmap(map, 0, 4096, PROT_WRITE) == -EPERM, "no writable mapping");
	skep_map_put(map);
}

static void test_percpu(void)
{
	struct skep_map *map = make(BPF_MAP_TYPE_PERCPU_ARRAY, 4, 4, 10, 0, NULL);
	struct skep_map *hash = make(BPF_MAP_TYPE_PERCPU_HASH, 4, 4, 10, 0, NULL);
	uint32_t key = 5, v = 11, cpus = map->cpus;
	uint64_t *all = calloc(cpus, 8), sum = 0;
	uint32_t i, bad = 0;
	char *p;

	is_int((long long)skep_map_sys_value_size(map), cpus * 8, "a system call moves all CPUs");
	for (i = 0; i < cpus; i++) {
		v = 11 + i;
		bad += skep_map_update(map, &key, &v, 0, i) != 0;
		bad += skep_map_update(hash, &key, &v, 0, i) != 0;
		p = skep_map_lookup(hash, &key, i);
		bad += skep_map_bound(hash, (uintptr_t)p + 1) != (uintptr_t)p + 4;
		bad += skep_map_bound(hash, (uintptr_t)p + 4) != 0;
		p = skep_map_lookup(map, &key, i);
		bad += skep_map_bound(map, (uintptr_t)p + 3) != (uintptr_t)p + 4;
	}
	is_int(bad, 0, "each CPU writes its own, bounds hold");
	skep_map_sys_lookup(map, &key, all, 0);
	for (i = 0; i < cpus; i++)
		sum += all[i] == 11 + i;
	skep_map_sys_lookup(hash, &key, all, 0);
	for (i = 0; i < cpus; i++)
		sum += all[i] == 11 + i;
	is_int((long long)sum, cpus * 2, "the system call reads them all");
	v = 1;
	key = 6;
	skep_map_update(hash, &key, &v, 0, 0);
	skep_map_delete(hash, &key);
	key = 7;
	v = 2;
	skep_map_update(hash, &key, &v, 0, cpus - 1);
	skep_map_sys_lookup(hash, &key, all, 0);
	ok(all[cpus - 1] == 2 && (cpus == 1 || all[0] == 0), "a new element starts with zeroes");
	free(all);
	skep_map_put(map);
	skep_map_put(hash);
}

static void test_hash(void)
{
	struct skep_map *map = make(BPF_MAP_TYPE_HASH, 4, 8, 1000, 0, NULL);
	uint64_t v, *p, seen = 0;
	uint32_t k, key, next;
	int bad = 0, n = 0;

	for (k = 0; k < 1000; k++) {
		v = k * 3;
		bad += skep_map_update(map, &k, &v, BPF_NOEXIST, 0) != 0;
	}
	is_int(bad, 0, "1000 elements fit into 1000 entries");
	is_int(skep_map_update(map, &k, &v, BPF_ANY, 0), -E2BIG, "one more does not");
	key = 5;
	is_int(skep_map_update(map, &key, &v, BPF_NOEXIST, 0), -EEXIST, "NOEXIST on one there");
	is_int(skep_map_update(map, &k, &v, BPF_EXIST, 0), -ENOENT, "EXIST on one not there");
	is_int(skep_map_update(map, &k, &v, 3, 0), -EINVAL, "unknown flags");
	for (k = 0; k < 1000; k += 2)
		bad += skep_map_delete(map, &k) != 0;
	is_int(skep_map_delete(map, &key) + skep_map_delete(map, &key), -ENOENT, "delete twice");
	for (k = 0; k < 1000; k++) {
		p = skep_map_lookup(map, &k, 0);
		bad += (p != NULL) != (k % 2 && k != 5) || (p && *p != k * 3);
		bad += p && skep_map_bound(map, (uintptr_t)p + 7) != (uintptr_t)p + 8;
		bad += p && (skep_map_bound(map, (uintptr_t)p + 8) ||
			     skep_map_bound(map, (uintptr_t)p - 1));
	}
	is_int(bad, 0, "what was deleted is gone, the rest is there, bounds hold");
	for (void *prev = NULL; !skep_map_sys_next_key(map, prev, &next); prev = &key) {
		key = next;
		seen += key;
		n++;
	}
	ok(n == 499 && seen == 250000 - 5, "the keys, each once");
	key = 1000000;
	is_int(skep_map_sys_next_key(map, &key, &next), 0, "an unknown key starts over");
	k = 7;
	is_int(skep_map_sys_take(map, &k, &v, 0), 0, "lookup and delete");
	ok(v == 21 && !skep_map_lookup(map, &k, 0), "gives the value and deletes");
	skep_map_put(map);
}

static void test_lru(void)
{
	struct skep_map *map = make(BPF_MAP_TYPE_LRU_HASH, 4, 8, 100, 0, NULL);
	uint64_t v = 1;
	uint32_t k, hot = 0, n = 0, bad = 0;

	for (k = 0; k < 1000; k++) {
		bad += skep_map_update(map, &k, &v, 0, 0) != 0;
		bad += !skep_map_lookup(map, &hot, 0);
	}
	is_int(bad, 0, "an LRU map takes all and keeps what is used");
	for (k = 0; k < 1000; k++)
		n += skep_map_lookup(map, &k, 0) != NULL;
	is_int(n, 100, "and stays at its size");
	skep_map_put(map);
}

static void test_ringbuf(void)
{
	struct skep_map *map = make(BPF_MAP_TYPE_RINGBUF, 0, 0, 4096, 0, NULL);
	char *ro = skep_map_sys_mmap(map, 4096, 4096 + 2 * 4096, PROT_READ);
	uint64_t *cons = skep_map_sys_mmap(map, 0, 4096, PROT_READ | PROT_WRITE);
	volatile uint64_t *prod = (uint64_t *)ro;
	uint32_t *rec = (uint32_t *)(ro + 4096), n = 0;
	char data[100], *p, *q;

	ok((intptr_t)skep_map_sys_mmap(map, 4096, 4096, PROT_WRITE) == -EPERM,
	   "only the consumer page is writable");
	ok(!map->ops->ready(map), "empty");
	p = skep_ringbuf_reserve(map, 12);
	ok(rec[0] == (12 | BPF_RINGBUF_BUSY_BIT) && rec[1] == 3 && !map->ops->ready(map),
	   "a reserved record is busy");
	q = skep_ringbuf_reserve(map, 8);
	memcpy(p, "hello world", 12);
	skep_ringbuf_submit(map, q, true);
	skep_ringbuf_submit(map, p, false);
	ok(rec[0] == 12 && !memcmp(rec + 2, "hello world", 12) && map->ops->ready(map),
	   "submitted");
	ok(rec[6] == (8 | BPF_RINGBUF_DISCARD_BIT), "discarded");
	is_int((long long)*prod, 24 + 16, "the producer's position");
	*cons = *prod;
	memset(data, 'x', sizeof(data));
	while (!skep_ringbuf_output(map, data, 100))
		n++;
	is_int(n, 36, "full after 36 records of 112 bytes");
	is_int((long long)skep_ringbuf_query(map, BPF_RB_AVAIL_DATA), 36 * 112, "avail");
	*cons += 112;
	is_int(skep_ringbuf_output(map, data, 100), 0, "room after the reader moved");
	ok(ro[4096 + (40 + 36 * 112 + 8) % 4096 + 99] == 'x', "a record goes over the edge");
	p = skep_ringbuf_reserve(map, 5000);
	ok(!p, "larger than the ring");
	munmap(ro, 3 * 4096);
	munmap(cons, 4096);
	skep_map_put(map);
}

static void test_stack(void)
{
	struct skep_map *map = make(BPF_MAP_TYPE_STACK_TRACE, 4, 32, 64, 0, NULL);
	uint64_t ips[6] = {1, 2, 3, 4, 5, 6}, out[4];
	int id = skep_stack_map_store(map, ips, 3, 0), other, many = 0;

	ok(id >= 0 && skep_stack_map_store(map, ips, 3, 0) == id, "the same stack, the same id");
	is_int(skep_map_sys_lookup(map, &id, out, 0), 0, "lookup");
	ok(out[0] == 1 && out[2] == 3 && out[3] == 0, "addresses, then zeroes");
	other = skep_stack_map_store(map, ips, 6, 0);
	ok(other >= 0 && !skep_map_sys_lookup(map, &other, out, 0) && out[3] == 4, "cut to size");
	is_int(skep_stack_map_store(map, ips, 0, 0), -EFAULT, "an empty stack");
	is_int(skep_stack_map_store(map, ips, 1, 1u << 20), -EINVAL, "unknown flags");
	for (ips[0] = 10; ips[0] < 1000; ips[0]++)
		many += skep_stack_map_store(map, ips, 3, 0) == -EEXIST;
	ok(many > 900, "collisions are refused");
	is_int(skep_stack_map_store(map, ips, 3, BPF_F_REUSE_STACKID) >= 0, 1, "or replace");
	is_int(skep_map_sys_delete(map, &id), 0, "delete");
	is_int(skep_map_sys_lookup(map, &id, out, 0), -ENOENT, "gone");
	skep_map_put(map);
}

static void test_queue(void)
{
	struct skep_map *q = make(BPF_MAP_TYPE_QUEUE, 0, 4, 2, 0, NULL);
	struct skep_map *s = make(BPF_MAP_TYPE_STACK, 0, 4, 2, 0, NULL);
	int v, got, bad = 0;

	for (v = 1; v <= 2; v++)
		bad += q->ops->push(q, &v, 0) || s->ops->push(s, &v, 0);
	ok(!bad && q->ops->push(q, &v, 0) == -E2BIG, "full");
	ok(!q->ops->push(q, &v, BPF_EXIST) && !q->ops->pop(q, &got, true) && got == 2,
	   "BPF_EXIST drops the oldest");
	ok(!s->ops->pop(s, &got, false) && got == 2 && !s->ops->pop(s, &got, false) && got == 1 &&
		   s->ops->pop(s, &got, false) == -ENOENT,
	   "last in, first out");
	skep_map_put(q);
	skep_map_put(s);
}

static void test_perf(void)
{
	struct skep_perf_ring *ring = skep_perf_ring_create(
		PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_CPU | PERF_SAMPLE_RAW, NULL);
	struct perf_event_mmap_page *page;
	struct perf_event_header *h;
	uint32_t *raw;
	int n = 0;

	is_int(skep_perf_ring_sample(ring, 1, 2, 3, 0, "abcde", 5, NULL, 0), -ENOSPC, "unmapped");
	page = skep_perf_ring_mmap(ring, 2 * 4096, PROT_READ | PROT_WRITE);
	ok(!skep_perf_ring_ready(ring) && page->data_offset == 4096 && page->data_size == 4096,
	   "mapped");
	is_int(skep_perf_ring_sample(ring, 1, 2, 3, 4, "abc", 3, "de", 2), 0, "sample");
	h = (void *)((char *)page + 4096);
	raw = (uint32_t *)(h + 1) + 6;
	ok(h->type == PERF_RECORD_SAMPLE && h->size == 8 + 24 + 16 && page->data_head == h->size &&
		   raw[-6] == 1 && raw[-5] == 2 && raw[-2] == 4 && raw[0] == 12 &&
		   !memcmp(raw + 1, "abcde\0\0\0\0\0\0\0", 12),
	   "its layout");
	page->data_tail = page->data_head;
	while (!skep_perf_ring_sample(ring, 1, 2, 3, 4, "0123456789ab", 12, NULL, 0))
		n++;
	is_int(n, 85, "4095 bytes take 85 records of 48");
	skep_perf_ring_sample(ring, 1, 2, 3, 4, "0123456789ab", 12, NULL, 0);
	page->data_tail = page->data_head;
	is_int(skep_perf_ring_sample(ring, 1, 2, 3, 4, "0123456789ab", 12, NULL, 0), 0, "room");
	h = (void *)((char *)page + 4096 + (page->data_tail & 4095));
	ok(h->type == PERF_RECORD_LOST && h->size == 48 && ((uint64_t *)(h + 1))[1] == 2,
	   "two lost, told");
	munmap(page, 2 * 4096);
	skep_perf_ring_put(ring);
}

struct lpm_key {
	uint32_t len;
	uint8_t data[4];
};

static struct lpm_key prefix(uint32_t len, uint32_t addr)
{
	struct lpm_key key = {len, {addr >> 24, addr >> 16 & 255, addr >> 8 & 255, addr & 255}};

	return key;
}

/* The value that @addr has in the trie, 0: none. */
static uint32_t route(struct skep_map *map, uint32_t addr)
{
	struct lpm_key key = prefix(32, addr);
	const uint32_t *v = skep_map_lookup(map, &key, 0);

	return v ? *v : 0;
}

static int set_route(struct skep_map *map, uint32_t len, uint32_t addr, uint32_t v, uint64_t flags)
{
	struct lpm_key key = prefix(len, addr);

	return skep_map_update(map, &key, &v, flags, 0);
}

static int drop_route(struct skep_map *map, uint32_t len, uint32_t addr)
{
	struct lpm_key key = prefix(len, addr);

	return skep_map_delete(map, &key);
}

static void test_lpm_rules(void)
{
	union bpf_attr attr = {.map_type = BPF_MAP_TYPE_LPM_TRIE,
			       .key_size = 8,
			       .value_size = 4,
			       .max_entries = 1,
			       .map_name = "routes"};
	struct skep_err err = SKEP_ERR_INIT;
	struct skep_map *map = NULL;

	is_int(skep_map_create(&map, &attr, NULL, NULL, NULL, &err), -EINVAL, "trie, preallocated");
	is_str(err.msg, "map 'routes': tries need the flag BPF_F_NO_PREALLOC", "it says why");
	skep_err_deinit(&err);
	is_int(refusal(BPF_MAP_TYPE_LPM_TRIE, 4, 4, 1, BPF_F_NO_PREALLOC), -EINVAL, "no data");
	is_int(refusal(BPF_MAP_TYPE_LPM_TRIE, 261, 4, 1, BPF_F_NO_PREALLOC), -EINVAL, "257 bytes");
	is_int(refusal(BPF_MAP_TYPE_LPM_TRIE, 260, 4, 1, BPF_F_NO_PREALLOC), 0, "256 bytes");
	is_int(refusal(BPF_MAP_TYPE_LPM_TRIE, 8, 0, 1, BPF_F_NO_PREALLOC), -EINVAL, "no value");
	is_int(refusal(BPF_MAP_TYPE_LPM_TRIE, 8, 4, UINT32_MAX, BPF_F_NO_PREALLOC), 0,
	       "as many entries as can be said");
}

static void test_lpm(void)
{
	struct skep_map *map = make(BPF_MAP_TYPE_LPM_TRIE, 8, 4, 5, BPF_F_NO_PREALLOC, NULL);
	struct lpm_key key, next;
	uint32_t order[5] = {24, 24, 24, 16, 0}, n = 0, bad = 0;
	uint64_t at;

	is_int(set_route(map, 16, 0xc0a80000, 1, BPF_EXIST), -ENOENT, "EXIST on one not there");
	bad += set_route(map, 16, 0xc0a80000, 1, BPF_NOEXIST) != 0;
	bad += set_route(map, 24, 0xc0a80000, 2, 0) || set_route(map, 24, 0xc0a88000, 3, 0);
	bad += set_route(map, 24, 0xc0a80100, 4, 0) || set_route(map, 0, 0x01020304, 5, 0);
	is_int(bad, 0, "five prefixes");
	is_int(set_route(map, 8, 0x0a000000, 6, 0), -ENOSPC, "the sixth has no room");
	is_int(set_route(map, 16, 0xc0a81234, 1, BPF_NOEXIST), -EEXIST,
	       "bits beyond the prefix do not count");
	is_int(set_route(map, 33, 0, 1, 0), -EINVAL, "33 bits of 32");
	is_int(drop_route(map, 33, 0), -EINVAL, "nor to delete");
	ok(route(map, 0xc0a80005) == 2 && route(map, 0xc0a801ff) == 4 &&
		   route(map, 0xc0a88001) == 3 && route(map, 0xc0a84001) == 1 &&
		   route(map, 0x08080808) == 5,
	   "the longest prefix wins");
	key = prefix(33, 0);
	ok(!skep_map_lookup(map, &key, 0), "33 bits are found nowhere");
	for (void *prev = NULL; !skep_map_sys_next_key(map, prev, &next); prev = &key) {
		key = next;
		bad += n > 4 || key.len != order[n];
		n++;
	}
	ok(!bad && n == 5 && !memcmp(key.data, "\1\2\3\4", 4),
	   "more specific keys come first, each as it was given");
	key = prefix(32, 0xc0a80005);
	at = (uintptr_t)skep_map_lookup(map, &key, 0);
	ok(skep_map_bound(map, at + 3) == at + 4 && !skep_map_bound(map, at + 4), "bounds");
	is_int(drop_route(map, 17, 0xc0a80000), -ENOENT, "what only joins others is no entry");
	is_int(drop_route(map, 16, 0xc0a80000), 0, "delete one with others below");
	ok(route(map, 0xc0a84001) == 5 && route(map, 0xc0a80005) == 2, "they stay");
	is_int(drop_route(map, 16, 0xc0a80000), -ENOENT, "twice");
	bad += drop_route(map, 24, 0xc0a80000) || drop_route(map, 24, 0xc0a80100);
	bad += drop_route(map, 24, 0xc0a88000) || drop_route(map, 0, 0);
	ok(!bad && skep_map_sys_next_key(map, NULL, &next) == -ENOENT, "empty again");
	for (n = 0; n < 10000; n++)
		bad += set_route(map, 32, n % 5 * 0x01010101, 1, 0) ||
		       (n % 5 == 4 &&
			(drop_route(map, 32, 0) || drop_route(map, 32, 0x01010101) ||
			 drop_route(map, 32, 0x02020202) || drop_route(map, 32, 0x03030303) ||
			 drop_route(map, 32, 0x04040404)));
	is_int(bad, 0, "what was deleted is used again");
	skep_map_put(map);
}

/* Threads. */

struct work {
	struct skep_map *map;
	unsigned int id;
	long bad;
};

#define ROUNDS 40000

static void *hammer_hash(void *arg)
{
	struct work *w = arg;
	uint32_t key, seed = w->id * 7919 + 1;
	uint64_t v, *p;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		seed = seed * 1664525 + 1013904223;
		key = (seed >> 16) % 64;
		v = key * 0x100000001ull;
		switch (seed >> 30) {
		case 0: skep_map_delete(w->map, &key); break;
		case 1: w->bad += skep_map_update(w->map, &key, &v, 0, 0) != 0; break;
		default:
			p = skep_map_lookup(w->map, &key, 0);
			/* A deleted element may have become another key's: whole, but other. */
			if (p) {
				v = *(volatile uint64_t *)p;
				w->bad += (uint32_t)v != v >> 32;
			}
		}
	}
	/* The own keys, undisturbed by others. */
	for (i = 0; i < 2000; i++) {
		key = 1000 + w->id * 1000 + (uint32_t)i % 100;
		v = key * 0x100000001ull;
		w->bad += skep_map_update(w->map, &key, &v, BPF_NOEXIST, 0) != 0;
		p = skep_map_lookup(w->map, &key, 0);
		w->bad += !p || *p != v;
		w->bad += skep_map_delete(w->map, &key) != 0;
	}
	return NULL;
}

static void *hammer_lpm(void *arg)
{
	struct work *w = arg;
	uint32_t seed = w->id * 7919 + 1, own = (w->id + 1) << 28 | 0x00abcdef, addr;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		seed = seed * 1664525 + 1013904223;
		addr = (seed >> 16) % 64 * 0x00010101;
		switch (seed >> 30) {
		case 0: drop_route(w->map, 10 + seed % 23, addr); break;
		case 1: w->bad += set_route(w->map, 10 + seed % 23, addr, 1, 0) != 0; break;
		default: w->bad += route(w->map, own) != w->id + 1;
		}
		if (i % 8)
			continue;
		/* The own prefixes, undisturbed by others. */
		w->bad += set_route(w->map, 24, own, 99, BPF_NOEXIST) != 0;
		w->bad += route(w->map, own) != 99;
		w->bad += drop_route(w->map, 24, own) != 0;
	}
	return NULL;
}

static void *hammer_ring(void *arg)
{
	struct work *w = arg;
	uint32_t rec[3], i = 0;

	while (i < ROUNDS) {
		rec[0] = w->id;
		rec[1] = i;
		rec[2] = ~i;
		if (skep_ringbuf_output(w->map, rec, w->id % 2 ? 12 : 11))
			sched_yield();
		else
			i++;
	}
	return NULL;
}

static void *hammer_percpu(void *arg)
{
	struct work *w = arg;
	uint32_t key;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		uint64_t *p, one = 1;

		key = (uint32_t)i % 50;
		p = skep_map_lookup(w->map, &key, w->id % w->map->cpus);
		if (p)
			__atomic_add_fetch(p, 1, __ATOMIC_RELAXED);
		else
			w->bad += skep_map_update(w->map, &key, &one, BPF_NOEXIST, 0) != -EEXIST;
	}
	return NULL;
}

static long run4(struct skep_map *map, void *(*fn)(void *), void (*meanwhile)(struct skep_map *))
{
	pthread_t t[4];
	struct work w[4];
	long bad = 0;
	unsigned int i;

	for (i = 0; i < 4; i++) {
		w[i] = (struct work){map, i, 0};
		pthread_create(&t[i], NULL, fn, &w[i]);
	}
	if (meanwhile)
		meanwhile(map);
	for (i = 0; i < 4; i++) {
		pthread_join(t[i], NULL);
		bad += w[i].bad;
	}
	return bad;
}

static long ring_bad;

static void drain(struct skep_map *map)
{
	uint64_t *cons = skep_map_sys_mmap(map, 0, 4096, PROT_READ | PROT_WRITE);
	char *ro = skep_map_sys_mmap(map, 4096, 4096 + 2 * 16384, PROT_READ);
	uint32_t want[4] = {0}, got = 0;

	while (got < 4 * ROUNDS) {
		uint64_t prod = __atomic_load_n((uint64_t *)ro, __ATOMIC_ACQUIRE), pos = *cons;

		while (pos < prod) {
			uint32_t *rec = (uint32_t *)(ro + 4096 + pos % 16384), len;

			len = __atomic_load_n(rec, __ATOMIC_ACQUIRE);
			if (len & BPF_RINGBUF_BUSY_BIT)
				break;
			ring_bad += len != (rec[2] % 2 ? 12 : 11) || rec[2] > 3 ||
				    rec[3] != want[rec[2] & 3]++;
			got++;
			pos += (len + 15) / 8 * 8;
			__atomic_store_n(cons, pos, __ATOMIC_RELEASE);
		}
		sched_yield();
	}
	munmap(ro, 4096 + 2 * 16384);
	munmap(cons, 4096);
}

static void test_lpm_threads(void)
{
	struct skep_map *map = make(BPF_MAP_TYPE_LPM_TRIE, 8, 4, 2000, BPF_F_NO_PREALLOC, NULL);
	struct lpm_key key;
	uint32_t i, n = 0;

	for (i = 0; i < 4; i++)
		set_route(map, 4, (i + 1) << 28, i + 1, 0);
	is_int(run4(map, hammer_lpm, NULL), 0, "trie under four threads");
	while (skep_map_sys_next_key(map, NULL, &key) == 0)
		n += skep_map_delete(map, &key) != 0;
	for (i = 0; i < 2100; i++)
		n += !set_route(map, 32, i * 0x9e3779b1, 1, 0);
	is_int(n, 2000, "no node was lost");
	skep_map_put(map);
}

static void test_threads(void)
{
	struct skep_map *map = make(BPF_MAP_TYPE_HASH, 4, 8, 600, 0, NULL);
	uint32_t key, i, n = 0;
	uint64_t sum = 0, all[1024];

	is_int(run4(map, hammer_hash, NULL), 0, "hash under four threads");
	for (key = 0; key < 64; key++)
		skep_map_delete(map, &key);
	is_int(skep_map_sys_next_key(map, NULL, &key), -ENOENT, "nothing is left over");
	for (key = 0; key < 700; key++)
		n += !skep_map_update(map, &key, all, 0, 0);
	is_int(n, 600, "no element was lost");
	skep_map_put(map);

	map = make(BPF_MAP_TYPE_LRU_HASH, 4, 8, 40, 0, NULL);
	run4(map, hammer_percpu, NULL);
	for (key = 0, n = 0; key < 1000; key++)
		n += skep_map_lookup(map, &key, 0) != NULL;
	is_int(n, 40, "LRU hash under four threads");
	skep_map_put(map);

	map = make(BPF_MAP_TYPE_RINGBUF, 0, 0, 16384, 0, NULL);
	run4(map, hammer_ring, drain);
	is_int(ring_bad, 0, "four producers, one reader: all records, each in order");
	skep_map_put(map);

	map = make(BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 50, 0, NULL);
	run4(map, hammer_percpu, NULL);
	for (key = 0; key < 50; key++) {
		skep_map_sys_lookup(map, &key, all, 0);
		for (i = 0; i < map->cpus; i++)
			sum += all[i];
	}
	is_int((long long)sum, 4 * ROUNDS, "per-CPU array under four threads");
	skep_map_put(map);
}

int main(void)
{
	test_create();
	test_array();
	test_percpu();
	test_hash();
	test_lru();
	test_ringbuf();
	test_stack();
	test_queue();
	test_lpm_rules();
	test_lpm();
	test_perf();
	test_threads();
	test_lpm_threads();
	return done();
}
