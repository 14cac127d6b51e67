/* SPDX-License-Identifier: BSD-2-Clause */
/* src/base: errors, buffers, tables, readers. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/reader.h"
#include "base/vec.h"
#include "tap.h"

static void test_err(void)
{
	struct skep_err err = SKEP_ERR_INIT;

	is_int(skep_fail(&err, SKEP_E_ELF_INVALID, EINVAL, "key_size is %d", 0), -EINVAL,
	       "skep_fail returns the negative errno");
	skep_fail(&err, SKEP_E_NOMEM, ENOMEM, "later");
	skep_wrap(&err, -EINVAL, "%s: map '%s'", "a.o", "hits");
	is_str(err.msg, "a.o: map 'hits': key_size is 0", "first failure wins, wraps go in front");
	is_int(err.tag, SKEP_E_ELF_INVALID, "tag is kept");
	skep_err_deinit(&err);
	skep_wrap(&err, -ENOENT, "open %s", "x");
	is_str(err.msg, "open x: No such file or directory", "wrapping nothing tells the errno");
	is_int(skep_tag_exit(SKEP_E_PROG_REJECTED), 3, "a rejected program exits 3");
	skep_err_deinit(&err);
}

static void test_buf(void)
{
	struct skep_buf buf = SKEP_BUF_INIT;
	int i;

	is_str(skep_buf_str(&buf), "", "an empty buffer is an empty string");
	for (i = 0; i < 1000; i++)
		skep_buf_printf(&buf, "%03d", i);
	ok(buf.len == 3000 && !strcmp(buf.data + 2994, "998999"), "printf appends");
	skep_buf_cut(&buf, 3);
	is_str(skep_buf_str(&buf), "000", "cut");
	skep_buf_deinit(&buf);
}

static void test_hash(void)
{
	struct skep_hash hash = SKEP_HASH_INIT;
	static char keys[5000][8];
	size_t pos = 0, n = 0;
	int i, bad = 0;

	for (i = 0; i < 5000; i++) {
		snprintf(keys[i], sizeof(keys[i]), "k%d", i);
		bad += skep_hash_sets(&hash, keys[i], keys[i]) != 0;
	}
	for (i = 0; i < 5000; i += 2)
		bad += skep_hash_del(&hash, keys[i], strlen(keys[i])) != keys[i];
	for (i = 0; i < 5000; i++)
		bad += skep_hash_gets(&hash, keys[i]) != (i % 2 ? keys[i] : NULL);
	is_int(bad, 0, "5000 sets, 2500 deletes, 5000 gets");
	while (skep_hash_next(&hash, &pos))
		n++;
	is_int((long long)n, 2500, "iteration sees the live ones");
	for (i = 0; i < 100000; i++) {
		skep_hash_sets(&hash, keys[0], keys[0]);
		skep_hash_del(&hash, keys[0], strlen(keys[0]));
	}
	ok(hash.cap <= 32768, "deleted slots are reused (cap %zu)", hash.cap);
	skep_hash_deinit(&hash);
}

static void test_reader(void)
{
	static const unsigned char bytes[] = {1, 2, 0, 3, 0, 0, 0, 'h', 'i', 0, 'x'};
	struct skep_reader r = skep_reader_init(bytes, sizeof(bytes));

	ok(skep_reader_u8(&r) == 1 && skep_reader_u16(&r) == 2 && skep_reader_u32(&r) == 3,
	   "little endian values");
	is_str(skep_reader_str(&r, 7), "hi", "string inside");
	ok(!skep_reader_str(&r, 10) && !skep_reader_str(&r, 99), "unterminated or outside: NULL");
	ok(skep_reader_u64(&r) == 0 && r.bad && skep_reader_u8(&r) == 0, "past the end is sticky");
	ok(skep_reader_sub(&r, 4, SIZE_MAX).bad, "sub-window outside is bad");
}

static void test_vec_arena(void)
{
	struct skep_arena arena = SKEP_ARENA_INIT;
	SKEP_VEC(int) v = {0};
	int i, sum = 0, *it;
	char *p = NULL;

	for (i = 0; i < 1000; i++)
		skep_vec_push(&v, i);
	skep_vec_each (&v, it)
		sum += *it;
	is_int(sum, 499500, "vector keeps what was pushed");
	skep_vec_deinit(&v);
	for (i = 0; i < 10000; i++)
		p = skep_arena_printf(&arena, "n%d", i);
	is_str(p, "n9999", "arena strings");
	ok(((uintptr_t)skep_arena_alloc(&arena, 3) & 15) == 0, "16 byte alignment");
	ok(!skep_arena_array(&arena, SIZE_MAX / 2, 4), "overflowing product refused");
	skep_arena_deinit(&arena);
}

int main(void)
{
	test_err();
	test_buf();
	test_hash();
	test_reader();
	test_vec_arena();
	return done();
}
