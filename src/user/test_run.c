/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PROG_TEST_RUN: a program on a given packet or context.
 *
 * What is refused, how much room there is around a packet and which context
 * fields come in and go out follow net/bpf/test_run.c of the kernel.  A run
 * that is ended for a bad access gives its errno, and the sentence.
 */
#include <errno.h>
#include <linux/if_ether.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>

#include "base/cleanup.h"
#include "user/engine.h"

#define PAGE	     4096u
#define XDP_HEADROOM 256u
#define XDP_FRAME    40u /* struct xdp_frame at the head of the headroom */
#define SHARED_INFO  320u /* struct skb_shared_info at the tail */
#define SKB_HEADROOM 66u /* NET_SKB_PAD + NET_IP_ALIGN */
#define LINEAR_MAX   (PAGE - XDP_HEADROOM - SHARED_INFO)
#define DATA_MAX     (16u * PAGE) /* a page, and as many fragments as a packet has */
#define LO	     1u /* the device packets come from: the loopback */

/* The current task is this process, as in the kernel it is the caller of bpf(2). */
static int self_read(struct skep_vm_env *env, void *dst, uint64_t addr, size_t len)
{
	struct iovec to = {dst, len}, from = {skep_ptr(addr), len};

	return process_vm_readv(getpid(), &to, 1, &from, 1, 0) == (ssize_t)len ? 0 : -EFAULT;
}

static int self_write(struct skep_vm_env *env, uint64_t addr, const void *src, size_t len)
{
	struct iovec from = {(void *)(uintptr_t)src, len}, to = {skep_ptr(addr), len};

	return process_vm_writev(getpid(), &from, 1, &to, 1, 0) == (ssize_t)len ? 0 : -EFAULT;
}

static uint64_t self_uid_gid(struct skep_vm_env *env)
{
	return (uint64_t)getgid() << 32 | getuid();
}

static int self_comm(struct skep_vm_env *env, char comm[16])
{
	memset(comm, 0, 16);
	snprintf(comm, 16, "%s", program_invocation_short_name);
	return 0;
}

static void self_printk(struct skep_vm_env *env, const char *text, size_t len)
{
	skep_user_printk(env->source, env, text, len);
}

static const struct skep_vm_env_ops self_ops = {
	.read_user = self_read,
	.write_user = self_write,
	.uid_gid = self_uid_gid,
	.comm = self_comm,
	.printk = self_printk,
};

