/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * src/obj over objects that the installed clangs make of tests/obj: what is
 * read, what is refused and how, and - as root - what the kernel says.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "btf/btf.h"
#include "obj/edit.h"
#include "obj/load.h"
#include "user/user.h"
#include "tap.h"

static char tmp[] = "/tmp/skep-obj-XXXXXX";
static const char *const clangs[] = {"clang-14", "clang-19", "clang-22"};

static bool has(const char *tool)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "command -v %s >/dev/null 2>&1", tool);
	return system(cmd) == 0;
}

/* Compiles tests/obj/NAME.bpf.c with @opts and maps the object. */
static bool compile(struct skep_file *file, const char *clang, const char *name, const char *opts)
{
	char cmd[1024], path[128];

	memset(file, 0, sizeof(*file));
	snprintf(path, sizeof(path), "%s/%s.%s.o", tmp, name, clang);
	snprintf(
		cmd, sizeof(cmd),
		"%s -O2 -target bpf -D__TARGET_ARCH_x86 -I/usr/include/$(uname -m)-linux-gnu %s -c "
		"tests/obj/%s.bpf.c -o %s 2>&1",
		clang, opts, name, path);
	return system(cmd) == 0 && skep_file_open(file, path, NULL) == 0;
}

static struct skep_obj *open_or_fail(const char *clang, const char *name, const char *opts,
				     struct skep_err *err)
{
	struct skep_obj *obj = NULL;
	struct skep_file file;

	if (!ok(compile(&file, clang, name, opts), "%s compiles %s %s", clang, name, opts))
		return NULL;
	skep_obj_open(&obj, file.data, file.len, name, NULL, err);
	skep_file_close(&file);
	return obj;
}

static void test_read(const char *clang)
{
	struct skep_err err = SKEP_ERR_INIT;
	struct skep_obj *obj = open_or_fail(clang, "all", "-g", &err);
	const struct skep_obj_func *func;
	const struct skep_obj_map *map;
	const char *file, *text;
	uint32_t line, col;

	if (!ok(obj != NULL, "opens: %s", err.msg))
		return;
	is_str(obj->license, "GPL", "licence");
	map = skep_obj_find_map(obj, "ring");
	ok(map && map->type == BPF_MAP_TYPE_RINGBUF && !map->value_size && map->record_type,
	   "a ring buffer's value type is its record's, and no size");
	is_str(map ? skep_btf_name(obj->btf, map->record_type) : NULL, "event", "record type");
	map = skep_obj_find_map(obj, "perf");
	ok(map && map->key_size == 4 && map->value_size == 4 && map->record_type,
	   "a perf array's too");
	map = skep_obj_find_map(obj, "hash");
	ok(map && map->key_size == 4 && map->value_size == 8 && map->flags == BPF_F_NO_PREALLOC &&
		   map->key_type && map->value_type,
	   "a hash by __type");
	map = skep_obj_find_map(obj, "sized");
	ok(map && map->value_size == 24 && !map->value_type, "an array by sizes");
	map = skep_obj_find_map(obj, ".data.custom");
	ok(map && map->kind == SKEP_OBJ_MAP_DATA && *(int *)map->init == 3, "custom data section");
	map = skep_obj_find_map(obj, ".bss");
	ok(map && map->kind == SKEP_OBJ_MAP_BSS && map->datasec, ".bss has its types");
	func = skep_obj_find_prog(obj, "calls");
	ok(func && func->is_prog && func->prog_type == BPF_PROG_TYPE_SYSCALL &&
		   func->nr_relos == 2 && func->relos[0].kind == SKEP_RELO_CALL,
	   "calls inside of the section and outside are both seen");
	ok(!skep_obj_find_prog(obj, "same_section"), "a static function is no program");
	func = skep_obj_find_prog(obj, "with_everything");
	ok(func && func->autoload && func->type &&
		   !strcmp(func->args, "syscalls/sys_enter_getpgid") &&
		   skep_obj_source(obj, func, 0, &file, &text, &line, &col) && line > 60,
	   "programs have section arguments, types and lines");
	skep_obj_destroy(obj);
}

static void set(struct skep_obj *obj, const char *name, const char *value, enum skep_tag want)
{
	struct skep_err err = SKEP_ERR_INIT;

	skep_obj_set_global(obj, name, value, &err);
	ok(err.tag == want, "--set %s=%s: %s %s", name, value, skep_tag_name(err.tag), err.msg);
	skep_err_deinit(&err);
}

