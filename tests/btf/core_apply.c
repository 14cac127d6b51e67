/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * core-apply FILE.o SECTION: resolves the CO-RE relocations of one section
 * against the running kernel and prints every instruction, one a line:
 * code dst src off imm.  core.t compares that with what libbpf gives the kernel.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "btf/core.h"
#include "btf/elf.h"
#include "btf/ext.h"

static int apply(struct skep_btf *local, struct skep_btf *kernel, const char *sec,
		 struct skep_btf_ext *ext, struct bpf_insn *insns, size_t n, struct skep_err *err)
{
	struct skep_btf_ext_iter it = {.ext = ext, .kind = SKEP_EXT_CORE, .sec = sec};
	struct skep_core *core = skep_core_create(local, kernel, err);
	struct skep_core_result res;
	int ret = core ? 0 : -ENOMEM;
	uint32_t at;

	while (ret == 0 && skep_btf_ext_next(&it)) {
		at = it.core.insn_off / 8;
		ret = skep_core_resolve(core, &it.core, &res, err);
		if (ret == 0)
			ret = skep_core_patch(insns + at, at < n ? n - at : 0, at, it.index, &res,
					      err);
	}
	skep_core_destroy(core);
	return ret;
}

int main(int argc, char **argv)
{
	struct skep_err err = SKEP_ERR_INIT;
	struct skep_btf *local = NULL, *kernel = NULL;
	SKEP_AUTO_FREE void *ext_data = NULL;
	SKEP_AUTO_FREE void *code = NULL;
	struct skep_btf_ext ext;
	struct skep_file file;
	struct bpf_insn *insns;
	size_t ext_len, len, i;

	if (argc != 3)
		return 2;
	if (skep_file_open(&file, argv[1], &err) < 0 ||
	    skep_btf_open_file(&local, argv[1], NULL, &err) < 0 ||
	    skep_btf_open_kernel(&kernel, &err) < 0 ||
	    skep_elf_section(file.data, file.len, ".BTF.ext", &ext_data, &ext_len, &err) < 0 ||
	    skep_elf_section(file.data, file.len, argv[2], &code, &len, &err) < 0 ||
	    skep_btf_ext_open(&ext, ext_data, ext_len, local, &err) < 0) {
		fprintf(stderr, "%s\n", err.msg);
		return 1;
	}
	insns = code;
	if (apply(local, kernel, argv[2], &ext, insns, len / 8, &err) < 0) {
		printf("error %s\n", err.msg);
		return 3;
	}
	for (i = 0; i < len / 8; i++)
		printf("%02x %d %d %d %d\n", insns[i].code, insns[i].dst_reg, insns[i].src_reg,
		       insns[i].off, insns[i].imm);
	skep_btf_destroy(local);
	skep_btf_destroy(kernel);
	skep_file_close(&file);
	return 0;
}
