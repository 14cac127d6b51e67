/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Relocations of the result.  They are written without addends of their own
 * (SHT_REL), as clang writes them: what is added stands in what is relocated.
 * Where that is counted from the start of a section, the section's new place
 * is added; symbols move by themselves.
 * The kernel's Documentation/bpf/llvm_reloc.rst has types and fields.
 */
#include <errno.h>
#include <string.h>

#include "isa/uapi.h"
#include "obj/merge_int.h"

static int bad(const struct merge_in *in, const struct skep_elf_sec *sec, uint64_t off,
	       struct skep_err *err, const char *what)
{
	return skep_fail(err, SKEP_E_ELF_INVALID, EINVAL,
			 "%s: section '%s': relocation at offset %llu %s", in->name, sec->name,
			 (unsigned long long)off, what);
}

/* An addend in a 64-bit immediate or a call: @add bytes more. */
static bool add_to_insn(uint8_t *at, const struct skep_elf_rel *rel, uint64_t add)
{
	struct bpf_insn insn;
	int64_t sum;

	memcpy(&insn, at, sizeof(insn));
	if (rel->rela && !skep_elf_put_addend(&insn, rel->addend))
		return false;
	sum = insn.imm + (int64_t)(insn.code == (BPF_JMP | BPF_CALL) ? add / 8 : add);
	insn.imm = (int32_t)sum;
	memcpy(at, &insn, sizeof(insn));
	return insn.imm == sum;
}

/* One in data, of @size bytes. */
static bool add_to_data(uint8_t *at, size_t size, const struct skep_elf_rel *rel, uint64_t add)
{
	uint64_t val = 0;

	if (rel->rela)
		val = (uint64_t)rel->addend;
	else
		memcpy(&val, at, size);
	val += add;
	memcpy(at, &val, size);
	return size == 8 || val == (uint32_t)val;
}

static size_t field_size(const struct skep_elf_sec *sec, uint32_t type)
{
	switch (type) {
	case SKEP_R_BPF_64_64:
	case SKEP_R_BPF_64_ABS64: return 8;
	case SKEP_R_BPF_64_32: return skep_elf_is_code(sec) ? 8 : 4;
	case SKEP_R_BPF_64_ABS32:
	case SKEP_R_BPF_64_NODYLD32: return 4;
	default: return 0;
	}
}

/* Relocation @rel of section @nr of @in. */
static int move(struct skep_merge *m, struct merge_in *in, uint32_t nr, struct skep_elf_rel rel,
		struct skep_err *err)
{
	const struct skep_elf_sec *sec = &in->elf.secs.data[nr];
	const struct merge_place *place = &in->secs[nr];
	struct merge_sec *to = &m->secs.data[place->sec];
	size_t size = field_size(sec, rel.type);
	const struct skep_elf_sym *sym;
	struct merge_rel out = {place->off + rel.off, rel.type, SKEP_NONE};
	uint64_t add = 0;
	uint8_t *at;
	bool good;

	if (!size)
		return bad(in, sec, rel.off, err, "is of an unknown type");
	if (!sec->data || size > sec->size || rel.off > sec->size - size)
		return bad(in, sec, rel.off, err, "lies outside of its section");
	if (skep_elf_is_code(sec) && rel.off % 8 && size == 8)
		return bad(in, sec, rel.off, err, "is no instruction");
	if (rel.sym < in->elf.syms.len)
		out.sym = in->syms[rel.sym];
	if (out.sym == SKEP_NONE)
		return bad(in, sec, rel.off, err, "refers to nothing that is kept");
	if (skep_merge_is_dead(in, nr, rel.off))
		return 0;
	sym = &in->elf.syms.data[rel.sym];
	if (ELF64_ST_TYPE(sym->info) == STT_SECTION && sym->shndx < in->elf.secs.len)
		add = in->secs[sym->shndx].off;
	at = (uint8_t *)to->data.data + out.off;
	good = skep_elf_is_code(sec) && size == 8 ? add_to_insn(at, &rel, add)
						  : add_to_data(at, size, &rel, add);
	if (!good)
		return bad(in, sec, rel.off, err, "has an addend for which there is no room");
	return skep_vec_push(&to->rels, out) ? skep_fail_nomem(err) : 0;
}

int skep_merge_relocations(struct skep_merge *m, struct skep_err *err)
{
	const struct skep_elf_sec *sec;
	struct skep_elf_rel rel;
	struct merge_in **in;
	uint64_t i;
	int ret = 0;

	skep_vec_each (&m->ins, in) {
		skep_vec_each (&(*in)->elf.secs, sec) {
			if (sec->type != SHT_REL && sec->type != SHT_RELA)
				continue;
			if (sec->info >= (*in)->elf.secs.len)
				return skep_fail(err, SKEP_E_ELF_INVALID, EINVAL,
						 "%s: section '%s' relocates section %u, which is "
						 "not there",
						 (*in)->name, sec->name, sec->info);
			/* Types and debug information. */
			if ((*in)->secs[sec->info].sec == SKEP_NONE)
				continue;
			for (i = 0; !ret && skep_elf_rel_at(sec, i, &rel); i++)
				ret = move(m, *in, sec->info, rel, err);
			if (ret)
				return ret;
		}
	}
	return 0;
}
