/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Driving clang.
 *
 * The object, the make rule of what it depends on and the diagnostics all go
 * into memfds, so that a full disk does not stop a program from running.
 */
#include "cc/cc.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "base/vec.h"

#define NEWEST_CLANG 40
#define OLDEST_CLANG 11

struct job {
	const char *source;
	const struct skep_cc_opts *opts;
	struct skep_log *log;
	char clang[PATH_MAX];
	char cache[PATH_MAX]; /* "": none */
	char vmlinux[PATH_MAX]; /* the folder of vmlinux.h, "": none */
	char texts[4][PATH_MAX]; /* what argv borrows */
	SKEP_VEC(const char *) argv;
	uint64_t key;
};

/* By uname -m: Debian's folder of architecture headers, bpf_tracing.h's name. */
static const struct {
	const char *machine, *multiarch, *target;
} arches[] = {
	{"x86_64", "x86_64-linux-gnu", "x86"},		 {"aarch64", "aarch64-linux-gnu", "arm64"},
	{"riscv64", "riscv64-linux-gnu", "riscv"},	 {"s390x", "s390x-linux-gnu", "s390"},
	{"ppc64le", "powerpc64le-linux-gnu", "powerpc"},
};

/* The executable @name in PATH, as an absolute path. */
static bool in_path(char *path, size_t size, const char *name)
{
	const char *dirs = getenv("PATH"), *end;

	if (strchr(name, '/'))
		return snprintf(path, size, "%s", name) < (int)size && access(path, X_OK) == 0;
	for (; dirs && *dirs; dirs = *end ? end + 1 : end) {
		end = strchrnul(dirs, ':');
		if (snprintf(path, size, "%.*s/%s", (int)(end - dirs), dirs, name) < (int)size &&
		    access(path, X_OK) == 0)
			return true;
	}
	return false;
}

static int find_clang(struct job *job, struct skep_err *err)
{
	const char *asked = job->opts->clang ? job->opts->clang : getenv("SKEP_CLANG");
	char name[32];
	int n;

	if (asked && asked[0]) {
		if (in_path(job->clang, sizeof(job->clang), asked))
			return 0;
		return skep_fail(err, SKEP_E_CC_MISSING, ENOENT,
				 "%s: '%s' is not an executable (SKEP_CLANG)", job->source, asked);
	}
	if (in_path(job->clang, sizeof(job->clang), "clang"))
		return 0;
	for (n = NEWEST_CLANG; n >= OLDEST_CLANG; n--) {
		snprintf(name, sizeof(name), "clang-%d", n);
		if (in_path(job->clang, sizeof(job->clang), name))
			return 0;
	}
	return skep_fail(err, SKEP_E_CC_MISSING, ENOENT,
			 "%s: no clang in PATH to compile it; install one "
			 "(apt-get install clang libbpf-dev) or name one in SKEP_CLANG",
			 job->source);
}

/* True if @text has a line: # include "vmlinux.h" (or <...>). */
static bool includes_vmlinux(const char *text, size_t len)
{
	const char *end = text + len, *p = text, *hit;

	while ((hit = memmem(p, (size_t)(end - p), "vmlinux.h", 9))) {
		p = hit + 9;
		if (hit == text || (hit[-1] != '"' && hit[-1] != '<'))
			continue;
		for (hit -= 2; hit >= text && isblank((unsigned char)*hit); hit--)
			;
		if (hit - text >= 7 && memcmp(hit - 6, "include", 7) == 0)
			return true;
	}
	return false;
}