static const void *global(const struct skep_obj *obj, const char *sec, const char *name)
{
	const struct skep_obj_map *map = skep_obj_find_map(obj, sec);
	const struct btf_type *t = skep_btf_type(obj->btf, map->datasec);
	const struct btf_var_secinfo *vs = skep_btf_secinfos(t);
	uint32_t i;

	for (i = 0; i < skep_btf_vlen(t); i++)
		if (!strcmp(skep_btf_name(obj->btf, vs[i].type), name))
			return (const char *)map->init + vs[i].offset;
	return NULL;
}

static void test_globals(const char *clang)
{
	struct skep_err err = SKEP_ERR_INIT;
	struct skep_obj *obj = open_or_fail(clang, "all", "-g", &err);

	if (!obj)
		return;
	set(obj, "target", "-0x10", SKEP_E_NONE);
	set(obj, "on", "true", SKEP_E_NONE);
	set(obj, "small", "'\\n'", SKEP_E_NONE);
	set(obj, "big", "18446744073709551615", SKEP_E_NONE);
	set(obj, "colour", "GREEN", SKEP_E_NONE);
	set(obj, "name", "1234567", SKEP_E_NONE);
	ok(*(const int *)global(obj, ".rodata", "target") == -16 &&
		   *(const bool *)global(obj, ".rodata", "on") &&
		   *(const char *)global(obj, ".rodata", "small") == '\n' &&
		   *(const uint64_t *)global(obj, ".rodata", "big") == UINT64_MAX &&
		   *(const int *)global(obj, ".rodata", "colour") == 5 &&
		   !strcmp(global(obj, ".rodata", "name"), "1234567"),
	   "all arrived");
	set(obj, "target", "4294967296", SKEP_E_USAGE);
	set(obj, "target", "seven", SKEP_E_USAGE);
	set(obj, "small", "128", SKEP_E_USAGE);
	set(obj, "small", "-128", SKEP_E_NONE);
	set(obj, "big", "-1", SKEP_E_USAGE);
	set(obj, "big", "18446744073709551616", SKEP_E_USAGE);
	set(obj, "on", "maybe", SKEP_E_USAGE);
	set(obj, "colour", "PINK", SKEP_E_USAGE);
	set(obj, "name", "12345678", SKEP_E_USAGE);
	set(obj, "nowhere", "1", SKEP_E_NOT_FOUND);
	set(obj, "scratch", "1", SKEP_E_UNSUPPORTED);
	skep_obj_destroy(obj);
}

static void refused(const char *clang, const char *name, const char *opts, enum skep_tag want,
		    const char *words)
{
	struct skep_err err = SKEP_ERR_INIT;
	struct skep_obj *obj = open_or_fail(clang, name, opts, &err);

	ok(!obj && err.tag == want && strstr(err.msg, words), "%s: %s", skep_tag_name(err.tag),
	   err.msg);
	skep_obj_destroy(obj);
	skep_err_deinit(&err);
}

static void test_refused(const char *clang)
{
	refused(clang, "odd", "-g -DLEGACY=7", SKEP_E_UNSUPPORTED, "SEC(\".maps\")");
	refused(clang, "odd", "-g -DNO_TYPE", SKEP_E_OBJ_INVALID, "'no_type': has no type");
	refused(clang, "odd", "-g -DUNKNOWN", SKEP_E_OBJ_INVALID, "unknown member 'colour'");
	refused(clang, "odd", "-g -DWRONG_SIZE", SKEP_E_OBJ_INVALID, "key_size is 8");
	refused(clang, "odd", "-DPINNED", SKEP_E_OBJ_INVALID, "compile with -g");
	refused(clang, "all", "-g -target bpfeb", SKEP_E_ELF_INVALID, "big-endian");
	refused(clang, "unlicensed", "-g -target x86_64-linux-gnu", SKEP_E_ELF_INVALID,
		"not a BPF object");
}

/* Every length and a flipped bit in every byte: opens or refuses with a sentence. */
static void test_damaged(const char *clang)
{
	struct skep_file file;
	struct skep_obj *obj;
	unsigned char *copy;
	size_t i, opened = 0, silent = 0;

	if (!ok(compile(&file, clang, "lossy", "-g"), "an object to damage"))
		return;
	copy = malloc(file.len);
	for (i = 0; i < 2 * file.len; i++) {
		struct skep_err err = SKEP_ERR_INIT;
		size_t len = i < file.len ? i : file.len;

		memcpy(copy, file.data, file.len);
		if (i >= file.len)
			copy[i - file.len] ^= 1 << (i % 8);
		if (skep_obj_open(&obj, copy, len, "x.o", NULL, &err) == 0)
			opened++;
		else if (!err.msg[0] || err.tag == SKEP_E_NONE)
			silent++;
		skep_obj_destroy(obj);
		skep_err_deinit(&err);
	}
	ok(!silent && opened > 0 && opened < 2 * file.len,
	   "%zu damaged objects, %zu of them opened", 2 * file.len, opened);
	free(copy);
	skep_file_close(&file);
}

