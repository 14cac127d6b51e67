/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Gives DATASEC types the places that only ELF symbols know.
 *
 * The compiler leaves the size of a DATASEC and the offsets of its global
 * variables zero: they are relocations, and the kernel wants them filled in
 * and sorted.  Offsets of static variables are right as they stand.  Objects
 * that went through a BPF linker have all of it already.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "btf/btf.h"
#include "obj/elf.h"

static int cmp_secinfo(const void *a, const void *b)
{
	const struct btf_var_secinfo *x = a, *y = b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static int hash_symbols(struct skep_elf *elf, struct skep_hash *hash)
{
	struct skep_elf_sym *sym;

	skep_vec_each (&elf->syms, sym) {
		if (!*sym->name || ELF64_ST_BIND(sym->info) == STB_LOCAL || sym->shndx == SHN_UNDEF)
			continue;
		if (skep_hash_sets(hash, sym->name, sym))
			return -ENOMEM;
	}
	return 0;
}

static int fix_vars(struct skep_elf *elf, const struct skep_hash *syms, uint32_t sec,
		    struct btf_type *t, struct skep_err *err)
{
	const struct skep_btf *btf = elf->obj->btf;
	struct btf_var_secinfo *vs = (struct btf_var_secinfo *)(t + 1);
	uint32_t i, n = skep_btf_vlen(t);
	const struct skep_elf_sym *sym;
	const struct btf_type *var;
	const char *name;

	for (i = 0; i < n; i++) {
		var = skep_btf_type(btf, vs[i].type);
		if (!var || skep_btf_kind(var) != BTF_KIND_VAR ||
		    skep_btf_var(var)->linkage != BTF_VAR_GLOBAL_ALLOCATED)
			continue;
		name = skep_btf_str(btf, var->name_off);
		sym = skep_hash_gets(syms, name);
		if (!sym || sym->shndx != sec)
			return skep_fail(err, SKEP_E_OBJ_INVALID, EINVAL,
					 "variable '%s' of section '%s' has no symbol", name,
					 skep_btf_str(btf, t->name_off));
		if (sym->value > t->size)
			return skep_fail(err, SKEP_E_OBJ_INVALID, EINVAL,
					 "symbol '%s' lies outside of section '%s'", name,
					 skep_btf_str(btf, t->name_off));
		vs[i].offset = sym->value;
	}
	qsort(vs, n, sizeof(*vs), cmp_secinfo);
	return 0;
}

int skep_elf_fix_datasecs(struct skep_elf *elf, void *btf_bytes, struct skep_err *err)
{
	struct skep_btf_iter it = {.btf = elf->obj->btf};
	SKEP_AUTO(skep_hash_deinit) struct skep_hash syms = SKEP_HASH_INIT;
	const char *raw;
	struct btf_type *t;
	uint32_t sec;
	size_t len;
	int ret;

	raw = skep_btf_raw(elf->obj->btf, &len);
	if (hash_symbols(elf, &syms))
		return skep_fail_nomem(err);
	while (skep_btf_next(&it)) {
		if (skep_btf_kind(it.t) != BTF_KIND_DATASEC || it.t->size)
			continue;
		sec = skep_elf_find_sec(elf, skep_btf_str(elf->obj->btf, it.t->name_off));
		/* Of what the kernel is to provide (.ksyms, .kconfig) there is no section. */
		if (!sec)
			continue;
		if (elf->secs.data[sec].size > INT32_MAX)
			return skep_fail(
				err, SKEP_E_OBJ_INVALID, EINVAL,
				"section '%s' has %llu bytes, too many for global variables: "
				"put what is large into an array map",
				elf->secs.data[sec].name,
				(unsigned long long)elf->secs.data[sec].size);
		t = (struct btf_type *)((char *)btf_bytes + ((const char *)it.t - raw));
		t->size = elf->secs.data[sec].size;
		ret = fix_vars(elf, &syms, sec, t, err);
		if (ret)
			return ret;
	}
	return 0;
}
