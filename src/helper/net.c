/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Helpers on packets, over struct skep_vm_packet: one linear buffer, so that
 * "pull" finds everything in place.  Rules and errnos are those of
 * net/core/filter.c.
 */
#include <limits.h>
#include <string.h>

#include "helper/impl.h"

#define ETH_HLEN	 14
#define XDP_META_MAX	 255
#define TC_ACT_SHOT_	 2 /* <linux/pkt_cls.h> */
#define TC_ACT_REDIRECT_ 7

static void moved(struct skep_vm *vm, struct skep_vm_packet *packet)
{
	size_t len;

	skep_vm_moved(vm);
	if (packet->moved)
		packet->moved(packet, skep_vm_ctx(vm, &len));
}

uint64_t skep_help_xdp_adjust_head(struct skep_vm *vm, const uint64_t a[5])
{
	struct skep_vm_packet *p = skep_vm_packet(vm);
	int64_t delta = (int32_t)a[1], len, meta;

	if (!p)
		return skep_help_err(EINVAL);
	len = p->data_end - p->data;
	meta = p->meta ? p->data - p->meta : 0;
	if (p->data - p->head - meta + delta < 0 || len - delta < ETH_HLEN)
		return skep_help_err(EINVAL);
	if (meta)
		memmove(p->meta + delta, p->meta, (size_t)meta);
	p->data += delta;
	p->meta = p->data - meta;
	moved(vm, p);
	return 0;
}

uint64_t skep_help_xdp_adjust_tail(struct skep_vm *vm, const uint64_t a[5])
{
	struct skep_vm_packet *p = skep_vm_packet(vm);
	int64_t delta = (int32_t)a[1];

	if (!p || delta > p->tail - p->data_end || p->data_end - p->data + delta < ETH_HLEN)
		return skep_help_err(EINVAL);
	if (delta > 0)
		memset(p->data_end, 0, (size_t)delta);
	p->data_end += delta;
	moved(vm, p);
	return 0;
}

uint64_t skep_help_xdp_adjust_meta(struct skep_vm *vm, const uint64_t a[5])
{
	struct skep_vm_packet *p = skep_vm_packet(vm);
	int64_t delta = (int32_t)a[1], meta;

	if (!p)
		return skep_help_err(EINVAL);
	meta = (p->meta ? p->data - p->meta : 0) - delta;
	if (meta < 0 || meta > p->data - p->head)
		return skep_help_err(EINVAL);
	if (meta % 4 || meta > XDP_META_MAX)
		return skep_help_err(EACCES);
	p->meta = p->data - meta;
	moved(vm, p);
	return 0;
}

/* Where [off, off + len) of the packet is, or NULL. */
static uint8_t *bytes(const struct skep_vm_packet *p, uint8_t *base, uint64_t off, uint64_t len)
{
	/* @base may lie behind a packet that was cut. */
	if (!p || !base || off > INT_MAX || (int64_t)(off + len) > p->data_end - base)
		return NULL;
	return base + off;
}

uint64_t skep_help_xdp_get_buff_len(struct skep_vm *vm, const uint64_t a[5])
{
	const struct skep_vm_packet *p = skep_vm_packet(vm);

	return p ? (uint64_t)(p->data_end - p->data) : 0;
}

uint64_t skep_help_xdp_load_bytes(struct skep_vm *vm, const uint64_t a[5])
{
	const struct skep_vm_packet *p = skep_vm_packet(vm);
	const uint8_t *from = bytes(p, p ? p->data : NULL, (uint32_t)a[1], (uint32_t)a[3]);

	if (!from)
		return skep_help_err(EINVAL);
	memmove(skep_help_ptr(a[2]), from, (uint32_t)a[3]);
	return 0;
}

uint64_t skep_help_xdp_store_bytes(struct skep_vm *vm, const uint64_t a[5])
{
	const struct skep_vm_packet *p = skep_vm_packet(vm);
	uint8_t *to = bytes(p, p ? p->data : NULL, (uint32_t)a[1], (uint32_t)a[3]);

	if (!to)
		return skep_help_err(EINVAL);
	memmove(to, skep_help_ptr(a[2]), (uint32_t)a[3]);
	return 0;
}

/* The verdict that sends a packet elsewhere: the run's caller finds where in the packet. */
uint64_t skep_help_redirect(struct skep_vm *vm, const uint64_t a[5])
{
	struct skep_vm_packet *p = skep_vm_packet(vm);

	if (p)
		p->redirect_ifindex = (uint32_t)a[0];
	if (skep_vm_prog_type(vm) == BPF_PROG_TYPE_XDP)
		return a[1] ? XDP_ABORTED : XDP_REDIRECT;
	return a[1] & ~(uint64_t)BPF_F_INGRESS ? TC_ACT_SHOT_ : TC_ACT_REDIRECT_;
}

static uint64_t load_skb(struct skep_vm *vm, uint8_t *base, const uint64_t a[5])
{
	const uint8_t *from = bytes(skep_vm_packet(vm), base, (uint32_t)a[1], (uint32_t)a[3]);

	if (!from) {
		memset(skep_help_ptr(a[2]), 0, (uint32_t)a[3]);
		return skep_help_err(EFAULT);
	}
	memmove(skep_help_ptr(a[2]), from, (uint32_t)a[3]);
	return 0;
}

uint64_t skep_help_skb_load_bytes(struct skep_vm *vm, const uint64_t a[5])
{
	const struct skep_vm_packet *p = skep_vm_packet(vm);

	return load_skb(vm, p ? p->data : NULL, a);
}

