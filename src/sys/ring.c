/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading ring buffers and perf buffers; see ring.h.
 *
 * Both are single-consumer rings: the other side stores its position after
 * its data, we load it with acquire, read, and store ours with release.
 */
#include "sys/ring.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/reader.h"
#include "sys/uapi.h"

#define RINGBUF_BUSY	(1u << 31)
#define RINGBUF_DISCARD (1u << 30)
#define RINGBUF_HDR	8

static int broken(struct skep_err *err, const char *what)
{
	return skep_fail(err, SKEP_E_TRUNCATED, EBADMSG, "%s", what);
}

void skep_ring_init(struct skep_ring *ring, void *consumer, const void *producer, size_t size)
{
	ring->consumer = consumer;
	ring->producer = producer;
	ring->page = (size_t)sysconf(_SC_PAGESIZE);
	ring->size = size;
}

int skep_ring_open(struct skep_ring *ring, struct skep_sys *sys, int fd, size_t size,
		   struct skep_err *err)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *cons, *prod;

	*ring = (struct skep_ring){0};
	if (!size || size & (size - 1) || size % page)
		return skep_fail(err, SKEP_E_SYSTEM, EINVAL,
				 "a ring buffer of %zu bytes: no power of two of pages", size);
	cons = skep_sys_map(sys, fd, 0, page, PROT_READ | PROT_WRITE);
	if (skep_sys_is_err(cons))
		return skep_fail(err, SKEP_E_SYSTEM, -(int)(intptr_t)cons,
				 "mapping a ring buffer: %s",
				 sys->why[0] ? sys->why : strerror(-(int)(intptr_t)cons));
	prod = skep_sys_map(sys, fd, (off_t)page, page + 2 * size, PROT_READ);
	if (skep_sys_is_err(prod)) {
		munmap(cons, page);
		return skep_fail(err, SKEP_E_SYSTEM, -(int)(intptr_t)prod,
				 "mapping a ring buffer: %s",
				 sys->why[0] ? sys->why : strerror(-(int)(intptr_t)prod));
	}
	skep_ring_init(ring, cons, prod, size);
	return 0;
}

void skep_ring_close(struct skep_ring *ring)
{
	if (ring->consumer)
		munmap(ring->consumer, ring->page);
	if (ring->producer)
		munmap((void *)ring->producer, ring->page + 2 * ring->size);
	*ring = (struct skep_ring){0};
}

int skep_ring_read(struct skep_ring *ring, skep_rec_fn *fn, void *ctx, struct skep_err *err)
{
	const unsigned char *data = ring->producer + ring->page;
	unsigned long cons = __atomic_load_n(ring->consumer, __ATOMIC_ACQUIRE), prod;
	struct skep_rec rec = {.type = PERF_RECORD_SAMPLE, .cpu = -1};
	int n = 0, ret;

	for (;;) {
		prod = __atomic_load_n((const unsigned long *)ring->producer, __ATOMIC_ACQUIRE);
		if (prod == cons)
			return n;
		if (prod - cons > ring->size || cons % 8)
			return broken(err, "the ring buffer's positions contradict each other");
		while (cons != prod) {
			const unsigned char *p = data + (cons & (ring->size - 1));
			uint32_t word = __atomic_load_n((const uint32_t *)p, __ATOMIC_ACQUIRE);
			uint64_t len = word & ~(RINGBUF_BUSY | RINGBUF_DISCARD);
			uint64_t step = (len + RINGBUF_HDR + 7) & ~7ull;

			if (word & RINGBUF_BUSY)
				return n;
			if (step > prod - cons)
				return broken(err, "a record in the ring buffer is longer than "
						   "what was written");
			if (!(word & RINGBUF_DISCARD)) {
				rec.data = p + RINGBUF_HDR;
				rec.len = len;
				ret = fn(ctx, &rec);
				n++;
			} else {
				ret = 0;
			}
			cons += step;
			__atomic_store_n(ring->consumer, cons, __ATOMIC_RELEASE);
			if (ret < 0)
				return ret;
		}
	}
}

int skep_perf_buf_init(struct skep_perf_buf *buf, void *base, size_t page, size_t size, int cpu)
{
	*buf = (struct skep_perf_buf){.fd = -1,
				      .cpu = cpu,
				      .base = base,
				      .page = page,
				      .size = size,
				      .sample_type = SKEP_PERF_SAMPLE};
	/* A record's length is 16 bits. */
	buf->copy = malloc(65536);
	return buf->copy ? 0 : -ENOMEM;
}

