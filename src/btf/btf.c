/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Opening BTF and finding types in it.
 *
 * The index notes the offset of every 2^shift-th type and grows as far as it
 * was needed; `end_id` stays unknown until a walk has met the end.  A type
 * that does not fit its section ends the walk: what lies behind it does not
 * exist for anybody, and skep_btf_check() tells why.
 */
#include "btf/btf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "btf/elf.h"

#define INDEX_SHIFT 6

/* Far above the kernel's BTF_MAX_TYPE; keeps ids positive as ints. */
#define MAX_ID (BTF_MAX_TYPE * 16u)

struct index {
	uint32_t *off;
	size_t cap;
	uint32_t shift;
	/* How far the walk has come: next_id stands at next_off. */
	uint32_t next_id, next_off;
	bool end; /* next_id is one past the last type */
};

struct skep_btf {
	const uint8_t *types;
	const char *strs;
	uint32_t types_len, strs_len;
	uint32_t first_id, first_str; /* where this one continues its base */
	const struct skep_btf *base;
	struct index *index;
	const void *raw;
	size_t raw_len;
	void *owned; /* malloc'ed bytes, or NULL */
	struct skep_btf *owned_base; /* of .BTF.base, or NULL */
	struct skep_file file; /* or the file they are mapped from */
};

/* Bytes that follow a type's header: once, and for each of its vlen elements. */
static const struct {
	const char *name;
	uint8_t once, each;
} kinds[NR_BTF_KINDS] = {
	[BTF_KIND_UNKN] = {"UNKNOWN", 0, 0},	  [BTF_KIND_INT] = {"INT", 4, 0},
	[BTF_KIND_PTR] = {"PTR", 0, 0},		  [BTF_KIND_ARRAY] = {"ARRAY", 12, 0},
	[BTF_KIND_STRUCT] = {"STRUCT", 0, 12},	  [BTF_KIND_UNION] = {"UNION", 0, 12},
	[BTF_KIND_ENUM] = {"ENUM", 0, 8},	  [BTF_KIND_FWD] = {"FWD", 0, 0},
	[BTF_KIND_TYPEDEF] = {"TYPEDEF", 0, 0},	  [BTF_KIND_VOLATILE] = {"VOLATILE", 0, 0},
	[BTF_KIND_CONST] = {"CONST", 0, 0},	  [BTF_KIND_RESTRICT] = {"RESTRICT", 0, 0},
	[BTF_KIND_FUNC] = {"FUNC", 0, 0},	  [BTF_KIND_FUNC_PROTO] = {"FUNC_PROTO", 0, 8},
	[BTF_KIND_VAR] = {"VAR", 4, 0},		  [BTF_KIND_DATASEC] = {"DATASEC", 0, 12},
	[BTF_KIND_FLOAT] = {"FLOAT", 0, 0},	  [BTF_KIND_DECL_TAG] = {"DECL_TAG", 4, 0},
	[BTF_KIND_TYPE_TAG] = {"TYPE_TAG", 0, 0}, [BTF_KIND_ENUM64] = {"ENUM64", 0, 12},
};

static const struct btf_type void_type;

const char *skep_btf_kind_name(uint32_t kind)
{
	return kind < NR_BTF_KINDS ? kinds[kind].name : "UNKNOWN";
}

/* The type at @off and where it ends, or NULL: it does not fit. */
static inline const struct btf_type *type_at(const struct skep_btf *btf, uint32_t off,
					     uint32_t *end)
{
	const struct btf_type *t = (const void *)(btf->types + off);
	uint32_t left = btf->types_len - off, kind, size;

	if (left < sizeof(*t))
		return NULL;
	kind = skep_btf_kind(t);
	if (kind == BTF_KIND_UNKN || kind >= NR_BTF_KINDS)
		return NULL;
	size = sizeof(*t) + kinds[kind].once + kinds[kind].each * skep_btf_vlen(t);
	if (size > left)
		return NULL;
	*end = off + size;
	return t;
}

static int fail(struct skep_err *err, const char *what)
{
	return skep_fail(err, SKEP_E_BTF_INVALID, EINVAL, "BTF: %s", what);
}

