// SPDX-License-Identifier: BSD-2-Clause
// With TARGET the types of a made-up kernel, else programs that know them
// otherwise: by one CO-RE relocation of each kind that fails, and by others
// for skep btf core to explain.
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
#ifdef TARGET
struct thing {
	int kept;
	long moved;
	int arr[2];
	int shape;
	struct {
		int deep;
	} in;
};
struct thing___twin {
	char pad[64];
	long moved;
};
union pile {
	int a;
};
enum kind { KIND_A = 7 };
int use(struct thing *t, struct thing___twin *u, union pile *p, enum kind k)
{
	return t->kept + u->moved + p->a + k;
}
#else
struct thing {
	long moved;
	int kept;
	int arr[4];
	void *shape;
	struct {
		int deep, deeper;
	} in;
	int gone;
	int bits : 3;
};
union pile {
	long a;
	long gone;
};
struct nowhere {
	int x;
};
enum kind { KIND_A = 1, KIND_B = 2 };
long sink;
#endif
#pragma clang attribute pop

#ifndef TARGET
#define PROG(name) SEC("tracepoint/syscalls/sys_enter_exit_group") int name(void *ctx)
// Pointers that the compiler knows nothing of.
static struct thing *thing(void)
{
	return (void *)bpf_get_current_pid_tgid();
}

PROG(p_off)
{
	long v;

	bpf_probe_read_kernel(&v, 4, &thing()->gone); // LINE p_off
	return 0;
}

PROG(p_size)
{
	sink = bpf_core_field_size(struct thing, gone); // LINE p_size
	return 0;
}

PROG(p_signed)
{
	sink = __builtin_preserve_field_info(thing()->bits, BPF_FIELD_SIGNED); // LINE p_signed
	return 0;
}

PROG(p_left)
{
	sink = __builtin_preserve_field_info(thing()->bits, BPF_FIELD_LSHIFT_U64); // LINE p_left
	return 0;
}

PROG(p_right)
{
	sink = __builtin_preserve_field_info(thing()->bits, BPF_FIELD_RSHIFT_U64); // LINE p_right
	return 0;
}

PROG(p_union)
{
	sink = bpf_core_field_offset(union pile, gone); // LINE p_union
	return 0;
}

PROG(p_enum)
{
	sink = bpf_core_enum_value(enum kind, KIND_B); // LINE p_enum
	return 0;
}

PROG(p_ambiguous)
{
	sink = bpf_core_field_offset(struct thing, moved); // LINE p_ambiguous
	return 0;
}

PROG(explained)
{
	sink = bpf_core_field_offset(struct thing, kept);
	sink += bpf_core_field_exists(struct thing, arr[3]);
	sink += bpf_core_field_exists(struct thing, shape);
	sink += bpf_core_field_exists(struct thing, in.deeper);
	sink += bpf_core_field_exists(struct nowhere, x);
	sink += bpf_core_type_size(union pile);
	sink += bpf_core_enum_value(enum kind, KIND_A);
	sink += bpf_core_field_offset(struct thing, moved);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
#endif
