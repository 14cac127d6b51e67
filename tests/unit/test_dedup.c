/* SPDX-License-Identifier: BSD-2-Clause */
/* Deduplication: shapes made by hand, random graphs against the definition, and .BTF.ext. */
#include <errno.h>

#include "base/file.h"
#include "btf/btf.h"
#include "btf/dedup.h"
#include "btf/dump.h"
#include "btf/write.h"

#include "btf_build.h"
#include "tap.h"

static uint32_t map[4096];

/* Deduplicates @b: the result, checked; NULL if that fails.  `map` is filled. */
static struct skep_btf *dedup(struct build *b)
{
	struct skep_btf_writer w = {0};
	struct skep_err err = SKEP_ERR_INIT;
	struct skep_btf *in = NULL, *out = NULL;
	const void *image;
	void *data = NULL;
	size_t len;
	int ret;

	image = b_image(b, &len);
	ret = skep_btf_open_raw(&in, image, len, SKEP_BTF_COPY, NULL, &err);
	if (!ret)
		ret = skep_btf_check(in, &err);
	if (!ret)
		ret = skep_btf_dedup(in, &w, map, &err);
	if (!ret)
		ret = skep_btf_writer_finish(&w, &data, &len, &err);
	if (!ret)
		ret = skep_btf_open_raw(&out, data, len, SKEP_BTF_TAKE, NULL, &err);
	if (!ret)
		ret = skep_btf_check(out, &err);
	if (ret)
		printf("# %s\n", err.msg);
	skep_btf_writer_deinit(&w);
	skep_btf_destroy(in);
	skep_err_deinit(&err);
	return out;
}

static uint32_t nr(struct skep_btf *btf)
{
	uint32_t n = btf ? skep_btf_nr(btf) - 1 : 0;

	skep_btf_destroy(btf);
	return n;
}

static uint32_t b_ref(struct build *b, uint32_t kind, const char *name, uint32_t type)
{
	return b_type(b, name, INFO(kind, 0, 0), type);
}

/* struct @name { int v; struct @name *next; }: the ids of int, struct, pointer. */
static uint32_t b_list(struct build *b, const char *name)
{
	uint32_t i = b_int(b, "int", 4, BTF_INT_SIGNED), s = i + 1;

	b_type(b, name, INFO(BTF_KIND_STRUCT, 0, 2), 16);
	b_member(b, "v", i, 0);
	b_member(b, "next", s + 1, 64);
	b_ref(b, BTF_KIND_PTR, "", s);
	return s;
}

static void test_cycles(void)
{
	static struct build b, c;
	uint32_t s, i;

	b = c = (struct build)BUILD_INIT;
	s = b_list(&b, "node");
	i = b_list(&b, "node");
	is_int(nr(dedup(&b)), 3, "a list twice is one list");
	ok(map[s] == map[i] && map[s + 1] == map[i + 1] && map[1] == 1, "its ids are the first's");
	b_list(&b, "other");
	is_int(nr(dedup(&b)), 5, "one of another name stays");

	/* A cycle of three and the same cycle unrolled once. */
	for (i = 0; i < 9; i++) {
		b_type(&c, "ring", INFO(BTF_KIND_STRUCT, 0, 1), 8);
		b_member(&c, "to", 2 * i + 2, 0);
		b_ref(&c, BTF_KIND_PTR, "", i == 2 ? 1 : i == 8 ? 7 : 2 * i + 3);
	}
	is_int(nr(dedup(&c)), 2, "cycles of one, three and six of the same struct are one");
}

static void test_deep_difference(void)
{
	static struct build b;
	uint32_t i, k, from[2];

	b = (struct build)BUILD_INIT;
	b_int(&b, "int", 4, BTF_INT_SIGNED);
	b_int(&b, "long", 8, BTF_INT_SIGNED);
	for (k = 0; k < 2; k++) {
		from[k] = b.id + 1;
		for (i = 0; i < 50; i++) {
			b_type(&b, "chain", INFO(BTF_KIND_STRUCT, 0, 1), 8);
			b_member(&b, "p", b.id + 1, 0);
			b_ref(&b, BTF_KIND_PTR, "", i < 49 ? b.id + 2 : 1 + k);
		}
	}
	is_int(nr(dedup(&b)), 202, "chains that differ at their far end are two");
	ok(map[from[0]] != map[from[1]], "from their beginning on");
}

static uint32_t b_def(struct build *b, const char *name, uint32_t member)
{
	uint32_t id = b_type(b, name, INFO(BTF_KIND_STRUCT, 0, 1), 8);

	b_member(b, "x", member, 0);
	return id;
}

