/* SPDX-License-Identifier: BSD-2-Clause */
/* Compiling with clang: what is kept, and when it is no longer good. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cc/cc.h"
#include "tap.h"

static char dir[] = "/tmp/skep-cc.XXXXXX";
static char source[PATH_MAX], header[PATH_MAX];

static void put(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	if (!f || fputs(text, f) < 0 || fclose(f))
		printf("Bail out! %s cannot be written\n", path);
}

/* Compiles and tells how it went: 'c' cached, 'n' new, 'w' new with warnings, 'f' failed. */
static char once(struct skep_err *err)
{
	struct skep_cc_object o;
	char how = 'f';

	skep_err_deinit(err);
	if (skep_cc_compile(&o, source, NULL, NULL, err) < 0)
		return how;
	how = o.cached ? 'c' : o.warnings ? 'w' : 'n';
	if (o.len < 64 || memcmp(o.data, "\177ELF", 4) || (size_t)o.data % 8)
		how = '?';
	skep_cc_object_deinit(&o);
	return how;
}

static void test_cache(struct skep_err *err)
{
	put(header, "#define ANSWER 1\n");
	put(source, "#include \"value.h\"\nint answer(void) { return ANSWER; }\n");
	is_int(once(err), 'n', "the first time clang runs");
	is_int(once(err), 'c', "the second time it does not");
	put(header, "#define ANSWER 1\n");
	is_int(once(err), 'c', "nor after a header was touched");
	put(header, "#define ANSWER 2\n");
	is_int(once(err), 'n', "but after a header was changed");
	is_int(once(err), 'c', "once");
	put(source,
	    "#include \"value.h\"\n#warning careful\nint answer(void) { return ANSWER; }\n");
	is_int(once(err), 'w', "warnings are handed on");
	is_int(once(err), 'w', "each time");
	put(source, "#include \"gone.h\"\n");
	is_int(once(err), 'f', "a program that does not compile");
	is_int((int)err->tag, SKEP_E_CC_FAILED, "... is E_CC_FAILED");
	ok(err->detail && strstr(err->detail, "gone.h") && strchr(err->detail, '^'),
	   "... with clang's own words");
}

static void test_vmlinux(struct skep_err *err)
{
	put(source, "#include \"vmlinux.h\"\nint pid(struct task_struct *t) { return t->pid; }\n");
	if (access("/sys/kernel/btf/vmlinux", R_OK) < 0) {
		printf("# SKIP this kernel shows no types\n");
		return;
	}
	if (!ok(once(err) == 'n', "vmlinux.h is made when it is asked for"))
		printf("# %s\n%.2000s\n", err->msg, err->detail ? err->detail : "");
	is_int(once(err), 'c', "and counts as unchanged");
	put(source, "#include \"value.h\"\n");
	put(header, "#include <vmlinux.h>\nint pid(struct task_struct *t) { return t->tgid; }\n");
	is_int(once(err), 'n', "also when only a header asks for it");
}

static void test_refusals(struct skep_err *err)
{
	char path[PATH_MAX], foreign[PATH_MAX];

	setenv("SKEP_CLANG", "/nonexistent/clang", 1);
	once(err);
	is_int((int)err->tag, SKEP_E_CC_MISSING, "no clang is E_CC_MISSING");
	unsetenv("SKEP_CLANG");
	snprintf(foreign, sizeof(foreign), "%s/skep", dir);
	chmod(foreign, 0777);
	skep_err_deinit(err);
	setenv("TMPDIR", dir, 1);
	setenv("HOME", "/nonexistent", 1);
	ok(skep_cc_cache_dir(path, sizeof(path), err) == 0 && strcmp(path, foreign),
	   "a cache that everybody can write to is not used");
	ok(strstr(path, "/skep-") && access(path, W_OK) == 0, "... but one below TMPDIR");
}

int main(void)
{
	struct skep_err err = SKEP_ERR_INIT;
	char clean[PATH_MAX];

	if (system("clang --version >/dev/null 2>&1")) {
		printf("1..0 # SKIP no clang\n");
		return 0;
	}
	if (!mkdtemp(dir))
		return 1;
	setenv("XDG_CACHE_HOME", dir, 1);
	unsetenv("SKEP_CLANG");
	snprintf(source, sizeof(source), "%s/test.bpf.c", dir);
	snprintf(header, sizeof(header), "%s/value.h", dir);
	test_cache(&err);
	test_vmlinux(&err);
	test_refusals(&err);
	skep_err_deinit(&err);
	snprintf(clean, sizeof(clean), "rm -rf '%s'", dir);
	return system(clean) ? 1 : done();
}
