/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <math.h>
#include <stdio.h>

#include "base/buf.h"
#include "btf/value_int.h"

struct json {
	/* The containers that are open, the innermost last. */
	struct json_object *stack[SKEP_BTF_DEPTH + 2];
	int depth;
	struct json_object *root;
	bool oom, truncated;
};

/* Hands @o to what is open. */
static void put(struct json *j, const char *name, struct json_object *o)
{
	struct json_object *in = j->depth ? j->stack[j->depth - 1] : NULL;
	int ret = 0;

	if (!in && !j->root)
		j->root = o;
	else if (in && json_object_is_type(in, json_type_array))
		ret = json_object_array_add(in, o);
	else if (in && name)
		ret = json_object_object_add(in, name, o);
	else
		ret = -1;
	if (ret) {
		json_object_put(o);
		j->oom = true;
	}
}

static void json_open(void *sink, const char *name, bool array)
{
	struct json *j = sink;
	struct json_object *o = array ? json_object_new_array() : json_object_new_object();

	if (!o || j->depth == (int)(sizeof(j->stack) / sizeof(j->stack[0])) || j->oom) {
		json_object_put(o);
		j->oom = true;
		return;
	}
	put(j, name, o);
	if (!j->oom)
		j->stack[j->depth++] = o;
}

static void json_close(void *sink, bool array)
{
	struct json *j = sink;

	if (!j->oom)
		j->depth--;
}

/* Bytes of the UTF-8 character at @s, or 0: it is none. */
static size_t utf8(const unsigned char *s, size_t len)
{
	size_t n = *s < 0x80 ? 1 : *s >= 0xc2 && *s < 0xe0 ? 2 : *s >= 0xe0 && *s < 0xf0 ? 3 : 0;
	uint32_t c = *s & 0x0f, i;

	if (*s >= 0xf0 && *s < 0xf5) {
		n = 4;
		c = *s & 0x07;
	}
	if (!n || n > len)
		return 0;
	for (i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (n == 3 && (c < 0x800 || (c >= 0xd800 && c < 0xe000)))
		return 0;
	return n == 4 && (c < 0x10000 || c > 0x10ffff) ? 0 : n;
}

static struct json_object *new_string(const char *s, size_t len)
{
	struct skep_buf buf = SKEP_BUF_INIT;
	struct json_object *o = NULL;
	size_t n;

	for (; len; s += n, len -= n) {
		n = utf8((const unsigned char *)s, len);
		if (n)
			skep_buf_add(&buf, s, n);
		else
			skep_buf_puts(&buf, "\xef\xbf\xbd");
		n = n ? n : 1;
	}
	if (!buf.oom)
		o = json_object_new_string_len(skep_buf_str(&buf), (int)buf.len);
	skep_buf_deinit(&buf);
	return o;
}

static void json_scalar(void *sink, const char *name, const struct skep_scalar *v)
{
	struct json *j = sink;
	struct json_object *o = NULL;
	char hex[40];
	bool null = false;

	if (j->oom)
		return;
	switch (v->kind) {
	case SKEP_SCALAR_SIGNED:
	case SKEP_SCALAR_CHAR: o = json_object_new_int64(v->i); break;
	case SKEP_SCALAR_UNSIGNED: o = json_object_new_uint64(v->u); break;
	case SKEP_SCALAR_BOOL:
		o = v->u > 1 ? json_object_new_uint64(v->u) : json_object_new_boolean(v->u == 1);
		break;
	case SKEP_SCALAR_WIDE:
	case SKEP_SCALAR_POINTER:
		if (v->hi)
			snprintf(hex, sizeof(hex), "0x%" PRIx64 "%016" PRIx64, v->hi, v->u);
		else
			snprintf(hex, sizeof(hex), "0x%" PRIx64, v->u);
		o = json_object_new_string(hex);
		break;
	case SKEP_SCALAR_ENUM:
	case SKEP_SCALAR_STRING: o = new_string(v->s, v->len); break;
	case SKEP_SCALAR_FLOAT:
		null = !isfinite(v->f);
		o = null ? NULL : json_object_new_double(v->f);
		break;
	case SKEP_SCALAR_NONE: null = true; break;
	}
	if (!o && !null)
		j->oom = true;
	else
		put(j, name, o);
}

static void json_truncated(void *sink)
{
	struct json *j = sink;

	j->truncated = true;
}

static const struct skep_sink_ops json_ops = {
	.open = json_open,
	.close = json_close,
	.scalar = json_scalar,
	.truncated = json_truncated,
};

struct json_object *skep_btf_value_json(const struct skep_btf *btf, uint32_t id, const void *data,
					size_t len, struct skep_err *err)
{
	struct json j = {0};
	int ret = skep_value_walk(btf, id, data, len, &json_ops, &j);

	if (!j.root && !j.oom && ret == 0)
		j.root = json_object_new_object();
	if (!j.oom && ret == 0 && j.truncated && json_object_is_type(j.root, json_type_object))
		j.oom = json_object_object_add(j.root, "truncated", json_object_new_boolean(1));
	if (ret == 0 && !j.oom && j.root)
		return j.root;
	json_object_put(j.root);
	if (ret < 0)
		skep_fail(err, SKEP_E_BTF_INVALID, EINVAL, "BTF: type [%u] is malformed", id);
	else
		skep_fail_nomem(err);
	return NULL;
}
