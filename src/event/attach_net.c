/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Attaching to network devices: XDP links, in the mode that was asked for;
 * else native or, where the driver cannot, generic.
 */
#include "event/attach.h"

#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "sys/uapi.h"

static int xdp_link(const struct skep_attach *a, uint32_t flags)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.link_create.prog_fd = (uint32_t)a->prog_fd;
	attr.link_create.target_ifindex = (uint32_t)a->ifindex;
	attr.link_create.attach_type = BPF_XDP;
	attr.link_create.flags = flags;
	return skep_sys_bpf(a->sys, BPF_LINK_CREATE, &attr, sizeof(attr.link_create));
}

static int fail_mode(const struct skep_attach *a, const char *dev, struct skep_err *err)
{
	return skep_fail(err, SKEP_E_UNSUPPORTED, EOPNOTSUPP, "program '%s': xdp on %s: %s",
			 a->prog, dev,
			 a->xdp_mode == XDP_FLAGS_DRV_MODE
				 ? "its driver has no XDP, or not with the device's settings (MTU, "
				   "LRO); --xdp-mode generic works on each device, and is slower"
				 : "the kernel has no generic XDP for it; leave out --xdp-mode");
}

int skep_attach_xdp(const struct skep_attach *a, struct skep_links *links, struct skep_err *err)
{
	char name[IF_NAMESIZE] = "?", what[64];
	bool exists;
	int link;

	if (a->ifindex <= 0)
		return skep_fail(err, SKEP_E_ATTACH, EINVAL,
				 "program '%s': XDP needs a network device (--dev NAME), or "
				 "packets of a file "
				 "(--pcap FILE)",
				 a->prog);
	exists = if_indextoname((unsigned int)a->ifindex, name) != NULL;
	snprintf(what, sizeof(what), "xdp on %s", name);
	/* Without a mode the kernel takes the driver's, or its own if the driver has none. */
	link = xdp_link(a, a->xdp_mode);
	if (a->xdp_mode & (XDP_FLAGS_DRV_MODE | XDP_FLAGS_SKB_MODE) && exists &&
	    (link == -EOPNOTSUPP || link == -EINVAL) && !a->sys->why[0])
		return fail_mode(a, name, err);
	if (!a->xdp_mode && (link == -EOPNOTSUPP || link == -EINVAL)) {
		int generic = xdp_link(a, XDP_FLAGS_SKB_MODE);

		if (generic >= 0)
			skep_warn(a->log,
				  "program '%s': the driver of %s does not take it; "
				  "attached in generic mode, which is slower",
				  a->prog, name);
		if (generic >= 0)
			link = generic;
	}
	if (link == -EBUSY)
		return skep_fail(err, SKEP_E_ATTACH, EBUSY,
				 "program '%s': %s has an XDP program already; "
				 "`ip link set dev %s xdp off` removes it",
				 a->prog, name, name);
	if (link == -ENODEV || (link == -EINVAL && !exists))
		return skep_fail(err, SKEP_E_ATTACH, ENODEV,
				 "program '%s': there is no network device with index %d", a->prog,
				 a->ifindex);
	if (link < 0)
		return skep_attach_refused(a, link, what, err);
	if (skep_links_add(links, link) == 0)
		return 0;
	skep_sys_close(a->sys, link);
	return skep_fail_nomem(err);
}