static int make_argv(struct job *job, struct skep_err *err)
{
	static const char *const fixed[] = {
		"-target", "bpf", "-mcpu=v3", "-g",  "-O2", "-std=gnu11", "-x",	 "c",
		"-c",	   "-o",  "-",	      "-MD", "-MT", "o",	  "-MF",
	};
	const char *slash = strrchr(job->source, '/'), *const * flag;
	struct utsname uts = {0};
	int ret = 0, used = 0;
	size_t i;

	uname(&uts);
	ret |= skep_vec_push(&job->argv, job->clang);
	for (i = 0; i < SKEP_ARRAY_SIZE(fixed); i++)
		ret |= skep_vec_push(&job->argv, fixed[i]);
	ret |= skep_vec_push(&job->argv, NULL); /* the rule's file, known when it runs */
	snprintf(job->texts[used], PATH_MAX, "-I%.*s", slash ? (int)(slash - job->source) : 1,
		 slash ? job->source : ".");
	ret |= skep_vec_push(&job->argv, job->texts[used++]);
	if (job->vmlinux[0]) {
		snprintf(job->texts[used], PATH_MAX, "-I%.*s", PATH_MAX - 3, job->vmlinux);
		ret |= skep_vec_push(&job->argv, job->texts[used++]);
	}
	for (i = 0; i < SKEP_ARRAY_SIZE(arches); i++) {
		if (strcmp(arches[i].machine, uts.machine))
			continue;
		snprintf(job->texts[used], PATH_MAX, "-D__TARGET_ARCH_%s", arches[i].target);
		ret |= skep_vec_push(&job->argv, job->texts[used++]);
		snprintf(job->texts[used], PATH_MAX, "/usr/include/%s", arches[i].multiarch);
		ret |= skep_vec_push(&job->argv, "-idirafter");
		ret |= skep_vec_push(&job->argv, job->texts[used++]);
	}
	for (flag = job->opts->flags; flag && *flag; flag++)
		ret |= skep_vec_push(&job->argv, *flag);
	ret |= skep_vec_push(&job->argv, job->source);
	ret |= skep_vec_push(&job->argv, job->opts->color ? "-fcolor-diagnostics" : NULL);
	ret |= skep_vec_push(&job->argv, NULL);
	return ret ? skep_fail_nomem(err) : 0;
}

/* The index of the argument that make_argv() left open: after "-MF". */
static size_t rule_arg(const struct job *job)
{
	size_t i;

	for (i = 1; strcmp(job->argv.data[i - 1], "-MF"); i++)
		;
	return i;
}

/* What a cached object depends on besides the content of files. */
static void hash_job(struct job *job)
{
	char cwd[PATH_MAX] = "";
	struct stat st = {0};
	uint64_t id[4], key = 0;
	size_t i;

	if (!getcwd(cwd, sizeof(cwd)))
		cwd[0] = '\0';
	stat(job->clang, &st);
	id[0] = st.st_ino;
	id[1] = (uint64_t)st.st_size;
	id[2] = (uint64_t)st.st_mtim.tv_sec;
	id[3] = (uint64_t)st.st_mtim.tv_nsec;
	key = skep_hash_bytes(id, sizeof(id), key);
	key = skep_hash_bytes(cwd, strlen(cwd), key);
	for (i = 0; i < job->argv.len; i++) {
		const char *arg = job->argv.data[i];

		if (arg && strcmp(arg, "-fcolor-diagnostics"))
			key = skep_hash_bytes(arg, strlen(arg), key);
	}
	job->key = key;
}

/* The whole of memfd @fd as malloc'ed text. */
static char *take_text(int fd, size_t *len)
{
	struct stat st;
	char *text;

	if (fstat(fd, &st) < 0)
		return NULL;
	text = malloc((size_t)st.st_size + 1);
	if (!text || pread(fd, text, (size_t)st.st_size, 0) != st.st_size) {
		free(text);
		return NULL;
	}
	text[st.st_size] = '\0';
	if (len)
		*len = (size_t)st.st_size;
	return text;
}

static void exec_clang(struct job *job, const int fds[3])
{
	int null = open("/dev/null", O_RDONLY);

	/* fds[2], the rule's, is named by number on the command line. */
	if (null >= 0)
		dup2(null, 0);
	if (dup2(fds[0], 1) < 0 || dup2(fds[1], 2) < 0 || fcntl(fds[2], F_SETFD, 0) < 0)
		_exit(126);
	execv(job->clang, (char *const *)job->argv.data);
	_exit(127);
}

