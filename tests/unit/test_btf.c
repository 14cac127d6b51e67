/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <json-c/json.h>

#include "base/arena.h"
#include "btf/btf.h"
#include "btf/core.h"
#include "btf/dump.h"
#include "btf/ext.h"
#include "btf/value.h"

#include "btf_build.h"
#include "tap.h"

static struct skep_btf *open_built(struct build *b, const struct skep_btf *base)
{
	struct skep_err err = SKEP_ERR_INIT;
	struct skep_btf *btf = NULL;
	const void *image;
	size_t len;

	image = b_image(b, &len);
	if (skep_btf_open_raw(&btf, image, len, SKEP_BTF_COPY, base, &err) < 0)
		printf("# %s\n", err.msg);
	return btf;
}

enum {
	INT = 1,
	CHAR,
	U64,
	BOOL,
	COMM,
	COLOR,
	PTR,
	INNER,
	EVENT,
	EVENT_T,
	ANON,
	TAIL,
	U128,
	FLOAT_,
	U8,
	BYTES,
	BIG,
};

/*
 * struct inner { int x; u64 y:3, z:40; };
 * struct event { int pid; char comm[8]; enum color c; struct inner *p;
 *		  struct inner in; union { int u; _Bool b; }; char tail[]; };
 */
static void build_event(struct build *b)
{
	b_int(b, "int", 4, BTF_INT_SIGNED);
	b_int(b, "char", 1, BTF_INT_SIGNED);
	b_int(b, "unsigned long long", 8, 0);
	b_int(b, "_Bool", 1, BTF_INT_BOOL);
	b_array(b, CHAR, 8);
	b_type(b, "color", INFO(BTF_KIND_ENUM, 1, 2), 4);
	b_word(b, b_str(b, "RED"));
	b_word(b, (uint32_t)-1);
	b_word(b, b_str(b, "BLUE"));
	b_word(b, 7);
	b_type(b, "", INFO(BTF_KIND_PTR, 0, 0), INNER);
	b_type(b, "inner", INFO(BTF_KIND_STRUCT, 1, 3), 16);
	b_member(b, "x", INT, 0);
	b_member(b, "y", U64, 3u << 24 | 64);
	b_member(b, "z", U64, 40u << 24 | 67);
	b_type(b, "event", INFO(BTF_KIND_STRUCT, 0, 7), 48);
	b_member(b, "pid", INT, 0);
	b_member(b, "comm", COMM, 32);
	b_member(b, "c", COLOR, 96);
	b_member(b, "p", PTR, 128);
	b_member(b, "in", INNER, 192);
	b_member(b, "", ANON, 320);
	b_member(b, "tail", TAIL, 352);
	b_type(b, "event_t", INFO(BTF_KIND_TYPEDEF, 0, 0), EVENT);
	b_type(b, "", INFO(BTF_KIND_UNION, 0, 2), 4);
	b_member(b, "u", INT, 0);
	b_member(b, "b", BOOL, 0);
	b_array(b, CHAR, 0);
	b_int(b, "__int128", 16, 0);
	b_type(b, "double", INFO(BTF_KIND_FLOAT, 0, 0), 8);
	b_int(b, "unsigned char", 1, 0);
	b_array(b, U8, 3);
	b_type(b, "big", INFO(BTF_KIND_ENUM64, 0, 1), 8);
	b_word(b, b_str(b, "HUGE"));
	b_word(b, 0xfffffffe);
	b_word(b, 0xffffffff);
}

