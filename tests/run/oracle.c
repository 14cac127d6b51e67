/* SPDX-License-Identifier: BSD-2-Clause */
#include "oracle.h"

#include <errno.h>
#include <linux/btf.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int oracle_bpf(int cmd, union bpf_attr *attr)
{
	long ret = syscall(SYS_bpf, cmd, attr, sizeof(*attr));

	return ret < 0 ? -errno : (int)ret;
}

int oracle_btf(void)
{
	static const char names[] = "\0int\0f";
	struct {
		struct btf_header h;
		struct btf_type i;
		uint32_t enc;
		struct btf_type proto, func;
		char names[sizeof(names)];
	} __attribute__((packed)) b = {
		.h = {.magic = BTF_MAGIC, .version = 1, .hdr_len = sizeof(b.h)},
		.i = {.name_off = 1, .info = BTF_KIND_INT << 24, .size = 4},
		.enc = BTF_INT_SIGNED << 24 | 32,
		.proto = {.info = BTF_KIND_FUNC_PROTO << 24, .type = 1},
		.func = {.name_off = 5, .info = BTF_KIND_FUNC << 24, .type = 2},
	};
	union bpf_attr attr = {0};

	b.h.type_len = sizeof(b) - sizeof(b.h) - sizeof(names);
	b.h.str_off = b.h.type_len;
	b.h.str_len = sizeof(names);
	memcpy(b.names, names, sizeof(names));
	attr.btf = (uintptr_t)&b;
	attr.btf_size = sizeof(b);
	return oracle_bpf(BPF_BTF_LOAD, &attr);
}