#define LDDW	(BPF_LD | BPF_IMM | BPF_DW)
#define EXIT	(BPF_JMP | BPF_EXIT)
#define MOV_K	(BPF_ALU64 | BPF_MOV | BPF_K)
#define JEQ_K	(BPF_JMP | BPF_JEQ | BPF_K)
#define GOTO	(BPF_JMP | BPF_JA)
#define GOTOL	(BPF_JMP32 | BPF_JA)
#define MAYGOTO (BPF_JMP | 0xe0)

static void test_edit(void)
{
	struct bpf_insn insns[] = {
		{.code = JEQ_K, .off = 3}, /* over the 64-bit immediate, to 4 */
		{.code = GOTOL, .imm = 2}, /* to 4 */
		{.code = LDDW, .dst_reg = 1, .imm = 7},
		{0},
		{.code = MOV_K},
		{.code = MAYGOTO, .off = -2}, /* back to 4 */
		{.code = GOTO, .off = -7}, /* back to 0 */
		{.code = EXIT},
	};
	struct skep_obj_relo relo = {.kind = SKEP_RELO_MAP, .insn = 2};
	struct skep_obj_line lines[] = {{.insn = 0}, {.insn = 4}, {.insn = 7}};
	struct skep_obj_func func = {.name = "f",
				     .insns = insns,
				     .nr_insns = 8,
				     .relos = &relo,
				     .nr_relos = 1,
				     .lines = lines,
				     .nr_lines = 3};
	struct bpf_insn add[3] = {{.code = LDDW, .dst_reg = 2}, {0}, {.code = MOV_K, .imm = 9}};
	struct skep_obj_relo add_relo = {.kind = SKEP_RELO_DATA, .insn = 0};
	struct skep_arena arena = SKEP_ARENA_INIT;
	struct skep_err err = SKEP_ERR_INIT;
	static struct bpf_insn far[40000];

	is_int(skep_obj_insert(&arena, &func, 4, add, 3, &add_relo, 1, &err), 0, "insert");
	ok(func.nr_insns == 11 && func.insns[4].code == LDDW && func.insns[7].code == MOV_K,
	   "it stands before instruction 4");
	ok(func.insns[0].off == 6 && func.insns[1].imm == 5,
	   "goto and gotol to 4 now lead behind what was inserted");
	ok(func.insns[8].off == -2, "may_goto back to 4 stays behind it, too");
	is_int(func.insns[9].off, -10, "a backward goto across it is longer");
	ok(func.nr_relos == 2 && func.relos[0].insn == 2 && func.relos[1].insn == 4 &&
		   func.relos[1].kind == SKEP_RELO_DATA,
	   "relocations are merged in order");
	ok(func.lines[0].insn == 0 && func.lines[1].insn == 7 && func.lines[2].insn == 10,
	   "lines move; what is inserted belongs to the line before");
	is_int(skep_obj_insert(&arena, &func, 0, add, 3, &add_relo, 1, &err), 0, "in front");
	ok(func.lines[0].insn == 0 && func.insns[12].off == -10 && func.relos[0].insn == 0 &&
		   func.relos[1].insn == 5,
	   "the first line covers it; a loop to the start does not enter it");
	is_int(skep_obj_insert(&arena, &func, 99, add, 3, NULL, 0, &err), -EINVAL, "no such place");
	is_str(err.msg, "function 'f' has no instruction 99", "is told");
	skep_err_deinit(&err);
	is_int(skep_obj_insert(&arena, &func, 6, add, 3, NULL, 0, &err), -EINVAL,
	       "never inside of a 64-bit immediate");
	ok(err.tag == SKEP_E_INSN_INVALID && strstr(err.msg, "half a 64-bit"), "%s", err.msg);
	skep_err_deinit(&err);
	far[0] = (struct bpf_insn){.code = GOTO, .off = 32767};
	func = (struct skep_obj_func){.name = "far", .insns = far, .nr_insns = 40000};
	is_int(skep_obj_insert(&arena, &func, 1, add, 3, NULL, 0, &err), -E2BIG,
	       "a 16-bit jump that would overflow refuses");
	ok(func.nr_insns == 40000 && func.insns == far, "and nothing is changed");
	skep_err_deinit(&err);
	skep_arena_deinit(&arena);
}

