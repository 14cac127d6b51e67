/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * skep run --pcap: every packet of a file through every packet program, by
 * BPF_PROG_TEST_RUN, so that either engine can do it.
 *
 * libpcap is loaded only now: it and what it needs would cost every start a
 * millisecond.
 */
#include "cli/run.h"

#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#define PCAP_DONT_INCLUDE_PCAP_BPF_H /* its struct bpf_insn is the classic one */
#include <pcap/dlt.h>
#include <pcap/pcap.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define PACKET_MAX  65536
#define ROOM	    4096 /* for what a program puts in front or behind */
#define MAX_ACTIONS 8

struct pcap_lib {
	void *handle;
	pcap_t *(*open_offline)(const char *, char *);
	pcap_t *(*open_dead)(int, int);
	int (*next_ex)(pcap_t *, struct pcap_pkthdr **, const u_char **);
	int (*datalink)(pcap_t *);
	char *(*geterr)(pcap_t *);
	void (*close)(pcap_t *);
	pcap_dumper_t *(*dump_open)(pcap_t *, const char *);
	void (*dump)(u_char *, const struct pcap_pkthdr *, const u_char *);
	int (*dump_flush)(pcap_dumper_t *);
	void (*dump_close)(pcap_dumper_t *);
};

/* By program type: what return values are called, and which let the packet pass. */
static const struct {
	uint32_t prog_type;
	unsigned int nr;
	const char *names[MAX_ACTIONS];
	unsigned int pass; /* bit mask */
} verdicts[] = {
	{BPF_PROG_TYPE_XDP,
	 5,
	 {"XDP_ABORTED", "XDP_DROP", "XDP_PASS", "XDP_TX", "XDP_REDIRECT"},
	 1 << 2 | 1 << 3 | 1 << 4},
	{BPF_PROG_TYPE_SCHED_CLS,
	 8,
	 {"TC_ACT_OK", "TC_ACT_RECLASSIFY", "TC_ACT_SHOT", "TC_ACT_PIPE", "TC_ACT_STOLEN",
	  "TC_ACT_QUEUED", "TC_ACT_REPEAT", "TC_ACT_REDIRECT"},
	 1 << 0 | 1 << 3 | 1 << 7},
};

struct tally {
	uint32_t action;
	uint64_t packets, bytes;
};

struct prog_tally {
	SKEP_VEC(struct tally) actions;
};

struct packets {
	struct run *run;
	struct pcap_lib lib;
	pcap_t *in, *dead;
	pcap_dumper_t *out;
	unsigned char *result[SKEP_RUN_ENGINES];
	struct prog_tally *tallies[SKEP_RUN_ENGINES]; /* one a program */
	uint64_t nr, differ, refused;
	struct skep_err first; /* the first refusal */
};

