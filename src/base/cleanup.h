/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Scope-bound release of memory and file descriptors.
 *
 * Functions with several exits declare their temporaries with one of these
 * attributes and simply return.  SKEP_TAKE hands such a value on: it yields
 * the value and empties the variable, so that nothing is released.
 */
#ifndef SKEP_BASE_CLEANUP_H
#define SKEP_BASE_CLEANUP_H

#include <stdlib.h>
#include <unistd.h>

static inline void skep_cleanup_free(void *pp)
{
	free(*(void **)pp);
}

static inline void skep_cleanup_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

/* free(3) the pointer when it leaves the scope. */
#define SKEP_AUTO_FREE __attribute__((cleanup(skep_cleanup_free)))
/* close(2) the file descriptor when it leaves the scope; negative: nothing. */
#define SKEP_AUTO_CLOSE __attribute__((cleanup(skep_cleanup_close)))
/*
 * Call @fn (a `_destroy` or `_deinit` that takes the address of the variable
 * or, for `_destroy`, through SKEP_DEFINE_CLEANUP, its value).
 */
#define SKEP_AUTO(fn) __attribute__((cleanup(fn)))

/* Defines skep_cleanup_NAME(type **) that calls the NULL-safe destroy(type *). */
#define SKEP_DEFINE_CLEANUP(name, type, destroy) \
	static inline void skep_cleanup_##name(type **p) \
	{ \
		destroy(*p); \
	}

#define SKEP_TAKE(p) \
	({ \
		__typeof__(p) taken_ = (p); \
		(p) = NULL; \
		taken_; \
	})

#define SKEP_TAKE_FD(fd) \
	({ \
		int taken_ = (fd); \
		(fd) = -1; \
		taken_; \
	})

#define SKEP_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#endif
