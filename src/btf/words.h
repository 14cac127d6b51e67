/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Types as 32-bit words, which is all they are made of: for who copies and
 * compares types without caring for their kinds.  A word is a number, the
 * offset of a string, or the id of another type.
 */
#ifndef SKEP_BTF_WORDS_H
#define SKEP_BTF_WORDS_H

#include "btf/btf.h"

struct skep_btf_words {
	const uint32_t *word; /* the current one */
	char role; /* 's' a string's offset, 'i' a type's id, 'n' a number */
	const uint32_t *end; /* private */
	const char *next, *each; /* private */
};

/*
 * Walks the words of type @t, all in bounds if skep_btf_type() returned it:
 *	for (it = skep_btf_words(t); skep_btf_word(&it);)
 */
struct skep_btf_words skep_btf_words(const struct btf_type *t);
/* How many there are. */
uint32_t skep_btf_nr_words(const struct btf_type *t);

static inline bool skep_btf_word(struct skep_btf_words *it)
{
	if (++it->word == it->end)
		return false;
	if (!*it->next)
		it->next = it->each;
	it->role = *it->next++;
	return true;
}

#endif
