/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/packet.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* mmap(2) below 4 GiB: where the architecture has a flag, by it; else by trying addresses. */
static void *map_low(size_t len)
{
	const int prot = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS;
	uintptr_t at;
	void *p;

#ifdef MAP_32BIT
	p = mmap(NULL, len, prot, flags | MAP_32BIT, -1, 0);
	if (p != MAP_FAILED)
		return p;
#endif
	for (at = 0x10000000; at < 0xf0000000; at += 0x1000000) {
		p = mmap((void *)at, len, prot, flags | MAP_FIXED_NOREPLACE, -1, 0);
		if (p == (void *)at)
			return p;
		if (p != MAP_FAILED)
			munmap(p, len);
	}
	return NULL;
}

int skep_packet_init(struct skep_packet *packet, size_t len, struct skep_err *err)
{
	if (packet->buf && packet->len >= len)
		return 0;
	skep_packet_deinit(packet);
	packet->buf = map_low(len);
	if (!packet->buf)
		return skep_fail(err, SKEP_E_NOMEM, ENOMEM,
				 "no memory below 4 GiB for a packet of %zu bytes", len);
	packet->len = len;
	return 0;
}

void skep_packet_deinit(struct skep_packet *packet)
{
	if (packet->buf)
		munmap(packet->buf, packet->len);
	*packet = (struct skep_packet){0};
}

void skep_packet_set(struct skep_packet *packet, const void *data, size_t len, size_t headroom,
		     size_t meta, size_t reserved, size_t tail)
{
	uint8_t *at = packet->buf + headroom;

	/* Nothing of an earlier run shows in the room around. */
	memset(packet->buf, 0, headroom);
	if (len)
		memcpy(at, data, len);
	memset(at + len, 0, tail - headroom - len);
	packet->vm = (struct skep_vm_packet){
		.head = packet->buf + reserved,
		.tail = packet->buf + tail,
		.meta = at,
		.data = at + meta,
		.data_end = at + len,
		.write = true,
	};
}
