/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The attach functions that event.def's rows name; see skep_event_def.attach.
 * Each appends what it opened to @links; skep_attach_prog() closes on failure.
 */
#ifndef SKEP_EVENT_ATTACH_H
#define SKEP_EVENT_ATTACH_H

#include "event/event.h"

int skep_attach_tracepoint(const struct skep_attach *a, struct skep_links *links,
			   struct skep_err *err);
int skep_attach_raw_tp(const struct skep_attach *a, struct skep_links *links, struct skep_err *err);
int skep_attach_trace(const struct skep_attach *a, struct skep_links *links, struct skep_err *err);
int skep_attach_uprobe(const struct skep_attach *a, struct skep_links *links, struct skep_err *err);
int skep_attach_uretprobe(const struct skep_attach *a, struct skep_links *links,
			  struct skep_err *err);
int skep_attach_perf_event(const struct skep_attach *a, struct skep_links *links,
			   struct skep_err *err);
int skep_attach_xdp(const struct skep_attach *a, struct skep_links *links, struct skep_err *err);

/* Records why an engine refused: its sentence if it left one, else the errno's. */
int skep_attach_refused(const struct skep_attach *a, int ret, const char *what,
			struct skep_err *err);
/* Opens @ev, links the program to it and appends both. */
int skep_attach_to_event(const struct skep_attach *a, const struct skep_event *ev,
			 struct skep_links *links, const char *what, struct skep_err *err);

#endif
