/* SPDX-License-Identifier: BSD-2-Clause */
#include "btf/ext.h"

#include <errno.h>
#include <string.h>

#include "base/reader.h"

static const struct {
	const char *name;
	uint32_t size;
} infos[SKEP_EXT_NR] = {
	[SKEP_EXT_FUNC] = {"func_info", sizeof(struct bpf_func_info)},
	[SKEP_EXT_LINE] = {"line_info", sizeof(struct bpf_line_info)},
	[SKEP_EXT_CORE] = {"core_relo", sizeof(struct bpf_core_relo)},
};

static int bad(struct skep_err *err, enum skep_ext_kind kind, const char *what)
{
	return skep_fail(err, SKEP_E_BTF_INVALID, EINVAL, ".BTF.ext: %s: %s", infos[kind].name,
			 what);
}

static int check_info(struct skep_btf_ext *ext, enum skep_ext_kind kind, struct skep_reader r,
		      struct skep_err *err)
{
	uint32_t size, name, n;

	if (!r.bad && !r.len)
		return 0;
	size = skep_reader_u32(&r);
	if (r.bad)
		return bad(err, kind, "outside of the data");
	if (size < infos[kind].size || size % 4 || size > 4096)
		return bad(err, kind, "records of a size that cannot be");
	ext->info[kind].rec_size = size;
	ext->info[kind].data = r.data + r.pos;
	ext->info[kind].len = r.len - r.pos;
	while (skep_reader_left(&r)) {
		name = skep_reader_u32(&r);
		n = skep_reader_u32(&r);
		if (!r.bad && !*skep_btf_str(ext->btf, name))
			return bad(err, kind, "a section without a name");
		if (!r.bad && !n)
			return bad(err, kind, "a section without records");
		if (r.bad || n > skep_reader_left(&r) / size)
			return bad(err, kind, "records cut off");
		skep_reader_take(&r, (size_t)n * size);
	}
	return 0;
}

int skep_btf_ext_open(struct skep_btf_ext *ext, const void *data, size_t len,
		      const struct skep_btf *btf, struct skep_err *err)
{
	struct skep_reader r = skep_reader_init(data, len), body;
	uint32_t off[SKEP_EXT_NR], size[SKEP_EXT_NR], hdr;
	uint16_t magic;
	int i, ret = 0;

	*ext = (struct skep_btf_ext){.btf = btf};
	magic = skep_reader_u16(&r);
	if (magic == __builtin_bswap16(BTF_MAGIC))
		return skep_fail(err, SKEP_E_UNSUPPORTED, EOPNOTSUPP,
				 ".BTF.ext in the byte order of another machine; "
				 "compile for this one (clang -target bpf)");
	if (magic != BTF_MAGIC || skep_reader_u8(&r) != BTF_VERSION)
		return skep_fail(err, SKEP_E_BTF_INVALID, EINVAL,
				 ".BTF.ext: wrong magic number or version");
	skep_reader_u8(&r);
	hdr = skep_reader_u32(&r);
	for (i = 0; i < SKEP_EXT_NR; i++) {
		/* The first compilers had no CO-RE: two pairs and a shorter header. */
		bool there = i < SKEP_EXT_CORE || hdr >= 32;

		off[i] = there ? skep_reader_u32(&r) : 0;
		size[i] = there ? skep_reader_u32(&r) : 0;
	}
	if (r.bad || hdr < 24 || hdr > len)
		return skep_fail(err, SKEP_E_BTF_INVALID, EINVAL, ".BTF.ext: header cut off");
	r.pos = 0;
	body = skep_reader_sub(&r, hdr, len - hdr);
	for (i = 0; i < SKEP_EXT_NR && ret == 0; i++)
		ret = check_info(ext, i, skep_reader_sub(&body, off[i], size[i]), err);
	return ret;
}

bool skep_btf_ext_next(struct skep_btf_ext_iter *it)
{
	struct skep_reader r =
		skep_reader_init(it->ext->info[it->kind].data, it->ext->info[it->kind].len);
	uint32_t size = it->ext->info[it->kind].rec_size, n;
	const void *rec;

	skep_reader_seek(&r, it->pos);
	if (!size)
		return false;
	while (!it->left) {
		if (!skep_reader_left(&r))
			return false;
		it->sec_name = skep_btf_str(it->ext->btf, skep_reader_u32(&r));
		n = skep_reader_u32(&r);
		it->index = 0;
		if (!it->sec || !strcmp(it->sec, it->sec_name))
			it->left = n;
		else
			skep_reader_take(&r, (size_t)n * size);
		it->first = true;
	}
	rec = skep_reader_take(&r, size);
	if (!rec)
		return false;
	memcpy(&it->line, rec, infos[it->kind].size);
	it->index = it->first ? 0 : it->index + 1;
	it->first = false;
	it->left--;
	it->pos = r.pos;
	return true;
}
