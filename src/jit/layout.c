/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The order of basic blocks: what leaves a loop is moved behind the loop, so
 * that the loop's own blocks follow each other and fewer jumps are taken.
 * Compilers for BPF leave it where they made it.
 *
 * Any order would be correct: whoever emits adds jumps where a block does not
 * stand before the one that it falls into.  Blocks stay within their function.
 */
#include <stdlib.h>
#include <string.h>

#include "jit/jit.h"
#include "jit/opt.h"

#define MAX_BLOCKS 8192 /* larger programs stay as they are */
#define MAX_LOOPS  128

struct loop {
	uint32_t header, nr; /* blocks */
	uint8_t *in; /* by block */
};

struct layout {
	struct skep_jit *j;
	uint32_t nr; /* blocks */
	struct skep_jit_block *block; /* by number, in the order of slots */
	uint32_t *of; /* by slot: its block */
	uint32_t (*from)[2]; /* where control goes from a block; UINT32_MAX: nowhere */
	uint32_t *first, *pred; /* of block b: pred[first[b]] to pred[first[b + 1]] */
	uint32_t *order, *stack, *moved;
	struct loop loops[MAX_LOOPS];
	uint32_t nr_loops;
	bool changed;
};

static bool parts(const struct skep_jit *j, uint32_t i)
{
	uint8_t kind = skep_jit_kind(&j->ir[i]);

	return kind == SKEP_KIND_JA || kind == SKEP_KIND_COND || kind == SKEP_KIND_EXIT ||
	       kind == SKEP_KIND_MAY_GOTO;
}

/* Cuts the program; @l->block NULL: only counts. */
static void cut(struct layout *l)
{
	const struct skep_jit *j = l->j;
	uint32_t i, next, n = 0;
	bool begins = true;

	for (i = 0; i < j->prog->nr; i = next) {
		next = j->select[i] ? i + 1 + j->select[i] : skep_jit_next(j, i);
		if (begins || j->leader[i]) {
			if (l->block)
				l->block[n].start = i;
			n++;
		}
		if (l->block) {
			memset(&l->of[i], 0, (next - i) * sizeof(*l->of));
			l->of[i] = n - 1;
			l->block[n - 1].end = next;
			l->block[n - 1].last = i;
		}
		begins = !j->select[i] && parts(j, i);
	}
	l->nr = n;
}

static void connect(struct layout *l)
{
	const struct skep_jit *j = l->j;
	uint32_t b, k, sum = 0, n;

	for (b = 0; b < l->nr; b++) {
		uint32_t i = l->block[b].last;
		const struct skep_vm_insn *in = &j->ir[i];
		uint8_t kind = skep_jit_kind(in);
		bool jumps = !j->select[i] && parts(j, i) && kind != SKEP_KIND_EXIT;

		l->from[b][0] = jumps ? l->of[(int64_t)i + in->off] : UINT32_MAX;
		l->from[b][1] = kind == SKEP_KIND_JA || kind == SKEP_KIND_EXIT || b + 1 == l->nr
					? UINT32_MAX
					: b + 1;
		for (k = 0; k < 2; k++)
			if (l->from[b][k] != UINT32_MAX)
				l->first[l->from[b][k]]++;
	}
	for (b = 0; b <= l->nr; b++) {
		n = l->first[b];
		l->first[b] = sum;
		sum += n;
	}
	for (b = 0; b < l->nr; b++)
		for (k = 0; k < 2; k++)
			if (l->from[b][k] != UINT32_MAX)
				l->pred[l->first[l->from[b][k]]++] = b;
	/* Each has been moved to the start of the next. */
	memmove(&l->first[1], &l->first[0], l->nr * sizeof(*l->first));
	l->first[0] = 0;
}

static struct loop *loop_of(struct layout *l, uint32_t header)
{
	uint32_t i;

	for (i = 0; i < l->nr_loops; i++)
		if (l->loops[i].header == header)
			return &l->loops[i];
	if (l->nr_loops == MAX_LOOPS)
		return NULL;
	l->loops[i].in = skep_jit_take(l->j, l->nr, 1);
	if (!l->loops[i].in)
		return NULL;
	l->loops[i].header = header;
	l->loops[i].in[header] = 1;
	l->loops[i].nr = 1;
	l->nr_loops++;
	return &l->loops[i];
}

