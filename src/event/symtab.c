/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From addresses to names, for stacks.
 *
 * A process' mappings are remembered with the time they came, so that records
 * may arrive out of order (perf buffers are per CPU) and names can be found
 * after the process has ended.  Files are opened when an address in them is
 * asked for.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/perf_event.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/hash.h"
#include "base/reader.h"
#include "event/sym.h"
#include "event/symfile.h"

struct func {
	uint64_t addr, size; /* size 0: up to the next */
	const char *name;
	const char *module; /* kernel symbols only */
	int rank;
};

struct module {
	const char *path;
	struct skep_symfile file;
	bool tried, readable;
	SKEP_VEC(struct func) funcs; /* by address */
};

struct mapping {
	uint64_t start, end, offset, time;
	struct module *module;
};

struct process {
	pid_t pid; /* the hash's key */
	uint64_t exec_time; /* what is older is of the image before */
	SKEP_VEC(struct mapping) maps;
};

struct skep_symtab {
	struct skep_arena arena;
	struct skep_hash modules; /* path -> struct module */
	struct skep_hash processes; /* pid -> struct process */
	struct module kernel;
};

struct skep_symtab *skep_symtab_create(void)
{
	return calloc(1, sizeof(struct skep_symtab));
}

static void close_module(struct module *m)
{
	skep_symfile_close(&m->file);
	skep_vec_deinit(&m->funcs);
}

void skep_symtab_destroy(struct skep_symtab *tab)
{
	struct skep_hash_slot *slot;
	struct process *p;
	size_t pos = 0;

	if (!tab)
		return;
	while ((slot = skep_hash_next(&tab->modules, &pos)))
		close_module(slot->value);
	pos = 0;
	while ((slot = skep_hash_next(&tab->processes, &pos))) {
		p = slot->value;
		skep_vec_deinit(&p->maps);
	}
	close_module(&tab->kernel);
	skep_hash_deinit(&tab->modules);
	skep_hash_deinit(&tab->processes);
	skep_arena_deinit(&tab->arena);
	free(tab);
}

static struct process *get_process(struct skep_symtab *tab, pid_t pid, bool create)
{
	struct process *p = skep_hash_get(&tab->processes, &pid, sizeof(pid));

	if (p || !create)
		return p;
	p = skep_arena_new(&tab->arena, struct process);
	if (!p)
		return NULL;
	p->pid = pid;
	return skep_hash_set(&tab->processes, &p->pid, sizeof(p->pid), p) < 0 ? NULL : p;
}

static struct module *get_module(struct skep_symtab *tab, const char *path)
{
	struct module *m = skep_hash_gets(&tab->modules, path);

	if (m)
		return m;
	m = skep_arena_new(&tab->arena, struct module);
	if (m)
		m->path = skep_arena_strdup(&tab->arena, path);
	if (!m || !m->path)
		return NULL;
	return skep_hash_sets(&tab->modules, m->path, m) < 0 ? NULL : m;
}

static int add_mapping(struct skep_symtab *tab, struct process *p, const char *path,
		       struct mapping map)
{
	if (!p)
		return -ENOMEM;
	if (map.time && map.time < p->exec_time)
		return 0;
	map.module = get_module(tab, path);
	return map.module ? skep_vec_push(&p->maps, map) : -ENOMEM;
}

int skep_symtab_map(struct skep_symtab *tab, pid_t pid, uint64_t start, uint64_t end,
		    uint64_t offset, const char *path)
{
	return add_mapping(tab, get_process(tab, pid, true), path,
			   (struct mapping){.start = start, .end = end, .offset = offset});
}

int skep_symtab_add_pid(struct skep_symtab *tab, pid_t pid)
{
	char path[64], line[4352], perms[8];
	uint64_t start, end, offset;
	int at, ret = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	while (ret == 0 && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		at = 0;
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s %" SCNx64 " %*s %*s %n", &start, &end,
			   perms, &offset, &at) < 4 ||
		    !at || perms[2] != 'x' || !line[at])
			continue;
		ret = skep_symtab_map(tab, pid, start, end, offset, line + at);
	}
	fclose(f);
	return ret;
}

