/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * "Did you mean …?": keeps the few names nearest to what was asked for while
 * a caller walks all names there are.  Nearness is edit distance, a common
 * prefix counting for the name; what differs in more than a third of its
 * letters is not offered.
 */
#ifndef SKEP_BASE_NEAR_H
#define SKEP_BASE_NEAR_H

#include <stddef.h>
#include <stdint.h>

#define SKEP_NEAR_MAX 3

struct skep_near {
	const char *want; /* borrowed */
	uint64_t letters; /* of it: 1 << byte % 64 */
	unsigned int n;
	struct {
		char name[96];
		unsigned int cost;
	} best[SKEP_NEAR_MAX]; /* ascending cost */
};

void skep_near_init(struct skep_near *near, const char *want);
/* Offers @name (copied; names longer than the slot are not kept). */
void skep_near_add(struct skep_near *near, const char *name);
/* "; did you mean a, b or c?" into @buf, or "" when nothing is near.  Returns @buf. */
const char *skep_near_text(const struct skep_near *near, char *buf, size_t size);

#endif
