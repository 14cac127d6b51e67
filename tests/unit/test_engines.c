/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel as the oracle: the same bpf(2) calls on maps, chosen at random,
 * in the kernel engine and in the user engine; return values and what comes
 * back must be the same.  Needs root.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

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
static int differ;

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

struct shape {
	uint32_t type, key, value, max, flags;
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
				 BPF_MAP_TYPE_LPM_TRIE,
				 BPF_MAP_TYPE_LPM_TRIE,
				 99,
				 0};

static const uint32_t flags[] = {BPF_F_NO_PREALLOC,    BPF_F_NO_COMMON_LRU,  BPF_F_RDONLY,
				 BPF_F_WRONLY,	       BPF_F_STACK_BUILD_ID, BPF_F_ZERO_SEED,
				 BPF_F_RDONLY_PROG,    BPF_F_WRONLY_PROG,    BPF_F_MMAPABLE,
				 BPF_F_PRESERVE_ELEMS, BPF_F_INNER_MAP,	     1u << 30};

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
	if ((s.type == BPF_MAP_TYPE_QUEUE || s.type == BPF_MAP_TYPE_STACK) && rnd(4))
		s.key = 0;
	if (s.type == BPF_MAP_TYPE_LPM_TRIE && rnd(6)) {
		s.key = PICK(5, 6, 8, 12, 13, 20);
		s.flags = BPF_F_NO_PREALLOC;
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

static int create(struct skep_sys *sys, const struct shape *s, const char *name)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = s->type;
	attr.key_size = s->key;
	attr.value_size = s->value;
	attr.max_entries = s->max;
	attr.map_flags = s->flags;
	memcpy(attr.map_name, name, strlen(name)); /* 16 letters: no NUL */
	return skep_sys_bpf(sys, BPF_MAP_CREATE, &attr, sizeof(attr));
}

static bool hashed(const struct shape *s)
{
	return s->type == BPF_MAP_TYPE_HASH || s->type == BPF_MAP_TYPE_PERCPU_HASH ||
	       s->type == BPF_MAP_TYPE_LRU_HASH || s->type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
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
	char text[120];
	size_t i;

	if (cmd == BPF_MAP_FREEZE && freezes_unasked)
		return;
	make_key(s, key);
	for (i = 0; i < sizeof(in); i++)
		in[i] = (unsigned char)rnd(256);
	memset(out, 0xaa, sizeof(out));
	memset(next, 0, sizeof(next));
	for (e = 0; e < 2; e++) {
		union bpf_attr attr;

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
	if (!same(ret[0], ret[1], text) || ret[0] < 0)
		return;
	if (memcmp(out[0], out[1], sizeof(out[0])) && differ++ < 20)
		printf("# %s: %s: the values differ\n", what, text);
	if (memcmp(next[0], next[1], sizeof(next[0])) && differ++ < 20)
		printf("# %s: %s: the next keys differ\n", what, text);
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
		fd[e] = create(engines[e], &s, name);
	if (same(fd[0], fd[1], "create") && fd[0] >= 0) {
		for (i = 0; i < CALLS; i++)
			one_call(&s, fd);
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
	for (i = 0; i < ROUNDS; i++)
		created += one_round();
	ok(created > ROUNDS / 5 && created < ROUNDS, "%d of %d maps could be created", created,
	   ROUNDS);
	is_int(differ, 0, "both engines agree in every call");
	if (freezes_unasked)
		ok(true,
		   "freezing # SKIP this kernel freezes a map through a read-only descriptor");
	skep_sys_destroy(engines[0]);
	skep_sys_destroy(engines[1]);
	return done();
}