/* With the kernel as root. */

static struct skep_loaded *load(struct skep_sys *sys, struct skep_obj *obj,
				const struct skep_load_opts *opts, struct skep_err *err)
{
	struct skep_loaded *loaded;

	skep_load(&loaded, obj, sys, opts, err);
	return loaded;
}

static struct skep_loaded_prog *prog_of(struct skep_loaded *loaded, const char *name)
{
	uint32_t i;

	for (i = 0; loaded && i < loaded->nr_progs; i++)
		if (!strcmp(loaded->progs[i].spec->name, name))
			return &loaded->progs[i];
	return NULL;
}

static int run_syscall(struct skep_sys *sys, const struct skep_loaded_prog *prog)
{
	union bpf_attr attr;
	int ret;

	memset(&attr, 0, sizeof(attr));
	attr.test.prog_fd = (uint32_t)prog->fd;
	ret = skep_sys_bpf(sys, BPF_PROG_TEST_RUN, &attr, sizeof(attr.test));
	return ret < 0 ? ret : (int)attr.test.retval;
}

static void test_run(const char *clang, struct skep_sys *sys)
{
	struct skep_load_opts opts = {.sz = sizeof(opts), .all_or_nothing = true};
	struct skep_err err = SKEP_ERR_INIT;
	struct skep_obj *obj = open_or_fail(clang, "all", "-g", &err);
	struct skep_loaded *loaded = obj ? load(sys, obj, &opts, &err) : NULL;

	if (!ok(loaded != NULL, "the kernel takes everything: %s", err.msg))
		printf("# %s\n", err.detail ? err.detail : "");
	else /* sub(2) + sub(3) + 1 = 13 + 16 + 1 */
		is_int(run_syscall(sys, prog_of(loaded, "calls")), 30,
		       "calls go where they should");
	skep_loaded_destroy(loaded);
	skep_obj_destroy(obj);
	skep_err_deinit(&err);
	obj = open_or_fail(clang, "scoped", "-g", &err);
	opts.count_losses = opts.scope_tasks = true;
	loaded = obj ? load(sys, obj, &opts, &err) : NULL;
	ok(loaded != NULL, "edited programs pass the verifier: %s", err.msg);
	skep_loaded_destroy(loaded);
	skep_obj_destroy(obj);
	skep_err_deinit(&err);
}

static void test_losses(const char *clang, struct skep_sys *sys)
{
	struct skep_load_opts opts = {.sz = sizeof(opts), .count_losses = true};
	struct skep_err err = SKEP_ERR_INIT;
	struct skep_obj *obj = open_or_fail(clang, "lossy", "-g", &err);
	struct skep_loaded *loaded = obj ? load(sys, obj, &opts, &err) : NULL;
	struct skep_loss *loss = NULL;
	uint64_t ring = 0, full = 0;
	bool named = true;
	size_t i, n = 0;

	if (!ok(loaded && prog_of(loaded, "lose")->fd >= 0, "loads with counters: %s", err.msg))
		return;
	is_int(skep_loaded_losses(loaded, &loss, &n, &err), 0, "losses can be read");
	ok(n == 0, "none before it ran");
	free(loss);
	is_int(run_syscall(sys, prog_of(loaded, "lose")), 8, "the program itself does not notice");
	skep_loaded_losses(loaded, &loss, &n, &err);
	for (i = 0; i < n; i++) {
		*(loss[i].kind == SKEP_LOSS_RING ? &ring : &full) += loss[i].count;
		named = named && loss[i].file && loss[i].line;
		if (loss[i].kind == SKEP_LOSS_RING)
			named = named && loss[i].map && !strcmp(loss[i].map, "ring");
	}
	/*
	 * 4096 bytes hold 1000 + 8 three times with 64 + 8 beside; afterwards,
	 * 72 at a time, the rest fits: (4096 - 3 * 1080) / 72 = 11.
	 */
	is_int((long long)ring, 5, "five of sixteen records did not fit the ring");
	is_int((long long)full, 7, "seven of eight keys did not fit the map");
	ok(named, "each place has its source line, and the ring its name");
	free(loss);
	skep_loaded_destroy(loaded);
	skep_obj_destroy(obj);
}

