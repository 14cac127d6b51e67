/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Everything that reads types, over bytes of anybody's making: raw BTF, and
 * behind its end .BTF.ext.  The same BTF is the program's and the kernel's.
 */
#include <json-c/json.h>
#include <string.h>

#include "base/arena.h"
#include "btf/btf.h"
#include "btf/core.h"
#include "btf/dump.h"
#include "btf/ext.h"
#include "btf/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look(const struct skep_btf *btf, uint32_t id, const uint8_t *data, size_t size)
{
	struct skep_arena arena = SKEP_ARENA_INIT;
	struct skep_buf buf = SKEP_BUF_INIT;
	const struct skep_btf_column *c;
	uint32_t off, bits;
	int64_t v;
	size_t n, i;

	skep_btf_sizeof(btf, id);
	skep_btf_alignof(btf, id);
	skep_btf_field(btf, id, "a", &off, &bits);
	skep_btf_find(btf, skep_btf_name(btf, id), 0, id);
	skep_btf_dump_raw(&buf, btf, id);
	json_object_put(skep_btf_dump_json(btf, id));
	size = size < 256 ? size : 256;
	skep_btf_value_text(&buf, btf, id, data, size);
	json_object_put(skep_btf_value_json(btf, id, data, size, NULL));
	if (skep_btf_columns(&arena, btf, id, &c, &n, NULL) == 0) {
		for (i = 0; i < n; i++) {
			skep_btf_column_text(&buf, btf, &c[i], data, size);
			skep_btf_number(btf, c[i].type, c[i].bit_off, c[i].bit_size, data, size,
					&v);
		}
	}
	skep_arena_deinit(&arena);
	skep_buf_deinit(&buf);
}

static void relocate(const struct skep_btf *btf, const uint8_t *data, size_t size)
{
	struct bpf_insn insns[2] = {{.code = BPF_LDX | BPF_MEM | BPF_W}};
	struct skep_core *core = skep_core_create(btf, btf, NULL);
	struct skep_core_result res;
	struct skep_btf_ext ext;
	int kind, left = 64;

	if (core && skep_btf_ext_open(&ext, data, size, btf, NULL) == 0) {
		for (kind = 0; kind < SKEP_EXT_NR; kind++) {
			struct skep_btf_ext_iter it = {.ext = &ext, .kind = kind};

			while (skep_btf_ext_next(&it) && left--) {
				if (kind != SKEP_EXT_CORE ||
				    skep_core_resolve(core, &it.core, &res, NULL) < 0)
					continue;
				insns[0].off = (int16_t)res.old_val;
				skep_core_patch(insns, 2, 0, it.index, &res, NULL);
			}
		}
	}
	skep_core_destroy(core);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct skep_buf buf = SKEP_BUF_INIT;
	struct skep_btf *btf;
	struct btf_header h;
	uint32_t id, n;
	uint64_t end;

	if (skep_btf_open_raw(&btf, data, size, SKEP_BTF_BORROW, NULL, NULL) < 0)
		return 0;
	memcpy(&h, data, sizeof(h));
	end = (uint64_t)h.hdr_len + h.str_off + h.str_len;
	if (end < size)
		relocate(btf, data + end, size - end);
	skep_btf_check(btf, NULL);
	n = skep_btf_nr(btf);
	for (id = 0; id <= n && id < 24; id++)
		look(btf, id, data, size);
	skep_btf_dump_c(&buf, btf, NULL, NULL);
	skep_buf_deinit(&buf);
	skep_btf_destroy(btf);
	return 0;
}
