/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Perf buffers: what perf_event_open(2) and mmap(2) give, without the kernel.
 *
 * The memory is an unnamed file: one struct perf_event_mmap_page, then 2^n
 * data pages.  We see the data twice in a row, so that a record that wraps is
 * written in one piece; the reader has it once, as from the kernel.  What the
 * reader writes (data_tail) is only ever subtracted and masked.
 *
 * Records that do not fit are counted and told by a PERF_RECORD_LOST before
 * the next one that does.  include/uapi/linux/perf_event.h.
 */
#include <errno.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "map/kind.h"

struct skep_perf_ring {
	_Atomic int refs;
	struct skep_spin lock;
	uint64_t sample_type;
	char *base; /* NULL: not mapped by a reader yet */
	uint64_t size; /* of the data */
	uint64_t lost;
};

struct lost {
	struct perf_event_header header;
	uint64_t id, lost;
};

struct trailer {
	uint32_t pid, tid;
	uint64_t time;
	uint32_t cpu, reserved;
};

struct skep_perf_ring *skep_perf_ring_create(uint64_t sample_type, struct skep_err *err)
{
	const uint64_t known =
		PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_CPU | PERF_SAMPLE_RAW;
	struct skep_perf_ring *ring;

	if (sample_type & ~known) {
		skep_fail(err, SKEP_E_UNSUPPORTED, EOPNOTSUPP, "sample type 0x%llx of a buffer",
			  (unsigned long long)sample_type);
		return NULL;
	}
	ring = calloc(1, sizeof(*ring));
	if (!ring) {
		skep_fail_nomem(err);
		return NULL;
	}
	ring->refs = 1;
	ring->sample_type = sample_type;
	return ring;
}

struct skep_perf_ring *skep_perf_ring_get(struct skep_perf_ring *ring)
{
	atomic_fetch_add(&ring->refs, 1);
	return ring;
}

void skep_perf_ring_put(struct skep_perf_ring *ring)
{
	if (!ring || atomic_fetch_sub(&ring->refs, 1) != 1)
		return;
	if (ring->base)
		munmap(ring->base, SKEP_PAGE + 2 * ring->size);
	free(ring);
}

static struct perf_event_mmap_page *page(const struct skep_perf_ring *ring)
{
	return (void *)ring->base;
}

static _Atomic uint64_t *head_of(const struct skep_perf_ring *ring)
{
	return (void *)&page(ring)->data_head;
}

static _Atomic uint64_t *tail_of(const struct skep_perf_ring *ring)
{
	return (void *)&page(ring)->data_tail;
}