uint64_t skep_help_skb_load_bytes_relative(struct skep_vm *vm, const uint64_t a[5])
{
	const struct skep_vm_packet *p = skep_vm_packet(vm);
	uint8_t *base = NULL;

	if (p && (uint32_t)a[4] == BPF_HDR_START_MAC)
		base = p->mac;
	else if (p && (uint32_t)a[4] == BPF_HDR_START_NET)
		base = p->net;
	return load_skb(vm, base, a);
}

uint64_t skep_help_skb_store_bytes(struct skep_vm *vm, const uint64_t a[5])
{
	const struct skep_vm_packet *p = skep_vm_packet(vm);
	uint8_t *to = bytes(p, p ? p->data : NULL, (uint32_t)a[1], (uint32_t)a[3]);

	if (a[4] & ~(uint64_t)(BPF_F_RECOMPUTE_CSUM | BPF_F_INVALIDATE_HASH))
		return skep_help_err(EINVAL);
	if (!to)
		return skep_help_err(EFAULT);
	memmove(to, skep_help_ptr(a[2]), (uint32_t)a[3]);
	return 0;
}

uint64_t skep_help_skb_pull_data(struct skep_vm *vm, const uint64_t a[5])
{
	const struct skep_vm_packet *p = skep_vm_packet(vm);

	if (!p || (uint32_t)a[1] > p->data_end - p->data)
		return skep_help_err(ENOMEM);
	return 0;
}

uint64_t skep_help_skb_change_tail(struct skep_vm *vm, const uint64_t a[5])
{
	struct skep_vm_packet *p = skep_vm_packet(vm);
	int64_t delta;

	if (!p || a[2])
		return skep_help_err(EINVAL);
	delta = (int64_t)(uint32_t)a[1] - (p->data_end - p->data);
	if ((uint32_t)a[1] < ETH_HLEN)
		return skep_help_err(EINVAL);
	if (delta > p->tail - p->data_end)
		return skep_help_err(ENOMEM);
	if (delta > 0)
		memset(p->data_end, 0, (size_t)delta);
	p->data_end += delta;
	moved(vm, p);
	return 0;
}

/*
 * Internet checksums: sums of 16-bit words in the machine's byte order, with
 * the carry added back (RFC 1071).
 */
static uint32_t sum_add(uint32_t a, uint32_t b)
{
	uint32_t s = a + b;

	return s + (s < a);
}

static uint32_t sum_words(const uint8_t *data, size_t len, uint32_t sum)
{
	size_t i;

	for (i = 0; i + 4 <= len; i += 4) {
		uint32_t word;

		memcpy(&word, data + i, sizeof(word));
		sum = sum_add(sum, word);
	}
	return sum;
}

static uint16_t sum_fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

uint64_t skep_help_csum_diff(struct skep_vm *vm, const uint64_t a[5])
{
	uint32_t from_len = (uint32_t)a[1], to_len = (uint32_t)a[3], sum = (uint32_t)a[4];

	if (from_len % 4 || to_len % 4)
		return skep_help_err(EINVAL);
	if (to_len)
		sum = sum_words(skep_help_ptr(a[2]), to_len, sum);
	if (from_len)
		sum = sum_add(sum, ~sum_words(skep_help_ptr(a[0]), from_len, 0));
	/* Folded, as kernels since 6.13 return it; equal as a checksum to what older ones do. */
	return sum_fold(sum);
}

/* Replaces @from by @to (of @size bytes; 0: @to is a difference) in the checksum at @field. */
static bool replace(uint8_t *field, uint64_t from, uint64_t to, unsigned int size)
{
	uint32_t sum;
	uint16_t old;

	if ((size != 0 && size != 2 && size != 4) || (size == 0 && from))
		return false;
	memcpy(&old, field, sizeof(old));
	sum = (uint16_t)~old;
	if (size == 2) {
		from = (uint16_t)from;
		to = (uint16_t)to;
	}
	if (size)
		sum = sum_add(sum, ~(uint32_t)from);
	old = (uint16_t)~sum_fold(sum_add(sum, (uint32_t)to));
	memcpy(field, &old, sizeof(old));
	return true;
}

static uint8_t *csum_field(struct skep_vm *vm, uint64_t off)
{
	const struct skep_vm_packet *p = skep_vm_packet(vm);

	off = (uint32_t)off;
	return off > 0xffff || off % 2 ? NULL : bytes(p, p ? p->data : NULL, off, 2);
}

uint64_t skep_help_l3_csum_replace(struct skep_vm *vm, const uint64_t a[5])
{
	uint8_t *field = csum_field(vm, a[1]);

	if (a[4] & ~(uint64_t)BPF_F_HDR_FIELD_MASK)
		return skep_help_err(EINVAL);
	if (!field)
		return skep_help_err(EFAULT);
	return replace(field, a[2], a[3], (unsigned int)a[4]) ? 0 : skep_help_err(EINVAL);
}

uint64_t skep_help_l4_csum_replace(struct skep_vm *vm, const uint64_t a[5])
{
	uint8_t *field = csum_field(vm, a[1]);
	bool zero_means_none = a[4] & BPF_F_MARK_MANGLED_0;
	uint16_t now;

	if (a[4] & ~(uint64_t)(BPF_F_MARK_MANGLED_0 | BPF_F_MARK_ENFORCE | BPF_F_PSEUDO_HDR |
			       BPF_F_HDR_FIELD_MASK))
		return skep_help_err(EINVAL);
	if (!field)
		return skep_help_err(EFAULT);
	memcpy(&now, field, sizeof(now));
	if (zero_means_none && !(a[4] & BPF_F_MARK_ENFORCE) && !now)
		return 0;
	if (!replace(field, a[2], a[3], a[4] & BPF_F_HDR_FIELD_MASK))
		return skep_help_err(EINVAL);
	memcpy(&now, field, sizeof(now));
	if (zero_means_none && !now)
		memset(field, 0xff, sizeof(now));
	return 0;
}
