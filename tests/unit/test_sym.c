/* SPDX-License-Identifier: BSD-2-Clause */
/* src/event/sym: names to places and addresses to names, in this program and in libc. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "event/sym.h"
#include "tap.h"

static struct skep_err err = SKEP_ERR_INIT;
static char self[4096];

__attribute__((noinline, used)) int skep_sym_here(int n);
__attribute__((noinline, used)) int skep_sym_here(int n)
{
	__asm__ volatile("" ::: "memory");
	return n * 3;
}

/* The bytes at the found offset are the bytes of the function. */
static void test_offset(void)
{
	unsigned char code[16];
	uint64_t off = 0;
	int fd;

	is_int(skep_sym_offset(self, "skep_sym_here", &off, &err), 0, "a function of this program");
	fd = open(self, O_RDONLY);
	ok(pread(fd, code, sizeof(code), (off_t)off) == sizeof(code) &&
		   !memcmp(code, (void *)(uintptr_t)skep_sym_here, sizeof(code)),
	   "its offset holds its code");
	close(fd);
	ok(skep_sym_offset(self, "skep_sym_her", &off, &err) == -ENOENT &&
		   strstr(err.msg, "did you mean skep_sym_here"),
	   "near names: %s", err.msg);
	skep_err_deinit(&err);
	ok(skep_sym_offset("/etc/passwd", "x", &off, &err) < 0 && err.tag == SKEP_E_ELF_INVALID,
	   "not ELF: %s", err.msg);
	skep_err_deinit(&err);
	ok(skep_sym_offset("/nowhere", "x", &off, &err) == -ENOENT && err.tag == SKEP_E_NOT_FOUND,
	   "no file: %s", err.msg);
	skep_err_deinit(&err);
}

static uint64_t libc_offset(const char *func)
{
	char *libc = skep_sym_file("libc.so.6", &err);
	uint64_t off = 0;

	if (!libc || skep_sym_offset(libc, func, &off, &err) < 0)
		off = 0;
	free(libc);
	return off;
}

static void test_versions(void)
{
	uint64_t plain = libc_offset("pthread_cond_signal");

	skep_err_deinit(&err);
	ok(libc_offset("malloc") && libc_offset("malloc") == libc_offset("malloc@GLIBC_2.2.5"),
	   "a function by name and by version");
	if (!libc_offset("pthread_cond_signal@GLIBC_2.3.2")) {
		ok(true, "versions # SKIP this libc has other ones");
		skep_err_deinit(&err);
		return;
	}
	ok(plain == libc_offset("pthread_cond_signal@@GLIBC_2.3.2") &&
		   plain != libc_offset("pthread_cond_signal@GLIBC_2.2.5"),
	   "without a version the default one is meant");
	ok(!libc_offset("memcpy") && strstr(err.msg, "indirect function"), "indirect: %s", err.msg);
	skep_err_deinit(&err);
}

static void test_file(const char *name, const char *part)
{
	char *path = skep_sym_file(name, &err);

	ok(path ? part && strstr(path, part) && path[0] == '/' : !part, "%s: %s", name,
	   path ? path : err.msg);
	skep_err_deinit(&err);
	free(path);
}

static const char *text_of(struct skep_symtab *tab, pid_t pid, uint64_t ip)
{
	static char buf[256];

	return skep_symtab_text(tab, pid, ip, buf, sizeof(buf));
}

static void test_address(void)
{
	struct skep_symtab *tab = skep_symtab_create();
	uint64_t ip = (uintptr_t)skep_sym_here;
	struct skep_symbol sym;

	is_int(skep_symtab_add_pid(tab, getpid()), 0, "mappings of this process");
	is_str(text_of(tab, getpid(), ip + 3), "skep_sym_here+0x3", "an address of ours");
	skep_symtab_find(tab, getpid(), (uintptr_t)dlsym(RTLD_DEFAULT, "a64l"), &sym);
	ok(sym.name && !strcmp(sym.name, "a64l") && sym.offset == 0 && strstr(sym.module, "libc"),
	   "an address of libc");
	is_str(text_of(tab, getpid(), 0x10), "0x10", "an address of nothing");
	ok(skep_symtab_add_pid(tab, 0x3fffffff) < 0, "no such process");
	skep_symtab_destroy(tab);
	skep_symtab_destroy(NULL);
}