static void says(struct skep_loaded *loaded, const char *prog, const char *words,
		 const char *advice)
{
	const struct skep_loaded_prog *p = prog_of(loaded, prog);
	char mark[64];

	snprintf(mark, sizeof(mark), "/* %s fails here */", prog);
	ok(p && p->fd < 0 && p->err.tag == SKEP_E_PROG_REJECTED && strstr(p->err.msg, words) &&
		   strstr(p->err.msg, advice) && p->err.line > 0 && p->err.detail,
	   "%s: %s", prog, p ? p->err.msg : "?");
	if (p && p->err.detail && strstr("null_value packet scalar helper", prog))
		ok(strstr(p->err.detail, mark) && strlen(p->err.detail) < 2000,
		   "the explanation shows the source line and stays short");
}

static void test_rejected(const char *clang, struct skep_sys *sys)
{
	struct skep_load_opts opts = {.sz = sizeof(opts)};
	struct skep_err err = SKEP_ERR_INIT;
	struct skep_obj *obj = open_or_fail(clang, "rejected", "-g", &err);
	struct skep_loaded *loaded = obj ? load(sys, obj, &opts, &err) : NULL;

	if (!ok(loaded != NULL, "rejected programs do not fail the object"))
		return;
	says(loaded, "null_value", "map_value_or_null", "test the pointer for NULL");
	says(loaded, "packet", "packet", "ctx->data_end");
	says(loaded, "scalar", "invalid mem access", "bpf_probe_read_kernel");
	says(loaded, "helper", "bpf_get_stackid", "not for this kind of program");
	says(loaded, "leak", "reference", "released on every path");
	says(loaded, "forever", "infinite loop", "bpf_loop()");
	ok(prog_of(loaded, "fine")->fd >= 0, "the good one is loaded");
	ok(prog_of(loaded, "forever")->log && strlen(prog_of(loaded, "forever")->log) > 200,
	   "the whole log is kept for -v");
	skep_loaded_destroy(loaded);
	opts.all_or_nothing = true;
	loaded = load(sys, obj, &opts, &err);
	ok(!loaded && err.tag == SKEP_E_PROG_REJECTED && err.detail, "all or nothing: nothing");
	skep_err_deinit(&err);
	skep_obj_destroy(obj);
	obj = open_or_fail(clang, "unlicensed", "-g", &err);
	opts.all_or_nothing = false;
	loaded = obj ? load(sys, obj, &opts, &err) : NULL;
	if (loaded)
		says(loaded, "prog", "GPL", "SEC(\"license\")");
	skep_loaded_destroy(loaded);
	skep_obj_destroy(obj);
}

static void test_core(const char *clang, struct skep_sys *sys)
{
	struct skep_load_opts opts = {.sz = sizeof(opts)};
	struct skep_err err = SKEP_ERR_INIT;
	struct skep_obj *obj = open_or_fail(clang, "core", "-g", &err);
	struct skep_loaded *loaded = obj ? load(sys, obj, &opts, &err) : NULL;

	if (!ok(loaded != NULL, "CO-RE object: %s", err.msg))
		return;
	ok(prog_of(loaded, "there")->fd >= 0 && prog_of(loaded, "guarded")->fd >= 0,
	   "a field that is there, and one that is asked for first");
	ok(prog_of(loaded, "missing")->err.tag == SKEP_E_CORE_UNRESOLVED &&
		   strstr(prog_of(loaded, "missing")->err.msg, "task_struct"),
	   "%s", prog_of(loaded, "missing")->err.msg);
	skep_loaded_destroy(loaded);
	skep_obj_destroy(obj);
}

