/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel as the oracle: the same bpf(2) calls on maps, chosen at random,
 * in the kernel engine and in the user engine; return values and what comes
 * back must be the same.  Needs root.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "btf_build.h"
#include "sys/sys.h"
#include "tap.h"
#include "user/user.h"

#define ROUNDS 1500
#define CALLS  40

static struct skep_sys *engines[2]; /* kernel, user */
static uint64_t state;

/* xorshift: the same sequence on every machine. */
static uint32_t rnd(uint32_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 33) % n;
}

static uint32_t pick(const uint32_t *from, uint32_t n)
{
	return from[rnd(n)];
}
#define PICK(...) pick((const uint32_t[]){__VA_ARGS__}, sizeof((uint32_t[]){__VA_ARGS__}) / 4)

static char what[300];
static int differ, batches;

static bool same(int kernel, int user, const char *call)
{
	if (user == -EOPNOTSUPP && engines[1]->why[0])
		return false; /* not here, and said so */
	if ((kernel < 0 || user < 0) && kernel != user) {
		if (differ++ < 20)
			printf("# %s: %s: kernel %d, user %d (%s)\n", what, call, kernel, user,
			       engines[1]->why);
		return false;
	}
	return true;
}

/* What maps of maps are shown and given: like each other or not, and what cannot be in them. */
enum { LIKE, LIKE_TOO, LONGER, INNER, HASHED, PROGS, NESTED, NO_MAP, CLOSED, INNERS };
static int inner_fd[2][INNERS];
static uint32_t inner_id[2][INNERS];

struct shape {
	uint32_t type, key, value, max, flags, inner, extra;
	size_t bytes; /* of a value as system calls move it */
};

static const uint32_t types[] = {BPF_MAP_TYPE_HASH,
				 BPF_MAP_TYPE_ARRAY,
				 BPF_MAP_TYPE_PROG_ARRAY,
				 BPF_MAP_TYPE_PERF_EVENT_ARRAY,
				 BPF_MAP_TYPE_PERCPU_HASH,
				 BPF_MAP_TYPE_PERCPU_ARRAY,
				 BPF_MAP_TYPE_STACK_TRACE,
				 BPF_MAP_TYPE_LRU_HASH,
				 BPF_MAP_TYPE_LRU_PERCPU_HASH,
				 BPF_MAP_TYPE_QUEUE,
				 BPF_MAP_TYPE_STACK,
				 BPF_MAP_TYPE_RINGBUF,
				 BPF_MAP_TYPE_BLOOM_FILTER,
				 BPF_MAP_TYPE_LPM_TRIE,
				 BPF_MAP_TYPE_LPM_TRIE,
				 BPF_MAP_TYPE_ARRAY_OF_MAPS,
				 BPF_MAP_TYPE_HASH_OF_MAPS,
				 BPF_MAP_TYPE_HASH_OF_MAPS,
				 99,
				 0};

static const uint32_t flags[] = {BPF_F_NO_PREALLOC,    BPF_F_NO_COMMON_LRU,  BPF_F_RDONLY,
				 BPF_F_WRONLY,	       BPF_F_STACK_BUILD_ID, BPF_F_ZERO_SEED,
				 BPF_F_RDONLY_PROG,    BPF_F_WRONLY_PROG,    BPF_F_MMAPABLE,
				 BPF_F_PRESERVE_ELEMS, BPF_F_INNER_MAP,	     1u << 30};

static bool of_maps(const struct shape *s)
{
	return s->type == BPF_MAP_TYPE_ARRAY_OF_MAPS || s->type == BPF_MAP_TYPE_HASH_OF_MAPS;
}

/* Mostly what can be, sometimes not. */
static struct shape make_shape(void)
{
	struct shape s = {.type = pick(types, sizeof(types) / 4)};

