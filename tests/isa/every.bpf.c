/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Code that makes clang use as much of the instruction set as it can: signed
 * and unsigned arithmetic in both widths, loads of all sizes, switches,
 * calls, atomics, maps and globals.  Tests compile it; nobody runs it.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 8);
	__type(key, int);
	__type(value, __u64);
} counts SEC(".maps");

__u64 total;
const volatile int limit = 7;
const char words[16] = "one two three";

static __attribute__((noinline)) __u64 divide(__u64 a, __u64 b, __u32 c)
{
	__u64 r = a / (b | 1) + a % (b | 3);

	r += c / 7 + c % 9;
	return r ^ (a >> (b & 63)) ^ ((__s64)a >> (b & 31)) ^ (c << (b & 7));
}

#if __clang_major__ >= 17 && defined(__BPF_FEATURE_SDIV_SMOD)
static __attribute__((noinline)) __s64 sdivide(__s64 a, __s64 b, __s32 c, __s32 d)
{
	return a / (b | 1) + a % (b | 3) + c / (d | 1) + c % (d | 5);
}
#else
#define sdivide(a, b, c, d) 0
#endif

static __attribute__((noinline)) int compare(__s64 a, __s64 b, __u32 c)
{
	int n = 0;

	if (a > b)
		n += 1;
	if (a >= 100)
		n ^= 2;
	if ((__u64)a < (__u64)b)
		n += 4;
	if (c <= 77)
		n ^= 8;
	if (a & 0x10)
		n |= 16;
	if ((__s32)c < -5)
		n *= 3;
	if (a != b)
		n -= c;
	return -n;
}

SEC("socket") int every(struct __sk_buff *skb)
{
	__u8 b = skb->cb[0];
	__u16 h = skb->cb[1];
	__s8 sb = skb->cb[2];
	__s16 sh = skb->cb[3];
	__s32 sw = skb->mark;
	int key = b % 8;
	__u64 *count = bpf_map_lookup_elem(&counts, &key);
	char text[16];

	if (!count)
		return 0;
	__builtin_memcpy(text, words, sizeof(text));
	text[3] = b;
	bpf_trace_printk(text, sizeof(text), h);
	__sync_fetch_and_add(count, 1);
	total += divide(*count, h, skb->len) + compare(sb, sh, sw) + sdivide(*count, sb, sh, sw);
	total = __builtin_bswap64(total) + __builtin_bswap32(skb->protocol) + __builtin_bswap16(h);
	if (key < limit)
		total += (__s64)sw * sb - (__s64)sh;
	return total ? 0x7fffffff : -1;
}

#if defined(__BPF_CPU_VERSION__) && __BPF_CPU_VERSION__ >= 3 || defined(__BPF_FEATURE_ALU32) || \
	defined(EVERY_ATOMICS)
SEC("socket") int atomics(struct __sk_buff *skb)
{
	__u32 small = 5;
	__u64 v = total;

	v += __sync_fetch_and_add(&total, v) + __sync_fetch_and_or(&total, 2);
	v += __sync_fetch_and_and(&total, 3) + __sync_fetch_and_xor(&total, 4);
	v += __sync_lock_test_and_set(&total, 5) + __sync_val_compare_and_swap(&total, v, 6);
	__sync_fetch_and_add(&small, 1);
	return v + small;
}
#endif

char _license[] SEC("license") = "GPL";