/* Adds what leads to the jump back at the end of block @from without going through the header. */
static void grow(struct layout *l, struct loop *loop, uint32_t from)
{
	uint32_t n = 0, i;

	if (!loop->in[from])
		l->stack[n++] = from;
	loop->in[from] = 1;
	while (n) {
		uint32_t b = l->stack[--n];

		loop->nr++;
		for (i = l->first[b]; i < l->first[b + 1]; i++) {
			if (loop->in[l->pred[i]])
				continue;
			loop->in[l->pred[i]] = 1;
			l->stack[n++] = l->pred[i];
		}
	}
}

static int smaller(const void *a, const void *b)
{
	const struct loop *x = a, *y = b;

	return x->nr != y->nr ? (x->nr < y->nr ? -1 : 1) : x->header < y->header ? -1 : 1;
}

/* Depth first from @root: what leads to a block that is still being visited closes a loop. */
static void visit(struct layout *l, uint32_t root)
{
	enum { NEW, LOOKED = 3, DONE }; /* NEW + 1 to LOOKED: being visited */
	uint32_t *state = l->moved, *path = l->order, n = 0, b, to;

	if (state[root] != NEW)
		return;
	state[root] = 1;
	path[n++] = root;
	while (n) {
		b = path[n - 1];
		if (state[b] == LOOKED) { /* at both edges */
			state[b] = DONE;
			n--;
			continue;
		}
		to = l->from[b][state[b]++ - 1];
		if (to == UINT32_MAX)
			continue;
		if (state[to] == NEW) {
			state[to] = 1;
			path[n++] = to;
		} else if (state[to] != DONE) {
			struct loop *loop = loop_of(l, to);

			if (loop)
				grow(l, loop, b);
		}
	}
}

static void find_loops(struct layout *l)
{
	uint32_t b;

	for (b = 0; b < l->nr; b++)
		if (b == 0 || l->j->prog->is_func[l->block[b].start])
			visit(l, b);
	qsort(l->loops, l->nr_loops, sizeof(l->loops[0]), smaller);
}

/*
 * Moves what stands between blocks of the loop and is none of them behind the
 * last one.  The first is what jumps back lead to, or near: it is worth aligning.
 */
static void close_up(struct layout *l, const struct loop *loop)
{
	uint32_t first = UINT32_MAX, last = 0, i, n = 0, to;

	for (i = 0; i < l->nr; i++) {
		if (!loop->in[l->order[i]])
			continue;
		first = first == UINT32_MAX ? i : first;
		last = i;
	}
	for (i = first + 1; i <= last; i++)
		if (l->j->prog->is_func[l->block[l->order[i]].start])
			return;
	for (i = to = first; i <= last; i++) {
		if (loop->in[l->order[i]])
			l->order[to++] = l->order[i];
		else
			l->moved[n++] = l->order[i];
	}
	memcpy(&l->order[to], l->moved, n * sizeof(*l->order));
	l->changed |= n != 0;
	l->j->leader[l->block[l->order[first]].start] |= 8;
}

static void arrange(struct layout *l)
{
	uint32_t i;

	cut(l);
	connect(l);
	find_loops(l);
	for (i = 0; i < l->nr; i++)
		l->order[i] = i;
	for (i = 0; i < l->nr_loops; i++)
		close_up(l, &l->loops[i]);
	l->j->tops = true;
	if (!l->changed)
		return;
	l->j->blocks = skep_jit_take(l->j, l->nr, sizeof(*l->block));
	for (i = 0; l->j->blocks && i < l->nr; i++)
		l->j->blocks[i] = l->block[l->order[i]];
	l->j->nr_blocks = l->nr;
}

int skep_jit_layout(struct skep_jit *j)
{
	struct layout *l = skep_jit_take(j, 1, sizeof(*l));
	size_t words;
	uint32_t *room;

	if (!l)
		return -1;
	l->j = j;
	cut(l);
	if (l->nr > MAX_BLOCKS)
		return 0;
	words = j->prog->nr + 2 + l->nr * 8 + 2;
	l->block = skep_jit_take(j, l->nr, sizeof(*l->block));
	room = skep_jit_take(j, words, sizeof(*room));
	if (l->block && room) {
		l->of = room;
		l->from = (uint32_t(*)[2])(l->of + j->prog->nr + 1);
		l->first = (uint32_t *)(l->from + l->nr);
		l->pred = l->first + l->nr + 1;
		l->order = l->pred + l->nr * 2;
		l->stack = l->order + l->nr;
		l->moved = l->stack + l->nr;
		arrange(l);
	}
	return l->block && room && (!l->changed || j->blocks) ? 0 : -1;
}