static int load_lib(struct pcap_lib *lib, struct skep_err *err)
{
	static const char *const names[] = {"libpcap.so.0.8", "libpcap.so.1"};
	size_t i;

	for (i = 0; !lib->handle && i < SKEP_ARRAY_SIZE(names); i++)
		lib->handle = dlopen(names[i], RTLD_NOW);
	if (!lib->handle)
		return skep_fail(err, SKEP_E_NOT_FOUND, ENOENT,
				 "--pcap needs libpcap, which is not installed "
				 "(apt-get install libpcap0.8)");
#define GET(name) \
	lib->name = (__typeof__(lib->name))dlsym(lib->handle, "pcap_" #name); \
	if (!lib->name) \
		return skep_fail(err, SKEP_E_NOT_FOUND, ENOENT, "libpcap: no pcap_" #name);
	GET(open_offline)
	GET(open_dead)
	GET(next_ex)
	GET(datalink)
	GET(geterr)
	GET(close)
	GET(dump_open)
	GET(dump)
	GET(dump_flush)
	GET(dump_close)
#undef GET
	return 0;
}

/* libpcap names the file in some of its messages. */
static int fail_file(const char *path, const char *why, struct skep_err *err)
{
	bool named = strstr(why, path);

	return skep_fail(err, SKEP_E_SYSTEM, EINVAL, "%s%s%s", named ? "" : path, named ? "" : ": ",
			 why);
}

static int open_files(struct packets *p, struct skep_err *err)
{
	const struct run_opts *o = &p->run->o;
	char why[PCAP_ERRBUF_SIZE] = "";
	int link;

	p->in = p->lib.open_offline(o->pcap, why);
	if (!p->in)
		return fail_file(o->pcap, why, err);
	link = p->lib.datalink(p->in);
	if (link != DLT_EN10MB)
		return skep_fail(err, SKEP_E_UNSUPPORTED, EOPNOTSUPP,
				 "%s: link type %d; packet programs want Ethernet (%d)", o->pcap,
				 link, DLT_EN10MB);
	if (!o->pcap_out)
		return 0;
	p->dead = p->lib.open_dead(link, PACKET_MAX + ROOM);
	p->out = p->dead ? p->lib.dump_open(p->dead, o->pcap_out) : NULL;
	if (!p->out)
		return fail_file(o->pcap_out, p->dead ? p->lib.geterr(p->dead) : "out of memory",
				 err);
	return 0;
}

/* Runs program @i of engine @n on a packet.  Its length then, or -errno; *@action. */
static int run_one(struct packets *p, unsigned int n, uint32_t i, const void *data, uint32_t len,
		   uint32_t *action)
{
	struct run_engine *e = &p->run->engines[n];
	union bpf_attr attr;
	int ret;

	memset(&attr, 0, sizeof(attr));
	attr.test.prog_fd = (uint32_t)e->loaded->progs[i].fd;
	attr.test.data_in = (uintptr_t)data;
	attr.test.data_size_in = len;
	attr.test.data_out = (uintptr_t)p->result[n];
	attr.test.data_size_out = PACKET_MAX + ROOM;
	attr.test.repeat = 1;
	ret = skep_sys_bpf(e->sys, BPF_PROG_TEST_RUN, &attr, sizeof(attr));
	if (ret < 0) {
		if (p->first.tag == SKEP_E_NONE)
			skep_fail(&p->first,
				  ret == -EOPNOTSUPP ? SKEP_E_UNSUPPORTED : SKEP_E_SYSTEM, -ret,
				  "%s: packet %" PRIu64 " (%u bytes): program '%s': %s",
				  p->run->o.pcap, p->nr, len, e->loaded->progs[i].spec->name,
				  e->sys->why[0] ? e->sys->why : strerror(-ret));
		return ret;
	}
	*action = attr.test.retval;
	return (int)attr.test.data_size_out;
}

static int count(struct packets *p, unsigned int n, uint32_t prog, uint32_t action, uint32_t len)
{
	struct prog_tally *t = &p->tallies[n][prog];
	struct tally *a;

	skep_vec_each (&t->actions, a) {
		if (a->action != action)
			continue;
		a->packets++;
		a->bytes += len;
		return 0;
	}
	return skep_vec_push(&t->actions, (struct tally){action, 1, len});
}

static bool passes(uint32_t prog_type, uint32_t action)
{
	size_t i;

	for (i = 0; i < SKEP_ARRAY_SIZE(verdicts); i++)
		if (verdicts[i].prog_type == prog_type)
			return action < 32 && (verdicts[i].pass >> action & 1);
	return action != 0;
}

static void differ(struct packets *p, const char *prog, const char *what)
{
	if (p->differ++ < 10)
		skep_log(&p->run->cli->log, SKEP_LOG_ERROR,
			 "packet %" PRIu64 ", program '%s': the engines disagree about its %s",
			 p->nr, prog, what);
}

/* One packet through program @prog in every engine. */
static int one_packet(struct packets *p, uint32_t prog, struct pcap_pkthdr hdr,
		      const unsigned char *data)
{
	const struct skep_obj_func *spec = p->run->engines[0].loaded->progs[prog].spec;
	uint32_t action[SKEP_RUN_ENGINES] = {0};
	int len[SKEP_RUN_ENGINES] = {0}, ret;
	unsigned int n;

	for (n = 0; n < p->run->nr_engines; n++) {
		len[n] = run_one(p, n, prog, data, hdr.caplen, &action[n]);
		if (len[n] < 0) {
			p->refused++;
			return 0;
		}
		ret = count(p, n, prog, action[n], hdr.caplen);
		if (ret < 0)
			return ret;
	}
	if (p->run->nr_engines > 1 && action[0] != action[1])
		differ(p, spec->name, "return value");
	else if (p->run->nr_engines > 1 &&
		 (len[0] != len[1] || memcmp(p->result[0], p->result[1], (size_t)len[0])))
		differ(p, spec->name, "data");
	if (p->out && passes(spec->prog_type, action[0])) {
		hdr.len = hdr.len - hdr.caplen + (uint32_t)len[0];
		hdr.caplen = (uint32_t)len[0];
		p->lib.dump((u_char *)p->out, &hdr, p->result[0]);
	}
	return 0;
}

static bool is_packet_prog(const struct skep_loaded_prog *prog)
{
	return prog->fd >= 0 && prog->spec->event && (prog->spec->event->flags & SKEP_EV_PACKET);
}

static int each_packet(struct packets *p, struct skep_err *err)
{
	struct run *run = p->run;
	struct pcap_pkthdr *hdr;
	const u_char *data;
	unsigned int n;
	uint32_t i;
	int got = 0, ret;

	while (!run->stopped && (got = p->lib.next_ex(p->in, &hdr, &data)) == 1) {
		p->nr++;
		for (i = 0; i < run->engines[0].loaded->nr_progs; i++) {
			ret = 0;
			for (n = 0; n < run->nr_engines; n++)
				if (!is_packet_prog(&run->engines[n].loaded->progs[i]))
					break;
			if (n == run->nr_engines)
				ret = one_packet(p, i, *hdr, data);
			if (ret < 0)
				return skep_fail_nomem(err);
		}
		for (n = 0; n < run->nr_engines; n++) {
			ret = run_drain(&run->engines[n], false, err);
			if (ret < 0)
				return ret;
		}
	}
	if (got == -1)
		return skep_fail(err, SKEP_E_TRUNCATED, EIO, "%s: packet %" PRIu64 ": %s",
				 run->o.pcap, p->nr + 1, p->lib.geterr(p->in));
	return 0;
}

static int by_action(const void *a, const void *b)
{
	const struct tally *x = a, *y = b;

	return x->action < y->action ? -1 : x->action > y->action;
}

static void show_tally(struct packets *p, const struct skep_obj_func *spec, struct prog_tally *t)
{
	struct skep_view *view = &p->run->engines[0].view;
	struct skep_view_verdict v = {.prog = spec->name};
	const struct tally *a;
	char number[32];
	size_t i;

	qsort(t->actions.data, t->actions.len, sizeof(*t->actions.data), by_action);
	skep_vec_each (&t->actions, a) {
		snprintf(number, sizeof(number), "return %u", a->action);
		v.action = number;
		for (i = 0; i < SKEP_ARRAY_SIZE(verdicts); i++)
			if (verdicts[i].prog_type == spec->prog_type && a->action < verdicts[i].nr)
				v.action = verdicts[i].names[a->action];
		v.packets = a->packets;
		v.bytes = a->bytes;
		view->ops->verdict(view, &v);
	}
}

static int finish(struct packets *p, struct skep_err *err)
{
	struct run *run = p->run;
	uint32_t i;

	for (i = 0; i < run->engines[0].loaded->nr_progs; i++)
		if (p->tallies[0][i].actions.len)
			show_tally(p, run->engines[0].loaded->progs[i].spec, &p->tallies[0][i]);
	if (p->out && p->lib.dump_flush(p->out) < 0)
		return skep_fail(err, SKEP_E_SYSTEM, EIO, "%s: cannot be written", run->o.pcap_out);
	if (p->refused) {
		skep_warn(&run->cli->log, "%" PRIu64 " of %" PRIu64 " packets were not run",
			  p->refused, p->nr);
		*err = p->first;
		return -p->first.err;
	}
	if (p->differ)
		return skep_fail(err, SKEP_E_DIFFERS, EINVAL,
				 "%s: the engines disagree about %" PRIu64 " of %" PRIu64
				 " packets",
				 run->o.file, p->differ, p->nr);
	return 0;
}

static void deinit(struct packets *p)
{
	unsigned int n;
	uint32_t i;

	for (n = 0; n < p->run->nr_engines; n++) {
		for (i = 0; p->tallies[n] && i < p->run->engines[n].loaded->nr_progs; i++)
			skep_vec_deinit(&p->tallies[n][i].actions);
		free(p->tallies[n]);
		free(p->result[n]);
	}
	if (p->out)
		p->lib.dump_close(p->out);
	if (p->dead)
		p->lib.close(p->dead);
	if (p->in)
		p->lib.close(p->in);
}

int run_packets(struct run *run, struct skep_err *err)
{
	struct packets p = {.run = run, .first = SKEP_ERR_INIT};
	unsigned int n;
	int ret;

	ret = load_lib(&p.lib, err);
	if (ret == 0)
		ret = open_files(&p, err);
	for (n = 0; ret == 0 && n < run->nr_engines; n++) {
		p.result[n] = malloc(PACKET_MAX + ROOM);
		p.tallies[n] = calloc(run->engines[n].loaded->nr_progs + 1, sizeof(**p.tallies));
		if (!p.result[n] || !p.tallies[n])
			ret = skep_fail_nomem(err);
	}
	if (ret == 0)
		ret = each_packet(&p, err);
	if (ret == 0)
		ret = finish(&p, err);
	deinit(&p);
	return ret;
}
