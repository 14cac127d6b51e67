/* SPDX-License-Identifier: BSD-2-Clause */
/* From names to places: which file a name means, and where a function is in it. */
#include "event/sym.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/near.h"
#include "event/symfile.h"

static bool is_elf(const char *path)
{
	SKEP_AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	char magic[SELFMAG];

	return fd >= 0 && read(fd, magic, sizeof(magic)) == sizeof(magic) &&
	       !memcmp(magic, ELFMAG, SELFMAG);
}

/* The last in name order of the ELF files @pattern matches: libc.so.6, not the script libc.so. */
static char *best_match(const char *pattern)
{
	char *found = NULL;
	glob_t g = {0};
	size_t i;

	if (glob(pattern, 0, NULL, &g) == 0)
		for (i = g.gl_pathc; i-- > 0 && !found;)
			if (is_elf(g.gl_pathv[i]))
				found = strdup(g.gl_pathv[i]);
	globfree(&g);
	return found;
}

/*
 * @name in folder @dir: exactly, or with @library as a library's bare name
 * ("libssl", "ssl" -> libssl.so.*).
 */
static char *in_folder(const char *dir, int len, const char *name, bool library)
{
	char path[4096];

	if (!library) {
		snprintf(path, sizeof(path), "%.*s/%s", len, dir, name);
		return is_elf(path) ? strdup(path) : NULL;
	}
	/* A pattern in the name would match what was not asked for. */
	if (strpbrk(name, "*?[\\"))
		return NULL;
	snprintf(path, sizeof(path), "%.*s/%s%s.so*", len, dir,
		 strncmp(name, "lib", 3) ? "lib" : "", name);
	return best_match(path);
}

static char *in_folders(const char *folders, const char *name, bool library)
{
	const char *end;
	char *found = NULL;

	for (; folders && *folders && !found; folders = *end ? end + 1 : end) {
		end = strchrnul(folders, ':');
		if (end > folders)
			found = in_folder(folders, (int)(end - folders), name, library);
	}
	return found;
}

/* The loader's folders: /etc/ld.so.conf, one a line, and what it includes. */
static char *in_conf(const char *conf, const char *name, bool library, int depth)
{
	FILE *f = fopen(conf, "re");
	char line[1024], *found = NULL, *s;
	glob_t g;
	size_t i;

	while (f && !found && fgets(line, sizeof(line), f)) {
		s = line + strspn(line, " \t");
		s[strcspn(s, "#\n")] = '\0';
		if (s[0] == '/') {
			found = in_folder(s, (int)strcspn(s, " \t"), name, library);
		} else if (!strncmp(s, "include", 7) && depth < 4) {
			s += 7 + strspn(s + 7, " \t");
			g = (glob_t){0};
			if (glob(s, 0, NULL, &g) == 0)
				for (i = 0; i < g.gl_pathc && !found; i++)
					found = in_conf(g.gl_pathv[i], name, library, depth + 1);
			globfree(&g);
		}
	}
	if (f)
		fclose(f);
	return found;
}

static char *in_libraries(const char *name, bool library)
{
	char *found = in_folders(getenv("LD_LIBRARY_PATH"), name, library);

	if (!found)
		found = in_conf("/etc/ld.so.conf", name, library, 0);
	if (!found)
		found = in_folders("/lib64:/usr/lib64:/lib:/usr/lib", name, library);
	return found;
}

char *skep_sym_file(const char *name, struct skep_err *err)
{
	const char *so = strstr(name, ".so");
	bool soname = so && (so[3] == '\0' || so[3] == '.');
	SKEP_AUTO_FREE char *here = NULL;
	char *found = NULL;

	if (strchr(name, '/')) {
		here = name[0] == '/' ? strdup("") : getcwd(NULL, 0);
		if (!here || asprintf(&found, "%s%s%s", here, *here ? "/" : "", name) < 0) {
			skep_fail_nomem(err);
			return NULL;
		}
		if (access(found, F_OK) == 0)
			return found;
		skep_fail(err, SKEP_E_NOT_FOUND, errno, "%s: %s", name, strerror(errno));
		free(found);
		return NULL;
	}
	if (soname) {
		found = in_libraries(name, false);
	} else if (name[0]) {
		found = in_folders(getenv("PATH"), name, false);
		if (!found)
			found = in_folders("/usr/bin:/usr/sbin", name, false);
		if (!found)
			found = in_libraries(name, true);
	}
	if (!found)
		skep_fail(err, SKEP_E_NOT_FOUND, ENOENT,
			  soname ? "'%s': no such library where the loader searches; give its path"
				 : "'%s': neither a program in PATH nor a library; give its path",
			  name);
	return found;
}