void skep_perf_buf_deinit(struct skep_perf_buf *buf)
{
	free(buf->copy);
	buf->copy = NULL;
}

/* The identity that the kernel puts before a sample's data and after other records. */
static void read_id(struct skep_reader *r, struct skep_rec *rec)
{
	rec->pid = skep_reader_u32(r);
	rec->tid = skep_reader_u32(r);
	rec->time = skep_reader_u64(r);
	rec->cpu = (int)skep_reader_u32(r);
	skep_reader_u32(r);
}

#define ID_LEN 24

/* Takes the record @p of @len bytes (header included) apart.  false: malformed. */
static bool parse_record(const unsigned char *p, size_t len, int cpu, struct skep_rec *rec)
{
	struct skep_reader r = skep_reader_init(p, len);

	*rec = (struct skep_rec){.cpu = cpu};
	rec->type = skep_reader_u32(&r);
	rec->misc = skep_reader_u16(&r);
	skep_reader_u16(&r);
	if (rec->type == PERF_RECORD_SAMPLE) {
		read_id(&r, rec);
		rec->len = skep_reader_u32(&r);
		rec->data = skep_reader_take(&r, rec->len);
		return rec->data != NULL;
	}
	rec->data = p + r.pos;
	rec->len = skep_reader_left(&r);
	if (rec->type == PERF_RECORD_LOST) {
		skep_reader_u64(&r); /* the event's id */
		rec->lost = skep_reader_u64(&r);
		/* The user engine's come without an identity. */
		if (skep_reader_left(&r) >= ID_LEN)
			read_id(&r, rec);
		return !r.bad;
	}
	if (rec->len >= ID_LEN) {
		rec->len -= ID_LEN;
		skep_reader_seek(&r, len - ID_LEN);
		read_id(&r, rec);
	}
	return true;
}

int skep_perf_buf_read(struct skep_perf_buf *buf, skep_rec_fn *fn, void *ctx, struct skep_err *err)
{
	struct perf_event_mmap_page *head = buf->base;
	const unsigned char *data = (const unsigned char *)buf->base + buf->page, *p;
	uint64_t end = __atomic_load_n(&head->data_head, __ATOMIC_ACQUIRE);
	uint64_t pos = head->data_tail;
	struct perf_event_header hdr;
	struct skep_rec rec;
	int n = 0, ret = 0;

	if (end - pos > buf->size || pos % 8)
		return broken(err, "the perf buffer's positions contradict each other");
	while (pos != end && ret >= 0) {
		size_t at = pos & (buf->size - 1), first = buf->size - at, len;

		/* Positions are multiples of 8, so that a header never wraps around. */
		memcpy(&hdr, data + at, sizeof(hdr));
		len = hdr.size;
		if (len < sizeof(hdr) || len > end - pos || len % 8)
			return broken(err, "a record in the perf buffer has an impossible length");
		p = data + at;
		if (len > first) {
			memcpy(buf->copy, data + at, first);
			memcpy(buf->copy + first, data, len - first);
			p = buf->copy;
		}
		/* @len was read once: the memory may change under us. */
		if (!parse_record(p, len, buf->cpu, &rec))
			return broken(err, "a record in the perf buffer contradicts its length");
		ret = fn(ctx, &rec);
		n++;
		pos += len;
		__atomic_store_n(&head->data_tail, pos, __ATOMIC_RELEASE);
	}
	return ret < 0 ? ret : n;
}

struct opening {
	struct skep_perf *perf;
	struct skep_event ev;
	int map_fd;
	size_t page, len;
	struct skep_err *err;
};

static int fail_open(struct opening *o, int ret, int cpu, const char *what)
{
	struct skep_sys *sys = o->perf->sys;

	enum skep_tag tag = ret == -EPERM || ret == -EACCES ? SKEP_E_PERMISSION
			    : ret == -EOPNOTSUPP	    ? SKEP_E_UNSUPPORTED
							    : SKEP_E_SYSTEM;

	if (sys->why[0])
		return skep_fail(o->err, tag, -ret, "%s", sys->why);
	return skep_fail(o->err, tag, -ret, "%s on CPU %d: %s", what, cpu, strerror(-ret));
}