/* One test run. */
struct test {
	struct skep_user *user;
	struct skep_call *call;
	struct skep_prog *prog;
	struct skep_vm_env env;
	struct skep_vm_run run;
	uint32_t retval, duration;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Runs `repeat` times on the same context and packet, as the kernel does. */
static int run(struct test *t)
{
	uint32_t n = t->call->attr.test.repeat ? t->call->attr.test.repeat : 1, i;
	uint64_t start, took, ret = 0;
	int r = 0;

	t->env.ops = &self_ops;
	t->env.source = t->user;
	t->env.tgid = getpid();
	t->env.pid = gettid();
	t->run.prog = t->prog->vm;
	t->run.env = &t->env;
	start = now_ns();
	for (i = 0; r == 0 && i < n; i++)
		r = skep_vm_run(t->user->vm, &t->run, &ret, t->call->err);
	took = now_ns() - start;
	t->prog->run_cnt += i;
	t->prog->run_ns += took;
	if (r < 0) {
		char where[160];

		skep_prog_explain(t->prog, t->call->err);
		skep_prog_where(t->prog, t->call->err->insn, where, sizeof(where));
		skep_prog_ended(t->prog, t->call->err);
		return skep_wrap(t->call->err, r, "prog '%s'%s", t->prog->name, where);
	}
	t->retval = (uint32_t)ret;
	took /= i;
	t->duration = took > UINT32_MAX ? UINT32_MAX : (uint32_t)took;
	return 0;
}

/* The caller's context struct, zeroes after what it gave; NULL with *ret 0: none asked for. */
static void *ctx_in(const union bpf_attr *attr, uint32_t size, int *ret)
{
	const char *in = skep_ptr(attr->test.ctx_in);
	uint32_t len = attr->test.ctx_size_in, i;
	void *ctx;

	*ret = 0;
	if (!in && !attr->test.ctx_out)
		return NULL;
	for (i = size; in && i < len; i++) {
		if (in[i]) {
			*ret = -E2BIG;
			return NULL;
		}
	}
	ctx = calloc(1, size);
	if (!ctx)
		*ret = -ENOMEM;
	else if (in)
		memcpy(ctx, in, len < size ? len : size);
	return ctx;
}

static int ctx_out(struct test *t, const void *ctx, uint32_t size)
{
	const union bpf_attr *attr = &t->call->attr;
	uint32_t room = attr->test.ctx_size_out;

	if (!ctx || !attr->test.ctx_out)
		return 0;
	memcpy(skep_ptr(attr->test.ctx_out), ctx, room < size ? room : size);
	skep_call_set(t->call, test.ctx_size_out, size);
	return room < size ? -ENOSPC : 0;
}

/* Gives back the packet: @len bytes at @data, then @more bytes that the program did not see. */
static int finish(struct test *t, const uint8_t *data, uint32_t len, const uint8_t *rest,
		  uint32_t more)
{
	const union bpf_attr *attr = &t->call->attr;
	uint32_t size = len + more, room = attr->test.data_size_out, n = size;
	char *to = skep_ptr(attr->test.data_out);
	int ret = 0;

	if (room && n > room) {
		n = room;
		ret = -ENOSPC;
	}
	if (to) {
		memcpy(to, data, n < len ? n : len);
		if (n > len)
			memcpy(to + len, rest, n - len);
	}
	skep_call_set(t->call, test.data_size_out, size);
	skep_call_set(t->call, test.retval, t->retval);
	skep_call_set(t->call, test.duration, t->duration);
	return ret;
}

static int check_packet(const union bpf_attr *attr, uint32_t max)
{
	uint32_t len = attr->test.data_size_in;

	if (len < ETH_HLEN || len > max)
		return -EINVAL;
	return attr->test.data_in ? 0 : -EFAULT;
}

static uint32_t low(const uint8_t *p)
{
	return (uint32_t)(uintptr_t)p;
}

/* XDP. */

static void xdp_moved(struct skep_vm_packet *p, void *ctx)
{
	struct xdp_md *md = ctx;

	md->data = low(p->data);
	md->data_end = low(p->data_end);
	md->data_meta = low(p->meta);
}

/* What the caller's struct xdp_md may ask for. */
static int xdp_check(const struct xdp_md *in, uint32_t size)
{
	char name[IF_NAMESIZE];

	if (in->data_meta || in->data_end > size || in->data > in->data_end || in->data % 4 ||
	    in->data > 255)
		return -EINVAL;
	if (in->egress_ifindex || (!in->ingress_ifindex && in->rx_queue_index))
		return -EINVAL;
	if (in->ingress_ifindex && !if_indextoname(in->ingress_ifindex, name))
		return -ENODEV;
	return 0;
}

static int run_xdp(struct test *t)
{
	const union bpf_attr *attr = &t->call->attr;
	struct skep_packet *p = &t->user->packet;
	SKEP_AUTO_FREE struct xdp_md *user = NULL;
	struct xdp_md md = {.ingress_ifindex = LO};
	const uint8_t *data = skep_ptr(attr->test.data_in);
	uint32_t size = attr->test.data_size_in, linear, meta = 0;
	int ret;

	if (attr->test.flags & BPF_F_TEST_XDP_LIVE_FRAMES)
		return skep_fail(
			t->call->err, SKEP_E_UNSUPPORTED, EOPNOTSUPP,
			"live frames go through devices: run as root on the kernel engine");
	if (attr->test.flags || attr->test.batch_size || t->prog->attach_type == BPF_XDP_DEVMAP ||
	    t->prog->attach_type == BPF_XDP_CPUMAP)
		return -EINVAL;
	user = ctx_in(attr, sizeof(*user), &ret);
	if (ret == 0 && user && attr->test.ctx_in)
		ret = xdp_check(user, size);
	if (ret == 0)
		ret = check_packet(attr, DATA_MAX);
	if (ret == 0)
		ret = skep_packet_init(p, PAGE, t->call->err);
	if (ret)
		return ret;
	if (user && attr->test.ctx_in) {
		meta = user->data;
		if (user->ingress_ifindex) {
			md.ingress_ifindex = user->ingress_ifindex;
			md.rx_queue_index = user->rx_queue_index;
		}
	}
	linear = size < LINEAR_MAX ? size : LINEAR_MAX;
	skep_packet_set(p, data, linear, XDP_HEADROOM - meta, meta, XDP_FRAME, PAGE - SHARED_INFO);
	p->vm.moved = xdp_moved;
	p->vm.mac = NULL;
	xdp_moved(&p->vm, &md);
	t->run.ctx = &md;
	t->run.ctx_len = sizeof(md);
	t->run.packet = &p->vm;
	ret = run(t);
	if (ret)
		return ret;
	ret = finish(t, p->vm.meta, (uint32_t)(p->vm.data_end - p->vm.meta), data + linear,
		     size - linear);
	if (user) {
		user->data = (uint32_t)(p->vm.data - p->vm.meta);
		user->data_end = (uint32_t)(p->vm.data_end - p->vm.meta) + size - linear;
		user->ingress_ifindex = md.ingress_ifindex;
		user->rx_queue_index = md.rx_queue_index;
	}
	return ret ? ret : ctx_out(t, user, sizeof(*user));
}

/* Socket buffers. */

static void skb_moved(struct skep_vm_packet *p, void *ctx)
{
	struct __sk_buff *skb = ctx;

	skb->len = (uint32_t)(p->data_end - p->data);
	skb->data = low(p->data);
	skb->data_end = low(p->data_end);
	skb->data_meta = low(p->meta);
}

/* Only these fields may be given; all others must be zero. */
static int skb_fields(struct __sk_buff *to, const struct __sk_buff *from, uint32_t len)
{
	struct __sk_buff rest = *from;

	to->mark = from->mark;
	to->priority = from->priority;
	to->ingress_ifindex = from->ingress_ifindex;
	to->ifindex = from->ifindex ? from->ifindex : LO;
	memcpy(to->cb, from->cb, sizeof(to->cb));
	to->tstamp = from->tstamp;
	to->wire_len = from->wire_len ? from->wire_len : len;
	to->gso_segs = from->gso_segs;
	to->gso_size = from->gso_size;
	to->hwtstamp = from->hwtstamp;
	rest.mark = rest.priority = rest.ingress_ifindex = rest.ifindex = 0;
	memset(rest.cb, 0, sizeof(rest.cb));
	rest.tstamp = rest.hwtstamp = 0;
	rest.wire_len = rest.gso_segs = rest.gso_size = 0;
	for (size_t i = 0; i < sizeof(rest); i++) {
		if (((const char *)&rest)[i])
			return -EINVAL;
	}
	if (to->wire_len < len || to->wire_len > 65536 || to->gso_segs > 65535)
		return -EINVAL;
	return 0;
}

static void skb_back(struct __sk_buff *to, const struct __sk_buff *from)
{
	to->mark = from->mark;
	to->priority = from->priority;
	to->ingress_ifindex = from->ingress_ifindex;
	to->ifindex = from->ifindex;
	to->tstamp = from->tstamp;
	memcpy(to->cb, from->cb, sizeof(to->cb));
	to->wire_len = from->wire_len;
	to->gso_segs = from->gso_segs;
	to->hwtstamp = from->hwtstamp;
}

/* What eth_type_trans() finds out about a frame that comes from the loopback. */
static void skb_eth(struct __sk_buff *skb, const uint8_t *data)
{
	static const uint8_t zero[6], ones[6] = {255, 255, 255, 255, 255, 255};
	uint16_t proto;

	memcpy(&proto, data + 12, sizeof(proto));
	if (ntohs(proto) < 1536)
		proto = htons(data[14] == 0xff && data[15] == 0xff ? 1 : 4); /* ETH_P_802_3, _2 */
	skb->protocol = proto;
	if (!memcmp(data, ones, 6))
		skb->pkt_type = 1; /* PACKET_BROADCAST */
	else if (data[0] & 1)
		skb->pkt_type = 2; /* PACKET_MULTICAST */
	else if (memcmp(data, zero, 6))
		skb->pkt_type = 3; /* PACKET_OTHERHOST */
}

static bool is_l2(uint32_t type)
{
	return type == BPF_PROG_TYPE_SCHED_CLS || type == BPF_PROG_TYPE_SCHED_ACT;
}

static int run_skb(struct test *t)
{
	const union bpf_attr *attr = &t->call->attr;
	const uint32_t max = PAGE - SKB_HEADROOM - SHARED_INFO,
		       skip = is_l2(t->prog->type) ? 0 : 14;
	struct skep_packet *p = &t->user->packet;
	SKEP_AUTO_FREE struct __sk_buff *user = NULL;
	struct __sk_buff skb = {.ifindex = LO}, none = {0};
	uint8_t *start;
	int ret;

	if (attr->test.flags & ~1u || attr->test.cpu || attr->test.batch_size)
		return -EINVAL;
	ret = check_packet(attr, max);
	if (ret)
		return ret;
	user = ctx_in(attr, sizeof(*user), &ret);
	if (ret == 0)
		ret = skep_packet_init(p, PAGE, t->call->err);
	if (ret == 0)
		ret = skb_fields(&skb, user ? user : &none, attr->test.data_size_in - skip);
	if (ret)
		return ret;
	skep_packet_set(p, skep_ptr(attr->test.data_in), attr->test.data_size_in, SKB_HEADROOM, 0,
			0, PAGE - SHARED_INFO);
	start = p->vm.data;
	skb_eth(&skb, start);
	p->vm.mac = start;
	p->vm.net = start + ETH_HLEN;
	p->vm.data = p->vm.meta = start + skip;
	p->vm.moved = skb_moved;
	skb_moved(&p->vm, &skb);
	t->run.ctx = &skb;
	t->run.ctx_len = sizeof(skb);
	t->run.ctx_write = true;
	t->run.packet = &p->vm;
	ret = run(t);
	if (ret)
		return ret;
	if (skip) { /* the link header again, blank, as the kernel leaves it */
		p->vm.data -= skip;
		memset(p->vm.data, 0, skip);
	}
	ret = finish(t, p->vm.data, (uint32_t)(p->vm.data_end - p->vm.data), NULL, 0);
	if (user)
		skb_back(user, &skb);
	return ret ? ret : ctx_out(t, user, sizeof(*user));
}

/* Contexts that are just bytes. */

static int run_raw(struct test *t, bool syscall)
{
	const union bpf_attr *attr = &t->call->attr;
	uint32_t size = attr->test.ctx_size_in, max = syscall ? UINT16_MAX : 12 * 8;
	uint32_t flags = syscall ? 0 : BPF_F_TEST_RUN_ON_CPU;
	SKEP_AUTO_FREE void *ctx = NULL;
	int ret;

	if (attr->test.data_in || attr->test.data_out || attr->test.ctx_out ||
	    attr->test.duration || attr->test.repeat || attr->test.batch_size ||
	    attr->test.flags & ~flags ||
	    (!(attr->test.flags & flags) && attr->test.cpu && !syscall))
		return -EINVAL;
	if (size > max)
		return -EINVAL;
	if (attr->test.flags && attr->test.cpu >= (uint32_t)skep_nr_cpus())
		return -ENXIO;
	ctx = malloc(size + 1);
	if (!ctx)
		return -ENOMEM;
	if (size)
		memcpy(ctx, skep_ptr(attr->test.ctx_in), size);
	t->env.cpu = attr->test.cpu;
	t->run.ctx = ctx;
	t->run.ctx_len = size;
	t->run.ctx_write = syscall;
	ret = run(t);
	if (ret)
		return ret;
	if (syscall && size)
		memcpy(skep_ptr(attr->test.ctx_in), ctx, size);
	skep_call_set(t->call, test.retval, t->retval);
	return 0;
}

int skep_bpf_prog_test_run(struct skep_user *user, struct skep_call *call)
{
	const union bpf_attr *attr = &call->attr;
	struct test t = {.user = user, .call = call};
	int ret;

	if (!attr->test.ctx_size_in != !attr->test.ctx_in ||
	    !attr->test.ctx_size_out != !attr->test.ctx_out)
		return -EINVAL;
	t.prog = skep_user_obj(user, (int)attr->test.prog_fd, SKEP_USER_PROG, &ret);
	if (!t.prog)
		return ret;
	switch (t.prog->type) {
	case BPF_PROG_TYPE_XDP: return run_xdp(&t);
	case BPF_PROG_TYPE_SOCKET_FILTER:
	case BPF_PROG_TYPE_SCHED_CLS:
	case BPF_PROG_TYPE_SCHED_ACT:
	case BPF_PROG_TYPE_CGROUP_SKB:
	case BPF_PROG_TYPE_LWT_IN:
	case BPF_PROG_TYPE_LWT_OUT:
	case BPF_PROG_TYPE_LWT_XMIT: return run_skb(&t);
	case BPF_PROG_TYPE_RAW_TRACEPOINT:
	case BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE: return run_raw(&t, false);
	case BPF_PROG_TYPE_SYSCALL: return run_raw(&t, true);
	default:
		return skep_fail(call->err, SKEP_E_UNSUPPORTED, SKEP_ENOTSUPP,
				 "programs of this type cannot be test-run");
	}
}