static void test_forwards(void)
{
	static struct build b;
	uint32_t fwd, def, ptr, holder;

	b = (struct build)BUILD_INIT;
	b_int(&b, "long", 8, BTF_INT_SIGNED);
	fwd = b_type(&b, "foo", INFO(BTF_KIND_FWD, 0, 0), 0);
	ptr = b_ref(&b, BTF_KIND_PTR, "", fwd);
	holder = b_def(&b, "holder", ptr);
	def = b_def(&b, "foo", 1);
	b_ref(&b, BTF_KIND_PTR, "", def);
	b_def(&b, "holder", b.id);
	nr(dedup(&b));
	ok(map[fwd] == map[def] && map[ptr] == map[def + 1] && map[holder] == map[def + 2],
	   "a forward declaration is its definition, and so is who refers to it");
	b_type(&b, "foo", INFO(BTF_KIND_FWD, 1, 0), 0);
	nr(dedup(&b));
	ok(map[b.id] != map[def], "a declared union is no struct");
	b_int(&b, "double long", 8, 0);
	b_def(&b, "foo", b.id);
	nr(dedup(&b));
	ok(map[fwd] != map[def] && map[fwd] != map[b.id] && map[holder] != map[def + 2],
	   "where there are two definitions, it is neither");
}

/* Two definitions that look alike and differ in what they lead to, which is declared, too. */
static void test_wrong_guess(void)
{
	static struct build b;
	uint32_t fwd[2], p, q;

	b = (struct build)BUILD_INIT;
	b_int(&b, "long", 8, BTF_INT_SIGNED);
	b_int(&b, "ulong", 8, 0);
	fwd[0] = b_type(&b, "a", INFO(BTF_KIND_FWD, 0, 0), 0);
	p = b_ref(&b, BTF_KIND_PTR, "", fwd[0]);
	fwd[1] = b_type(&b, "b", INFO(BTF_KIND_FWD, 0, 0), 0);
	q = b_ref(&b, BTF_KIND_PTR, "", fwd[1]);
	/* a { b * }, a { long * } */
	b_def(&b, "a", q);
	b_ref(&b, BTF_KIND_PTR, "", 1);
	b_def(&b, "a", b.id);
	/* b { a * }: once */
	b_def(&b, "b", p);
	b_type(&b, "e", INFO(BTF_KIND_ENUM, 0, 0), 4);
	b_type(&b, "e", INFO(BTF_KIND_ENUM, 0, 1), 4);
	b_word(&b, b_str(&b, "E1"));
	b_word(&b, 1);
	nr(dedup(&b));
	ok(map[fwd[0]] != map[7] && map[fwd[0]] != map[9], "a declaration of two is cut loose");
	ok(map[fwd[1]] == map[10], "that of one is not");
	ok(map[11] == map[12], "an enum without values is the one with");
}

static void test_kinds(void)
{
	static struct build b;
	uint32_t i, f[2], v[2], s[2], sec[2], t[2];

	b = (struct build)BUILD_INIT;
	for (i = 0; i < 2; i++) {
		uint32_t n = b_int(&b, "int", 4, BTF_INT_SIGNED), proto;

		proto = b_type(&b, "", INFO(BTF_KIND_FUNC_PROTO, 0, 1), n);
		b_word(&b, b_str(&b, "arg"));
		b_word(&b, n);
		f[i] = b_type(&b, "func", INFO(BTF_KIND_FUNC, 0, BTF_FUNC_GLOBAL), proto);
		v[i] = b_ref(&b, BTF_KIND_VAR, "var", n);
		b_word(&b, BTF_VAR_GLOBAL_ALLOCATED);
		s[i] = b_ref(&b, BTF_KIND_VAR, "own", n);
		b_word(&b, BTF_VAR_STATIC);
		sec[i] = b_type(&b, ".data", INFO(BTF_KIND_DATASEC, 0, 1), 4);
		b_word(&b, v[i]);
		b_word(&b, 0);
		b_word(&b, 4);
		t[i] = b_ref(&b, BTF_KIND_TYPEDEF, "tagged", n);
		if (!i)
			b_ref(&b, BTF_KIND_DECL_TAG, "tag", t[i]);
		if (!i)
			b_word(&b, (uint32_t)-1);
	}
	nr(dedup(&b));
	ok(map[f[0]] == map[f[1]], "functions of one name and prototype are one");
	ok(map[v[0]] == map[v[1]], "global variables are");
	ok(map[s[0]] != map[s[1]], "static variables are not");
	ok(map[sec[0]] == map[sec[1]], "sections of the same variables are");
	ok(map[t[0]] != map[t[1]], "a type with a declaration tag is not the one without");
}

