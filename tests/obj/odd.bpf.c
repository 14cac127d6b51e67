// SPDX-License-Identifier: BSD-2-Clause
// What skep says no to, one at a time by -D.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#ifdef LEGACY
struct {
	unsigned int type, key_size, value_size, max_entries, flags, pinning;
} old SEC("maps") = {1, 4, 4, 1, 0, LEGACY};
#endif
#ifdef PINNED
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, int);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} pinned SEC(".maps");
#endif
#ifdef NO_TYPE
struct {
	__uint(max_entries, 1);
	__type(key, int);
} no_type SEC(".maps");
#endif
#ifdef NO_KEY
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(value, int);
} no_key SEC(".maps");
#endif
#ifdef UNKNOWN
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(colour, 1);
} unknown SEC(".maps");
#endif
#ifdef WRONG_SIZE
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(key_size, 8);
	__type(key, int);
} wrong_size SEC(".maps");
#endif
#ifdef EXTERN
extern int EXTERN __attribute__((section(".kconfig")));
#endif
#ifdef NARROW
extern char CONFIG_HZ __attribute__((section(".kconfig")));
#endif
#ifdef KSYM
extern const KSYM_TYPE KSYM __attribute__((section(".ksyms")));
#endif
#ifdef KFUNC
extern void KFUNC(void) __attribute__((section(".ksyms")));
#endif
#ifdef WEAK
extern const int bpf_no_such_thing __attribute__((section(".ksyms"))) __attribute__((weak));
#endif

#ifndef SECTION
#define SECTION "tracepoint/syscalls/sys_enter_getpgid"
#endif

SEC(SECTION)
int prog(void *ctx)
{
#ifdef PINNED
	int k = 0;

	bpf_map_lookup_elem(&pinned, &k);
#endif
#ifdef LEGACY
	int k = 0;

	bpf_map_lookup_elem(&old, &k);
#endif
#ifdef EXTERN
	return EXTERN;
#endif
#ifdef NARROW
	return CONFIG_HZ;
#endif
#ifdef KSYM
	int x = 0;

	bpf_probe_read_kernel(&x, 1, &KSYM);
	return x;
#endif
#ifdef KFUNC
	KFUNC();
#endif
#ifdef WEAK
	return &bpf_no_such_thing ? 1 : 0;
#endif
	return 0;
}

SEC("tracepoint/syscalls/sys_enter_getpgid")
int other(void *ctx)
{
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
