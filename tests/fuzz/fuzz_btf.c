/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Everything that reads types, over bytes of anybody's making: raw BTF, and
 * behind its end .BTF.ext, or BTF that continues it (a module's) with .BTF.ext
 * behind that.  The same BTF is the program's and the kernel's.
 */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "btf/btf.h"
#include "btf/core.h"
#include "btf/dedup.h"
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

static const struct skep_btf *one_more(void *ctx, size_t i)
{
	return i ? NULL : ctx;
}

/* @btf: the program's and the kernel's; @module: the types of the kernel's module, or NULL. */
static void relocate(const struct skep_btf *btf, struct skep_btf *module, const uint8_t *data,
		     size_t size)
{
	struct bpf_insn insns[2] = {{.code = BPF_LDX | BPF_MEM | BPF_W}};
	struct skep_core *core = skep_core_create(module ? module : btf, btf, NULL);
	struct skep_core_tried *tried;
	struct skep_core_result res;
	struct skep_btf_ext ext;
	int kind, left = 64;
	size_t n;

	if (core && module)
		skep_core_set_more(core, one_more, module);
	if (core && skep_btf_ext_open(&ext, data, size, module ? module : btf, NULL) == 0) {
		for (kind = 0; kind < SKEP_EXT_NR; kind++) {
			struct skep_btf_ext_iter it = {.ext = &ext, .kind = kind};

			while (skep_btf_ext_next(&it) && left--) {
				if (kind != SKEP_EXT_CORE ||
				    skep_core_resolve(core, &it.core, &res, NULL) < 0)
					continue;
				insns[0].off = (int16_t)res.old_val;
				skep_core_patch(insns, 2, 0, it.index, &res, NULL);
				skep_core_explain(core, &it.core, &tried, &n, NULL);
				free(tried);
			}
		}
	}
	skep_core_destroy(core);
}

/* @btf without duplicates, or NULL. */
static struct skep_btf *dedup(const struct skep_btf *btf)
{
	uint32_t *map = calloc(skep_btf_nr(btf), sizeof(*map));
	struct skep_btf_writer w = {0};
	struct skep_btf *out = NULL;
	void *raw;
	size_t len;

	if (map && skep_btf_dedup(btf, &w, map, NULL) == 0 &&
	    skep_btf_writer_finish(&w, &raw, &len, NULL) == 0)
		skep_btf_open_raw(&out, raw, len, SKEP_BTF_TAKE, NULL, NULL);
	skep_btf_writer_deinit(&w);
	free(map);
	return out;
}

/* Good types stay good, and there is nothing left to do. */
static void dedup_twice(const struct skep_btf *btf, bool good)
{
	struct skep_btf *once = dedup(btf), *twice = once ? dedup(once) : NULL;

	if (good && (!once || !twice || skep_btf_check(once, NULL) < 0 ||
		     skep_btf_nr(once) != skep_btf_nr(twice)))
		__builtin_trap();
	skep_btf_destroy(once);
	skep_btf_destroy(twice);
}

/* Where the strings end, which stand last in what compilers write. */
static uint64_t end_of(const uint8_t *data)
{
	struct btf_header h;

	memcpy(&h, data, sizeof(h));
	return (uint64_t)h.hdr_len + h.str_off + h.str_len;
}

static void look_at_all(const struct skep_btf *btf, uint32_t from, const uint8_t *data, size_t size)
{
	struct skep_buf buf = SKEP_BUF_INIT;
	uint32_t id, n;

	skep_btf_check(btf, NULL);
	n = skep_btf_nr(btf);
	for (id = from; id <= n && id < from + 24; id++)
		look(btf, id, data, size);
	skep_btf_dump_c(&buf, btf, NULL, NULL);
	skep_buf_deinit(&buf);
}

/* Types that go on where those of @base end. */
static void split(const struct skep_btf *base, const uint8_t *data, size_t size)
{
	struct skep_btf *btf;
	uint64_t end;

	if (skep_btf_open_raw(&btf, data, size, SKEP_BTF_BORROW, base, NULL) < 0)
		return;
	end = end_of(data);
	if (end < size)
		relocate(base, btf, data + end, size - end);
	look_at_all(btf, skep_btf_first(btf), data, size);
	skep_btf_destroy(btf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct skep_btf *btf;
	uint64_t end;

	if (skep_btf_open_raw(&btf, data, size, SKEP_BTF_BORROW, NULL, NULL) < 0)
		return 0;
	end = end_of(data);
	if (end < size) {
		relocate(btf, NULL, data + end, size - end);
		split(btf, data + end, size - end);
	}
	dedup_twice(btf, skep_btf_check(btf, NULL) == 0);
	look_at_all(btf, 0, data, size);
	skep_btf_destroy(btf);
	return 0;
}