/* Finds the two sections; @btf->raw is set. */
static int read_header(struct skep_btf *btf, struct skep_err *err)
{
	const uint8_t *raw = btf->raw;
	struct btf_header h;
	size_t len = btf->raw_len;

	if (len < sizeof(h))
		return fail(err, "shorter than its header");
	memcpy(&h, raw, sizeof(h));
	if (h.magic == __builtin_bswap16(BTF_MAGIC))
		return skep_fail(err, SKEP_E_UNSUPPORTED, EOPNOTSUPP,
				 "BTF in the byte order of another machine; "
				 "compile for this one (clang -target bpf)");
	if (h.magic != BTF_MAGIC)
		return fail(err, "wrong magic number");
	if (h.version != BTF_VERSION)
		return skep_fail(err, SKEP_E_UNSUPPORTED, EOPNOTSUPP,
				 "BTF version %u; only %u is known", h.version, BTF_VERSION);
	if (h.hdr_len < sizeof(h) || h.hdr_len > len)
		return fail(err, "header length outside of the data");
	len -= h.hdr_len;
	if (h.type_off > len || h.type_len > len - h.type_off)
		return fail(err, "type section outside of the data");
	if (h.str_off > len || h.str_len > len - h.str_off)
		return fail(err, "string section outside of the data");
	if ((h.hdr_len + h.type_off) % 4)
		return fail(err, "type section not aligned to 4 bytes");
	btf->types = raw + h.hdr_len + h.type_off;
	btf->types_len = h.type_len;
	btf->strs = (const char *)raw + h.hdr_len + h.str_off;
	btf->strs_len = h.str_len;
	if (h.str_len && btf->strs[h.str_len - 1])
		return fail(err, "string section does not end in a zero byte");
	if (!btf->base && (!h.str_len || btf->strs[0]))
		return fail(err, "string section does not start with the empty string");
	return 0;
}

/* Takes over @btf's bytes: frees them if it fails. */
static int open_bytes(struct skep_btf **out, struct skep_btf *btf, const struct skep_btf *base,
		      struct skep_err *err)
{
	int ret;

	*out = NULL;
	btf->base = base;
	btf->first_id = base ? skep_btf_nr(base) : 1;
	btf->first_str = base ? base->first_str + base->strs_len : 0;
	ret = read_header(btf, err);
	if (ret < 0) {
		skep_btf_destroy(btf);
		return ret;
	}
	btf->index->shift = INDEX_SHIFT;
	btf->index->next_id = btf->first_id;
	*out = btf;
	return 0;
}

static struct skep_btf *new_btf(void)
{
	struct skep_btf *btf = calloc(1, sizeof(*btf));

	if (!btf)
		return NULL;
	btf->index = calloc(1, sizeof(*btf->index));
	if (btf->index)
		return btf;
	free(btf);
	return NULL;
}

int skep_btf_open_raw(struct skep_btf **out, const void *data, size_t len, enum skep_btf_own own,
		      const struct skep_btf *base, struct skep_err *err)
{
	struct skep_btf *btf = new_btf();

	*out = NULL;
	if (!btf) {
		if (own == SKEP_BTF_TAKE)
			free((void *)data);
		return skep_fail_nomem(err);
	}
	btf->raw = data;
	btf->raw_len = len;
	if (own == SKEP_BTF_TAKE)
		btf->owned = (void *)data;
	/* Types are read in place as 32-bit words. */
	if (own == SKEP_BTF_COPY || (own == SKEP_BTF_BORROW && (uintptr_t)data % 4)) {
		btf->owned = malloc(len ? len : 1);
		if (!btf->owned) {
			skep_btf_destroy(btf);
			return skep_fail_nomem(err);
		}
		memcpy(btf->owned, data, len);
		btf->raw = btf->owned;
	}
	return open_bytes(out, btf, base, err);
}

/* In one byte order or the other: what follows is meant to be BTF. */
static bool has_magic(const struct skep_btf *btf)
{
	uint16_t magic = 0;

	if (btf->raw_len >= sizeof(magic))
		memcpy(&magic, btf->raw, sizeof(magic));
	return magic == BTF_MAGIC || magic == __builtin_bswap16(BTF_MAGIC);
}

/*
 * The types of a module built for whatever kernel comes (6.12: out of tree)
 * go on from a few of the kernel's that it carries along, in .BTF.base.
 */
static int open_section(struct skep_btf **out, struct skep_btf *file, const struct skep_btf *base,
			struct skep_err *err)
{
	struct skep_btf *own = NULL;
	void *copy;
	size_t len;
	int ret = -ENOENT;