/* Runs clang with stdout, stderr and the rule going to @fds.  0, or -errno. */
static int run_clang(struct job *job, const int fds[3], struct skep_err *err)
{
	char rule[64];
	int status;
	pid_t pid;

	snprintf(rule, sizeof(rule), "/proc/self/fd/%d", fds[2]);
	job->argv.data[rule_arg(job)] = rule;
	pid = vfork();
	if (pid == 0)
		exec_clang(job, fds);
	if (pid < 0)
		return skep_fail(err, SKEP_E_SYSTEM, errno, "%s: %s", job->clang, strerror(errno));
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFSIGNALED(status))
		return skep_fail(err, SKEP_E_CC_FAILED, EINVAL, "%s: %s was killed by signal %d",
				 job->source, job->clang, WTERMSIG(status));
	return skep_fail(err, SKEP_E_CC_FAILED, EINVAL, "%s: does not compile", job->source);
}

/* Adds what to do about it to the diagnostics of a failed compilation. */
static int explain(struct job *job, int ret, char *said, struct skep_err *err)
{
	if (said && strstr(said, "'bpf/bpf_") && strstr(said, "file not found"))
		skep_wrap(err, ret, "libbpf-dev is not installed (apt-get install libbpf-dev)");
	skep_err_take_detail(err, said);
	return ret;
}

static int compile(struct job *job, struct skep_cc_object *object, char **rule,
		   struct skep_err *err)
{
	SKEP_AUTO_CLOSE int out = memfd_create("skep-object", MFD_CLOEXEC);
	SKEP_AUTO_CLOSE int said = memfd_create("skep-said", MFD_CLOEXEC);
	SKEP_AUTO_CLOSE int deps = memfd_create("skep-deps", MFD_CLOEXEC);
	char *text;
	int ret;

	if (out < 0 || said < 0 || deps < 0)
		return skep_fail(err, SKEP_E_SYSTEM, errno, "%s: memory for clang: %s", job->source,
				 strerror(errno));
	ret = run_clang(job, (int[3]){out, said, deps}, err);
	text = take_text(said, NULL);
	if (ret < 0)
		return explain(job, ret, text, err);
	if (text && text[0])
		object->warnings = SKEP_TAKE(text);
	free(text);
	*rule = take_text(deps, NULL);
	object->file.data = take_text(out, &object->file.len);
	object->data = object->file.data;
	object->len = object->file.len;
	if (!*rule || !object->data)
		return skep_fail_nomem(err);
	return 0;
}

/* vmlinux.h in memory's file system, for want of a cache. */
static int make_in_memory(struct job *job, struct skep_err *err)
{
	char shm[64];
	int ret;

	job->cache[0] = '\0';
	snprintf(shm, sizeof(shm), "/dev/shm/skep-%u", geteuid());
	ret = skep_cc_vmlinux_dir(job->vmlinux, sizeof(job->vmlinux), shm, err);
	if (ret == 0)
		ret = skep_cc_private_dir(shm, err);
	if (ret == 0)
		ret = skep_cc_vmlinux_make(job->vmlinux, err);
	if (ret == 0)
		skep_warn(job->log, "vmlinux.h is kept in %s instead", shm);
	return ret;
}

/* vmlinux.h where it is wanted: in the cache, or in memory without one. */
static int need_vmlinux(struct job *job, struct skep_err *err)
{
	struct skep_err why = SKEP_ERR_INIT;
	int ret = -ENOENT;

	if (job->vmlinux[0])
		ret = skep_cc_vmlinux_make(job->vmlinux, &why);
	if (ret < 0 && why.tag != SKEP_E_BTF_MISSING && why.tag != SKEP_E_BTF_INVALID) {
		if (why.msg[0])
			skep_warn(job->log, "%s", why.msg);
		skep_err_deinit(&why);
		ret = make_in_memory(job, &why);
	}
	if (ret < 0)
		skep_fail(err, why.tag, why.err, "%s: %s", job->source, why.msg);
	skep_err_deinit(&why);
	return ret;
}

static void set_dirs(struct job *job)
{
	struct skep_err why = SKEP_ERR_INIT;

	if (skep_cc_cache_dir(job->cache, sizeof(job->cache), &why) < 0) {
		job->cache[0] = '\0';
		skep_warn(job->log, "no cache: %s", why.msg);
		skep_err_deinit(&why);
		return;
	}
	if (skep_cc_vmlinux_dir(job->vmlinux, sizeof(job->vmlinux), job->cache, NULL) < 0)
		job->vmlinux[0] = '\0';
}