static int store_event(struct opening *o, int cpu, int fd)
{
	union bpf_attr attr;
	uint32_t key = (uint32_t)cpu, value = (uint32_t)fd;
	int ret;

	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)o->map_fd;
	attr.key = (uintptr_t)&key;
	attr.value = (uintptr_t)&value;
	ret = skep_sys_bpf(o->perf->sys, BPF_MAP_UPDATE_ELEM, &attr, sizeof(attr));
	return ret < 0 ? fail_open(o, ret, cpu, "storing a perf buffer in its map") : 0;
}

static int open_cpu(void *ctx, int cpu)
{
	struct opening *o = ctx;
	struct skep_perf *perf = o->perf;
	struct skep_perf_buf *buf = skep_vec_add(&perf->bufs);
	void *p;
	int fd;

	if (!buf || skep_perf_buf_init(buf, NULL, o->page, o->len - o->page, cpu) < 0)
		return skep_fail_nomem(o->err);
	o->ev.cpu = cpu;
	fd = skep_sys_event(perf->sys, &o->ev);
	if (fd < 0)
		return fail_open(o, fd, cpu, "opening a perf buffer");
	buf->fd = fd;
	p = skep_sys_map(perf->sys, fd, 0, o->len, PROT_READ | PROT_WRITE);
	if (skep_sys_is_err(p))
		return fail_open(o, (int)(intptr_t)p, cpu, "mapping a perf buffer");
	buf->base = p;
	return o->map_fd >= 0 ? store_event(o, cpu, fd) : 0;
}

int skep_perf_open(struct skep_perf *perf, struct skep_sys *sys, const struct skep_event *ev,
		   int map_fd, size_t pages, struct skep_err *err)
{
	struct opening o = {.perf = perf, .ev = *ev, .map_fd = map_fd, .err = err};
	int ret;

	if (!pages)
		pages = SKEP_PERF_PAGES;
	*perf = (struct skep_perf){.sys = sys};
	if (pages & (pages - 1))
		return skep_fail(err, SKEP_E_USAGE, EINVAL,
				 "a perf buffer of %zu pages: not a power of two", pages);
	o.page = (size_t)sysconf(_SC_PAGESIZE);
	o.len = (pages + 1) * o.page;
	ret = skep_each_cpu(open_cpu, &o);
	if (ret < 0)
		skep_perf_close(perf);
	return ret;
}

int skep_perf_read(struct skep_perf *perf, skep_rec_fn *fn, void *ctx, struct skep_err *err)
{
	struct skep_perf_buf *buf;
	int n = 0, ret;

	skep_vec_each (&perf->bufs, buf) {
		ret = skep_perf_buf_read(buf, fn, ctx, err);
		if (ret < 0)
			return ret;
		n += ret;
	}
	return n;
}

void skep_perf_close(struct skep_perf *perf)
{
	struct skep_perf_buf *buf;

	skep_vec_each (&perf->bufs, buf) {
		if (buf->base)
			munmap(buf->base, buf->page + buf->size);
		skep_sys_close(perf->sys, buf->fd);
		skep_perf_buf_deinit(buf);
	}
	skep_vec_deinit(&perf->bufs);
}

bool skep_printk_text(const void *data, size_t size, const char **text, size_t *len)
{
	struct skep_reader r = skep_reader_init(data, size);
	uint32_t loc;
	const char *p;
	size_t n;

	skep_reader_take(&r, 8);
	loc = skep_reader_u32(&r);
	n = loc >> 16;
	skep_reader_seek(&r, loc & 0xffff);
	p = skep_reader_take(&r, n);
	if (!p)
		return false;
	n = strnlen(p, n);
	if (n && p[n - 1] == '\n')
		n--;
	*text = p;
	*len = n;
	return true;
}

int skep_each_cpu(int (*fn)(void *ctx, int cpu), void *ctx)
{
	FILE *f = fopen("/sys/devices/system/cpu/online", "re");
	int first, last, ret = 0, got;
	char sep;

	if (!f)
		return -errno;
	while (ret >= 0 && (got = fscanf(f, "%d%c", &first, &sep)) >= 1) {
		last = first;
		if (got == 2 && sep == '-' && fscanf(f, "%d%c", &last, &sep) < 1)
			break;
		for (; first <= last && ret >= 0; first++)
			ret = fn(ctx, first);
	}
	fclose(f);
	return ret;
}
