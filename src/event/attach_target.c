/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Attaching to control groups, network namespaces, packet paths and sockets:
 * links to a target that the user or the object names.  A link goes with its
 * descriptor; where a kernel has only PROG_ATTACH, the program goes with the map.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "event/attach.h"
#include "sys/feature.h"
#include "sys/uapi.h"

static int open_cgroup(const struct skep_attach *a, struct skep_err *err)
{
	int fd;

	if (!a->cgroup)
		return skep_fail(err, SKEP_E_ATTACH, EINVAL,
				 "program '%s': SEC(\"%s\") attaches to a control group; name its "
				 "folder (--cgroup /sys/fs/cgroup/...)",
				 a->prog, a->def->sec);
	fd = open(a->cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? skep_fail(err, SKEP_E_NOT_FOUND, errno, "program '%s': cgroup %s: %s",
				  a->prog, a->cgroup, strerror(errno))
		      : fd;
}

static int link_cgroup(const struct skep_attach *a, const char *since, struct skep_links *links,
		       struct skep_err *err)
{
	struct skep_link_create lc = {.attach_type = a->def->attach_type};
	SKEP_AUTO_CLOSE int fd = open_cgroup(a, err);
	struct skep_err why = SKEP_ERR_INIT;
	char what[400];
	int ret;

	if (fd < 0)
		return fd;
	lc.target = (uint32_t)fd;
	snprintf(what, sizeof(what), "%s on %s", a->def->sec, a->cgroup);
	ret = skep_attach_link(a, &lc, since, "CONFIG_CGROUP_BPF", links, what, &why);
	if (ret == -EBADF)
		ret = skep_fail(err, SKEP_E_ATTACH, EBADF,
				"program '%s': %s is no folder of a cgroup v2 hierarchy "
				"(`findmnt -t cgroup2` tells where that is mounted)",
				a->prog, a->cgroup);
	else if (ret < 0)
		ret = skep_fail(err, why.tag, -ret, "%s", why.msg);
	skep_err_deinit(&why);
	return ret;
}

int skep_attach_cgroup(const struct skep_attach *a, struct skep_links *links, struct skep_err *err)
{
	if (!strcmp(a->def->sec, "cgroup/skb"))
		return skep_fail(err, SKEP_E_ATTACH, EINVAL,
				 "program '%s': SEC(\"cgroup/skb\") names no direction; write "
				 "SEC(\"cgroup_skb/ingress\") or SEC(\"cgroup_skb/egress\")",
				 a->prog);
	return link_cgroup(a, "5.7", links, err);
}

int skep_attach_lsm_cgroup(const struct skep_attach *a, struct skep_links *links,
			   struct skep_err *err)
{
	return link_cgroup(a, "6.0", links, err);
}

/* This process's network namespace. */
int skep_attach_netns(const struct skep_attach *a, struct skep_links *links, struct skep_err *err)
{
	struct skep_link_create lc = {.attach_type = a->def->attach_type};
	SKEP_AUTO_CLOSE int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	const char *since = lc.attach_type == BPF_SK_LOOKUP ? "5.9" : "5.8";
	char what[80];

	if (fd < 0)
		return skep_fail(err, SKEP_E_SYSTEM, errno, "/proc/self/ns/net: %s",
				 strerror(errno));
	lc.target = (uint32_t)fd;
	snprintf(what, sizeof(what), "%s in this network namespace", a->def->sec);
	return skep_attach_link(a, &lc, since, "CONFIG_NET_NS", links, what, err);
}

static int link_device(const struct skep_attach *a, uint32_t type, const char *since,
		       const char *config, struct skep_links *links, struct skep_err *err)
{
	struct skep_link_create lc = {.attach_type = type, .target = (uint32_t)a->ifindex};
	char name[IF_NAMESIZE] = "?", what[80];

	if (a->ifindex <= 0)
		return skep_fail(err, SKEP_E_ATTACH, EINVAL,
				 "program '%s': SEC(\"%s\") needs a network device; name one "
				 "(--dev INTERFACE)",
				 a->prog, a->def->sec);
	if_indextoname((unsigned int)a->ifindex, name);
	snprintf(what, sizeof(what), "%s on %s", a->def->sec, name);
	return skep_attach_link(a, &lc, since, config, links, what, err);
}

/* The same place without links, on kernels before 6.6: a filter, which the engine removes. */
static int filter_device(const struct skep_attach *a, bool egress, struct skep_links *links,
			 struct skep_err *err)
{
	struct skep_event ev = {
		.kind = SKEP_EVENT_TC,
		.pid = -1,
		.cpu = -1,
		.tc = {.ifindex = a->ifindex, .prog_fd = a->prog_fd, .egress = egress},
	};
	char name[IF_NAMESIZE] = "?", what[80];
	int fd = skep_sys_event(a->sys, &ev);

	if_indextoname((unsigned int)a->ifindex, name);
	snprintf(what, sizeof(what), "%s on %s", a->def->sec, name);
	return fd < 0 ? skep_attach_refused(a, fd, what, err) : skep_attach_keep(a, fd, links, err);
}

int skep_attach_tcx(const struct skep_attach *a, struct skep_links *links, struct skep_err *err)
{
	uint32_t type = a->def->attach_type ? a->def->attach_type : BPF_TCX_INGRESS;
	struct skep_err why = SKEP_ERR_INIT;
	int ret;

	ret = link_device(a, type, "6.6", "CONFIG_NET_XGRESS", links, &why);
	if ((ret == -EINVAL || ret == -EOPNOTSUPP) && a->ifindex > 0 && !a->sys->why[0] &&
	    !skep_feature(a->sys, SKEP_FEATURE_TCX))
		ret = filter_device(a, type == BPF_TCX_EGRESS, links, err);
	else if (ret < 0)
		ret = skep_fail(err, why.tag, -ret, "%s", why.msg);
	if (ret == 0 && !a->def->attach_type)
		skep_info(a->log,
			  "program '%s': SEC(\"%s\") names no direction: attached at ingress "
			  "(SEC(\"tc/egress\") is the other)",
			  a->prog, a->def->sec);
	skep_err_deinit(&why);
	return ret;
}

int skep_attach_netkit(const struct skep_attach *a, struct skep_links *links, struct skep_err *err)
{
	return link_device(a, a->def->attach_type, "6.7", "CONFIG_NETKIT", links, err);
}

int skep_attach_netfilter(const struct skep_attach *a, struct skep_links *links,
			  struct skep_err *err)
{
	static const char *const hooks[] = {"prerouting", "input", "forward", "output",
					    "postrouting"};
	static const uint32_t families[] = {NFPROTO_IPV4, NFPROTO_IPV6};
	char what[64];
	uint32_t hook = 0;
	size_t i;
	int ret = 0;

	while (hook < SKEP_ARRAY_SIZE(hooks) && (!a->hook || strcmp(hooks[hook], a->hook)))
		hook++;
	if (hook == SKEP_ARRAY_SIZE(hooks))
		return skep_fail(err, SKEP_E_ATTACH, EINVAL,
				 "program '%s': SEC(\"netfilter\") needs a place: --hook "
				 "prerouting, input, forward, output or postrouting%s%s%s",
				 a->prog, a->hook ? ", not '" : "", a->hook ? a->hook : "",
				 a->hook ? "'" : "");
	snprintf(what, sizeof(what), "netfilter at %s", a->hook);
	for (i = 0; ret == 0 && i < SKEP_ARRAY_SIZE(families); i++) {
		struct skep_link_create lc = {.attach_type = BPF_NETFILTER};

		lc.netfilter.pf = families[i];
		lc.netfilter.hooknum = hook;
		/* The place of the table "filter"; each program needs one of its own. */
		lc.netfilter.priority = (int32_t)(a->prog_fd & 0xffff);
		ret = skep_attach_link(a, &lc, "6.4", "CONFIG_NETFILTER_BPF_LINK", links, what,
				       err);
	}
	return ret;
}

int skep_attach_sockmap(const struct skep_attach *a, struct skep_links *links, struct skep_err *err)
{
	struct skep_link_create lc = {.attach_type = a->def->attach_type};
	struct skep_err why = SKEP_ERR_INIT;
	union bpf_attr attr;
	int ret;

	if (!lc.attach_type)
		return skep_fail(err, SKEP_E_ATTACH, EINVAL,
				 "program '%s': SEC(\"sk_skb\") does not say when it runs; write "
				 "SEC(\"sk_skb/stream_parser\"), SEC(\"sk_skb/stream_verdict\") or "
				 "SEC(\"sk_skb/verdict\")",
				 a->prog);
	if (!a->sockmap_fd)
		return skep_fail(
			err, SKEP_E_ATTACH, EINVAL,
			"program '%s': SEC(\"%s\") attaches to a map of sockets; the object "
			"must have exactly one of BPF_MAP_TYPE_SOCKMAP or SOCKHASH",
			a->prog, a->def->sec);
	lc.target = (uint32_t)*a->sockmap_fd;
	ret = skep_attach_link(a, &lc, "6.10", "CONFIG_BPF_STREAM_PARSER", links, a->def->sec,
			       &why);
	skep_err_deinit(&why);
	if (ret == 0)
		return 0;
	memset(&attr, 0, sizeof(attr));
	attr.target_fd = (uint32_t)*a->sockmap_fd;
	attr.attach_bpf_fd = (uint32_t)a->prog_fd;
	attr.attach_type = a->def->attach_type;
	ret = skep_sys_bpf(a->sys, BPF_PROG_ATTACH, &attr, sizeof(attr));
	return ret < 0 ? skep_attach_refused(a, ret, a->def->sec, err) : 0;
}

/* Socket filters see what a packet socket on the device would: what goes in and what goes out. */
int skep_attach_packets(const struct skep_attach *a, struct skep_links *links, struct skep_err *err)
{
	struct skep_event ev = {
		.kind = SKEP_EVENT_PACKETS,
		.pid = -1,
		.cpu = -1,
		.packets = {.ifindex = a->ifindex, .prog_fd = a->prog_fd},
	};
	int fd;

	if (a->ifindex <= 0)
		return skep_fail(err, SKEP_E_ATTACH, EINVAL,
				 "program '%s': a socket filter is shown the packets of a network "
				 "device; name one (--dev INTERFACE)",
				 a->prog);
	fd = skep_sys_event(a->sys, &ev);
	return fd < 0 ? skep_attach_refused(a, fd, "a packet socket", err)
		      : skep_attach_keep(a, fd, links, err);
}

/* Programs that only their owner can put to use. */
int skep_attach_by_hand(const struct skep_attach *a, struct skep_links *links, struct skep_err *err)
{
	static const struct {
		uint32_t prog_type;
		const char *how;
	} ways[] = {
		{BPF_PROG_TYPE_XDP,
		 "is put into a DEVMAP or CPUMAP by the program that redirects to "
		 "it; load that one, or test this with --pcap"},
		{BPF_PROG_TYPE_SCHED_ACT, "is attached by `tc actions add action bpf object-file "
					  "FILE section action`"},
		{BPF_PROG_TYPE_LWT_IN, "is attached by `ip route add NET encap bpf in obj FILE "
				       "section lwt_in dev DEV`"},
		{BPF_PROG_TYPE_LWT_OUT, "is attached by `ip route add NET encap bpf out obj FILE "
					"section lwt_out dev DEV`"},
		{BPF_PROG_TYPE_LWT_XMIT, "is attached by `ip route add NET encap bpf xmit obj FILE "
					 "section lwt_xmit dev DEV`"},
		{BPF_PROG_TYPE_LWT_SEG6LOCAL, "is attached by `ip route add NET encap seg6local "
					      "action End.BPF endpoint obj FILE section "
					      "lwt_seg6local dev DEV`"},
		{BPF_PROG_TYPE_SK_REUSEPORT,
		 "is attached by the process that owns the sockets, with "
		 "setsockopt(SO_ATTACH_REUSEPORT_EBPF)"},
		{BPF_PROG_TYPE_LIRC_MODE2, "is attached to an infrared receiver, by `ir-keytable`"},
		{BPF_PROG_TYPE_STRUCT_OPS,
		 "is part of a table of functions: the map in .struct_ops "
		 "that names it is what gets attached"},
	};
	size_t i;

	(void)links;
	/* Each row of the table with this function has one; the last is for what is left. */
	for (i = 0; i < SKEP_ARRAY_SIZE(ways) - 1 && ways[i].prog_type != a->def->prog_type;)
		i++;
	return skep_fail(err, SKEP_E_UNSUPPORTED, EOPNOTSUPP,
			 "program '%s': a SEC(\"%s\") program %s", a->prog, a->def->sec,
			 ways[i].how);
}
