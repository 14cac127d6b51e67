/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Formatting for bpf_trace_printk(), bpf_trace_vprintk() and bpf_snprintf():
 * the subset of printk's formats that the kernel lets BPF programs use, with
 * its refusals (bpf_bprintf_prepare() of kernel/bpf/helpers.c).  Pointers are
 * printed as they are: there is no secret to hash here.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "helper/impl.h"

struct out {
	char *dst;
	size_t size, len; /* len: of the whole text, also what did not fit */
};

static void put(struct out *out, const char *text, size_t len)
{
	size_t room = out->len < out->size ? out->size - out->len : 0;

	if (room)
		memcpy(out->dst + out->len, text, len < room ? len : room);
	out->len += len;
}

/* One conversion: "%" flags width, then what follows. */
struct spec {
	const char *p, *end; /* of the format */
	char head[16]; /* "%-08": as printf(3) wants it */
	uint64_t arg;
};

static bool parse_head(struct spec *spec)
{
	size_t n = 0;

	spec->head[n++] = '%';
	for (; spec->p < spec->end && memchr("0+- ", *spec->p, 4); spec->p++)
		if (!memchr(spec->head, *spec->p, n))
			spec->head[n++] = *spec->p;
	for (; spec->p < spec->end && isdigit((unsigned char)*spec->p); spec->p++) {
		if (n >= sizeof(spec->head) - 6)
			return false;
		spec->head[n++] = *spec->p;
	}
	spec->head[n] = 0;
	return spec->p < spec->end;
}

/* printf(3) with the head and @conv on one value. */
#define EMIT(out, spec, conv, value) \
	do { \
		char fmt_[32], text_[512]; \
		int n_; \
\
		snprintf(fmt_, sizeof(fmt_), "%s%s", (spec)->head, conv); \
		n_ = snprintf(text_, sizeof(text_), fmt_, value); \
		put(out, text_, n_ < (int)sizeof(text_) ? (size_t)n_ : sizeof(text_) - 1); \
	} while (0)

#pragma GCC diagnostic ignored "-Wformat-nonliteral"

static bool put_number(struct out *out, struct spec *spec)
{
	int longs = 0;
	char conv[4] = "lld";

	for (; spec->p < spec->end && *spec->p == 'l' && longs < 2; spec->p++)
		longs++;
	if (spec->p == spec->end || !memchr("diuxX", *spec->p, 5))
		return false;
	conv[2] = *spec->p++;
	if (longs)
		EMIT(out, spec, conv, (long long)spec->arg);
	else if (conv[2] == 'd' || conv[2] == 'i')
		EMIT(out, spec, conv, (long long)(int32_t)spec->arg);
	else
		EMIT(out, spec, conv, (unsigned long long)(uint32_t)spec->arg);
	return true;
}

static void put_str(struct skep_vm *vm, struct out *out, struct spec *spec, enum skep_probe from)
{
	char text[512];

	if (skep_probe_str(vm, from, text, spec->arg, sizeof(text)) < 0)
		text[0] = 0;
	EMIT(out, spec, "s", text);
}

static bool put_ip(struct skep_vm *vm, struct out *out, struct spec *spec, bool small)
{
	size_t i, n = 0, len = *spec->p == '4' ? 4 : 16;
	uint8_t b[16] = {0};
	char text[64];

	if (*spec->p != '4' && *spec->p != '6')
		return false;
	spec->p++;
	if (skep_probe_read(vm, SKEP_PROBE_ANY, b, spec->arg, len) < 0)
		memset(b, 0, sizeof(b));
	for (i = 0; i < len; i++) {
		if (len == 4)
			n += snprintf(text + n, sizeof(text) - n, small ? "%s%03u" : "%s%u",
				      i ? "." : "", b[i]);
		else
			n += snprintf(text + n, sizeof(text) - n, "%s%02x",
				      i && i % 2 == 0 && !small ? ":" : "", b[i]);
	}
	EMIT(out, spec, "s", text);
	return true;
}

/* After "%...p". */
static bool put_pointer(struct skep_vm *vm, struct out *out, struct spec *spec)
{
	char kind = spec->p < spec->end ? *spec->p : 0;
	char text[32];

	if ((kind == 'k' || kind == 'u') && spec->end - spec->p > 1 && spec->p[1] == 's') {
		spec->p += 2;
		put_str(vm, out, spec, kind == 'k' ? SKEP_PROBE_KERNEL : SKEP_PROBE_USER);
		return true;
	}
	if ((kind == 'i' || kind == 'I') && spec->end - spec->p > 1) {
		spec->p++;
		return put_ip(vm, out, spec, kind == 'i');
	}
	if (kind && strchr("sSB", kind)) {
		snprintf(text, sizeof(text), "0x%llx", (unsigned long long)spec->arg);
	} else {
		if (kind && !strchr("Kx", kind) && !isspace((unsigned char)kind) &&
		    !ispunct((unsigned char)kind))
			return false;
		snprintf(text, sizeof(text), "%016llx", (unsigned long long)spec->arg);
	}
	if (kind && strchr("sSBKx", kind))
		spec->p++;
	EMIT(out, spec, "s", text);
	return true;
}

static bool put_spec(struct skep_vm *vm, struct out *out, struct spec *spec)
{
	if (!parse_head(spec))
		return false;
	switch (*spec->p) {
	case 'p': spec->p++; return put_pointer(vm, out, spec);
	case 's':
		spec->p++;
		put_str(vm, out, spec, SKEP_PROBE_ANY);
		return true;
	case 'c':
		spec->p++;
		EMIT(out, spec, "c", (int)(uint8_t)spec->arg);
		return true;
	default: return put_number(out, spec);
	}
}

long skep_bprintf(struct skep_vm *vm, char *dst, size_t size, const char *fmt, size_t fmt_size,
		  const uint64_t *args, unsigned int nr)
{
	struct out out = {.dst = dst, .size = size};
	const char *end = memchr(fmt, 0, fmt_size), *p = fmt;
	unsigned int used = 0;

	if (!end)
		return -EINVAL;
	while (p < end) {
		struct spec spec = {.p = p + 1, .end = end};
		unsigned char c = *p;

		if (c > 127 || (!isprint(c) && !isspace(c)))
			return -EINVAL;
		if (c != '%' || (spec.p < end && *spec.p == '%')) {
			put(&out, p, 1);
			p += c == '%' ? 2 : 1;
			continue;
		}
		if (used >= nr)
			return -EINVAL;
		spec.arg = args[used++];
		if (!put_spec(vm, &out, &spec))
			return -EINVAL;
		p = spec.p;
	}
	if (size)
		dst[out.len < size ? out.len : size - 1] = 0;
	return (long)out.len;
}