/* "/proc/PID/root" if that is not our root, else "". */
static const char *root_of(pid_t pid, char *buf, size_t size)
{
	struct stat ours, theirs;

	snprintf(buf, size, "/proc/%d/root", (int)pid);
	/* The same inode may be mounted over in one of two namespaces. */
	if (stat("/proc/self/ns/mnt", &ours) == 0) {
		char ns[64];

		snprintf(ns, sizeof(ns), "/proc/%d/ns/mnt", (int)pid);
		if (stat(ns, &theirs) == 0 && ours.st_ino == theirs.st_ino &&
		    stat("/", &ours) == 0 && stat(buf, &theirs) == 0 &&
		    ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev)
			return "";
	}
	return buf;
}

/* Is @path's last part @name, or the library that @name is short for? */
static bool is_named(const char *path, const char *name)
{
	const char *base = strrchr(path, '/');
	size_t n = strlen(name);

	base = base ? base + 1 : path;
	if (!strcmp(base, name))
		return true;
	if (strncmp(base, "lib", 3) == 0 && strncmp(name, "lib", 3) != 0)
		base += 3;
	return !strncmp(base, name, n) && !strncmp(base + n, ".so", 3);
}

/* The first file that process @pid has mapped and @name means; malloc'ed, or NULL. */
static char *in_maps(const char *name, pid_t pid)
{
	char path[64], line[4352], *found = NULL, *file;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	f = fopen(path, "re");
	while (f && !found && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		file = strchr(line, '/');
		if (file && is_named(file, name))
			found = strdup(file);
	}
	if (f)
		fclose(f);
	return found;
}

char *skep_sym_file_of(const char *name, pid_t pid, struct skep_err *err)
{
	SKEP_AUTO_FREE char *mapped = NULL;
	char buf[64], *found;
	const char *root;

	if (pid <= 0)
		return skep_sym_file(name, err);
	root = root_of(pid, buf, sizeof(buf));
	if (!strchr(name, '/'))
		mapped = in_maps(name, pid);
	if (!mapped && (!*root || name[0] != '/'))
		return skep_sym_file(name, err);
	if (asprintf(&found, "%s%s", root, mapped ? mapped : name) < 0) {
		skep_fail_nomem(err);
		return NULL;
	}
	if (access(found, F_OK) == 0)
		return found;
	skep_fail(err, SKEP_E_NOT_FOUND, errno, "%s: %s (as process %d sees it)",
		  mapped ? mapped : name, strerror(errno), (int)pid);
	free(found);
	return NULL;
}

/* True if @file, of device @major:@minor, of a line of maps is the one at @path. */
static bool is_file(const char *file, unsigned int major, unsigned int minor, uint64_t inode,
		    const char *path, const struct stat *st)
{
	return !strcmp(file, path) || (inode && inode == st->st_ino && major == major(st->st_dev) &&
				       minor == minor(st->st_dev));
}

int skep_sym_mapped_at(const char *path, uint64_t offset, pid_t pid, uint64_t *addr)
{
	SKEP_AUTO_FREE char *real = realpath(path, NULL);
	uint64_t start, end, from, inode;
	char maps[64], line[4352], perms[8];
	unsigned int major, minor;
	int at, ret = -ENOENT;
	struct stat st;
	FILE *f;

	if (!real || stat(real, &st) < 0)
		return -errno;
	snprintf(maps, sizeof(maps), "/proc/%d/maps", (int)pid);
	f = fopen(maps, "re");
	if (!f)
		return -errno;
	while (ret < 0 && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		at = 0;
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s %" SCNx64 " %x:%x %" SCNu64 " %n",
			   &start, &end, perms, &from, &major, &minor, &inode, &at) < 7 ||
		    !at || perms[2] != 'x' || offset < from || offset - from >= end - start ||
		    !is_file(line + at, major, minor, inode, real, &st))
			continue;
		*addr = start + (offset - from);
		ret = 0;
	}
	fclose(f);
	return ret;
}