/* The definition, the slow way: classes by label, split until nothing changes. */
static uint32_t slow_classes(const uint32_t (*to)[2], const uint32_t *label, uint32_t n,
			     uint32_t *cls)
{
	uint32_t i, k, nr = 0, before;
	uint32_t next[512];

	memcpy(cls, label, n * sizeof(*cls));
	do {
		before = nr;
		nr = 0;
		for (i = 1; i < n; i++) {
			for (k = 1; k < i; k++)
				if (cls[k] == cls[i] && cls[to[k][0]] == cls[to[i][0]] &&
				    cls[to[k][1]] == cls[to[i][1]])
					break;
			next[i] = k < i ? next[k] : ++nr;
		}
		memcpy(cls + 1, next + 1, (n - 1) * sizeof(*cls));
	} while (nr != before);
	return nr;
}

static void test_random(void)
{
	static struct build b;
	uint32_t to[512][2], label[512], cls[512], seed = 7, i, k, n, round, bad = 0, merged = 0;

	for (round = 0; round < 300; round++) {
		b = (struct build)BUILD_INIT;
		n = 3 + round;
		to[0][0] = to[0][1] = label[0] = 0;
		for (i = 1; i < n; i++) {
			char name[8];

			/* Seldom a difference, so that classes are large and split late. */
			seed = seed * 1103515245 + 12345;
			label[i] = 1 + (seed >> 16) % 16 / 15;
			for (k = 0; k < 2; k++) {
				seed = seed * 1103515245 + 12345;
				to[i][k] = 1 + (seed >> 16) % (n - 1);
			}
			snprintf(name, sizeof(name), "p%u", label[i]);
			b.nstrs = 64 * label[i];
			b_type(&b, "", INFO(BTF_KIND_FUNC_PROTO, 0, 2), 0);
			b_word(&b, b_str(&b, name));
			b_word(&b, to[i][0]);
			b_word(&b, b_str(&b, "q"));
			b_word(&b, to[i][1]);
		}
		b.nstrs = 256;
		k = slow_classes((const uint32_t(*)[2])to, label, n, cls);
		bad += nr(dedup(&b)) != k;
		merged += k < n - 1;
		for (i = 1; i < n; i++)
			bad += map[i] != cls[i];
	}
	ok(!bad, "300 random graphs: the classes are those of the definition");
	ok(merged > 100, "and %u of them have types to merge", merged);
}

static void test_ext(void)
{
	struct skep_btf_ext_writer e = {0};
	struct skep_btf_writer w = {0};
	struct skep_err err = SKEP_ERR_INIT;
	struct bpf_line_info line = {.insn_off = 16, .line_off = 5};
	struct bpf_func_info func = {.type_id = 3};
	uint32_t text = skep_btf_writer_str(&w, ".text"), xdp = skep_btf_writer_str(&w, "xdp");
	struct skep_btf_ext_iter it = {.kind = SKEP_EXT_LINE, .sec = ".text"};
	struct skep_btf_ext ext;
	struct skep_btf *btf = NULL;
	void *raw, *data;
	size_t raw_len, len;

	is_int(skep_btf_ext_writer_finish(&e, &data, &len, &err), 0, "no records:");
	ok(!data && !len, "no section");
	skep_btf_ext_writer_add(&e, SKEP_EXT_LINE, xdp, &line);
	skep_btf_ext_writer_add(&e, SKEP_EXT_LINE, text, &line);
	line.insn_off = 8;
	skep_btf_ext_writer_add(&e, SKEP_EXT_LINE, text, &line);
	skep_btf_ext_writer_add(&e, SKEP_EXT_FUNC, text, &func);
	skep_btf_writer_finish(&w, &raw, &raw_len, &err);
	skep_btf_open_raw(&btf, raw, raw_len, SKEP_BTF_TAKE, NULL, &err);
	skep_btf_ext_writer_finish(&e, &data, &len, &err);
	ok(btf && data && skep_btf_ext_open(&ext, data, len, btf, &err) == 0, "records: a section");
	it.ext = &ext;
	ok(skep_btf_ext_next(&it) && it.line.insn_off == 8 && it.line.line_off == 5,
	   "lines by section and offset");
	ok(skep_btf_ext_next(&it) && it.line.insn_off == 16 && !skep_btf_ext_next(&it), "and all");
	it = (struct skep_btf_ext_iter){.ext = &ext, .kind = SKEP_EXT_FUNC};
	ok(skep_btf_ext_next(&it) && it.func.type_id == 3 && !strcmp(it.sec_name, ".text"),
	   "functions");
	free(data);
	skep_btf_destroy(btf);
	skep_btf_writer_deinit(&w);
	skep_btf_ext_writer_deinit(&e);
	skep_err_deinit(&err);
}