static void test_look_up(void)
{
	struct build b = BUILD_INIT, more = BUILD_INIT;
	struct skep_btf *btf, *split;
	struct skep_err err = SKEP_ERR_INIT;
	uint32_t off, bits;

	build_event(&b);
	btf = open_built(&b, NULL);
	is_int(skep_btf_find(btf, "event", BTF_KIND_STRUCT, 0), EVENT, "find a struct");
	is_int(skep_btf_find(btf, "event", BTF_KIND_UNION, 0), -ENOENT,
	       "but no union of that name");
	is_int(skep_btf_find(btf, "vent", 0, 0), -ENOENT, "the end of a name is no name");
	is_int(skep_btf_find(btf, "event", 0, EVENT), -ENOENT, "no second one");
	is_int(skep_btf_nr(btf), BIG + 1, "number of types");
	is_int(skep_btf_check(btf, &err), 0, "valid");
	is_int(skep_btf_sizeof(btf, EVENT_T), 48, "sizeof a typedef");
	is_int(skep_btf_sizeof(btf, COMM), 8, "sizeof an array");
	is_int(skep_btf_sizeof(btf, 0), -EINVAL, "sizeof void");
	is_int(skep_btf_alignof(btf, EVENT), 8, "alignof");
	is_int(skep_btf_field(btf, EVENT_T, "b", &off, &bits), BOOL, "a field of a nameless union");
	is_int(off, 320, "and its place");
	is_int(skep_btf_field(btf, INNER, "z", &off, &bits), U64, "a bit field");
	is_int(off * 100 + bits, 6740, "and its place");
	is_int(skep_btf_is_signed(btf, COLOR), 1, "signed enum");
	b_type(&more, "more", INFO(BTF_KIND_STRUCT, 0, 1), 48);
	b_member(&more, "e", EVENT, 0);
	/* Strings of a split BTF go on where the base's end; so do ids. */
	more.types[0] += b.nstrs;
	more.types[3] += b.nstrs;
	split = open_built(&more, btf);
	is_int(skep_btf_find(split, "more", 0, 0), BIG + 1, "find in a split BTF");
	is_int(skep_btf_find(split, "event", 0, 0), EVENT, "find in its base");
	is_int(skep_btf_check(split, &err), 0, "split is valid");
	is_str(skep_btf_name(split, BIG + 1), "more", "a split name");
	skep_btf_destroy(split);
	skep_btf_destroy(btf);
	is_int((int)skep_btf_essential_len("task_struct___old"), 11, "flavour");
	is_int((int)skep_btf_essential_len("a____b"), 6, "four underscores are no flavour");
	is_int((int)skep_btf_essential_len("___x"), 4, "nothing but a flavour is none");
}

static const struct {
	int pid;
	char comm[8];
	int c;
	uint64_t p;
	int x, pad;
	uint64_t yz;
	int u;
	char tail[4];
} record = {-5, "a\"b\n", -1, 0xffff888000001000, 3, 0, 5 | 0x123456789aull << 3, 1, "tail"};

static void is_text(struct skep_btf *btf, uint32_t id, const void *data, size_t len,
		    const char *want, const char *what)
{
	struct skep_buf buf = SKEP_BUF_INIT;

	skep_btf_value_text(&buf, btf, id, data, len);
	is_str(skep_buf_str(&buf), want, what);
	skep_buf_deinit(&buf);
}

static void is_json(struct skep_btf *btf, uint32_t id, const void *data, size_t len,
		    const char *want, const char *what)
{
	struct json_object *o = skep_btf_value_json(btf, id, data, len, NULL);

	is_str(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN), want, what);
	json_object_put(o);
}