	s.key = rnd(4) ? 4 : PICK(0, 1, 3, 8, 16, 40);
	s.value = rnd(3) ? PICK(4, 8) : PICK(0, 1, 12, 24, 40, 64);
	s.max = rnd(4) ? PICK(1, 2, 3, 5, 8) : PICK(0, 4096, 8192, 5000);
	if (s.type == BPF_MAP_TYPE_RINGBUF && rnd(4)) {
		s.key = s.value = 0;
		s.max = PICK(4096, 8192, 65536);
	}
	if ((s.type == BPF_MAP_TYPE_QUEUE || s.type == BPF_MAP_TYPE_STACK ||
	     s.type == BPF_MAP_TYPE_BLOOM_FILTER) &&
	    rnd(4))
		s.key = 0;
	if (s.type == BPF_MAP_TYPE_LPM_TRIE && rnd(6)) {
		s.key = PICK(5, 6, 8, 12, 13, 20);
		s.flags = BPF_F_NO_PREALLOC;
	}
	if (s.type == BPF_MAP_TYPE_BLOOM_FILTER || !rnd(40))
		s.extra = rnd(2) ? 0 : rnd(17);
	if (of_maps(&s)) {
		s.inner = rnd(4) ? PICK(LIKE, INNER, HASHED) : rnd(INNERS);
		s.value = rnd(10) ? 4 : s.value;
	}
	/* Which elements a full LRU map drops is not specified: these have room for all. */
	if ((s.type == BPF_MAP_TYPE_LRU_HASH || s.type == BPF_MAP_TYPE_LRU_PERCPU_HASH) && s.max)
		s.max = 4096;
	if (!rnd(3))
		s.flags |= pick(flags, sizeof(flags) / 4);
	if (!rnd(20))
		s.flags |= pick(flags, sizeof(flags) / 4);
	return s;
}

static int create(int engine, const struct shape *s, const char *name)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = s->type;
	attr.key_size = s->key;
	attr.value_size = s->value;
	attr.max_entries = s->max;
	attr.map_flags = s->flags;
	attr.map_extra = s->extra;
	if (of_maps(s))
		attr.inner_map_fd = (uint32_t)inner_fd[engine][s->inner];
	memcpy(attr.map_name, name, strlen(name)); /* 16 letters: no NUL */
	return skep_sys_bpf(engines[engine], BPF_MAP_CREATE, &attr, sizeof(attr));
}

static bool hashed(const struct shape *s)
{
	return s->type == BPF_MAP_TYPE_HASH || s->type == BPF_MAP_TYPE_PERCPU_HASH ||
	       s->type == BPF_MAP_TYPE_HASH_OF_MAPS || s->type == BPF_MAP_TYPE_LRU_HASH ||
	       s->type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}

/* Older kernels freeze a map without asking whether this descriptor may write. */
static bool freezes_unasked;

static void learn_freezing(void)
{
	union bpf_attr attr;
	int fd, i;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = BPF_MAP_TYPE_ARRAY;
	attr.key_size = attr.value_size = 4;
	attr.max_entries = 1;
	attr.map_flags = BPF_F_RDONLY;
	fd = skep_sys_bpf(engines[0], BPF_MAP_CREATE, &attr, sizeof(attr));
	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)fd;
	i = skep_sys_bpf(engines[0], BPF_MAP_FREEZE, &attr, sizeof(attr));
	freezes_unasked = i == 0;
	skep_sys_close(engines[0], fd);
}

/* Of a trie: a prefix, now and then a longer one than its keys are, of few different bits. */
static void make_key(const struct shape *s, unsigned char key[64])
{
	uint32_t i, bits = s->key > 4 ? (s->key - 4) * 8 : 0;

	memset(key, 0, 64);
	key[0] = (unsigned char)rnd(8);
	if (s->type != BPF_MAP_TYPE_LPM_TRIE)
		return;
	key[0] = (unsigned char)(rnd(40) ? rnd(rnd(3) ? bits + 1 : 9) : bits + 1);
	for (i = 4; i < s->key && i < 64; i++)
		key[i] = (unsigned char)(rnd(3) ? PICK(0, 0x80, 0x40) : rnd(256));
}

