/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Readers of the two kinds of buffers through which programs hand out data:
 * the ring buffer map and the per-CPU perf buffers.  The same code reads both
 * engines' buffers.
 *
 * The memory is shared with someone else: every length found in it is checked
 * against the buffer before use, and whatever does not fit ends the reading
 * of that buffer with an error instead of a guess.
 * Layouts: Documentation/bpf/ringbuf.rst; include/uapi/linux/perf_event.h.
 */
#ifndef SKEP_SYS_RING_H
#define SKEP_SYS_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/vec.h"
#include "sys/sys.h"

/* One record.  @data is valid during the callback only. */
struct skep_rec {
	/*
	 * PERF_RECORD_SAMPLE: data = the raw bytes given to bpf_perf_event_output()
	 * (the kernel pads them with up to 7 zero bytes) or to the tracepoint.
	 * PERF_RECORD_LOST: lost counts. Others (MMAP2, COMM, FORK, EXIT): data = the
	 * record after its header, without the id trailer.
	 * Ring buffer records are PERF_RECORD_SAMPLE, too, with time 0, cpu -1.
	 */
	uint32_t type;
	uint16_t misc; /* perf_event_header.misc */
	const void *data;
	size_t len;
	uint64_t time; /* CLOCK_MONOTONIC, ns; 0: not known */
	int cpu; /* -1: not known */
	uint32_t pid, tid; /* perf buffers: who; 0 in ring buffers */
	uint64_t lost; /* PERF_RECORD_LOST: records that did not fit */
};

/* < 0 ends the reading; the value is handed on. */
typedef int skep_rec_fn(void *ctx, const struct skep_rec *rec);

/* Ring buffer maps. */
struct skep_ring {
	unsigned long *consumer; /* page, ours to write */
	const unsigned char *producer; /* page and data twice, read-only */
	size_t page, size; /* bytes: page size; data size, a power of two */
};

/* Maps the ring buffer map @fd of @size bytes (its max_entries).  0 or -errno. */
int skep_ring_open(struct skep_ring *ring, struct skep_sys *sys, int fd, size_t size,
		   struct skep_err *err);
/* For memory mapped elsewhere (tests): consumer page, producer page and 2 * size data bytes. */
void skep_ring_init(struct skep_ring *ring, void *consumer, const void *producer, size_t size);
/* Hands all finished records to @fn.  Their number, or -errno (of @fn, or E_TRUNCATED memory). */
int skep_ring_read(struct skep_ring *ring, skep_rec_fn *fn, void *ctx, struct skep_err *err);
void skep_ring_close(struct skep_ring *ring); /* unmaps; safe on a zeroed struct */

/* One CPU's perf buffer. */
struct skep_perf_buf {
	int fd, cpu;
	void *base; /* struct perf_event_mmap_page, then the data */
	size_t page, size; /* bytes: page size; data size, a power of two */
	uint64_t sample_type; /* PERF_SAMPLE_* of its records: SKEP_PERF_SAMPLE */
	unsigned char *copy; /* for records that wrap around */
};

/* The sample_type of OUTPUT, PRINTK and TASKS events, with sample_id_all. */
#define SKEP_PERF_SAMPLE (PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_CPU | PERF_SAMPLE_RAW)

/* Data pages of a perf buffer when the caller says 0. */
#define SKEP_PERF_PAGES 64

/* For memory mapped elsewhere (tests).  @size: data bytes after one page.  0 or -ENOMEM. */
int skep_perf_buf_init(struct skep_perf_buf *buf, void *base, size_t page, size_t size, int cpu);
void skep_perf_buf_deinit(struct skep_perf_buf *buf); /* frees, does not unmap */
int skep_perf_buf_read(struct skep_perf_buf *buf, skep_rec_fn *fn, void *ctx, struct skep_err *err);

/* A buffer on each online CPU. */
struct skep_perf {
	struct skep_sys *sys;
	SKEP_VEC(struct skep_perf_buf) bufs;
};

/*
 * Opens an event like @ev (OUTPUT, PRINTK or TASKS; its cpu is set here) and a
 * buffer of @pages data pages (a power of two, 0: SKEP_PERF_PAGES) on each
 * online CPU; with @map_fd >= 0 stores the events in that perf event array.
 * On failure nothing stays open.
 */
int skep_perf_open(struct skep_perf *perf, struct skep_sys *sys, const struct skep_event *ev,
		   int map_fd, size_t pages, struct skep_err *err);
/* Hands all records of all buffers to @fn, buffer by buffer; as skep_ring_read(). */
int skep_perf_read(struct skep_perf *perf, skep_rec_fn *fn, void *ctx, struct skep_err *err);
void skep_perf_close(struct skep_perf *perf);

/*
 * The line of a PRINTK record.  Its raw bytes are those of the tracepoint
 * bpf_trace:bpf_trace_printk: 8 bytes that all tracepoints have, where the
 * string is as length << 16 | offset, the string.  *@text is inside @data,
 * *@len without NUL and ending newline.  false: not such a record.
 */
bool skep_printk_text(const void *data, size_t size, const char **text, size_t *len);

/* Calls @fn for each online CPU, ascending; the first negative return ends it. */
int skep_each_cpu(int (*fn)(void *ctx, int cpu), void *ctx);

#endif