static int record_mmap2(struct skep_symtab *tab, struct skep_reader *r, uint64_t time)
{
	struct mapping map = {.time = time};
	const char *path;
	pid_t pid;

	pid = (pid_t)skep_reader_u32(r);
	skep_reader_u32(r);
	map.start = skep_reader_u64(r);
	map.end = map.start + skep_reader_u64(r);
	map.offset = skep_reader_u64(r);
	skep_reader_take(r, 24); /* device and inode, or build id */
	skep_reader_take(r, 8); /* protection, flags */
	path = r->bad ? NULL : skep_reader_str(r, r->pos);
	if (!path || map.end < map.start)
		return -EBADMSG;
	return add_mapping(tab, get_process(tab, pid, true), path, map);
}

/* The new process starts with its parent's mappings. */
static int record_fork(struct skep_symtab *tab, struct skep_reader *r, uint64_t time)
{
	struct process *parent, *child;
	pid_t pid, ppid;
	size_t i;

	pid = (pid_t)skep_reader_u32(r);
	ppid = (pid_t)skep_reader_u32(r);
	if (r->bad)
		return -EBADMSG;
	parent = pid == ppid ? NULL : get_process(tab, ppid, false);
	if (!parent)
		return 0;
	child = get_process(tab, pid, true);
	if (!child)
		return -ENOMEM;
	if (child->exec_time > time)
		return 0;
	for (i = 0; i < parent->maps.len; i++) {
		struct mapping map = parent->maps.data[i];

		if (map.time > time)
			continue;
		/* Whatever the child maps itself comes later than this. */
		map.time = time;
		if (skep_vec_push(&child->maps, map) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int record_exec(struct skep_symtab *tab, struct skep_reader *r, uint64_t time)
{
	struct process *p = get_process(tab, (pid_t)skep_reader_u32(r), true);
	size_t i, n = 0;

	if (r->bad)
		return -EBADMSG;
	if (!p)
		return -ENOMEM;
	for (i = 0; i < p->maps.len; i++)
		if (p->maps.data[i].time >= time)
			p->maps.data[n++] = p->maps.data[i];
	p->maps.len = n;
	p->exec_time = time;
	return 0;
}

int skep_symtab_record(struct skep_symtab *tab, uint32_t type, uint16_t misc, const void *data,
		       size_t len, uint64_t time)
{
	struct skep_reader r = skep_reader_init(data, len);

	switch (type) {
	case PERF_RECORD_MMAP2: return record_mmap2(tab, &r, time);
	case PERF_RECORD_FORK: return record_fork(tab, &r, time);
	case PERF_RECORD_COMM:
		return misc & PERF_RECORD_MISC_COMM_EXEC ? record_exec(tab, &r, time) : 0;
	default: return 0;
	}
}

static int by_address(const void *a, const void *b)
{
	const struct func *x = a, *y = b;

	if (x->addr != y->addr)
		return x->addr < y->addr ? -1 : 1;
	return y->rank - x->rank;
}

struct loading {
	struct skep_symtab *tab;
	struct module *module;
};

static int add_func(void *ctx, const struct skep_symfile_sym *sym)
{
	struct loading *l = ctx;
	size_t len = strcspn(sym->name, "@");
	struct func f = {.addr = sym->addr, .size = sym->size, .name = sym->name};

	/* Of several names at one address: sized before not, visible before local, plain first. */
	f.rank = (sym->size != 0) * 8 + (sym->bind == STB_GLOBAL) * 4 + (sym->bind == STB_WEAK) * 2;
	f.rank += sym->name[0] != '_';
	if (sym->name[len])
		f.name = skep_arena_strndup(&l->tab->arena, sym->name, len);
	return f.name ? skep_vec_push(&l->module->funcs, f) : -ENOMEM;
}

/* A process in another mount namespace sees other files; its own root shows them. */
static int open_module(struct module *m, pid_t pid)
{
	char path[4352];

	snprintf(path, sizeof(path), "/proc/%d/root%s", (int)pid, m->path);
	if (pid > 0 && skep_symfile_open(&m->file, path, NULL) == 0)
		return 0;
	skep_symfile_close(&m->file);
	return skep_symfile_open(&m->file, m->path, NULL);
}

static void load_module(struct skep_symtab *tab, struct module *m, pid_t pid)
{
	struct loading l = {tab, m};

	if (m->tried)
		return;
	m->tried = true;
	if (m->path[0] != '/' || open_module(m, pid) < 0)
		return;
	m->readable = true;
	skep_symfile_each(&m->file, add_func, &l);
	if (m->funcs.len)
		qsort(m->funcs.data, m->funcs.len, sizeof(*m->funcs.data), by_address);
}

static int add_kernel_line(struct skep_symtab *tab, char *line)
{
	char *name, *module;
	struct func f = {0};
	char *end, type;

	f.addr = strtoull(line, &end, 16);
	if (end == line || end[0] != ' ' || !end[1] || end[2] != ' ')
		return 0;
	type = end[1];
	/* Text symbols only; all zero addresses: kernel.kptr_restrict. */
	if (!f.addr || !strchr("tTwW", type))
		return 0;
	name = end + 3;
	name[strcspn(name, "\n")] = '\0';
	module = strchr(name, '\t');
	if (module)
		*module++ = '\0';
	f.name = skep_arena_strdup(&tab->arena, name);
	f.module = module ? skep_arena_strdup(&tab->arena, module) : "[kernel]";
	f.rank = (type == 'T') * 2 + (name[0] != '_');
	return f.name && f.module ? skep_vec_push(&tab->kernel.funcs, f) : -ENOMEM;
}

static void load_kernel(struct skep_symtab *tab)
{
	struct module *m = &tab->kernel;
	char line[1024];
	FILE *f;

	if (m->tried)
		return;
	m->tried = true;
	f = fopen("/proc/kallsyms", "re");
	while (f && fgets(line, sizeof(line), f))
		if (add_kernel_line(tab, line) < 0)
			break;
	if (f)
		fclose(f);
	if (m->funcs.len)
		qsort(m->funcs.data, m->funcs.len, sizeof(*m->funcs.data), by_address);
}

/* The function that @addr is in, or NULL. */
static const struct func *find_func(const struct module *m, uint64_t addr)
{
	size_t lo = 0, hi = m->funcs.len, mid;
	const struct func *f;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (m->funcs.data[mid].addr <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (!lo)
		return NULL;
	f = &m->funcs.data[lo - 1];
	/* Equal addresses are sorted best first. */
	while (f > m->funcs.data && f[-1].addr == f->addr)
		f--;
	return !f->size || addr - f->addr < f->size ? f : NULL;
}

static const struct mapping *find_mapping(const struct process *p, uint64_t ip)
{
	const struct mapping *found = NULL, *it;

	skep_vec_each (&p->maps, it)
		if (ip >= it->start && ip < it->end && (!found || it->time >= found->time))
			found = it;
	return found;
}

void skep_symtab_find(struct skep_symtab *tab, pid_t pid, uint64_t ip, struct skep_symbol *sym)
{
	const struct mapping *map;
	const struct func *f;
	struct process *p;
	uint64_t addr;

	*sym = (struct skep_symbol){0};
	/* On all 64-bit architectures the kernel has the upper half. */
	if (pid < 0 || ip >> 63) {
		load_kernel(tab);
		f = find_func(&tab->kernel, ip);
		sym->module = f ? f->module : "[kernel]";
		sym->name = f ? f->name : NULL;
		sym->offset = f ? ip - f->addr : ip;
		return;
	}
	p = get_process(tab, pid, false);
	map = p ? find_mapping(p, ip) : NULL;
	if (!map)
		return;
	load_module(tab, map->module, pid);
	sym->module = map->module->path;
	sym->offset = ip - map->start + map->offset;
	if (!map->module->readable || !skep_symfile_addr(&map->module->file, sym->offset, &addr))
		return;
	f = find_func(map->module, addr);
	if (!f)
		return;
	sym->name = f->name;
	sym->offset = addr - f->addr;
}

const char *skep_symtab_text(struct skep_symtab *tab, pid_t pid, uint64_t ip, char *buf,
			     size_t size)
{
	struct skep_symbol sym;

	skep_symtab_find(tab, pid, ip, &sym);
	if (sym.name)
		snprintf(buf, size, "%s+0x%" PRIx64, sym.name, sym.offset);
	else if (sym.module && !(ip >> 63))
		snprintf(buf, size, "0x%" PRIx64 " in %s", sym.offset, sym.module);
	else
		snprintf(buf, size, "0x%" PRIx64, ip);
	return buf;
}