static void test_values(void)
{
	static const uint8_t bytes[16] = {1, 2, 255, 0, 0, 0, 0, 0, 9};
	static const uint64_t big = 0xfffffffffffffffeull, odd = 12;
	static const double third = 1.0 / 3;
	struct build b = BUILD_INIT;
	struct skep_btf *btf;

	build_event(&b);
	btf = open_built(&b, NULL);
	is_text(btf, EVENT_T, &record, sizeof(record),
		"{ .pid = -5, .comm = \"a\\\"b\\n\", .c = RED, .p = 0xffff888000001000, "
		".in = { .x = 3, .y = 5, .z = 78187493530 }, .u = 1, .b = true, .tail = \"tail\" }",
		"a record as text");
	is_text(btf, EVENT, &record, 14, "{ .pid = -5, .comm = \"a\\\"b\\n\", (truncated) }",
		"a record cut short");
	is_text(btf, EVENT, &record, 0, "{ (truncated) }", "no bytes at all");
	is_text(btf, BYTES, bytes, 3, "[1, 2, 255]", "an array");
	is_text(btf, BYTES, bytes, 2, "[1, 2, (truncated)]", "an array cut short");
	is_text(btf, U128, bytes, 16, "0x90000000000ff0201", "128 bits");
	is_text(btf, BIG, &big, 8, "HUGE", "enum64");
	is_text(btf, BIG, &odd, 8, "12", "an enum's unknown value");
	is_text(btf, CHAR, "x", 1, "'x'", "a character");
	is_text(btf, FLOAT_, &third, 8, "0.33333333333333331", "a double");
	is_json(btf, EVENT, &record, sizeof(record),
		"{\"pid\":-5,\"comm\":\"a\\\"b\\n\",\"c\":\"RED\",\"p\":\"0xffff888000001000\","
		"\"in\":{\"x\":3,\"y\":5,\"z\":78187493530},\"u\":1,\"b\":true,\"tail\":\"tail\"}",
		"a record as JSON");
	is_json(btf, EVENT, &record, 5, "{\"pid\":-5,\"comm\":\"a\",\"truncated\":true}",
		"JSON cut short");
	is_json(btf, U64, &big, 8, "18446744073709551614", "JSON has all 64 bits");
	is_json(btf, COMM, "\xffok\xc3\xa4\xc3", 7, "\"\xef\xbf\xbdok\xc3\xa4\xef\xbf\xbd\"",
		"JSON strings are UTF-8");
	skep_btf_destroy(btf);
}

static void test_columns(void)
{
	struct skep_arena arena = SKEP_ARENA_INIT;
	const struct skep_btf_column *c = NULL;
	struct skep_buf buf = SKEP_BUF_INIT;
	struct build b = BUILD_INIT;
	struct skep_err err = SKEP_ERR_INIT;
	struct skep_btf *btf;
	int64_t v = 0;
	size_t n = 0, i;

	build_event(&b);
	btf = open_built(&b, NULL);
	is_int(skep_btf_columns(&arena, btf, EVENT_T, &c, &n, NULL), 0, "columns");
	for (i = 0; i < n; i++) {
		skep_buf_printf(&buf, "%s%s=", i ? "|" : "", c[i].name);
		skep_btf_column_text(&buf, btf, &c[i], &record, sizeof(record));
	}
	is_str(skep_buf_str(&buf),
	       "pid=-5|comm=a\"b\\n|c=RED|p=0xffff888000001000|in.x=3|in.y=5|in.z=78187493530"
	       "|u=1|b=true|tail=tail",
	       "and their texts");
	is_int(n > 7 && skep_btf_number(btf, c[6].type, c[6].bit_off, c[6].bit_size, &record,
					sizeof(record), &v),
	       0, "a column's number");
	is_int(v, 78187493530, "is exact");
	is_int(skep_btf_columns(&arena, btf, 9999, &c, &n, &err), -EINVAL, "of no type");
	is_str(err.msg, "BTF: no type [9999]", "are refused");
	skep_err_deinit(&err);
	err = (struct skep_err)SKEP_ERR_INIT;
	ok(!skep_btf_value_json(btf, 9999, &record, sizeof(record), &err) &&
		   strstr(err.msg, "BTF: type [9999] is malformed"),
	   "nor has it a value: %s", err.msg);
	skep_err_deinit(&err);
	is_int(skep_btf_number(btf, INT, 0, 0, &record, 3, &v), -EINVAL,
	       "no number out of 3 bytes");
	skep_buf_deinit(&buf);
	skep_arena_deinit(&arena);
	skep_btf_destroy(btf);
}

