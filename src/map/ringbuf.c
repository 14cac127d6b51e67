/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ring buffers in the kernel's memory layout: consumer page, producer page,
 * data mapped twice in a row.  A record is a header of two 32-bit words,
 * length with busy and discard bits and page offset, then the sample, rounded
 * up to 8 bytes.  Producers share a lock to reserve; submitting takes none.
 *
 * Only the consumer page is writable for readers: what they write there can
 * lose them records, not more.
 *
 * Documentation/bpf/ringbuf.rst.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "map/kind.h"

#define HDR	   8u
#define META_PAGES 3u /* struct bpf_ringbuf's own page, which is not mapped, and two positions */

struct ring {
	char *base; /* our mapping: two pages of positions, data twice */
	char *data;
	_Atomic uint64_t *consumer, *producer;
	uint64_t size; /* of the data */
	uint64_t pending; /* no record before it is busy */
	int fd;
	struct skep_spin lock;
};

static int ring_check(const union bpf_attr *attr, struct skep_err *err)
{
	uint32_t n = attr->max_entries;

	if (attr->map_flags & ~BPF_F_NUMA_NODE)
		return skep_fail(err, SKEP_E_MAP_CREATE, EINVAL, "flags 0x%x do not fit a ringbuf",
				 attr->map_flags);
	if (attr->key_size || attr->value_size)
		return skep_fail(err, SKEP_E_MAP_CREATE, EINVAL,
				 "a ringbuf has no key and no value (sizes must be 0)");
	if (!n || n & (n - 1) || n % SKEP_PAGE)
		return skep_fail(err, SKEP_E_MAP_CREATE, EINVAL,
				 "max_entries %u: the size of a ringbuf in bytes must be a power "
				 "of two and a multiple of %u",
				 n, SKEP_PAGE);
	return 0;
}

/* Maps @len bytes at @off of the layout in which the data stands twice. */
static void *map_layout(const struct ring *r, off_t off, size_t len, int prot)
{
	uint64_t once = 2 * SKEP_PAGE + r->size, at, end = (uint64_t)off + len;
	char *p = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int e;

	if (p == MAP_FAILED)
		return (void *)(intptr_t)-errno;
	for (at = (uint64_t)off; at < end;) {
		uint64_t stop = at < once && end > once ? once : end;
		uint64_t from = at < once ? at : at - r->size;

		if (mmap(p + (at - (uint64_t)off), stop - at, prot, MAP_SHARED | MAP_FIXED, r->fd,
			 (off_t)from) == MAP_FAILED) {
			e = errno;
			munmap(p, len);
			return (void *)(intptr_t)-e;
		}
		at = stop;
	}
	return p;
}

static int ring_init(struct skep_map *map, struct skep_err *err)
{
	struct ring *r = calloc(1, sizeof(*r));
	void *p;

	if (!r)
		return skep_fail_nomem(err);
	r->size = map->max_entries;
	r->fd = skep_mem_file(2 * SKEP_PAGE + r->size);
	if (r->fd < 0) {
		free(r);
		return skep_fail_nomem(err);
	}
	p = map_layout(r, 0, 2 * SKEP_PAGE + 2 * r->size, PROT_READ | PROT_WRITE);
	if ((uintptr_t)p >= (uintptr_t)-4095) {
		close(r->fd);
		free(r);
		return skep_fail_nomem(err);
	}
	r->base = p;
	r->consumer = (void *)r->base;
	r->producer = (void *)(r->base + SKEP_PAGE);
	r->data = r->base + 2 * SKEP_PAGE;
	map->priv = r;
	return 0;
}

static void ring_deinit(struct skep_map *map)
{
	struct ring *r = map->priv;

	munmap(r->base, 2 * SKEP_PAGE + 2 * r->size);
	close(r->fd);
	free(r);
}

static _Atomic uint32_t *header_at(const struct ring *r, uint64_t pos)
{
	return (void *)(r->data + (pos & (r->size - 1)));
}

static uint64_t record_len(uint32_t len)
{
	return skep_round_up((len & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT)) + HDR, 8);
}