static void test_unsupported(const char *clang, struct skep_sys *sys)
{
	/* Without CONFIG_KALLSYMS_ALL the kernel itself does not find its variables. */
	bool all_syms = !system("grep -qw bpf_prog_active /proc/kallsyms");
	const struct {
		const char *opts, *words;
		enum skep_tag tag;
		bool loads;
	} t[] = {
		{"-g -DLEGACY=0", "", SKEP_E_NONE, true},
		{"-DLEGACY=0", "", SKEP_E_NONE, true},
		{"-g -DEXTERN=CONFIG_HZ", "", SKEP_E_NONE, true},
		{"-g -DEXTERN=CONFIG_NO_SUCH", "built without", SKEP_E_OBJ_SYMBOL, false},
		{"-g -DEXTERN=LINUX_KERNEL_VERSION", "", SKEP_E_NONE, true},
		{"-g -DNARROW", "does not fit", SKEP_E_OBJ_SYMBOL, false},
		{"-g -DKSYM=vfs_read -DKSYM_TYPE=void", "", SKEP_E_NONE, true},
		{"-g -DKSYM=no_such_sym -DKSYM_TYPE=void", "/proc/kallsyms", SKEP_E_OBJ_SYMBOL,
		 false},
		{"-g -DKSYM=bpf_prog_active -DKSYM_TYPE=int",
		 all_syms ? "" : "kernel symbol 'bpf_prog_active'",
		 all_syms ? SKEP_E_NONE : SKEP_E_PROG_REJECTED, all_syms},
		{"-g -DKSYM=no_such_var -DKSYM_TYPE=int", "per-CPU", SKEP_E_OBJ_SYMBOL, false},
		{"-g -DKFUNC=bpf_rcu_read_lock", "bpf_rcu_read_lock", SKEP_E_PROG_REJECTED, false},
		{"-g -DKFUNC=bpf_no_such_func", "does not offer", SKEP_E_OBJ_SYMBOL, false},
		{"-g -DWEAK", "", SKEP_E_NONE, true},
		{"-DNO_BTF", "", SKEP_E_NONE, true},
		{"-g -DSECTION='\"tracepiont/x/y\"'", "", SKEP_E_NONE, false},
	};
	struct skep_load_opts opts = {.sz = sizeof(opts)};
	struct skep_err err = SKEP_ERR_INIT;
	struct skep_loaded *loaded;
	struct skep_obj *obj;
	size_t i;

	for (i = 0; i < SKEP_ARRAY_SIZE(t); i++) {
		obj = open_or_fail(clang, "odd", t[i].opts, &err);
		loaded = obj ? load(sys, obj, &opts, &err) : NULL;
		if (ok(loaded != NULL, "%s: loads in part: %s", t[i].opts, err.msg)) {
			const struct skep_loaded_prog *p = prog_of(loaded, "prog");

			ok((p->fd >= 0) == t[i].loads && p->err.tag == t[i].tag &&
				   strstr(p->err.msg, t[i].words),
			   "%s %s", skep_tag_name(p->err.tag), p->err.msg);
			ok(prog_of(loaded, "other")->fd >= 0, "the other program is loaded");
		}
		skep_loaded_destroy(loaded);
		skep_obj_destroy(obj);
		skep_err_deinit(&err);
	}
	obj = open_or_fail(clang, "odd", "-g -DNO_KEY", &err);
	loaded = obj ? load(sys, obj, &opts, &err) : NULL;
	ok(!loaded && err.tag == SKEP_E_MAP_CREATE &&
		   strstr(err.msg, "'no_key' (HASH): key_size is 0"),
	   "%s", err.msg);
	skep_obj_destroy(obj);
	skep_err_deinit(&err);
}

struct sink {
	struct skep_log log;
	char last[512];
};

static void keep_last(struct skep_log *log, enum skep_log_level level, const char *msg)
{
	snprintf(((struct sink *)log)->last, sizeof(((struct sink *)log)->last), "%s", msg);
}

