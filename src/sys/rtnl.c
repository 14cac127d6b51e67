/* SPDX-License-Identifier: BSD-2-Clause */
#include "sys/rtnl.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"

#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif

void skep_rtnl_begin(struct skep_rtnl *m, uint16_t type, uint16_t flags, int ifindex,
		     uint32_t parent)
{
	memset(m, 0, sizeof(*m));
	m->head.nlmsg_len = NLMSG_LENGTH(sizeof(m->tc));
	m->head.nlmsg_type = type;
	m->head.nlmsg_flags = NLM_F_REQUEST | flags;
	m->tc.tcm_ifindex = ifindex;
	m->tc.tcm_parent = parent;
}

struct rtattr *skep_rtnl_put(struct skep_rtnl *m, uint16_t type, const void *data, size_t len)
{
	struct rtattr *attr = (struct rtattr *)((char *)m + NLMSG_ALIGN(m->head.nlmsg_len));

	attr->rta_type = type;
	attr->rta_len = (uint16_t)RTA_LENGTH(len);
	if (data)
		memcpy(RTA_DATA(attr), data, len);
	m->head.nlmsg_len = NLMSG_ALIGN(m->head.nlmsg_len) + (uint32_t)RTA_ALIGN(attr->rta_len);
	return attr;
}

void skep_rtnl_hold(struct skep_rtnl *m, struct rtattr *holder)
{
	holder->rta_len = (uint16_t)((char *)m + m->head.nlmsg_len - (char *)holder);
}

const void *skep_rtnl_find(const struct rtattr *attrs, size_t len, uint16_t type, size_t *n)
{
	const struct rtattr *a;

	for (a = attrs; RTA_OK(a, len); a = RTA_NEXT(a, len)) {
		if ((a->rta_type & NLA_TYPE_MASK) != type)
			continue;
		*n = RTA_PAYLOAD(a);
		return RTA_DATA(a);
	}
	return NULL;
}

/* The number that ends a request, with the kernel's words. */
static int answer(const struct nlmsghdr *head, char *why, size_t size)
{
	const struct nlmsgerr *e = NLMSG_DATA(head);
	size_t len = head->nlmsg_len, at = NLMSG_LENGTH(sizeof(*e)), n;
	const char *text = NULL;

	if (len < at)
		return -EBADMSG;
	/* Without a copy of the request before the words. */
	if (e->error && head->nlmsg_flags & NLM_F_ACK_TLVS)
		text = skep_rtnl_find((const struct rtattr *)((const char *)head + at), len - at,
				      NLMSGERR_ATTR_MSG, &n);
	if (text && size && n) {
		n = n < size ? n : size;
		memcpy(why, text, n);
		why[n - 1] = '\0';
	}
	return e->error;
}

struct dump {
	void (*each)(void *ctx, const struct tcmsg *tc, const struct rtattr *attrs, size_t len);
	void *ctx;
	char *why;
	size_t size;
};

/* True when the answer is complete, *ret then says which. */
static bool read_some(int fd, const struct dump *d, int *ret)
{
	char data[16384] __attribute__((aligned(NLMSG_ALIGNTO)));
	const struct nlmsghdr *head = (const struct nlmsghdr *)data;
	ssize_t got = recv(fd, data, sizeof(data), 0);
	size_t len = got < 0 ? 0 : (size_t)got, body = NLMSG_LENGTH(sizeof(struct tcmsg));

	*ret = got < 0 ? -errno : -EBADMSG;
	if (got <= 0)
		return *ret != -EINTR;
	for (; NLMSG_OK(head, len); head = NLMSG_NEXT(head, len)) {
		*ret = 0;
		if (head->nlmsg_type == NLMSG_ERROR)
			*ret = answer(head, d->why, d->size);
		if (head->nlmsg_type == NLMSG_ERROR || head->nlmsg_type == NLMSG_DONE)
			return true;
		if (d->each && head->nlmsg_len >= body)
			d->each(d->ctx, NLMSG_DATA(head),
				(const struct rtattr *)((const char *)head + NLMSG_ALIGN(body)),
				head->nlmsg_len - body);
	}
	return false;
}

int skep_rtnl_ask(const struct skep_rtnl *m,
		  void (*each)(void *ctx, const struct tcmsg *tc, const struct rtattr *attrs,
			       size_t len),
		  void *ctx, char *why, size_t size)
{
	SKEP_AUTO_CLOSE int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	const struct dump d = {each, ctx, why, size};
	int one = 1, ret;

	if (fd < 0)
		return -errno;
	/* Words beside the number (4.12), and the request not sent back (4.12). */
	setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one));
	setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
	if (send(fd, m, m->head.nlmsg_len, 0) < 0)
		return -errno;
	while (!read_some(fd, &d, &ret))
		;
	return ret;
}