/* Our own view of @fd: the page, then the data twice. */
static char *map_twice(int fd, uint64_t size)
{
	int prot = PROT_READ | PROT_WRITE;
	char *p = mmap(NULL, SKEP_PAGE + 2 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	if (mmap(p, SKEP_PAGE + size, prot, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED ||
	    mmap(p + SKEP_PAGE + size, size, prot, MAP_SHARED | MAP_FIXED, fd, SKEP_PAGE) ==
		    MAP_FAILED) {
		munmap(p, SKEP_PAGE + 2 * size);
		return NULL;
	}
	return p;
}

void *skep_perf_ring_mmap(struct skep_perf_ring *ring, size_t len, int prot)
{
	uint64_t size = len - SKEP_PAGE;
	char *base = NULL;
	void *p;
	int fd;

	if (len <= SKEP_PAGE || len % SKEP_PAGE || size & (size - 1))
		return (void *)(intptr_t)-EINVAL;
	if (ring->base)
		return (void *)(intptr_t)-EBUSY;
	fd = skep_mem_file(len);
	if (fd < 0)
		return (void *)(intptr_t)fd;
	p = mmap(NULL, len, prot, MAP_SHARED, fd, 0);
	if (p != MAP_FAILED)
		base = map_twice(fd, size);
	close(fd);
	if (!base) {
		if (p != MAP_FAILED)
			munmap(p, len);
		return (void *)(intptr_t)-ENOMEM;
	}
	skep_spin_lock(&ring->lock);
	ring->size = size;
	ring->base = base;
	page(ring)->data_offset = SKEP_PAGE;
	page(ring)->data_size = size;
	skep_spin_unlock(&ring->lock);
	return p;
}

bool skep_perf_ring_ready(const struct skep_perf_ring *ring)
{
	return ring->base && atomic_load_explicit(head_of(ring), memory_order_acquire) !=
				     atomic_load_explicit(tail_of(ring), memory_order_acquire);
}

uint64_t skep_perf_ring_used(const struct skep_perf_ring *ring, uint64_t *size)
{
	*size = ring->base ? ring->size : 0;
	if (!ring->base)
		return 0;
	return atomic_load_explicit(head_of(ring), memory_order_acquire) -
	       atomic_load_explicit(tail_of(ring), memory_order_acquire);
}

/* How much of a buffer's trailer there is, and its bytes. */
static size_t make_trailer(const struct skep_perf_ring *ring, unsigned char out[24],
			   const struct trailer *t)
{
	size_t n = 0;

	if (ring->sample_type & PERF_SAMPLE_TID) {
		memcpy(out, &t->pid, 8);
		n = 8;
	}
	if (ring->sample_type & PERF_SAMPLE_TIME) {
		memcpy(out + n, &t->time, 8);
		n += 8;
	}
	if (ring->sample_type & PERF_SAMPLE_CPU) {
		memcpy(out + n, &t->cpu, 8);
		n += 8;
	}
	return n;
}

/*
 * Room for @len bytes, preceded by a PERF_RECORD_LOST if one is due; NULL and
 * counted when there is none.  On success the ring's lock stays held until
 * commit().
 */
static char *begin(struct skep_perf_ring *ring, size_t len, const struct trailer *t, uint64_t *end)
{
	struct lost lost = {.header = {.type = PERF_RECORD_LOST}};
	unsigned char tail[24];
	uint64_t head, used, all = len;
	size_t n = 0;
	char *p;

	skep_spin_lock(&ring->lock);
	if (!ring->base) {
		skep_spin_unlock(&ring->lock);
		return NULL;
	}
	if (ring->lost) {
		n = make_trailer(ring, tail, t);
		all += sizeof(lost) + n;
	}
	head = atomic_load_explicit(head_of(ring), memory_order_relaxed);
	used = head - atomic_load_explicit(tail_of(ring), memory_order_acquire);
	if (used >= ring->size || ring->size - 1 - used < all) {
		ring->lost++;
		skep_spin_unlock(&ring->lock);
		return NULL;
	}
	p = ring->base + SKEP_PAGE + (head & (ring->size - 1));
	if (ring->lost) {
		lost.header.size = (uint16_t)(sizeof(lost) + n);
		lost.lost = ring->lost;
		memcpy(p, &lost, sizeof(lost));
		memcpy(p + sizeof(lost), tail, n);
		p += sizeof(lost) + n;
		ring->lost = 0;
	}
	*end = head + all;
	return p;
}

static void commit(struct skep_perf_ring *ring, uint64_t end)
{
	atomic_store_explicit(head_of(ring), end, memory_order_release);
	skep_spin_unlock(&ring->lock);
}

int skep_perf_ring_sample(struct skep_perf_ring *ring, uint32_t pid, uint32_t tid, uint64_t time,
			  uint32_t cpu, const void *a, size_t a_len, const void *b, size_t b_len)
{
	struct trailer t = {.pid = pid, .tid = tid, .time = time, .cpu = cpu};
	struct perf_event_header header = {.type = PERF_RECORD_SAMPLE,
					   .misc = PERF_RECORD_MISC_KERNEL};
	unsigned char fixed[24];
	size_t n = make_trailer(ring, fixed, &t), pad, len;
	bool raw = ring->sample_type & PERF_SAMPLE_RAW;
	uint32_t raw_size = 0;
	uint64_t end;
	char *p;

	if (!raw)
		a_len = b_len = 0;
	len = sizeof(header) + n;
	if (a_len > UINT16_MAX || b_len > UINT16_MAX)
		return -E2BIG;
	if (raw) {
		raw_size = (uint32_t)(skep_round_up(a_len + b_len + 4, 8) - 4);
		len += 4 + raw_size;
	}
	if (len > UINT16_MAX)
		return -E2BIG;
	p = begin(ring, len, &t, &end);
	if (!p)
		return -ENOSPC;
	pad = raw_size - a_len - b_len;
	header.size = (uint16_t)len;
	p = mempcpy(mempcpy(p, &header, sizeof(header)), fixed, n);
	if (raw) {
		p = mempcpy(p, &raw_size, 4);
		p = a_len ? mempcpy(p, a, a_len) : p;
		p = b_len ? mempcpy(p, b, b_len) : p;
		memset(p, 0, pad);
	}
	commit(ring, end);
	return 0;
}

int skep_perf_ring_record(struct skep_perf_ring *ring, const void *record, size_t len)
{
	struct timespec now;
	struct trailer t = {0};
	uint64_t end;
	char *p;

	if (len < sizeof(struct perf_event_header) || len > UINT16_MAX || len % 8)
		return -EINVAL;
	clock_gettime(CLOCK_MONOTONIC, &now);
	t.time = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	p = begin(ring, len, &t, &end);
	if (!p)
		return -ENOSPC;
	memcpy(p, record, len);
	commit(ring, end);
	return 0;
}
