/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * libskep in a process: filters packets with the program of embed.bpf.c.
 *
 *	skep cc embed.bpf.c -o embed.bpf.o
 *	cc embed.c $(pkg-config --cflags --libs skep) -o embed && ./embed embed.bpf.o
 */
#include <arpa/inet.h>
#include <skep/skep.h>
#include <stdio.h>
#include <string.h>

static uint64_t blocked[65536 / 64]; /* a bit a port */

static uint64_t report(struct skep_thread *thread, void *data, const uint64_t arg[5])
{
	struct in_addr addr = {.s_addr = (uint32_t)arg[0]};

	(void)thread;
	printf("dropped: %s, %s\n", inet_ntoa(addr), (const char *)(uintptr_t)arg[1]);
	++*(unsigned int *)data;
	return 0;
}

/* Ethernet, IPv4, UDP from 10.0.0.@host to @port. */
static void make_packet(uint8_t packet[64], uint8_t host, uint16_t port)
{
	memset(packet, 0, 64);
	packet[12] = 8;
	packet[14] = 0x45;
	packet[23] = 17;
	packet[26] = 10;
	packet[29] = host;
	packet[36] = (uint8_t)(port >> 8);
	packet[37] = (uint8_t)port;
}

static int setup(struct skep_engine *engine, unsigned int *dropped, struct skep_err *err)
{
	struct skep_helper_opts helper = {
		.sz = sizeof(helper),
		.number = 1000,
		.name = "report",
		.params = {{.kind = SKEP_PARAM_NUMBER}, {.kind = SKEP_PARAM_TEXT}},
		.call = report,
		.data = dropped,
	};
	int ret = skep_engine_helper(engine, &helper, err);

	return ret ? ret : skep_engine_region(engine, blocked, sizeof(blocked), false, err);
}

int main(int argc, char **argv)
{
	struct skep_err *err = skep_err_create();
	struct skep_engine *engine = NULL;
	struct skep_object *object = NULL;
	struct skep_thread *thread = NULL;
	struct skep_item items[4] = {0};
	uint8_t packets[4][64];
	unsigned int dropped = 0;
	struct skep_map *map;
	uint32_t key, *last, i;
	uint64_t count;
	char where[32];

	blocked[53 / 64] |= 1ull << 53 % 64;
	snprintf(where, sizeof(where), "%ju", (uintmax_t)(uintptr_t)blocked);
	if (skep_engine_create(&engine, NULL, err) || setup(engine, &dropped, err) ||
	    skep_object_open(&object, engine, argc > 1 ? argv[1] : "embed.bpf.o", err) ||
	    skep_object_set(object, "blocked", where, err) || skep_object_load(object, err) ||
	    skep_thread_create(&thread, engine, err))
		goto failed;

	for (i = 0; i < 4; i++) {
		make_packet(packets[i], (uint8_t)(1 + i % 2), i < 3 ? 80 : 53);
		items[i].ctx = packets[i];
		items[i].len = i == 2 ? 20 : 64; /* one is cut short */
	}
	if (skep_run_batch(thread, skep_object_program(object, "verdict"), items, 4, err) < 4)
		goto failed;
	for (i = 0; i < 4; i++)
		printf("packet %u: %s\n", i, items[i].r0 ? "pass" : "drop");
	map = skep_object_map(object, "packets");
	for (last = NULL; !skep_map_next_key(map, last, &key); last = &key) {
		struct in_addr addr = {.s_addr = key};

		if (!skep_map_lookup_elem(map, &key, &count))
			printf("from %s: %ju\n", inet_ntoa(addr), (uintmax_t)count);
	}
failed:
	if (skep_err_errno(err))
		fprintf(stderr, "embed: %s\n", skep_err_text(err));
	i = skep_err_errno(err) != 0;
	skep_thread_destroy(thread);
	skep_object_destroy(object);
	skep_engine_destroy(engine);
	skep_err_destroy(err);
	return (int)i;
}