static int build(struct job *job, struct skep_cc_object *object, struct skep_err *err)
{
	struct skep_err why = SKEP_ERR_INIT;
	SKEP_AUTO_FREE char *rule = NULL;
	int ret;

	ret = compile(job, object, &rule, err);
	/* A header of the program's may ask for it, too. */
	if (ret < 0 && err && err->detail && strstr(err->detail, "'vmlinux.h' file not found")) {
		ret = need_vmlinux(job, &why);
		if (ret == 0) {
			skep_err_deinit(err);
			ret = compile(job, object, &rule, err);
		}
	}
	/* Warnings are to be seen each time, so what has some is not kept. */
	if (ret == 0 && job->cache[0] && !job->opts->no_cache && !object->warnings &&
	    skep_cc_cache_put(job->cache, job->key, rule, object->data, object->len, &why) < 0)
		skep_warn(job->log, "the compiled program is not kept: %s", why.msg);
	skep_err_deinit(&why);
	return ret;
}

/* What cannot be C source is said to be what it is, not handed to clang. */
static int check_source(const struct job *job, const struct skep_file *source, struct skep_err *err)
{
	size_t len = strlen(job->source);

	if (source->len == 0)
		return skep_fail(err, SKEP_E_CC_FAILED, EINVAL, "%s: is empty", job->source);
	if (len > 2 && strcmp(job->source + len - 2, ".o") == 0)
		return skep_fail(err, SKEP_E_CC_FAILED, EINVAL,
				 "%s: is no ELF object, though its name says so (compile one with "
				 "`skep cc`, or clang -target bpf -g -O2 -c)",
				 job->source);
	if (memchr(source->data, '\0', source->len))
		return skep_fail(err, SKEP_E_CC_FAILED, EINVAL,
				 "%s: is neither a BPF object (ELF) nor C source", job->source);
	return 0;
}

/* A vmlinux.h that lies beside the program is the one it means. */
static bool has_own_vmlinux(const struct job *job)
{
	const char *slash = strrchr(job->source, '/');
	char path[PATH_MAX];

	return snprintf(path, sizeof(path), "%.*svmlinux.h",
			slash ? (int)(slash + 1 - job->source) : 0,
			job->source) < (int)sizeof(path) &&
	       access(path, R_OK) == 0;
}

static int start(struct job *job, struct skep_cc_object *object, struct skep_err *err)
{
	struct skep_file source;
	bool vmlinux;
	int ret;

	ret = skep_file_open(&source, job->source, err);
	if (ret < 0)
		return ret;
	ret = check_source(job, &source, err);
	vmlinux = includes_vmlinux(source.data, source.len) && !has_own_vmlinux(job);
	skep_file_close(&source);
	if (ret < 0)
		return ret;
	ret = find_clang(job, err);
	if (ret < 0)
		return ret;
	set_dirs(job);
	if (vmlinux)
		ret = need_vmlinux(job, err);
	if (ret == 0)
		ret = make_argv(job, err);
	if (ret < 0)
		return ret;
	hash_job(job);
	if (job->cache[0] && !job->opts->no_cache &&
	    skep_cc_cache_get(object, job->cache, job->key))
		return 0;
	return build(job, object, err);
}

int skep_cc_compile(struct skep_cc_object *object, const char *path,
		    const struct skep_cc_opts *opts, struct skep_log *log, struct skep_err *err)
{
	static const struct skep_cc_opts defaults = {.sz = sizeof(defaults)};
	struct job *job = calloc(1, sizeof(*job));
	int ret;

	*object = (struct skep_cc_object){0};
	if (!job)
		return skep_fail_nomem(err);
	job->source = path;
	job->opts = opts ? opts : &defaults;
	job->log = log;
	ret = start(job, object, err);
	skep_vec_deinit(&job->argv);
	free(job);
	if (ret < 0)
		skep_cc_object_deinit(object);
	return ret;
}

void skep_cc_object_deinit(struct skep_cc_object *object)
{
	skep_file_close(&object->file);
	free(object->warnings);
	*object = (struct skep_cc_object){0};
}