/* A PERF_RECORD_MMAP2 after its header. */
static size_t mmap2(unsigned char *p, uint32_t pid, uint64_t start, uint64_t len, const char *path)
{
	uint32_t ids[2] = {pid, pid};
	uint64_t where[3] = {start, len, 0};

	memset(p, 0, 64);
	memcpy(p, ids, 8);
	memcpy(p + 8, where, 24);
	strcpy((char *)p + 64, path);
	return 64 + strlen(path) + 1;
}

static void test_records(void)
{
	struct skep_symtab *tab = skep_symtab_create();
	uint32_t fork[6] = {200, 100, 200, 100, 0, 0}, comm[4] = {100, 100, 0, 0};
	unsigned char rec[512];
	size_t len = mmap2(rec, 100, 0x1000, 0x1000, "/nowhere/old");
	size_t i;

	skep_symtab_record(tab, PERF_RECORD_MMAP2, 0, rec, len, 10);
	is_str(text_of(tab, 100, 0x1004), "0x4 in /nowhere/old",
	       "a mapping of a file that is gone");
	skep_symtab_record(tab, PERF_RECORD_FORK, 0, fork, sizeof(fork), 20);
	is_str(text_of(tab, 200, 0x1004), "0x4 in /nowhere/old", "a fork has its parent's");
	/* Out of order: the new image's mapping comes before the news of the exec. */
	len = mmap2(rec, 100, 0x1000, 0x1000, "/nowhere/new");
	skep_symtab_record(tab, PERF_RECORD_MMAP2, 0, rec, len, 40);
	skep_symtab_record(tab, PERF_RECORD_COMM, PERF_RECORD_MISC_COMM_EXEC, comm, sizeof(comm),
			   30);
	len = mmap2(rec, 100, 0x8000, 0x1000, "/nowhere/old");
	skep_symtab_record(tab, PERF_RECORD_MMAP2, 0, rec, len, 15);
	is_str(text_of(tab, 100, 0x1004), "0x4 in /nowhere/new", "exec: new mappings stay");
	is_str(text_of(tab, 100, 0x8004), "0x8004", "late news of the old image are dropped");
	is_str(text_of(tab, 200, 0x1004), "0x4 in /nowhere/old", "the child keeps its own");
	for (i = 0; i < len; i++)
		if (skep_symtab_record(tab, PERF_RECORD_MMAP2, 0, rec, i, 50) != -EBADMSG)
			break;
	ok(i == len, "every truncated record is refused");
	skep_symtab_destroy(tab);
}

/* Truncated and flipped copies of this program: sentences, never a crash. */
static void test_broken(void)
{
	char path[] = "/tmp/skep-sym-XXXXXX";
	int fd = mkstemp(path), refused = 0, i;
	struct skep_file whole = {0};
	unsigned char *copy;
	uint64_t off;
	ssize_t n;

	skep_file_open(&whole, self, NULL);
	copy = malloc(whole.len);
	for (i = 0; i < 200 && copy; i++) {
		size_t len = i < 100 ? whole.len * (size_t)i / 100 : whole.len, j;

		memcpy(copy, whole.data, whole.len);
		for (j = 0; i >= 100 && j < 20; j++)
			copy[j < 10 ? (size_t)random() % 4096 : (size_t)random() % whole.len] ^=
				(unsigned char)(1 << random() % 8);
		if (ftruncate(fd, 0) < 0)
			break;
		n = pwrite(fd, copy, len, 0);
		if (n < 0 || skep_sym_offset(path, "skep_sym_here", &off, &err) < 0)
			refused += err.msg[0] != '\0';
		skep_err_deinit(&err);
	}
	ok(i == 200 && refused >= 50, "200 broken files, %d refused with a sentence", refused);
	free(copy);
	skep_file_close(&whole);
	close(fd);
	unlink(path);
}

int main(void)
{
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	self[n > 0 ? n : 0] = '\0';
	srandom(1);
	test_offset();
	test_versions();
	test_file("libc.so.6", "/libc.so.6");
	test_file("libc", "/libc.so.6");
	test_file("c", "/libc.so.6");
	test_file("sh", "bin/sh");
	test_file("/bin/sh", "/bin/sh");
	test_file("libnothing.so.9", NULL);
	test_file("no-such-thing", NULL);
	test_file("", NULL);
	test_address();
	test_records();
	test_broken();
	return done();
}
