/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tc programs on kernels before 6.6: a bpf filter in direct action mode at the
 * device's clsact qdisc, where links (tcx) do not exist yet.
 *
 * Neither filter nor qdisc goes with a descriptor: a guard removes them.  It
 * finds the filter by its name, skep/p<pid>_<nanoseconds>, which nobody else's
 * has.  "+clsact" at its end says that the qdisc is skep's, too: the last such
 * filter to go takes the qdisc along, unless others use it by then.
 *
 * Order is that of tcx: before the filters of others, and programs of one
 * process one after the other.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sys/kernel.h"
#include "sys/rtnl.h"

#define OURS "skep/p"
#define PLUS "+clsact" /* the qdisc, too */
#define GAP  256u /* priorities below others' that are kept for the programs of one process */
#define LAST 0xc000u /* the highest priority that the kernel gives by itself */

/* What the guard is told. */
struct place {
	int ifindex;
	uint32_t parent;
	char name[64];
};

/* What stands at a parent. */
struct filters {
	const struct place *place;
	char mine[32]; /* what the names of this process's filters begin with */
	uint32_t nr, lowest, own; /* priorities, own: the highest of this process's */
	bool plus; /* the qdisc is some skep's */
	struct tcmsg found; /* place->name's; tcm_ifindex 0: none */
};

static uint32_t parent_of(bool egress)
{
	return TC_H_MAKE(TC_H_CLSACT, egress ? TC_H_MIN_EGRESS : TC_H_MIN_INGRESS);
}

/* Is attribute @type of @attrs the text @text? */
static bool has_text(const struct rtattr *attrs, size_t len, uint16_t type, const char *text)
{
	size_t n, want = strlen(text) + 1;
	const char *is = skep_rtnl_find(attrs, len, type, &n);

	return is && n == want && !memcmp(is, text, want);
}

static void see_filter(void *ctx, const struct tcmsg *tc, const struct rtattr *attrs, size_t len)
{
	struct filters *f = ctx;
	uint32_t prio = TC_H_MAJ(tc->tcm_info) >> 16;
	size_t n, size;
	const void *options = skep_rtnl_find(attrs, len, TCA_OPTIONS, &n);
	const char *name = NULL;

	/* Without a handle it is the list that filters of one priority stand in. */
	if (tc->tcm_ifindex != f->place->ifindex || !tc->tcm_handle)
		return;
	f->nr++;
	if (prio < f->lowest)
		f->lowest = prio;
	if (options && has_text(attrs, len, TCA_KIND, "bpf"))
		name = skep_rtnl_find(options, n, TCA_BPF_NAME, &size);
	if (!name || !size || name[size - 1] || strncmp(name, OURS, sizeof(OURS) - 1))
		return;
	if (strstr(name, PLUS))
		f->plus = true;
	if (f->mine[0] && !strncmp(name, f->mine, strlen(f->mine)) && prio > f->own)
		f->own = prio;
	if (!strcmp(name, f->place->name))
		f->found = *tc;
}

/* Adds what stands at @parent to @f. */
static int see_filters(struct filters *f, uint32_t parent)
{
	struct skep_rtnl m;

	skep_rtnl_begin(&m, RTM_GETTFILTER, NLM_F_DUMP, f->place->ifindex, parent);
	return skep_rtnl_ask(&m, see_filter, f, NULL, 0);
}

static int change_qdisc(int ifindex, uint16_t type, uint16_t flags, char *why, size_t size)
{
	struct skep_rtnl m;

	skep_rtnl_begin(&m, type, NLM_F_ACK | flags, ifindex, TC_H_CLSACT);
	m.tc.tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0);
	skep_rtnl_put(&m, TCA_KIND, "clsact", sizeof("clsact"));
	return skep_rtnl_ask(&m, NULL, NULL, why, size);
}

/* In the guard: removes the filter, and the qdisc if it is skep's and empty. */
static void undo(void *ctx)
{
	const struct place *place = ctx;
	struct filters f = {.place = place, .lowest = LAST};
	struct skep_rtnl m;

	see_filters(&f, place->parent);
	if (f.found.tcm_ifindex) {
		skep_rtnl_begin(&m, RTM_DELTFILTER, NLM_F_ACK, place->ifindex, place->parent);
		m.tc.tcm_info = f.found.tcm_info;
		m.tc.tcm_handle = f.found.tcm_handle;
		skep_rtnl_put(&m, TCA_KIND, "bpf", sizeof("bpf"));
		skep_rtnl_ask(&m, NULL, NULL, NULL, 0);
	}
	if (!strstr(place->name, PLUS))
		return;
	f = (struct filters){.place = place, .lowest = LAST};
	if (see_filters(&f, parent_of(false)) == 0 && see_filters(&f, parent_of(true)) == 0 &&
	    !f.nr)
		change_qdisc(place->ifindex, RTM_DELQDISC, 0, NULL, 0);
}

enum qdisc { QDISC_NONE, QDISC_CLSACT, QDISC_INGRESS };
struct qdiscs {
	int ifindex;
	enum qdisc has;
};

static void see_qdisc(void *ctx, const struct tcmsg *tc, const struct rtattr *attrs, size_t len)
{
	struct qdiscs *q = ctx;

	if (tc->tcm_ifindex == q->ifindex && tc->tcm_parent == TC_H_INGRESS)
		q->has = has_text(attrs, len, TCA_KIND, "clsact") ? QDISC_CLSACT : QDISC_INGRESS;
}