	if (!base)
		ret = skep_elf_section(file->raw, file->raw_len, ".BTF.base", &copy, &len, err);
	if (ret == 0)
		ret = skep_btf_open_raw(&own, copy, len, SKEP_BTF_TAKE, NULL, err);
	if (ret == 0)
		ret = skep_btf_check(own, err);
	if (ret == 0 || ret == -ENOENT)
		ret = skep_elf_section(file->raw, file->raw_len, ".BTF", &copy, &len, err);
	if (ret == 0)
		ret = skep_btf_open_raw(out, copy, len, SKEP_BTF_TAKE, own ? own : base, err);
	if (ret == 0)
		(*out)->owned_base = own;
	else
		skep_btf_destroy(own);
	return ret;
}

static int open_whole(struct skep_btf **out, const char *path, const struct skep_btf *base,
		      struct skep_err *err)
{
	struct skep_btf *btf = new_btf();
	int ret;

	*out = NULL;
	if (!btf)
		return skep_fail_nomem(err);
	ret = skep_file_open(&btf->file, path, err);
	if (ret < 0) {
		skep_btf_destroy(btf);
		return ret;
	}
	btf->raw = btf->file.data;
	btf->raw_len = btf->file.len;
	if (!skep_elf_is(btf->raw, btf->raw_len) && !has_magic(btf)) {
		skep_btf_destroy(btf);
		return skep_fail(
			err, SKEP_E_BTF_INVALID, EINVAL,
			"is neither BTF (as /sys/kernel/btf/vmlinux) nor an ELF file with it");
	}
	if (!skep_elf_is(btf->raw, btf->raw_len))
		return open_bytes(out, btf, base, err);
	ret = open_section(out, btf, base, err);
	skep_btf_destroy(btf);
	if (ret == -ENOENT)
		return skep_fail(err, SKEP_E_BTF_MISSING, ENOENT,
				 "no .BTF section; compile with -g");
	return ret;
}

int skep_btf_open_file(struct skep_btf **out, const char *path, const struct skep_btf *base,
		       struct skep_err *err)
{
	int ret = open_whole(out, path, base, err);

	if (ret == 0)
		ret = skep_btf_check(*out, err);
	if (ret == 0)
		return 0;
	skep_btf_destroy(*out);
	*out = NULL;
	/* A file that cannot be read names itself. */
	if (err && strncmp(err->msg, path, strlen(path)) == 0)
		return ret;
	return skep_wrap(err, ret, "%s", path);
}

int skep_btf_open_kernel(struct skep_btf **out, struct skep_err *err)
{
	const char *path = "/sys/kernel/btf/vmlinux";
	int ret = open_whole(out, path, NULL, err);

	if (ret == -ENOENT) {
		skep_err_deinit(err);
		return skep_fail(err, SKEP_E_BTF_MISSING, ENOENT,
				 "%s: this kernel has no BTF (CONFIG_DEBUG_INFO_BTF)", path);
	}
	return ret < 0 ? skep_wrap(err, ret, "%s", path) : 0;
}

int skep_btf_open_module(struct skep_btf **out, const char *path, const struct skep_btf *kernel,
			 struct skep_err *err)
{
	int ret = open_whole(out, path, kernel, err);

	return ret < 0 ? skep_wrap(err, ret, "%s", path) : 0;
}

void skep_btf_destroy(struct skep_btf *btf)
{
	if (!btf)
		return;
	skep_file_close(&btf->file);
	free(btf->owned);
	free(btf->index->off);
	free(btf->index);
	skep_btf_destroy(btf->owned_base);
	free(btf);
}

const struct skep_btf *skep_btf_base(const struct skep_btf *btf)
{
	return btf->base;
}

const void *skep_btf_raw(const struct skep_btf *btf, size_t *len)
{
	*len = btf->raw_len;
	return btf->raw;
}

uint32_t skep_btf_first(const struct skep_btf *btf)
{
	return btf->first_id;
}

uint32_t skep_btf_ptr_size(const struct skep_btf *btf)
{
	return 8;
}

/* Notes that type @ix->next_id stands at @ix->next_off; false: out of memory. */
static bool note(struct index *ix, uint32_t nth)
{
	size_t slot = nth >> ix->shift, cap;
	uint32_t *off;

	if (nth & ((1u << ix->shift) - 1))
		return true;
	if (slot >= ix->cap) {
		cap = ix->cap ? ix->cap * 2 : 64;
		off = realloc(ix->off, cap * sizeof(*off));
		if (!off)
			return false;
		ix->off = off;
		ix->cap = cap;
	}
	ix->off[slot] = ix->next_off;
	return true;
}