struct search {
	const char *want, *version; /* version NULL: any */
	size_t len; /* of the name without version */
	struct skep_symfile *file;
	uint64_t addr;
	int rank; /* of the best so far, 0: none */
	unsigned int rivals; /* other addresses of the same rank */
	int ifunc; /* rank of the best indirect function of that name, 0: none */
	bool outside;
};

/* Visible before weak before local; the default version of a name before old ones. */
static int rank_of(const struct skep_symfile_sym *sym, bool old)
{
	int rank = sym->bind == STB_LOCAL ? 2 : sym->bind == STB_WEAK ? 4 : 6;

	return rank + !old;
}

static int match_sym(void *ctx, const struct skep_symfile_sym *sym)
{
	struct search *s = ctx;
	size_t len = strcspn(sym->name, "@");
	const char *version = sym->version;
	bool old = sym->hidden;
	uint64_t offset;
	int rank;

	if (len != s->len || memcmp(sym->name, s->want, len))
		return 0;
	if (sym->name[len]) {
		old = sym->name[len + 1] != '@';
		version = sym->name + len + (old ? 1 : 2);
	}
	if (s->version && (!version || strcmp(version, s->version)))
		return 0;
	rank = rank_of(sym, old);
	if (sym->type == STT_GNU_IFUNC) {
		if (rank > s->ifunc)
			s->ifunc = rank;
		return 0;
	}
	if (!skep_symfile_offset(s->file, sym->addr, &offset)) {
		s->outside = true;
		return 0;
	}
	if (rank > s->rank) {
		s->rank = rank;
		s->addr = sym->addr;
		s->rivals = 0;
	} else if (rank == s->rank && sym->addr != s->addr) {
		s->rivals++;
	}
	return 0;
}

static int offer_sym(void *ctx, const struct skep_symfile_sym *sym)
{
	skep_near_add(ctx, sym->name);
	return 0;
}

static int not_found(struct search *s, const char *path, const char *func, struct skep_err *err)
{
	struct skep_near near;
	char text[400];

	if (s->ifunc > s->rank)
		return skep_fail(err, SKEP_E_NOT_FOUND, ENOENT,
				 "%s: '%s' is chosen among variants when the program starts (an "
				 "indirect function); probe a variant or a caller",
				 path, func);
	if (s->outside)
		return skep_fail(err, SKEP_E_ELF_INVALID, ENOEXEC,
				 "%s: '%s' lies outside of what is loaded from the file", path,
				 func);
	skep_near_init(&near, func);
	skep_symfile_each(s->file, offer_sym, &near);
	skep_near_text(&near, text, sizeof(text));
	return skep_fail(
		err, SKEP_E_NOT_FOUND, ENOENT, "%s: no function '%s'%s", path, func,
		near.n ? text
		       : "; it may be inlined, or the file stripped (a debug package or an "
			 "offset helps)");
}

static int find_func(struct skep_symfile *f, const char *path, const char *func, uint64_t *offset,
		     struct skep_err *err)
{
	struct search s = {.want = func, .len = strcspn(func, "@"), .file = f};

	if (func[s.len])
		s.version = func + s.len + (func[s.len + 1] == '@' ? 2 : 1);
	skep_symfile_each(f, match_sym, &s);
	if (!s.rank || s.ifunc > s.rank)
		return not_found(&s, path, func, err);
	if (s.rivals)
		return skep_fail(
			err, SKEP_E_ATTACH, EEXIST,
			"%s: '%s' names %u functions; give a file offset instead of a name", path,
			func, s.rivals + 1);
	skep_symfile_offset(f, s.addr, offset);
	return 0;
}

int skep_sym_offset(const char *path, const char *func, uint64_t *offset, struct skep_err *err)
{
	struct skep_symfile f;
	int ret = skep_symfile_open(&f, path, err);

	if (ret == 0)
		ret = find_func(&f, path, func, offset, err);
	skep_symfile_close(&f);
	return ret;
}
