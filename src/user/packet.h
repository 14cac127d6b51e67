/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The packet of a test run: a buffer that 32-bit context fields can point at.
 *
 * It is mapped once below 4 GiB and used for one run after the other.
 * net/bpf/test_run.c of the kernel decides how much room there is around the
 * data.
 */
#ifndef SKEP_USER_PACKET_H
#define SKEP_USER_PACKET_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "vm/vm.h"

struct skep_packet {
	struct skep_vm_packet vm; /* what programs and helpers see */
	uint8_t *buf; /* NULL: not mapped yet */
	size_t len; /* of the buffer */
};

/* Maps @len bytes; does nothing when there are as many already.  0 or -ENOMEM. */
int skep_packet_init(struct skep_packet *packet, size_t len, struct skep_err *err);
void skep_packet_deinit(struct skep_packet *packet); /* safe on a zeroed struct */

/*
 * Lays @len bytes of @data at @headroom of the buffer; the first @meta of them
 * are metadata before the packet.  Programs may move the start back to
 * @reserved and the end up to @tail.  All in bytes from the buffer's start;
 * the caller sees to it that they fit.
 */
void skep_packet_set(struct skep_packet *packet, const void *data, size_t len, size_t headroom,
		     size_t meta, size_t reserved, size_t tail);

#endif
