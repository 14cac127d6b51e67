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
int skep_attach_kprobe(const struct skep_attach *a, struct skep_links *links, struct skep_err *err);
int skep_attach_kretprobe(const struct skep_attach *a, struct skep_links *links,
			  struct skep_err *err);
int skep_attach_ksyscall(const struct skep_attach *a, struct skep_links *links,
			 struct skep_err *err);
int skep_attach_kretsyscall(const struct skep_attach *a, struct skep_links *links,
			    struct skep_err *err);
int skep_attach_kprobe_multi(const struct skep_attach *a, struct skep_links *links,
			     struct skep_err *err);
int skep_attach_kretprobe_multi(const struct skep_attach *a, struct skep_links *links,
				struct skep_err *err);
int skep_attach_uprobe_multi(const struct skep_attach *a, struct skep_links *links,
			     struct skep_err *err);
int skep_attach_uretprobe_multi(const struct skep_attach *a, struct skep_links *links,
				struct skep_err *err);
int skep_attach_lsm(const struct skep_attach *a, struct skep_links *links, struct skep_err *err);
int skep_attach_lsm_cgroup(const struct skep_attach *a, struct skep_links *links,
			   struct skep_err *err);
int skep_attach_iter(const struct skep_attach *a, struct skep_links *links, struct skep_err *err);
int skep_attach_syscall(const struct skep_attach *a, struct skep_links *links,
			struct skep_err *err);
int skep_attach_cgroup(const struct skep_attach *a, struct skep_links *links, struct skep_err *err);
int skep_attach_netns(const struct skep_attach *a, struct skep_links *links, struct skep_err *err);
int skep_attach_tcx(const struct skep_attach *a, struct skep_links *links, struct skep_err *err);
int skep_attach_netkit(const struct skep_attach *a, struct skep_links *links, struct skep_err *err);
int skep_attach_netfilter(const struct skep_attach *a, struct skep_links *links,
			  struct skep_err *err);
int skep_attach_sockmap(const struct skep_attach *a, struct skep_links *links,
			struct skep_err *err);
int skep_attach_packets(const struct skep_attach *a, struct skep_links *links,
			struct skep_err *err);
int skep_attach_usdt(const struct skep_attach *a, struct skep_links *links, struct skep_err *err);
int skep_attach_by_hand(const struct skep_attach *a, struct skep_links *links,
			struct skep_err *err);

/* Records why an engine refused: its sentence if it left one, else the errno's. */
int skep_attach_refused(const struct skep_attach *a, int ret, const char *what,
			struct skep_err *err);
/* Opens @ev, links the program to it and appends both. */
int skep_attach_to_event(const struct skep_attach *a, const struct skep_event *ev,
			 struct skep_links *links, const char *what, struct skep_err *err);
/* The same with what bpf_get_attach_cookie() tells the program. */
int skep_attach_with_cookie(const struct skep_attach *a, const struct skep_event *ev,
			    uint64_t cookie, struct skep_links *links, const char *what,
			    struct skep_err *err);

#define ENOTSUPP 524 /* the kernel's own, unknown to strerror(3) */

struct skep_link_create;
/*
 * LINK_CREATE of @lc, its prog_fd filled in; appends the link.  @since: the
 * first kernel with such links ("6.6"), @config: what it has to be built with,
 * for when this one does not know them.
 */
int skep_attach_link(const struct skep_attach *a, struct skep_link_create *lc, const char *since,
		     const char *config, struct skep_links *links, const char *what,
		     struct skep_err *err);
/* Appends @fd, or closes it when that fails. */
int skep_attach_keep(const struct skep_attach *a, int fd, struct skep_links *links,
		     struct skep_err *err);

/*
 * Splits "FUNCTION+OFFSET" or "OFFSET" into @func ("" for a bare offset) and
 * bytes.  0 or -EINVAL.
 */
int skep_attach_split(const char *place, char *func, size_t size, uint64_t *offset);
/* Where a uprobe's events are asked of: pid -1 if the program itself leaves out others. */
pid_t skep_attach_pid(const struct skep_attach *a);

#endif