/* One call of the engine fails: what can be done without is left away, the rest is told. */
static void test_injected(const char *clang)
{
	static const struct {
		int cmd, nth, err;
		bool loads; /* the object */
		enum skep_tag tag; /* of the object, or of its program */
		const char *warning;
	} t[] = {
		{BPF_BTF_LOAD, 1, EINVAL, true, SKEP_E_NONE, "does not take the object's types"},
		{BPF_BTF_LOAD, 1, EPERM, true, SKEP_E_NONE, ""},
		{BPF_MAP_CREATE, 1, EINVAL, true, SKEP_E_NONE, ""},
		{BPF_MAP_CREATE, 1, EACCES, false, SKEP_E_PERMISSION, ""},
		{BPF_MAP_CREATE, 2, ENOMEM, false, SKEP_E_MAP_CREATE, ""},
		{BPF_MAP_CREATE, 2, EOPNOTSUPP, false, SKEP_E_UNSUPPORTED, ""},
		{BPF_MAP_FREEZE, 1, EINVAL, true, SKEP_E_NONE, "cannot be frozen"},
		{BPF_MAP_UPDATE_ELEM, 1, EFAULT, false, SKEP_E_MAP_CREATE, ""},
		{BPF_PROG_LOAD, 1, EINVAL, true, SKEP_E_NONE, ""},
		{BPF_PROG_LOAD, 1, EAGAIN, true, SKEP_E_NONE, ""},
		{BPF_PROG_LOAD, 1, EBUSY, true, SKEP_E_NONE, ""},
		{BPF_PROG_LOAD, 1, EOPNOTSUPP, true, SKEP_E_UNSUPPORTED, ""},
	};
	struct skep_load_opts opts = {.sz = sizeof(opts)};
	struct skep_err err = SKEP_ERR_INIT;
	struct skep_obj *obj = open_or_fail(clang, "plain", "-g", &err);
	size_t i;

	for (i = 0; obj && i < SKEP_ARRAY_SIZE(t); i++) {
		struct sink sink = {.log = {.fn = keep_last, .level = SKEP_LOG_WARN}};
		struct skep_sys *sys = skep_sys_inject_create(skep_sys_kernel_create(&sink.log),
							      t[i].cmd, t[i].nth, t[i].err);
		struct skep_loaded *loaded = load(sys, obj, &opts, &err);
		const struct skep_err *e = loaded ? &loaded->progs[0].err : &err;

		ok(!loaded == !t[i].loads && e->tag == t[i].tag &&
			   strstr(sink.last, t[i].warning) && !*t[i].warning == !*sink.last,
		   "call %d, %s: %s %s %s", t[i].cmd, skep_errno_name(t[i].err),
		   skep_tag_name(e->tag), e->msg, sink.last);
		skep_loaded_destroy(loaded);
		skep_sys_destroy(sys);
		skep_err_deinit(&err);
	}
	skep_obj_destroy(obj);
}

/* A child that waits for a byte, then has @depth descendants in a row, each calling getpgid(2). */
static pid_t start_child(int *go, int depth)
{
	int fds[2];
	pid_t pid;
	char c;

	if (pipe(fds))
		return -1;
	pid = fork();
	if (pid) {
		close(fds[0]);
		*go = fds[1];
		return pid;
	}
	close(fds[1]);
	if (read(fds[0], &c, 1) != 1)
		_exit(1);
	while (depth-- > 0) {
		syscall(SYS_getpgid, 0);
		pid = fork();
		if (pid) {
			waitpid(pid, NULL, 0);
			_exit(0);
		}
	}
	_exit(0);
}

static void finish_child(pid_t pid, int go)
{
	if (write(go, "x", 1) != 1)
		kill(pid, SIGKILL);
	close(go);
	waitpid(pid, NULL, 0);
}

static uint32_t count_keys(struct skep_sys *sys, int fd)
{
	uint32_t key = 0, next = 0, n = 0;
	union bpf_attr attr;
	bool first = true;

	for (;;) {
		memset(&attr, 0, sizeof(attr));
		attr.map_fd = (uint32_t)fd;
		attr.key = first ? 0 : (uintptr_t)&key;
		attr.next_key = (uintptr_t)&next;
		if (skep_sys_bpf(sys, BPF_MAP_GET_NEXT_KEY, &attr,
				 offsetof(union bpf_attr, flags) + 8) < 0)
			return n;
		first = false;
		key = next;
		n++;
	}
}

static void test_scope(const char *clang, struct skep_sys *sys)
{
	struct skep_load_opts opts = {.sz = sizeof(opts), .scope_tasks = true};
	struct skep_err err = SKEP_ERR_INIT;
	struct skep_obj *obj = open_or_fail(clang, "scoped", "-g", &err);
	struct skep_loaded *loaded = obj ? load(sys, obj, &opts, &err) : NULL;
	int go_in, go_out, tries;
	pid_t in, out;
	uint32_t i, left = 1;

	if (!ok(loaded != NULL, "scoped object: %s", err.msg))
		return;
	for (i = 0; i < loaded->nr_progs; i++) {
		struct skep_loaded_prog *p = &loaded->progs[i];
		struct skep_attach a = {.sys = sys,
					.def = p->spec->event,
					.args = p->spec->args,
					.prog = p->spec->name,
					.prog_fd = p->fd,
					.pid = -1};

		is_int(skep_attach_prog(&a, &p->links, &err), 0, "attached");
	}
	in = start_child(&go_in, 5);
	out = start_child(&go_out, 3);
	is_int(skep_loaded_scope_add(loaded, in, &err), 0, "one of two children is in the scope");
	finish_child(out, go_out);
	finish_child(in, go_in);
	is_int(count_keys(sys, loaded->maps[0].fd), 5,
	       "it and its four descendants were seen, nobody else");
	/* The kernel lets a task go after a grace period: seconds on a busy machine. */
	for (tries = 0; tries < 500 && left; tries++) {
		left = count_keys(sys, loaded->maps[loaded->nr_maps - 1].fd);
		if (left)
			usleep(20000);
	}
	is_int(left, 0, "the set is empty when they have ended");
	skep_loaded_destroy(loaded);
	skep_obj_destroy(obj);
}