/* -- what no compiler makes -- */

static void refused(struct build *b, const char *what)
{
	struct skep_err err = SKEP_ERR_INIT;
	struct skep_btf *btf = NULL;
	struct skep_buf buf = SKEP_BUF_INIT;
	char zeroes[64] = {0};
	const void *image;
	size_t len;
	uint32_t id;
	int ret;

	image = b_image(b, &len);
	ret = skep_btf_open_raw(&btf, image, len, SKEP_BTF_COPY, NULL, &err);
	if (ret == 0)
		ret = skep_btf_check(btf, &err);
	ok(ret == -EINVAL && err.tag == SKEP_E_BTF_INVALID, "refused: %s: %s", what, err.msg);
	/* And whoever does not ask gets through all the same. */
	for (id = 0; btf && id < skep_btf_nr(btf) + 2; id++) {
		skep_btf_sizeof(btf, id);
		skep_btf_alignof(btf, id);
		skep_btf_value_text(&buf, btf, id, zeroes, sizeof(zeroes));
		skep_btf_dump_raw(&buf, btf, id);
	}
	if (btf)
		skep_btf_dump_c(&buf, btf, NULL, NULL);
	skep_buf_deinit(&buf);
	skep_btf_destroy(btf);
}

static void test_hostile(void)
{
	struct build b;
	int i;

#define FRESH() (b = (struct build)BUILD_INIT, b_int(&b, "int", 4, BTF_INT_SIGNED))
	FRESH();
	b_type(&b, "loop", INFO(BTF_KIND_TYPEDEF, 0, 0), 3);
	b_type(&b, "", INFO(BTF_KIND_CONST, 0, 0), 2);
	refused(&b, "typedef and const in a ring");
	FRESH();
	b_array(&b, 2, 4);
	refused(&b, "an array of itself");
	FRESH();
	b_type(&b, "s", INFO(BTF_KIND_STRUCT, 0, 1), 4);
	b_member(&b, "m", 77, 0);
	refused(&b, "a member of a type that is not there");
	FRESH();
	b_type(&b, "s", INFO(BTF_KIND_STRUCT, 0, 1), 4);
	b_member(&b, "m", 1, 8);
	refused(&b, "a member that ends outside");
	FRESH();
	b_type(&b, "s", INFO(BTF_KIND_STRUCT, 0, 60000), 4);
	refused(&b, "members outside of the section");
	FRESH();
	b_type(&b, "x", INFO(31, 0, 0), 4);
	refused(&b, "an unknown kind");
	FRESH();
	b_array(&b, 1, 0xffffffff);
	b_array(&b, 2, 0xffffffff);
	b_array(&b, 3, 0xffffffff);
	refused(&b, "an array larger than the world");
	FRESH();
	b.types[0] = 0x123456;
	refused(&b, "a name outside of the strings");
	FRESH();
	b.types[3] = 200;
	refused(&b, "an integer of 200 bits");
	FRESH();
	b_type(&b, "f", INFO(BTF_KIND_FUNC, 0, 1), 1);
	refused(&b, "a function that is an int");
	FRESH();
	b.strs[b.nstrs - 1] = 'x';
	refused(&b, "strings without an end");
	/* Nameless structs, each twice within the next: a doubling that must not be printed. */
	FRESH();
	b_type(&b, "", INFO(BTF_KIND_STRUCT, 0, 2), 0);
	b_member(&b, "", 3, 0);
	b_member(&b, "", 3, 0);
	for (i = 3; i < 40; i++) {
		b_type(&b, i == 39 ? "top" : "", INFO(BTF_KIND_STRUCT, 0, 2), 0);
		b_member(&b, "", (uint32_t)(i < 39 ? i + 1 : 77), 0);
		b_member(&b, "", (uint32_t)(i < 39 ? i + 1 : 77), 0);
	}
	refused(&b, "structs that double at every level");
}