/* The id of a map becomes its place among those that both engines have. */
static void name_inner(int engine, unsigned char *id)
{
	uint32_t i;

	for (i = 0; i < INNERS; i++)
		if (!memcmp(id, &inner_id[engine][i], sizeof(i)))
			break;
	memcpy(id, &i, sizeof(i));
}

/* One call on an element in both engines. */
static void one_call(const struct shape *s, const int fd[2])
{
	static const int cmds[] = {BPF_MAP_LOOKUP_ELEM,		  BPF_MAP_UPDATE_ELEM,
				   BPF_MAP_UPDATE_ELEM,		  BPF_MAP_DELETE_ELEM,
				   BPF_MAP_GET_NEXT_KEY,	  BPF_MAP_FREEZE,
				   BPF_MAP_LOOKUP_AND_DELETE_ELEM};
	static unsigned char key[64], out[2][4096], in[4096], next[2][64];
	int cmd = cmds[rnd(rnd(30) ? 5 : 7)], ret[2], e;
	uint64_t fl = rnd(4) ? 0 : PICK(1, 2, 3, 4, 8, 16);
	bool null_key = !rnd(12), null_value = !rnd(40);
	uint32_t given = rnd(3) ? PICK(LIKE, LIKE_TOO, LONGER, INNER, HASHED) : rnd(INNERS);
	char text[120];
	size_t i;

	if (cmd == BPF_MAP_FREEZE && freezes_unasked)
		return;
	make_key(s, key);
	for (i = 0; i < sizeof(in); i++)
		in[i] = (unsigned char)rnd(256);
	memset(out, (int)PICK(0xaa, 0), sizeof(out));
	if (s->type == BPF_MAP_TYPE_BLOOM_FILTER && rnd(2))
		memset(in, out[0][0], sizeof(in));
	memset(next, 0, sizeof(next));
	for (e = 0; e < 2; e++) {
		union bpf_attr attr;

		if (of_maps(s))
			memcpy(in, &inner_fd[e][given], sizeof(int));
		memset(&attr, 0, sizeof(attr));
		attr.map_fd = (uint32_t)fd[e];
		if (cmd != BPF_MAP_FREEZE) {
			attr.key = null_key ? 0 : (uintptr_t)key;
			if (cmd == BPF_MAP_GET_NEXT_KEY)
				attr.next_key = (uintptr_t)next[e];
			else if (cmd == BPF_MAP_UPDATE_ELEM)
				attr.value = null_value ? 0 : (uintptr_t)in;
			else if (cmd != BPF_MAP_DELETE_ELEM)
				attr.value = null_value ? 0 : (uintptr_t)out[e];
			if (cmd != BPF_MAP_DELETE_ELEM && cmd != BPF_MAP_GET_NEXT_KEY)
				attr.flags = fl;
		}
		ret[e] = skep_sys_bpf(engines[e], cmd, &attr, sizeof(attr));
	}
	snprintf(text, sizeof(text), "cmd %d key %s%u/%02x%02x value %s flags %llu", cmd,
		 null_key ? "NULL " : "", key[0], key[4], key[5], null_value ? "NULL" : "set",
		 (unsigned long long)fl);
	/* Which key follows, and which is the last, is each hash's own. */
	if (hashed(s) && cmd == BPF_MAP_GET_NEXT_KEY && (ret[0] == 0 || ret[0] == -ENOENT) &&
	    (ret[1] == 0 || ret[1] == -ENOENT))
		return;
	if (cmd == BPF_MAP_LOOKUP_AND_DELETE_ELEM && s->type == BPF_MAP_TYPE_STACK_TRACE &&
	    ret[0] == -524)
		return; /* a kernel before 6.18 */
	/* What a bloom filter takes for one of its values is each one's own. */
	if (s->type == BPF_MAP_TYPE_BLOOM_FILTER && cmd == BPF_MAP_LOOKUP_ELEM &&
	    (ret[0] == 0 || ret[0] == -ENOENT) && (ret[1] == 0 || ret[1] == -ENOENT))
		return;
	if (!same(ret[0], ret[1], text) || ret[0] < 0)
		return;
	for (e = 0; e < 2 && of_maps(s) && cmd == BPF_MAP_LOOKUP_ELEM; e++)
		name_inner(e, out[e]);
	if (memcmp(out[0], out[1], sizeof(out[0])) && differ++ < 20)
		printf("# %s: %s: the values differ\n", what, text);
	if (memcmp(next[0], next[1], sizeof(next[0])) && differ++ < 20)
		printf("# %s: %s: the next keys differ\n", what, text);
}

