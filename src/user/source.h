/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Event sources of the user engine: where the events come from that the
 * kernel would have made.
 *
 * A source is asked whether it can provide an event (open); the engine then
 * attaches programs to the returned attachment point; from within wait() the
 * source fills a context in the kernel's layout and calls skep_point_fire().
 *
 * A new source: a struct skep_source_ops and a row in the table of source.c.
 */
#ifndef SKEP_USER_SOURCE_H
#define SKEP_USER_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/vec.h"
#include "sys/sys.h"
#include "vm/vm.h"

struct skep_user;
struct skep_prog; /* the engine's program object (user.c), holds a skep_vm_prog */

/* A program at a point. */
struct skep_attached {
	struct skep_prog *prog; /* borrowed from the link */
	uint64_t cookie; /* bpf_get_attach_cookie() */
};

/* Something programs attach to: a tracepoint, a timer. */
struct skep_point {
	struct skep_user *user;
	SKEP_VEC(struct skep_attached) progs;
	void *priv; /* the source's */
	const struct skep_source_ops *source;
};

struct skep_source_ops {
	const char *name;
	/*
	 * A point for @ev (a perf-event-style event) or, with @raw_tp not NULL,
	 * for a raw tracepoint's name.  0 with *point set; -EOPNOTSUPP when it is
	 * not this source's or it cannot (sentence in @err).
	 */
	int (*open)(struct skep_user *user, const struct skep_event *ev, const char *raw_tp,
		    struct skep_point *point, struct skep_err *err);
	void (*close)(struct skep_point *point);
};

/*
 * Asks the table's rows in turn.  0 with *point filled in, its progs empty;
 * -EOPNOTSUPP with a sentence that says what would work instead.
 */
int skep_source_open(struct skep_user *user, const struct skep_event *ev, const char *raw_tp,
		     struct skep_point *point, struct skep_err *err);

/* Runs every program of @point.  Bad accesses are reported once a program through the log. */
void skep_point_fire(struct skep_point *point, struct skep_vm_env *env, void *ctx, size_t ctx_len,
		     const struct skep_vm_region *regions, unsigned int nr_regions);

/* True when any program is attached to @point. */
static inline bool skep_point_live(const struct skep_point *point)
{
	return point->progs.len > 0;
}

#endif
