/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The part of rtnetlink(7) that places programs at network devices: messages
 * about qdiscs and filters.  Without malloc(3) and stdio, for guards (guard.h).
 */
#ifndef SKEP_SYS_RTNL_H
#define SKEP_SYS_RTNL_H

#include <linux/rtnetlink.h>
#include <stddef.h>
#include <stdint.h>

/* A request: the header, what follows it, and attributes as they are added. */
struct skep_rtnl {
	struct nlmsghdr head;
	struct tcmsg tc;
	char attrs[256];
};

/* Begins a request about @ifindex's @parent; @flags beside NLM_F_REQUEST. */
void skep_rtnl_begin(struct skep_rtnl *m, uint16_t type, uint16_t flags, int ifindex,
		     uint32_t parent);
/* Appends an attribute; data NULL: only its head, for one that holds others. */
struct rtattr *skep_rtnl_put(struct skep_rtnl *m, uint16_t type, const void *data, size_t len);
/* Ends attribute @holder with all that was put since. */
void skep_rtnl_hold(struct skep_rtnl *m, struct rtattr *holder);

/*
 * Sends @m and reads what comes back, @each (may be NULL) gets what is about
 * qdiscs and filters.  0, or -errno with the kernel's own words in @why.
 */
int skep_rtnl_ask(const struct skep_rtnl *m,
		  void (*each)(void *ctx, const struct tcmsg *tc, const struct rtattr *attrs,
			       size_t len),
		  void *ctx, char *why, size_t size);

/* The data of attribute @type among @len bytes at @attrs, *n bytes; NULL: none. */
const void *skep_rtnl_find(const struct rtattr *attrs, size_t len, uint16_t type, size_t *n);

#endif