/* Kinds whose keys come in the same order in both engines. */
static bool ordered(const struct shape *s)
{
	return (s->type == BPF_MAP_TYPE_ARRAY || s->type == BPF_MAP_TYPE_LPM_TRIE ||
		s->type == BPF_MAP_TYPE_ARRAY_OF_MAPS) &&
	       s->value <= 64 && s->key <= 64;
}

#define BATCH 6

/* One batch in both engines, from the start or from a key on. */
static void one_batch(const struct shape *s, const int fd[2])
{
	static const int cmds[] = {BPF_MAP_LOOKUP_BATCH, BPF_MAP_LOOKUP_BATCH, BPF_MAP_UPDATE_BATCH,
				   BPF_MAP_DELETE_BATCH, BPF_MAP_LOOKUP_AND_DELETE_BATCH};
	unsigned char keys[2][BATCH * 64], values[2][BATCH * 64], last[2][64] = {{0}}, key[64];
	uint32_t n = rnd(BATCH + 1), given = PICK(LIKE, LIKE_TOO, INNER, HASHED), count[2], i;
	int cmd = cmds[rnd(5)], ret[2], e;
	bool from = rnd(2);
	char text[40];

	for (i = 0; i < BATCH; i++) {
		make_key(s, key);
		memcpy(keys[0] + i * s->key, key, s->key);
	}
	memcpy(keys[1], keys[0], sizeof(keys[0]));
	make_key(s, key);
	for (e = 0; e < 2; e++) {
		union bpf_attr attr;

		memset(values[e], (int)n, sizeof(values[e]));
		for (i = 0; of_maps(s) && i < BATCH; i++)
			memcpy(values[e] + i * 4, &inner_fd[e][given], 4);
		memset(&attr, 0, sizeof(attr));
		attr.batch.map_fd = (uint32_t)fd[e];
		attr.batch.keys = (uintptr_t)keys[e];
		attr.batch.values = cmd == BPF_MAP_DELETE_BATCH ? 0 : (uintptr_t)values[e];
		attr.batch.count = n;
		if (cmd == BPF_MAP_LOOKUP_BATCH || cmd == BPF_MAP_LOOKUP_AND_DELETE_BATCH) {
			attr.batch.in_batch = from ? (uintptr_t)key : 0;
			attr.batch.out_batch = (uintptr_t)last[e];
		}
		ret[e] = skep_sys_bpf(engines[e], cmd, &attr, sizeof(attr));
		count[e] = attr.batch.count;
		for (i = 0; of_maps(s) && cmd == BPF_MAP_LOOKUP_BATCH && i < count[e]; i++)
			name_inner(e, values[e] + i * 4);
	}
	snprintf(text, sizeof(text), "cmd %d, a batch of %u", cmd, n);
	same(ret[0], ret[1], text);
	if (count[0] != count[1] && differ++ < 20)
		printf("# %s: %s: %u in the kernel, %u\n", what, text, count[0], count[1]);
	i = count[0] < BATCH ? count[0] : BATCH;
	if (cmd == BPF_MAP_LOOKUP_BATCH && (ret[0] == 0 || ret[0] == -ENOENT) &&
	    (memcmp(keys[0], keys[1], i * s->key) || memcmp(values[0], values[1], i * s->value) ||
	     memcmp(last[0], last[1], s->key)) &&
	    differ++ < 20)
		printf("# %s: %s: the elements differ\n", what, text);
	batches++;
}

