/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * src/sys/ring: the readers against memory written by hand, honest and
 * hostile.  Run under ASan by scripts/fuzz: a read past the buffer shows there.
 */
#include <errno.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sys/ring.h"
#include "tap.h"

#define PAGE 4096
#define BUSY 0x80000000u
#define GONE 0x40000000u

static struct skep_err err = SKEP_ERR_INIT;

struct got {
	int n;
	size_t bytes;
	uint64_t lost, time;
	unsigned char first;
	uint32_t type;
	int cpu, stop_after;
};

static int take(void *ctx, const struct skep_rec *rec)
{
	struct got *g = ctx;
	const unsigned char *p = rec->data;
	size_t i;

	for (i = 0; i < rec->len; i++)
		g->bytes += p[i] != 0xff;
	g->first = rec->len ? p[0] : 0;
	g->lost += rec->lost;
	g->time = rec->time;
	g->cpu = rec->cpu;
	g->type = rec->type;
	g->n++;
	return g->stop_after && g->n >= g->stop_after ? -ECANCELED : 0;
}

/* A ring of one page of data, mapped twice as the kernel maps it, then a hole. */
struct ring_memory {
	unsigned long consumer[PAGE / sizeof(long)];
	unsigned char *map;
	struct skep_ring ring;
};

static void ring_setup(struct ring_memory *m)
{
	int fd = memfd_create("ring", 0);
	unsigned char *p = mmap(NULL, 5 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (fd < 0 || ftruncate(fd, 2 * PAGE) < 0 || p == MAP_FAILED)
		abort();
	mmap(p, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	mmap(p + 2 * PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, PAGE);
	close(fd);
	m->map = p;
	memset(m->consumer, 0, sizeof(m->consumer));
	skep_ring_init(&m->ring, m->consumer, p, PAGE);
}

static void ring_put(struct ring_memory *m, uint32_t word, unsigned char fill)
{
	unsigned long *prod = (unsigned long *)m->map;
	uint32_t len = word & ~(BUSY | GONE);
	unsigned char *p = m->map + PAGE + (*prod & (PAGE - 1));

	memcpy(p, &word, 4);
	memset(p + 8, fill, len);
	*prod += (8 + len + 7) & ~7ul;
}

static void test_ring_honest(void)
{
	struct ring_memory m;
	struct got g = {0};
	int i, n = 0;

	ring_setup(&m);
	is_int(skep_ring_read(&m.ring, take, &g, &err), 0, "an empty ring has no records");
	ring_put(&m, 5, 1);
	ring_put(&m, 16 | GONE, 2);
	ring_put(&m, 0, 0);
	ring_put(&m, 8 | BUSY, 3);
	ring_put(&m, 8, 4);
	is_int(skep_ring_read(&m.ring, take, &g, &err), 2,
	       "discarded are skipped, busy ones end it");
	ok(g.bytes == 5 && g.cpu == -1, "the bytes of the finished ones");
	m.map[PAGE + m.consumer[0] + 3] = 0; /* the busy bit */
	is_int(skep_ring_read(&m.ring, take, &g, &err), 2, "once finished, the rest comes");
	is_int(g.first, 4, "in order");
	/* 24 bytes a record: every third pass has one across the end. */
	for (i = 0; i < 2000; i++) {
		ring_put(&m, 13, (unsigned char)i);
		n += skep_ring_read(&m.ring, take, &g, &err) == 1 && g.first == (unsigned char)i;
	}
	is_int(n, 2000, "records across the end are whole");
	g = (struct got){.stop_after = 1};
	ring_put(&m, 8, 1);
	ring_put(&m, 8, 2);
	is_int(skep_ring_read(&m.ring, take, &g, &err), -ECANCELED, "the callback can end it");
	g = (struct got){0};
	ok(skep_ring_read(&m.ring, take, &g, &err) == 1 && g.first == 2, "the next read goes on");
	munmap(m.map, 5 * PAGE);
}

static void hostile_ring(const char *what, unsigned long cons, unsigned long prod, uint32_t word)
{
	struct ring_memory m;
	struct got g = {0};
	int ret;

	ring_setup(&m);
	memset(m.map + PAGE, 0xff, PAGE);
	m.consumer[0] = cons;
	*(unsigned long *)m.map = prod;
	memcpy(m.map + PAGE + (cons & (PAGE - 8)), &word, 4);
	ret = skep_ring_read(&m.ring, take, &g, &err);
	ok(ret == -EBADMSG && err.tag == SKEP_E_TRUNCATED && g.bytes == 0, "%s: %s", what, err.msg);
	skep_err_deinit(&err);
	munmap(m.map, 5 * PAGE);
}

/* A perf buffer of one data page with a hole after it. */
struct perf_memory {
	unsigned char *map;
	struct skep_perf_buf buf;
};

static void perf_setup(struct perf_memory *m)
{
	m->map = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (m->map == MAP_FAILED || mprotect(m->map + 2 * PAGE, PAGE, PROT_NONE) < 0)
		abort();
	skep_perf_buf_init(&m->buf, m->map, PAGE, PAGE, 7);
}

static void perf_teardown(struct perf_memory *m)
{
	skep_perf_buf_deinit(&m->buf);
	munmap(m->map, 3 * PAGE);
}

static void perf_put(struct perf_memory *m, const void *record, size_t len)
{
	struct perf_event_mmap_page *head = (void *)m->map;
	const unsigned char *p = record;
	size_t i;

	for (i = 0; i < len; i++)
		m->map[PAGE + ((head->data_head + i) & (PAGE - 1))] = p[i];
	head->data_head += len;
}

struct sample {
	struct perf_event_header hdr;
	uint32_t pid, tid;
	uint64_t time;
	uint32_t cpu, res, size;
	unsigned char data[12];
};

static struct sample make_sample(unsigned char fill)
{
	struct sample s = {{PERF_RECORD_SAMPLE, 2, sizeof(s)}, 10, 11, 12345, 3, 0, 12, {0}};

	_Static_assert(sizeof(s) == 48, "no padding");
	memset(s.data, fill, sizeof(s.data));
	return s;
}

static void test_perf_honest(void)
{
	uint64_t lost[] = {0, 0, 17}, fork[] = {0, 0x200000001, 0x200000001, 5, 0, 99, 4};
	struct perf_event_header hdr = {PERF_RECORD_LOST, 0, sizeof(lost)};
	struct perf_memory m;
	struct got g = {0};
	struct sample s;
	int i, n = 0;

	perf_setup(&m);
	is_int(skep_perf_buf_read(&m.buf, take, &g, &err), 0, "an empty buffer has no records");
	for (i = 0; i < 2000; i++) {
		s = make_sample((unsigned char)i);
		perf_put(&m, &s, sizeof(s));
		n += skep_perf_buf_read(&m.buf, take, &g, &err) == 1 &&
		     g.first == (unsigned char)i && g.time == 12345 && g.cpu == 3;
	}
	is_int(n, 2000, "samples across the end are whole");
	memcpy(lost, &hdr, sizeof(hdr));
	perf_put(&m, lost, sizeof(lost));
	g = (struct got){0};
	ok(skep_perf_buf_read(&m.buf, take, &g, &err) == 1 && g.lost == 17 && g.cpu == 7,
	   "a lost record without identity: its count, the buffer's CPU");
	hdr = (struct perf_event_header){PERF_RECORD_FORK, 0, sizeof(fork)};
	memcpy(fork, &hdr, sizeof(hdr));
	perf_put(&m, fork, sizeof(fork));
	ok(skep_perf_buf_read(&m.buf, take, &g, &err) == 1 && g.type == PERF_RECORD_FORK &&
		   g.time == 99 && g.cpu == 4,
	   "other records: time and CPU from behind them");
	perf_teardown(&m);
}

static void hostile_perf(const char *what, uint64_t tail, uint64_t head, uint16_t size,
			 uint32_t raw_size)
{
	struct perf_event_mmap_page *page;
	struct sample s = make_sample(0xff);
	struct perf_memory m;
	struct got g = {0};
	int ret;

	perf_setup(&m);
	page = (void *)m.map;
	s.hdr.size = size;
	s.size = raw_size;
	page->data_head = tail & ~7ull;
	perf_put(&m, &s, sizeof(s));
	page->data_tail = tail;
	page->data_head = head;
	ret = skep_perf_buf_read(&m.buf, take, &g, &err);
	ok(ret == -EBADMSG && err.tag == SKEP_E_TRUNCATED && g.n == 0, "%s: %s", what, err.msg);
	skep_err_deinit(&err);
	perf_teardown(&m);
}

/* Random bytes: the reader must end, and stay inside (the hole behind faults). */
static void test_random(void)
{
	struct perf_event_mmap_page *page;
	struct ring_memory r;
	struct perf_memory m;
	struct got g = {0};
	int i, j, bad = 0;

	ring_setup(&r);
	perf_setup(&m);
	page = (void *)m.map;
	srandom(1);
	for (i = 0; i < 20000; i++) {
		for (j = 0; j < 64; j++) {
			m.map[PAGE + random() % PAGE] = (unsigned char)(random() % 64);
			r.map[PAGE + random() % PAGE] = (unsigned char)(random() % 64);
		}
		page->data_tail = (uint64_t)(random() % 512) * 8;
		page->data_head = page->data_tail + (uint64_t)(random() % 513) * 8;
		skep_perf_buf_read(&m.buf, take, &g, &err);
		bad += page->data_tail > page->data_head;
		skep_err_deinit(&err);
		r.consumer[0] = (unsigned long)(random() % 512) * 8;
		*(unsigned long *)r.map = r.consumer[0] + (unsigned long)(random() % 513) * 8;
		skep_ring_read(&r.ring, take, &g, &err);
		bad += r.consumer[0] > *(unsigned long *)r.map;
		skep_err_deinit(&err);
	}
	is_int(bad, 0, "20000 random buffers: the readers end inside");
	ok(g.n > 100, "and saw %d records", g.n);
	perf_teardown(&m);
	munmap(r.map, 5 * PAGE);
}

static void test_printk(void)
{
	unsigned char rec[24] = {0, 0, 0, 0, 0, 0, 0, 0, 12, 0, 10, 0, 'h', 'i', ' ', 't', 'h'};
	const char *text = "";
	size_t len = 0;

	memcpy(rec + 17, "ere\n", 5);
	ok(skep_printk_text(rec, sizeof(rec), &text, &len) && len == 8 &&
		   !strncmp(text, "hi there", 8),
	   "a line without its newline");
	ok(!skep_printk_text(rec, 21, &text, &len), "a string that ends outside");
	rec[8] = 200;
	ok(!skep_printk_text(rec, sizeof(rec), &text, &len), "a string that begins outside");
	rec[8] = 12;
	rec[10] = 0;
	ok(skep_printk_text(rec, sizeof(rec), &text, &len) && len == 0, "an empty line");
	ok(!skep_printk_text(rec, 11, &text, &len), "a record cut short");
}

static int count_cpu(void *ctx, int cpu)
{
	*(int *)ctx += 1;
	return cpu < 0 ? -EINVAL : 0;
}

int main(void)
{
	int cpus = 0;

	test_ring_honest();
	hostile_ring("longer than written", 0, 64, 4000);
	hostile_ring("longer than the ring", 8, 4096, 0x3fffffff);
	hostile_ring("more written than fits", 0, 2 * PAGE, 8);
	hostile_ring("written before read", 64, 0, 8);
	hostile_ring("read position not aligned", 4, 64, 8);
	test_perf_honest();
	hostile_perf("length 0", 0, 48, 0, 12);
	hostile_perf("longer than written", 0, 48, 64, 12);
	hostile_perf("longer than the buffer", 0, 4096, 65528, 12);
	hostile_perf("raw data longer than the record", 0, 48, 48, 13);
	hostile_perf("raw length enormous", 0, 48, 48, 0xffffffff);
	hostile_perf("length not aligned", 0, 48, 41, 5);
	hostile_perf("more written than fits", 0, 1 << 20, 48, 12);
	hostile_perf("position not aligned", 4, 48, 48, 12);
	test_random();
	test_printk();
	ok(skep_each_cpu(count_cpu, &cpus) == 0 && cpus == sysconf(_SC_NPROCESSORS_ONLN),
	   "every online CPU once");
	return done();
}