/* What is there already cannot get smaller, and what is there twice becomes what it was. */
static void test_kernel(void)
{
	struct skep_btf_writer twice = {0}, once = {0};
	struct skep_err err = SKEP_ERR_INIT;
	struct skep_btf *kernel = NULL, *btf = NULL;
	uint32_t n, k, i, *ids, bad = 0, statics = 0;
	struct skep_btf_iter it;
	void *data = NULL;
	size_t len;

	if (skep_btf_open_kernel(&kernel, &err)) {
		ok(true, "the kernel's types # SKIP %s", err.msg);
		skep_err_deinit(&err);
		return;
	}
	n = skep_btf_nr(kernel);
	ids = calloc(2 * n, sizeof(*ids));
	for (k = 0; k < 2; k++) {
		for (i = 1; i < n; i++)
			ids[i] = i + k * (n - 1);
		it = (struct skep_btf_iter){.btf = kernel};
		while (skep_btf_next(&it)) {
			statics += skep_btf_kind(it.t) == BTF_KIND_VAR &&
				   skep_btf_var(it.t)->linkage == BTF_VAR_STATIC;
			skep_btf_writer_copy(&twice, kernel, it.t, ids);
		}
	}
	ok(skep_btf_writer_finish(&twice, &data, &len, &err) == 0 &&
		   skep_btf_open_raw(&btf, data, len, SKEP_BTF_TAKE, NULL, &err) == 0,
	   "the kernel's types twice");
	ok(btf && skep_btf_dedup(btf, &once, ids, &err) == 0, "deduplicated");
	for (i = 1; i < n && !statics; i++)
		bad += ids[i] != ids[i + n - 1];
	printf("# %u types twice, %u static variables: %u remain\n", n - 1, statics / 2,
	       skep_btf_writer_nr(&once) - 1);
	ok(!bad && skep_btf_writer_nr(&once) <= n + statics + 16, "are there once");
	free(ids);
	skep_btf_destroy(btf);
	skep_btf_destroy(kernel);
	skep_btf_writer_deinit(&twice);
	skep_btf_writer_deinit(&once);
	skep_err_deinit(&err);
}

static void test_refused(void)
{
	static struct build b;
	struct skep_btf_writer w = {0};
	struct skep_err err = SKEP_ERR_INIT;
	struct skep_btf *btf = NULL;
	const void *image;
	size_t len;

	b = (struct build)BUILD_INIT;
	b_ref(&b, BTF_KIND_PTR, "", 77);
	image = b_image(&b, &len);
	skep_btf_open_raw(&btf, image, len, SKEP_BTF_COPY, NULL, &err);
	is_int(skep_btf_dedup(btf, &w, map, &err), -EINVAL, "a type id outside is refused");
	is_str(err.msg, "BTF: type [1] refers to a type that is not there", "in words");
	skep_btf_writer_deinit(&w);
	skep_btf_destroy(btf);
	skep_err_deinit(&err);
}

/* What does not go, and what does not fit. */
static void test_limits(void)
{
	const uint32_t fwd[3] = {0, (uint32_t)BTF_KIND_FWD << 24, 0};
	struct skep_btf *base = NULL, *split = NULL;
	struct build b = BUILD_INIT, c = BUILD_INIT;
	struct skep_btf_writer w = {0};
	struct skep_err err = SKEP_ERR_INIT;
	const void *image;
	void *data = NULL;
	size_t len, i;

	b_int(&b, "int", 4, 0);
	b_int(&c, "long", 8, 0);
	image = b_image(&b, &len);
	skep_btf_open_raw(&base, image, len, SKEP_BTF_COPY, NULL, &err);
	image = b_image(&c, &len);
	skep_btf_open_raw(&split, image, len, SKEP_BTF_COPY, base, &err);
	is_int(split ? skep_btf_dedup(split, &w, map, &err) : 0, -EINVAL, "types with a base");
	ok(strstr(err.msg, "only whole BTF without a base"), "says so: %s", err.msg);
	skep_btf_destroy(split);
	skep_btf_destroy(base);
	skep_err_deinit(&err);
	err = (struct skep_err)SKEP_ERR_INIT;
	for (i = 0; i <= BTF_MAX_TYPE; i++)
		skep_btf_writer_add(&w, fwd, 3);
	is_int(skep_btf_writer_finish(&w, &data, &len, &err), -EFBIG, "a million types and more");
	ok(strstr(err.msg, "BTF: 1048576 types in "), "says so: %s", err.msg);
	skep_err_deinit(&err);
	skep_btf_writer_deinit(&w);
}

int main(void)
{
	test_limits();
	test_cycles();
	test_deep_difference();
	test_forwards();
	test_wrong_guess();
	test_kinds();
	test_random();
	test_ext();
	test_kernel();
	test_refused();
	return done();
}