static int find_qdisc(int ifindex, enum qdisc *has)
{
	struct qdiscs q = {.ifindex = ifindex};
	struct skep_rtnl m;
	int ret;

	skep_rtnl_begin(&m, RTM_GETQDISC, NLM_F_DUMP, ifindex, 0);
	ret = skep_rtnl_ask(&m, see_qdisc, &q, NULL, 0);
	*has = q.has;
	return ret;
}

static int add_filter(const struct place *place, const struct filters *f, int prog_fd, char *why,
		      size_t size)
{
	uint32_t flags = TCA_BPF_FLAG_ACT_DIRECT, fd = (uint32_t)prog_fd, prio;
	struct rtattr *options;
	struct skep_rtnl m;

	prio = f->own ? f->own + 1 : f->lowest > GAP ? f->lowest - GAP : 0;
	skep_rtnl_begin(&m, RTM_NEWTFILTER, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, place->ifindex,
			place->parent);
	m.tc.tcm_info = TC_H_MAKE(prio << 16, htons(ETH_P_ALL));
	skep_rtnl_put(&m, TCA_KIND, "bpf", sizeof("bpf"));
	options = skep_rtnl_put(&m, TCA_OPTIONS, NULL, 0);
	skep_rtnl_put(&m, TCA_BPF_FD, &fd, sizeof(fd));
	skep_rtnl_put(&m, TCA_BPF_NAME, place->name, strlen(place->name) + 1);
	skep_rtnl_put(&m, TCA_BPF_FLAGS, &flags, sizeof(flags));
	skep_rtnl_hold(&m, options);
	return skep_rtnl_ask(&m, NULL, NULL, why, size);
}

/* Names the filter and sees what is there.  0 or -errno. */
static int look(struct place *place, struct filters *f, enum qdisc *has)
{
	struct timespec t;
	int ret = find_qdisc(place->ifindex, has);

	if (ret < 0)
		return ret;
	snprintf(f->mine, sizeof(f->mine), OURS "%d_", (int)getpid());
	ret = see_filters(f, place->parent);
	if (ret == 0 && !f->plus && *has == QDISC_CLSACT) {
		struct filters other = {.place = place, .lowest = LAST};

		ret = see_filters(&other, place->parent ^ parent_of(false) ^ parent_of(true));
		f->plus = other.plus;
	}
	clock_gettime(CLOCK_MONOTONIC, &t);
	snprintf(place->name, sizeof(place->name), "%s%" PRIu64 "%s", f->mine,
		 (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec,
		 f->plus || *has == QDISC_NONE ? PLUS : "");
	return ret;
}

static int place_filter(struct skep_kernel *k, const struct skep_event *ev,
			struct skep_guard *guard)
{
	struct place place = {ev->tc.ifindex, parent_of(ev->tc.egress), ""};
	struct filters f = {.place = &place, .lowest = LAST};
	enum qdisc has = QDISC_NONE;
	char why[200] = "";
	int ret = look(&place, &f, &has);

	if (ret < 0)
		return ret;
	if (has == QDISC_INGRESS && ev->tc.egress) {
		skep_kernel_why(k, "the device has an ingress qdisc, which knows no packets that "
				   "leave; `tc qdisc del dev DEV ingress` makes room for clsact");
		return -EBUSY;
	}
	ret = skep_guard_start(guard, undo, &place, -1);
	if (ret < 0) {
		skep_kernel_why(k, "no process can be started that removes the filter later: %s",
				strerror(-ret));
		return ret;
	}
	if (has == QDISC_NONE)
		ret = change_qdisc(ev->tc.ifindex, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, why,
				   sizeof(why));
	if (ret == 0)
		ret = add_filter(&place, &f, ev->tc.prog_fd, why, sizeof(why));
	if (ret < 0 && why[0])
		skep_kernel_why(k, "traffic control says: %s", why);
	if (ret < 0)
		skep_guard_end(guard);
	return ret;
}

int skep_kernel_tc_add(struct skep_kernel *k, const struct skep_event *ev)
{
	struct skep_guard guard = {-1, 0};
	int ret, tries = 3;

	do {
		/* Somebody else's qdisc since we looked. */
		ret = place_filter(k, ev, &guard);
	} while (ret == -EEXIST && --tries);
	if (ret == -ENOENT || ret == -EOPNOTSUPP) {
		skep_kernel_why(k, "this kernel was built without CONFIG_NET_SCH_INGRESS or "
				   "CONFIG_NET_CLS_BPF");
		ret = -EOPNOTSUPP;
	}
	if (ret == -EPERM)
		skep_kernel_why(k, "traffic control needs CAP_NET_ADMIN, which this process lacks; "
				   "run as root");
	if (ret == -EINVAL && !k->sys.why[0])
		skep_kernel_why(k, "the kernel takes no clsact filter there (EINVAL)");
	if (ret < 0)
		return ret;
	ret = skep_vec_push(&k->guards, guard);
	if (ret == 0)
		return guard.fd;
	skep_guard_end(&guard);
	return ret;
}

bool skep_kernel_tc_close(struct skep_kernel *k, int fd)
{
	size_t i;

	for (i = 0; i < k->guards.len; i++) {
		if (k->guards.data[i].fd != fd)
			continue;
		skep_guard_end(&k->guards.data[i]);
		k->guards.data[i] = k->guards.data[--k->guards.len];
		return true;
	}
	return false;
}
