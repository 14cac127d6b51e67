/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/near.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define LEN_MAX 95

static uint64_t letters_of(const char *s)
{
	uint64_t set = 0;

	for (; *s; s++)
		set |= 1ull << ((unsigned char)*s & 63);
	return set;
}

void skep_near_init(struct skep_near *near, const char *want)
{
	*near = (struct skep_near){.want = want, .letters = letters_of(want)};
}

static unsigned int min3(unsigned int a, unsigned int b, unsigned int c)
{
	unsigned int m = a < b ? a : b;

	return m < c ? m : c;
}

/* Levenshtein's distance with two rows; more than @limit as soon as it must be. */
static unsigned int distance(const char *a, size_t na, const char *b, size_t nb, unsigned int limit)
{
	unsigned int row[LEN_MAX + 1], diag, up, least;
	size_t i, j;

	for (j = 0; j <= nb; j++)
		row[j] = (unsigned int)j;
	for (i = 1; i <= na; i++) {
		diag = row[0];
		least = row[0] = (unsigned int)i;
		for (j = 1; j <= nb; j++) {
			up = row[j];
			row[j] = min3(up + 1, row[j - 1] + 1, diag + (a[i - 1] != b[j - 1]));
			least = row[j] < least ? row[j] : least;
			diag = up;
		}
		if (least > limit)
			return least;
	}
	return row[nb];
}

/* Each letter that the other does not have at all is an edit; so is a letter's more of length. */
static bool is_far(uint64_t a, uint64_t b, size_t longer, size_t shorter, unsigned int limit)
{
	return longer - shorter > limit || __builtin_popcountll(a & ~b) > (int)limit ||
	       __builtin_popcountll(b & ~a) > (int)limit;
}

/* Equal costs are in order of the names, so that the advice is the same each time. */
static bool comes_before(const struct skep_near *near, unsigned int i, unsigned int cost,
			 const char *name)
{
	if (near->best[i].cost != cost)
		return cost < near->best[i].cost;
	return strcmp(name, near->best[i].name) < 0;
}

void skep_near_add(struct skep_near *near, const char *name)
{
	size_t na = strlen(near->want), nb = strlen(name), longer = na > nb ? na : nb;
	unsigned int cost, limit, i;

	if (!na || !nb || longer > LEN_MAX)
		return;
	limit = (unsigned int)(longer + 2) / 3;
	if (near->n == SKEP_NEAR_MAX && near->best[SKEP_NEAR_MAX - 1].cost < limit)
		limit = near->best[SKEP_NEAR_MAX - 1].cost;
	/* A name that only goes on ("openat" after "open") is a likely wish. */
	if (nb > na && !strncmp(near->want, name, na))
		cost = (unsigned int)(nb - na + 2) / 3;
	else if (is_far(near->letters, letters_of(name), longer, na + nb - longer, limit))
		return;
	else
		cost = distance(near->want, na, name, nb, limit);
	if (cost > limit)
		return;
	for (i = 0; i < near->n; i++)
		if (!strcmp(near->best[i].name, name))
			return;
	for (i = near->n; i && comes_before(near, i - 1, cost, name); i--)
		if (i < SKEP_NEAR_MAX)
			near->best[i] = near->best[i - 1];
	if (i == SKEP_NEAR_MAX)
		return;
	memcpy(near->best[i].name, name, nb + 1);
	near->best[i].cost = cost;
	near->n += near->n < SKEP_NEAR_MAX;
}

const char *skep_near_text(const struct skep_near *near, char *buf, size_t size)
{
	unsigned int i;
	size_t len = 0;

	buf[0] = '\0';
	for (i = 0; i < near->n && len < size; i++)
		len += (size_t)snprintf(buf + len, size - len, "%s%s",
					i == 0		   ? "; did you mean "
					: i + 1 == near->n ? " or "
							   : ", ",
					near->best[i].name);
	if (near->n && len < size)
		snprintf(buf + len, size - len, "?");
	return buf;
}