static void test_kernel(const char *clang)
{
	struct skep_sys *sys = skep_sys_kernel_create(NULL);

	test_run(clang, sys);
	test_losses(clang, sys);
	test_rejected(clang, sys);
	test_core(clang, sys);
	test_unsupported(clang, sys);
	test_scope(clang, sys);
	test_injected(clang);
	skep_sys_destroy(sys);
}

/* Loads the object @path and prints why a program did not load: for tests/obj/libbpf.t. */
static int load_file(const char *path)
{
	struct skep_sys *sys = skep_sys_kernel_create(NULL);
	struct skep_load_opts opts = {.sz = sizeof(opts)};
	struct skep_err err = SKEP_ERR_INIT;
	struct skep_loaded *loaded = NULL;
	struct skep_obj *obj = NULL;
	struct skep_file file = {0};
	uint32_t i;

	if (!skep_file_open(&file, path, &err) &&
	    !skep_obj_open(&obj, file.data, file.len, path, NULL, &err))
		loaded = load(sys, obj, &opts, &err);
	printf("%s\n", err.msg);
	for (i = 0; loaded && i < loaded->nr_progs; i++)
		printf("%s: %s\n", loaded->progs[i].spec->name, loaded->progs[i].err.msg);
	i = loaded == NULL;
	skep_loaded_destroy(loaded);
	skep_obj_destroy(obj);
	skep_sys_destroy(sys);
	skep_file_close(&file);
	skep_err_deinit(&err);
	return (int)i;
}

/* An engine whose verifier found nothing, and that refuses all the same. */
struct mute {
	struct skep_sys sys;
	struct skep_sys *inner;
};

static int mute_bpf(struct skep_sys *sys, int cmd, union bpf_attr *attr, unsigned int size)
{
	if (cmd != BPF_PROG_LOAD)
		return skep_sys_bpf(((struct mute *)sys)->inner, cmd, attr, size);
	if (attr->log_level)
		snprintf((char *)(uintptr_t)attr->log_buf, attr->log_size,
			 "processed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0 "
			 "peak_states 0 mark_read 0\n");
	return -E2BIG;
}

static int mute_close(struct skep_sys *sys, int fd)
{
	skep_sys_close(((struct mute *)sys)->inner, fd);
	return 0;
}

static void test_mute(const char *clang)
{
	static const struct skep_sys_ops ops = {
		.name = "mute", .bpf = mute_bpf, .close = mute_close};
	struct skep_user_opts user = {.sz = sizeof(user)};
	struct mute mute = {.sys.ops = &ops, .inner = skep_sys_user_create(NULL, &user)};
	struct skep_load_opts opts = {.sz = sizeof(opts)};
	struct skep_err err = SKEP_ERR_INIT;
	struct skep_obj *obj = open_or_fail(clang, "plain", "-g", &err);
	struct skep_loaded *loaded = NULL;

	if (!ok(obj && skep_load(&loaded, obj, &mute.sys, &opts, &err) == 0, "loads: %s", err.msg))
		return;
	is_str(loaded->progs[0].err.msg,
	       "plain: program 'data' was rejected (E2BIG) without a reason",
	       "a refusal that says nothing");
	skep_loaded_destroy(loaded);
	skep_obj_destroy(obj);
	skep_sys_destroy(mute.inner);
}

int main(int argc, char **argv)
{
	char cmd[64];
	size_t i;

	if (argc > 1)
		return load_file(argv[1]);
	if (!mkdtemp(tmp))
		return 1;
	test_edit();
	for (i = 0; i < SKEP_ARRAY_SIZE(clangs); i++) {
		if (!has(clangs[i])) {
			ok(true, "# SKIP no %s", clangs[i]);
			continue;
		}
		test_read(clangs[i]);
		test_globals(clangs[i]);
		test_refused(clangs[i]);
		if (i == 0) {
			test_damaged(clangs[i]);
			test_mute(clangs[i]);
		}
		if (geteuid() == 0)
			test_kernel(clangs[i]);
		else
			ok(true, "# SKIP the kernel engine needs root");
	}
	snprintf(cmd, sizeof(cmd), "rm -rf %s", tmp);
	if (system(cmd))
		return 1;
	return done();
}