static void test_ext(void)
{
	static const struct {
		uint16_t magic;
		uint8_t version, flags;
		uint32_t hdr_len, func_off, func_len, line_off, line_len, core_off, core_len;
		uint32_t line_size, sec, n;
		uint32_t rec[2][5];
		uint32_t sec2, n2, rec2[5];
	} good = {BTF_MAGIC,
		  1,
		  0,
		  32,
		  0,
		  0,
		  0,
		  80,
		  80,
		  0,
		  20,
		  1,
		  2,
		  {{8, 1, 1, 7 << 10 | 3, 99}, {16, 1, 1, 8 << 10, 99}},
		  2,
		  1,
		  {24, 1, 1, 9 << 10}};
	struct build b = BUILD_INIT;
	struct skep_btf_ext ext;
	struct skep_btf *btf;
	char copy[sizeof(good)];
	uint32_t n = 0, sum = 0;
	struct skep_err err = SKEP_ERR_INIT;

	b_int(&b, "int", 4, BTF_INT_SIGNED);
	btf = open_built(&b, NULL);
	is_int(skep_btf_ext_open(&ext, &good, sizeof(good), btf, &err), 0, "ext with long records");
	for (struct skep_btf_ext_iter it = {.ext = &ext, .kind = SKEP_EXT_LINE};
	     skep_btf_ext_next(&it); n++)
		sum = sum * 100 + it.line.insn_off * 10 + it.index;
	is_int(n * 10000000ll + sum, 3 * 10000000ll + 80 * 10000 + 161 * 100 + 240, "all records");
	n = 0;
	for (struct skep_btf_ext_iter it = {.ext = &ext, .kind = SKEP_EXT_LINE, .sec = "nt"};
	     skep_btf_ext_next(&it); n++)
		sum = it.line.insn_off;
	is_int(n * 100 + sum, 124, "those of one section");
	memcpy(copy, &good, sizeof(good));
	copy[32] = 12;
	is_int(skep_btf_ext_open(&ext, copy, sizeof(good), btf, NULL), -EINVAL, "short records");
	for (n = 0, sum = 0; n < sizeof(good); n++)
		sum += skep_btf_ext_open(&ext, &good, n, btf, NULL) == -EINVAL;
	is_int(sum, sizeof(good), "cut off anywhere");
	skep_btf_destroy(btf);
}

static void test_core(void)
{
	struct build l = BUILD_INIT, k = BUILD_INIT;
	struct skep_core_result res;
	struct skep_err err = SKEP_ERR_INIT;
	struct bpf_core_relo relo = {.type_id = 2, .kind = BPF_CORE_FIELD_BYTE_OFFSET};
	struct bpf_insn insn = {.code = BPF_LDX | BPF_MEM | BPF_W, .off = 4}, old = insn;
	struct skep_btf *local, *kernel;
	struct skep_core *core;

	b_int(&l, "unsigned int", 4, 0);
	b_type(&l, "s___mine", INFO(BTF_KIND_STRUCT, 0, 2), 8);
	b_member(&l, "other", 1, 0);
	b_member(&l, "field", 1, 32);
	relo.access_str_off = b_str(&l, "0:1");
	b_int(&k, "unsigned long", 8, 0);
	b_type(&k, "s", INFO(BTF_KIND_STRUCT, 0, 1), 24);
	b_member(&k, "field", 1, 128);
	local = open_built(&l, NULL);
	kernel = open_built(&k, NULL);
	core = skep_core_create(local, kernel, &err);
	is_int(skep_core_resolve(core, &relo, &res, &err), 0, "resolve");
	is_int(res.new_val, 16, "the offset in the target");
	is_int(skep_core_patch(&insn, 1, 0, 0, &res, &err), 0, "patch");
	ok(insn.off == 16 && insn.code == (BPF_LDX | BPF_MEM | BPF_DW), "with a wider load");
	insn = old;
	insn.off = 5;
	is_int(skep_core_patch(&insn, 1, 0, 0, &res, &err), -EINVAL, "not the instruction it says");
	skep_err_deinit(&err);
	skep_core_destroy(core);
	skep_btf_destroy(kernel);

	/* A second s, where the field lies elsewhere: nobody can tell which is meant. */
	b_type(&k, "s___other", INFO(BTF_KIND_STRUCT, 0, 1), 24);
	b_member(&k, "field", 1, 64);
	kernel = open_built(&k, NULL);
	core = skep_core_create(local, kernel, &err);
	is_int(skep_core_resolve(core, &relo, &res, &err), -EINVAL, "ambiguous");
	is_int(err.tag, SKEP_E_CORE_UNRESOLVED, "with its tag");
	skep_err_deinit(&err);
	relo.kind = BPF_CORE_FIELD_EXISTS;
	relo.access_str_off++; /* "0:1" -> ":1" */
	is_int(skep_core_resolve(core, &relo, &res, &err), -EINVAL, "malformed access");
	skep_err_deinit(&err);
	skep_core_destroy(core);
	skep_btf_destroy(kernel);
	skep_btf_destroy(local);
}