/* All keys of a map, as the set of first bytes and how many. */
static void keys_of(struct skep_sys *sys, int fd, uint64_t *set, unsigned int *n)
{
	unsigned char key[64], next[64];
	union bpf_attr attr;

	*set = *n = 0;
	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)fd;
	attr.next_key = (uintptr_t)next;
	while (*n < 10000 && skep_sys_bpf(sys, BPF_MAP_GET_NEXT_KEY, &attr, sizeof(attr)) == 0) {
		memcpy(key, next, sizeof(key));
		attr.key = (uintptr_t)key;
		*set |= 1ull << (key[0] & 63);
		++*n;
	}
}

static bool one_round(void)
{
	struct shape s = make_shape();
	const char *name = rnd(10) ? "map" : rnd(2) ? "bad name" : "sixteen_letters_";
	uint64_t set[2];
	unsigned int n[2], i;
	int fd[2], e;

	snprintf(what, sizeof(what), "type %u key %u value %u max %u flags 0x%x name %s", s.type,
		 s.key, s.value, s.max, s.flags, name);
	for (e = 0; e < 2; e++)
		fd[e] = create(e, &s, name);
	if (same(fd[0], fd[1], "create") && fd[0] >= 0) {
		for (i = 0; i < CALLS; i++) {
			if (ordered(&s) && !rnd(6))
				one_batch(&s, fd);
			else
				one_call(&s, fd);
		}
		for (e = 0; e < 2; e++)
			keys_of(engines[e], fd[e], &set[e], &n[e]);
		if ((set[0] != set[1] || n[0] != n[1]) && differ++ < 20)
			printf("# %s: kernel has %u keys, user %u\n", what, n[0], n[1]);
	}
	i = fd[0] >= 0;
	for (e = 0; e < 2; e++)
		skep_sys_close(engines[e], fd[e]);
	return i;
}

static int make_inner(int e, uint32_t i)
{
	static const struct shape shapes[INNERS] = {
		[LIKE] = {BPF_MAP_TYPE_ARRAY, 4, 8, 2},
		[LIKE_TOO] = {BPF_MAP_TYPE_ARRAY, 4, 8, 2},
		[LONGER] = {BPF_MAP_TYPE_ARRAY, 4, 8, 3},
		[INNER] = {BPF_MAP_TYPE_ARRAY, 4, 8, 5, BPF_F_INNER_MAP},
		[HASHED] = {BPF_MAP_TYPE_HASH, 4, 8, 2},
		[PROGS] = {BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 1},
		[NESTED] = {BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 4, 1, .inner = LIKE},
	};
	union bpf_attr attr;

	if (i == CLOSED)
		return 999;
	if (i != NO_MAP)
		return create(e, &shapes[i], "inner");
	/* A descriptor, of no map. */
	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
	attr.insns = (uintptr_t)(struct bpf_insn[]){{.code = BPF_ALU | BPF_MOV},
						    {.code = BPF_JMP | BPF_EXIT}};
	attr.insn_cnt = 2;
	attr.license = (uintptr_t) "GPL";
	return skep_sys_bpf(engines[e], BPF_PROG_LOAD, &attr, sizeof(attr));
}

static void make_inners(void)
{
	struct bpf_map_info info;
	union bpf_attr attr;
	uint32_t i, bad = 0;
	int e;

	for (e = 0; e < 2; e++) {
		for (i = 0; i < INNERS; i++) {
			inner_fd[e][i] = make_inner(e, i);
			bad += inner_fd[e][i] < 0;
			memset(&attr, 0, sizeof(attr));
			memset(&info, 0, sizeof(info));
			attr.info.bpf_fd = (uint32_t)inner_fd[e][i];
			attr.info.info_len = sizeof(info);
			attr.info.info = (uintptr_t)&info;
			if (i < NO_MAP)
				skep_sys_bpf(engines[e], BPF_OBJ_GET_INFO_BY_FD, &attr,
					     sizeof(attr));
			inner_id[e][i] = i < NO_MAP ? info.id : UINT32_MAX;
		}
	}
	is_int(bad, 0, "maps to be in maps");
}

