/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * USDT: the static probes that programs carry (systemtap's <sys/sdt.h>).
 *
 * A probe is an instruction that does nothing and a note in .note.stapsdt that
 * says where it is and where its arguments then are.  Programs that include
 * bpf/usdt.bpf.h read the arguments by a specification that stands in their
 * map __bpf_usdt_specs; which one is told by the cookie of the attachment
 * or, where kernels have none (before 5.15), by the probe's address, for which
 * there is the map __bpf_usdt_ip_to_spec_id.
 * Notes are untrusted.
 */
#ifndef SKEP_EVENT_USDT_H
#define SKEP_EVENT_USDT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/vec.h"

#define SKEP_USDT_ARGS 12

/* How an argument is reached; SIB: since libbpf 1.7's usdt.bpf.h. */
enum {
	SKEP_USDT_CONST,
	SKEP_USDT_REG,
	SKEP_USDT_DEREF, /* memory at a register and a distance */
	SKEP_USDT_SIB, /* memory at a register, a scaled register and a distance */
	SKEP_USDT_UNREADABLE = 0xff, /* bpf_usdt_arg() gives -EINVAL for it */
};

/* struct __bpf_usdt_arg_spec of libbpf's usdt.bpf.h. */
struct skep_usdt_arg {
	uint64_t val_off; /* the constant, or what is added to the register */
	uint32_t type; /* 8 bits; SIB: 12 bits index's place in pt_regs, 4 bits shift */
	int16_t reg_off; /* in struct pt_regs */
	uint8_t is_signed;
	int8_t bitshift; /* 64 less the argument's bits */
};

/* struct __bpf_usdt_spec. */
struct skep_usdt_spec {
	struct skep_usdt_arg args[SKEP_USDT_ARGS];
	uint64_t cookie;
	int16_t nr_args;
	uint16_t pad[3];
};

_Static_assert(sizeof(struct skep_usdt_spec) == 208, "as libbpf's");

/* The specifications of one object, shared by its programs. */
struct skep_usdt {
	int specs_fd; /* __bpf_usdt_specs */
	uint32_t max; /* its entries */
	int ips_fd; /* __bpf_usdt_ip_to_spec_id; -1: cookies tell */
	bool has_sib; /* the object's usdt.bpf.h knows SKEP_USDT_SIB */
	SKEP_VEC(struct skep_usdt_spec) specs; /* by index */
};

/* One place in a file. */
struct skep_usdt_place {
	uint64_t offset, semaphore; /* in the file; 0: no semaphore */
	uint64_t addr; /* of the instruction, before relocation */
	bool relocatable; /* and where that is, is known of a process only */
	struct skep_usdt_spec spec;
	char unread[80]; /* an argument that cannot be read, for a warning; "" */
};

struct skep_usdt_places {
	SKEP_VEC(struct skep_usdt_place) v;
};

/* All places of probe @provider:@name in ELF file @path.  0 or -errno, with near names. */
int skep_usdt_find(const char *path, const char *provider, const char *name,
		   struct skep_usdt_places *places, struct skep_err *err);

/* What arguments by a symbol's name need to know of the probe. */
struct skep_usdt_site {
	uint64_t addr; /* of the instruction, before relocation */
	bool relocatable; /* the file may be loaded anywhere */
	bool (*find)(void *ctx, const char *symbol, uint64_t *addr); /* NULL: no symbols */
	void *ctx;
};

/*
 * Reads "8@%rdi -4@-20(%rbp,%rcx,4) 2@$7 4@counter(%rip)" (@machine
 * EM_X86_64) or "8@x0 4@[sp, 12]" (EM_AARCH64) into @spec; @site may be NULL.
 * What usdt.bpf.h cannot reach becomes UNREADABLE, the first of them told in
 * @unread ("2 is at '8@%xmm0'", else "").  0 or -EOPNOTSUPP: too many.
 */
int skep_usdt_spec_parse(const char *text, unsigned int machine, const struct skep_usdt_site *site,
			 struct skep_usdt_spec *spec, char *unread, size_t size,
			 struct skep_err *err);

#endif