static const struct skep_btf *nth(void *ctx, size_t i)
{
	const struct skep_btf **all = ctx;

	return i < 2 ? all[i] : NULL;
}

/* Types of a program, of a kernel, and of two modules on top of it. */
static void test_core_modules(void)
{
	struct build l = BUILD_INIT, k = BUILD_INIT, m[2] = {BUILD_INIT, BUILD_INIT};
	struct bpf_core_relo relo = {.kind = BPF_CORE_FIELD_BYTE_OFFSET};
	const struct skep_btf *modules[2];
	struct skep_btf *local, *kernel, *open[2];
	struct skep_core_tried *tried;
	struct skep_core_result res;
	struct skep_core *core;
	struct skep_err err = SKEP_ERR_INIT;
	const char *names[] = {"both", "only"};
	size_t n;
	int i;

	b_int(&l, "int", 4, 0);
	for (i = 0; i < 2; i++) {
		b_type(&l, names[i], INFO(BTF_KIND_STRUCT, 0, 1), 4);
		b_member(&l, "f", 1, 0);
	}
	relo.access_str_off = b_str(&l, "0:0");
	b_int(&k, "int", 4, 0);
	b_type(&k, "both", INFO(BTF_KIND_STRUCT, 0, 1), 8);
	b_member(&k, "f", 1, 32);
	local = open_built(&l, NULL);
	kernel = open_built(&k, NULL);
	for (i = 0; i < 2; i++) {
		/* struct both of the first would disagree; struct only is the second's. */
		b_type(&m[i], names[i], INFO(BTF_KIND_STRUCT, 0, 1), 32);
		b_member(&m[i], "f", 1, 96);
		m[i].types[0] += k.nstrs;
		m[i].types[3] += k.nstrs;
		modules[i] = open[i] = open_built(&m[i], kernel);
	}
	core = skep_core_create(local, kernel, &err);
	relo.type_id = 3;
	is_int(skep_core_resolve(core, &relo, &res, &err), 0, "without modules");
	ok(res.poison && !res.target, "nothing fits");
	skep_core_destroy(core);
	core = skep_core_create(local, kernel, &err);
	skep_core_set_more(core, nth, modules);
	is_int(skep_core_resolve(core, &relo, &res, &err), 0, "a module's type");
	is_int(res.new_val, 12, "its field");
	ok(res.target == modules[1] && res.target_id == 3, "in that module, by its own id");
	relo.type_id = 2;
	is_int(skep_core_resolve(core, &relo, &res, &err), 0, "what the kernel has");
	is_int(res.new_val, 4, "is the kernel's");
	is_int(skep_core_explain(core, &relo, &tried, &n, &err), 0, "and told so");
	ok(n == 1 && tried[0].btf == kernel && tried[0].verdict == SKEP_CORE_FITS,
	   "no module was asked");
	free(tried);
	skep_core_destroy(core);
	for (i = 0; i < 2; i++)
		skep_btf_destroy(open[i]);
	skep_btf_destroy(kernel);
	skep_btf_destroy(local);
}

