/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Growable arrays: SKEP_VEC(type) declares { type *data; size_t len, cap; }.
 * A zeroed vector is valid and empty.  Pushing may move the elements.
 */
#ifndef SKEP_BASE_VEC_H
#define SKEP_BASE_VEC_H

#include <stddef.h>

#define SKEP_VEC(type) \
	struct { \
		type *data; \
		size_t len, cap; \
	}

/* Makes room for @n more elements of @size bytes: 0 or -ENOMEM. */
int skep_vec_grow(void *data, size_t len, size_t *cap, size_t n, size_t size);

#define skep_vec_reserve(v, n) \
	((v)->cap - (v)->len >= (size_t)(n) \
		 ? 0 \
		 : skep_vec_grow(&(v)->data, (v)->len, &(v)->cap, (n), sizeof(*(v)->data)))

/* Appends a copy of @value: 0 or -ENOMEM. */
#define skep_vec_push(v, ...) \
	(skep_vec_reserve(v, 1) ? -12 : ((v)->data[(v)->len++] = (__VA_ARGS__), 0))

/* A new zeroed element at the end, or NULL when out of memory. */
#define skep_vec_add(v) \
	(skep_vec_reserve(v, 1) ? NULL \
				: (__typeof__((v)->data))__builtin_memset(&(v)->data[(v)->len++], \
									  0, sizeof(*(v)->data)))

#define skep_vec_each(v, it) for ((it) = (v)->data; (it) && (it) < (v)->data + (v)->len; (it)++)

#define skep_vec_deinit(v) (free((v)->data), (v)->data = NULL, (v)->len = (v)->cap = 0)

#endif