void *skep_ringbuf_reserve(struct skep_map *map, uint64_t size)
{
	struct ring *r = map->priv;
	uint64_t len, cons, prod, next;
	_Atomic uint32_t *hdr = NULL;

	if (size > UINT32_MAX / 4)
		return NULL;
	len = skep_round_up(size + HDR, 8);
	if (len > r->size)
		return NULL;
	skep_spin_lock(&r->lock);
	cons = atomic_load_explicit(r->consumer, memory_order_acquire);
	prod = atomic_load_explicit(r->producer, memory_order_relaxed);
	next = prod + len;
	while (r->pending < prod) {
		uint32_t w = atomic_load_explicit(header_at(r, r->pending), memory_order_relaxed);

		if (w & BPF_RINGBUF_BUSY_BIT)
			break;
		r->pending += record_len(w);
	}
	/* What a reader wrote cannot make us overwrite a record that is still being filled. */
	if (next - cons <= r->size - 1 && next - r->pending <= r->size - 1) {
		hdr = header_at(r, prod);
		atomic_store_explicit(hdr, (uint32_t)size | BPF_RINGBUF_BUSY_BIT,
				      memory_order_relaxed);
		atomic_store_explicit(hdr + 1,
				      (uint32_t)((prod & (r->size - 1)) / SKEP_PAGE + META_PAGES),
				      memory_order_relaxed);
		atomic_store_explicit(r->producer, next, memory_order_release);
	}
	skep_spin_unlock(&r->lock);
	return hdr ? (char *)hdr + HDR : NULL;
}

void skep_ringbuf_submit(struct skep_map *map, void *sample, bool discard)
{
	_Atomic uint32_t *hdr = (void *)((char *)sample - HDR);
	uint32_t len = atomic_load_explicit(hdr, memory_order_relaxed) & ~BPF_RINGBUF_BUSY_BIT;

	if (discard)
		len |= BPF_RINGBUF_DISCARD_BIT;
	atomic_store_explicit(hdr, len, memory_order_release);
}

int skep_ringbuf_output(struct skep_map *map, const void *data, uint64_t size)
{
	void *p = skep_ringbuf_reserve(map, size);

	if (!p)
		return -EAGAIN;
	memcpy(p, data, size);
	skep_ringbuf_submit(map, p, false);
	return 0;
}

uint64_t skep_ringbuf_query(struct skep_map *map, uint64_t flags)
{
	const struct ring *r = map->priv;
	uint64_t cons = atomic_load_explicit(r->consumer, memory_order_acquire);
	uint64_t prod = atomic_load_explicit(r->producer, memory_order_acquire);

	switch (flags) {
	case BPF_RB_AVAIL_DATA: return prod - cons;
	case BPF_RB_RING_SIZE: return r->size;
	case BPF_RB_CONS_POS: return cons;
	case BPF_RB_PROD_POS: return prod;
	default: return 0;
	}
}

static void *ring_mmap(struct skep_map *map, off_t off, size_t len, int prot)
{
	const struct ring *r = map->priv;

	if (prot & PROT_WRITE && (off || len != SKEP_PAGE))
		return (void *)(intptr_t)-EPERM;
	if ((uint64_t)off + len > 2 * SKEP_PAGE + 2 * r->size)
		return (void *)(intptr_t)-EINVAL;
	return map_layout(r, off, len, prot);
}

static bool ring_ready(const struct skep_map *map)
{
	const struct ring *r = map->priv;
	uint64_t cons = atomic_load_explicit(r->consumer, memory_order_acquire);
	uint64_t prod = atomic_load_explicit(r->producer, memory_order_acquire);

	if (cons == prod)
		return false;
	return !(atomic_load_explicit(header_at(r, cons & ~7ull), memory_order_acquire) &
		 BPF_RINGBUF_BUSY_BIT);
}

const struct skep_map_ops skep_map_ringbuf = {
	.name = "ringbuf",
	.check = ring_check,
	.init = ring_init,
	.deinit = ring_deinit,
	.mmap = ring_mmap,
	.ready = ring_ready,
};