/* A map of @type with a key of the type @key, a value of @value; its descriptor or -errno. */
static int typed(int e, uint32_t type, int btf, uint32_t key, uint32_t value)
{
	bool trie = type == BPF_MAP_TYPE_LPM_TRIE;
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = type;
	attr.key_size = type == BPF_MAP_TYPE_BLOOM_FILTER    ? 0
			: type == BPF_MAP_TYPE_ARRAY_OF_MAPS ? 4
							     : 8;
	attr.value_size = 4;
	attr.max_entries = 2;
	attr.map_flags = trie ? BPF_F_NO_PREALLOC : 0;
	attr.inner_map_fd = (uint32_t)inner_fd[e][LIKE];
	attr.btf_fd = (uint32_t)btf;
	attr.btf_key_type_id = key;
	attr.btf_value_type_id = value;
	return skep_sys_bpf(engines[e], BPF_MAP_CREATE, &attr, sizeof(attr));
}

static int load_types(int e, const void *image, size_t len)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.btf = (uintptr_t)image;
	attr.btf_size = (uint32_t)len;
	return skep_sys_bpf(engines[e], BPF_BTF_LOAD, &attr, sizeof(attr));
}

/* Which kinds take which types of keys. */
static void test_types(void)
{
	static const uint32_t kinds[] = {BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_LPM_TRIE,
					 BPF_MAP_TYPE_ARRAY_OF_MAPS, BPF_MAP_TYPE_HASH_OF_MAPS,
					 BPF_MAP_TYPE_BLOOM_FILTER};
	struct build b = BUILD_INIT;
	uint32_t u32 = b_int(&b, "u32", 4, 0), key, i, k;
	int btf[2], fd[2], e, taken = 0, before = differ;
	const void *image;
	size_t len;

	b_int(&b, "u64", 8, 0);
	key = b_type(&b, "key", INFO(BTF_KIND_STRUCT, 0, 2), 8);
	b_member(&b, "prefixlen", u32, 0);
	b_member(&b, "data", u32, 32);
	image = b_image(&b, &len);
	for (e = 0; e < 2; e++)
		btf[e] = load_types(e, image, len);
	ok(btf[0] >= 0 && btf[1] >= 0, "types");
	for (k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		for (i = 0; i <= key; i++) {
			for (e = 0; e < 2; e++)
				fd[e] = typed(e, kinds[k], btf[e], i, u32);
			snprintf(what, sizeof(what), "type %u, key type %u", kinds[k], i);
			taken += same(fd[0], fd[1], "create") && fd[0] >= 0;
			for (e = 0; e < 2; e++)
				skep_sys_close(engines[e], fd[e]);
		}
	}
	is_int(differ - before, 0, "both engines take the same types");
	is_int(taken, 4, "a trie a struct, a hash that and a number, a bloom filter none");
	for (e = 0; e < 2; e++)
		skep_sys_close(engines[e], btf[e]);
}

int main(int argc, char **argv)
{
	uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 88172645463325252ull;
	int i, created = 0;

	if (geteuid()) {
		puts("1..0 # SKIP needs root: the kernel is the oracle");
		return 0;
	}
	state = seed;
	engines[0] = skep_sys_kernel_create(NULL);
	engines[1] = skep_sys_user_create(NULL, NULL);
	learn_freezing();
	make_inners();
	test_types();
	for (i = 0; i < ROUNDS; i++)
		created += one_round();
	ok(created > ROUNDS / 5 && created < ROUNDS, "%d of %d maps could be created", created,
	   ROUNDS);
	ok(batches > ROUNDS / 10, "%d batches", batches);
	is_int(differ, 0, "both engines agree in every call");
	if (freezes_unasked)
		ok(true,
		   "freezing # SKIP this kernel freezes a map through a read-only descriptor");
	skep_sys_destroy(engines[0]);
	skep_sys_destroy(engines[1]);
	return done();
}
