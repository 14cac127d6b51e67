/* SPDX-License-Identifier: BSD-2-Clause */
/* Maps for the process: the engine's own, and elements of any. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "lib/int.h"
#include "map/map.h"
#include "sys/ring.h"

/* Programs as arrays of programs know them: descriptors are places in engine->programs. */
static void *prog_get(void *ctx, int fd)
{
	struct skep_engine *engine = ctx;
	struct skep_program *program = NULL;
	struct skep_vm_prog *vm = NULL;

	pthread_mutex_lock(&engine->lock);
	if (fd >= 0 && (size_t)fd < engine->programs.len)
		program = engine->programs.data[fd];
	if (program)
		vm = skep_vm_prog_get(program->vm);
	pthread_mutex_unlock(&engine->lock);
	return vm;
}

static void prog_put(void *prog)
{
	skep_vm_prog_put(prog);
}

static uint32_t prog_id(const void *prog)
{
	return 0; /* nobody asks for ids here */
}

static const struct skep_map_prog_ops prog_ops = {.get = prog_get, .put = prog_put, .id = prog_id};

int skep_map_make(struct skep_map **result, struct skep_engine *engine,
		  const struct skep_map_opts *opts, struct skep_err *err)
{
	struct skep_map_opts o;
	union bpf_attr attr = {0};
	struct skep_map *map;
	int ret;

	skep_lib_begin(err);
	skep_lib_opts(&o, opts, sizeof(o));
	*result = NULL;
	if (o.name && strlen(o.name) >= sizeof(attr.map_name))
		return skep_fail(err, SKEP_E_MAP_CREATE, EINVAL,
				 "map '%s': a name has up to 15 characters", o.name);
	if (o.type == BPF_MAP_TYPE_ARRAY_OF_MAPS || o.type == BPF_MAP_TYPE_HASH_OF_MAPS)
		return skep_fail(err, SKEP_E_UNSUPPORTED, EOPNOTSUPP,
				 "map '%s': maps of maps come with an object that says what is in "
				 "them (skep_object_open)",
				 o.name ? o.name : "");
	attr.map_type = o.type;
	attr.key_size = o.key_size;
	attr.value_size = o.value_size;
	attr.max_entries = o.max_entries;
	attr.map_flags = o.flags;
	if (o.name)
		memcpy(attr.map_name, o.name, strlen(o.name));
	ret = skep_map_create(&map, &attr, &prog_ops, engine, NULL, err);
	if (ret < 0)
		return ret;
	pthread_mutex_lock(&engine->lock);
	ret = skep_vec_push(&engine->maps, map);
	pthread_mutex_unlock(&engine->lock);
	if (ret < 0) {
		skep_map_put(map);
		return skep_fail_nomem(err);
	}
	*result = map;
	return 0;
}

const char *skep_map_name(const struct skep_map *map)
{
	return map->name;
}

uint32_t skep_map_type(const struct skep_map *map)
{
	return map->type;
}

uint32_t skep_map_key_size(const struct skep_map *map)
{
	return map->key_size;
}

size_t skep_map_value_size(const struct skep_map *map)
{
	return skep_map_sys_value_size(map);
}

uint32_t skep_map_max_entries(const struct skep_map *map)
{
	return map->max_entries;
}

/* Results of the system call's side; what is in no errno.h becomes EOPNOTSUPP. */
static int result_of(int ret)
{
	return ret == -SKEP_ENOTSUPP ? -EOPNOTSUPP : ret;
}

/* Their descriptors mean something to who made the map only. */
static bool holds_objects(const struct skep_map *map)
{
	return map->type == BPF_MAP_TYPE_PROG_ARRAY || map->ops->inner;
}

int skep_map_lookup_elem(struct skep_map *map, const void *key, void *value)
{
	return result_of(skep_map_sys_lookup(map, key, value, 0));
}

int skep_map_update_elem(struct skep_map *map, const void *key, const void *value, uint64_t flags)
{
	if (holds_objects(map))
		return -EOPNOTSUPP;
	return result_of(skep_map_sys_update(map, key, value, flags));
}

int skep_map_delete_elem(struct skep_map *map, const void *key)
{
	if (holds_objects(map))
		return -EOPNOTSUPP;
	return result_of(skep_map_sys_delete(map, key));
}

int skep_map_next_key(struct skep_map *map, const void *key, void *next)
{
	return result_of(skep_map_sys_next_key(map, key, next));
}

void *skep_map_value(struct skep_map *map, const void *key)
{
	if (skep_map_sys_value_size(map) != map->value_size)
		return NULL;
	return skep_map_lookup(map, key, 0);
}

int skep_map_set_program(struct skep_map *map, uint32_t index, struct skep_program *program,
			 struct skep_err *err)
{
	int ret;

	skep_lib_begin(err);
	if (map->type != BPF_MAP_TYPE_PROG_ARRAY)
		return skep_fail(err, SKEP_E_USAGE, EINVAL, "the map '%s' is no prog array",
				 map->name);
	if (index >= map->max_entries)
		return skep_fail(err, SKEP_E_USAGE, E2BIG, "slot %u: the map '%s' has %u", index,
				 map->name, map->max_entries);
	if (!program) {
		ret = skep_map_sys_delete(map, &index);
		return ret == -ENOENT ? 0 : ret;
	}
	/* Descriptors mean something to who made the map only. */
	ret = map->prog_ctx == skep_lib_maker(program)
		      ? skep_map_sys_update(map, &index, &program->fd, 0)
		      : -EINVAL;
	if (ret < 0)
		return skep_fail(err, SKEP_E_USAGE, -ret,
				 "the program '%s' cannot be put into the map '%s': it is of "
				 "another object, or of another type than those in it",
				 program->name, map->name);
	return 0;
}

struct reader {
	int (*fn)(void *data, const void *record, size_t len);
	void *data;
};

static int read_one(void *ctx, const struct skep_rec *rec)
{
	const struct reader *r = ctx;

	return r->fn(r->data, rec->data, rec->len);
}

int skep_map_read_ring(struct skep_map *map, int (*fn)(void *data, const void *record, size_t len),
		       void *data, struct skep_err *err)
{
	struct reader reader = {fn, data};
	size_t page = (size_t)sysconf(_SC_PAGESIZE), size = map->max_entries;
	void *consumer, *producer;
	struct skep_ring ring;
	int ret;

	skep_lib_begin(err);
	if (map->type != BPF_MAP_TYPE_RINGBUF)
		return skep_fail(err, SKEP_E_USAGE, EINVAL, "the map '%s' is no ring buffer",
				 map->name);
	consumer = skep_map_sys_mmap(map, 0, page, PROT_READ | PROT_WRITE);
	if (skep_sys_is_err(consumer))
		return skep_fail_nomem(err);
	producer = skep_map_sys_mmap(map, (off_t)page, page + 2 * size, PROT_READ);
	if (skep_sys_is_err(producer)) {
		munmap(consumer, page);
		return skep_fail_nomem(err);
	}
	skep_ring_init(&ring, consumer, producer, size);
	ret = skep_ring_read(&ring, read_one, &reader, err);
	munmap(consumer, page);
	munmap(producer, page + 2 * size);
	return ret;
}