/* Walks on until @id is behind or the end is met; false only when out of memory. */
static bool extend(const struct skep_btf *btf, uint32_t id)
{
	struct index *ix = btf->index;
	uint32_t end;

	while (!ix->end && ix->next_id <= id) {
		if (ix->next_id > MAX_ID || !type_at(btf, ix->next_off, &end)) {
			ix->end = true;
			break;
		}
		if (!note(ix, ix->next_id - btf->first_id))
			return false;
		ix->next_off = end;
		ix->next_id++;
	}
	return true;
}

uint32_t skep_btf_nr(const struct skep_btf *btf)
{
	extend(btf, UINT32_MAX);
	return btf->index->next_id;
}

bool skep_btf_whole(const struct skep_btf *btf)
{
	extend(btf, UINT32_MAX);
	return btf->index->next_off == btf->types_len;
}

int skep_btf_index(const struct skep_btf *btf)
{
	struct index *ix = btf->index;

	if (ix->shift) {
		free(ix->off);
		*ix = (struct index){.next_id = btf->first_id};
	}
	if (!extend(btf, UINT32_MAX))
		return -ENOMEM;
	return btf->base ? skep_btf_index(btf->base) : 0;
}

const struct btf_type *skep_btf_type(const struct skep_btf *btf, uint32_t id)
{
	const struct btf_type *t;
	const struct index *ix;
	uint32_t nth, off;

	if (id == 0)
		return &void_type;
	while (id < btf->first_id)
		btf = btf->base;
	ix = btf->index;
	if (id >= ix->next_id && (!extend(btf, id) || id >= ix->next_id))
		return NULL;
	nth = id - btf->first_id;
	off = ix->off[nth >> ix->shift];
	t = type_at(btf, off, &off);
	for (nth &= (1u << ix->shift) - 1; nth; nth--)
		t = type_at(btf, off, &off);
	return t;
}

const char *skep_btf_str(const struct skep_btf *btf, uint32_t off)
{
	while (off < btf->first_str)
		btf = btf->base;
	off -= btf->first_str;
	return off < btf->strs_len ? btf->strs + off : "";
}

bool skep_btf_str_ok(const struct skep_btf *btf, uint32_t off)
{
	while (off < btf->first_str)
		btf = btf->base;
	return off - btf->first_str < btf->strs_len;
}

const char *skep_btf_name(const struct skep_btf *btf, uint32_t id)
{
	const struct btf_type *t = skep_btf_type(btf, id);

	return t ? skep_btf_str(btf, t->name_off) : "";
}

bool skep_btf_next(struct skep_btf_iter *it)
{
	const struct skep_btf *btf = it->btf;
	struct index *ix;
	uint32_t end;

	if (!it->next_id)
		it->next_id = it->own ? btf->first_id : 1;
	/* Which of the chain of bases holds the next id. */
	while (it->next_id < btf->first_id)
		btf = btf->base;
	ix = btf->index;
	if (it->next_id == btf->first_id)
		it->next_off = 0;
	it->t = type_at(btf, it->next_off, &end);
	it->id = it->next_id;
	if (!it->t)
		return false;
	/* Where this walk is ahead of the index, it takes the index along. */
	if (it->id == ix->next_id && it->id <= MAX_ID && note(ix, it->id - btf->first_id)) {
		ix->next_off = end;
		ix->next_id++;
	}
	it->next_off = end;
	it->next_id++;
	return true;
}

/*
 * Where the string section of @btf alone has @name: the number of places, and
 * the offset of the first.  Compilers and pahole write each string once.
 */
static int find_str(const struct skep_btf *btf, const char *name, uint32_t *off)
{
	const char *p = btf->strs, *end = p + btf->strs_len;
	size_t len = strlen(name) + 1;
	int n = 0;

	for (; (p = memmem(p, (size_t)(end - p), name, len)); p += len) {
		if (p > btf->strs && p[-1])
			continue;
		if (n++)
			break;
		*off = (uint32_t)(p - btf->strs) + btf->first_str;
	}
	return n;
}

int skep_btf_find(const struct skep_btf *btf, const char *name, uint32_t kind, uint32_t after)
{
	struct skep_btf_iter it = {.btf = btf};
	const struct skep_btf *b;
	uint32_t off = 0;
	int n = 0;

	if (!*name)
		return -ENOENT;
	for (b = btf; b && n < 2; b = b->base)
		n += find_str(b, name, &off);
	if (!n)
		return -ENOENT;
	while (skep_btf_next(&it)) {
		if (it.t->name_off != off && n == 1)
			continue;
		if (it.id <= after || (kind && skep_btf_kind(it.t) != kind))
			continue;
		if (n == 1 || !strcmp(skep_btf_str(btf, it.t->name_off), name))
			return (int)it.id;
	}
	return -ENOENT;
}