/* All three sections with longer records than we know, and headers of other lengths. */
static void test_ext_records(void)
{
	static const struct {
		uint16_t magic;
		uint8_t version, flags;
		uint32_t hdr_len, off_len[6], more[2];
		uint32_t func_size, fsec, fn, func[1][4];
		uint32_t core_size, csec, cn, core[2][5];
	} good = {BTF_MAGIC,
		  1,
		  0,
		  40,
		  {0, 28, 0, 0, 28, 52},
		  {7, 7},
		  16,
		  1,
		  1,
		  {{8, 2, 77, 78}},
		  20,
		  1,
		  2,
		  {{16, 3, 1, 4, 79}, {24, 5, 1, 6, 80}}};
	struct build b = BUILD_INIT;
	struct skep_btf_ext ext;
	struct skep_err err = SKEP_ERR_INIT;
	struct skep_btf *btf;
	struct skep_btf_ext_iter it = {.ext = &ext, .kind = SKEP_EXT_FUNC};
	char copy[sizeof(good)];
	uint32_t v;

	b_int(&b, "int", 4, BTF_INT_SIGNED);
	btf = open_built(&b, NULL);
	is_int(skep_btf_ext_open(&ext, &good, sizeof(good), btf, &err), 0,
	       "a longer header, long records, no line info");
	ok(skep_btf_ext_next(&it) && it.func.insn_off == 8 && it.func.type_id == 2 &&
		   !strcmp(it.sec_name, "int"),
	   "a function");
	ok(!skep_btf_ext_next(&it), "one");
	it = (struct skep_btf_ext_iter){.ext = &ext, .kind = SKEP_EXT_LINE};
	ok(!skep_btf_ext_next(&it), "no lines");
	it = (struct skep_btf_ext_iter){.ext = &ext, .kind = SKEP_EXT_CORE};
	ok(skep_btf_ext_next(&it) && it.core.insn_off == 16 && it.core.type_id == 3 &&
		   it.core.kind == 4 && it.index == 0,
	   "a relocation");
	ok(skep_btf_ext_next(&it) && it.core.insn_off == 24 && it.core.type_id == 5 &&
		   it.core.kind == 6 && it.index == 1 && !skep_btf_ext_next(&it),
	   "and a second");
	/* The first compilers knew no relocations: the header ends before them. */
	memcpy(copy, &good, sizeof(good));
	v = 24;
	memcpy(copy + 4, &v, sizeof(v));
	v = 16;
	memcpy(copy + 8, &v, sizeof(v));
	is_int(skep_btf_ext_open(&ext, copy, sizeof(good), btf, &err), 0, "a header of 24 bytes");
	ok(!ext.info[SKEP_EXT_CORE].rec_size && ext.info[SKEP_EXT_FUNC].rec_size == 16,
	   "has no relocations");
	v = 23;
	memcpy(copy + 4, &v, sizeof(v));
	is_int(skep_btf_ext_open(&ext, copy, sizeof(good), btf, &err), -EINVAL, "one of 23");
	ok(err.tag == SKEP_E_BTF_INVALID && strstr(err.msg, "header cut off"), "says so: %s",
	   err.msg);
	skep_err_deinit(&err);
	skep_btf_destroy(btf);
}

int main(void)
{
	test_look_up();
	test_values();
	test_columns();
	test_hostile();
	test_ext();
	test_ext_records();
	test_core();
	test_core_modules();
	return done();
}
