/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sets an object's global variables from text before it is loaded.  The type
 * says what text is meant and what fits; nothing is cut off in silence.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "btf/btf.h"
#include "obj/obj.h"

struct target {
	const struct skep_btf *btf;
	const char *name, *value;
	uint32_t type; /* resolved */
	unsigned char *to;
	size_t size;
};

static int bad_value(const struct target *t, const char *what, struct skep_err *err)
{
	return skep_fail(err, SKEP_E_USAGE, EINVAL, "variable '%s': '%s' %s", t->name, t->value,
			 what);
}

/* 'c' and the common escapes.  The character, or -1. */
static int parse_char(const char *s)
{
	static const char from[] = "ntr0\\'\"", to[] = "\n\t\r\0\\'\"";
	const char *p;

	if (s[0] != '\'')
		return -1;
	if (s[1] == '\\') {
		p = s[2] ? strchr(from, s[2]) : NULL;
		return p && s[3] == '\'' && !s[4] ? (unsigned char)to[p - from] : -1;
	}
	return s[1] && s[1] != '\'' && s[2] == '\'' && !s[3] ? (unsigned char)s[1] : -1;
}

/* An integer in C notation: its magnitude and sign. */
static bool parse_int(const char *s, uint64_t *mag, bool *neg)
{
	int c = parse_char(s);
	char *end;

	*neg = false;
	if (c >= 0) {
		*mag = (uint64_t)c;
		return true;
	}
	if (*s == '-' || *s == '+')
		*neg = *s++ == '-';
	if (*s < '0' || *s > '9')
		return false;
	errno = 0;
	*mag = strtoull(s, &end, 0);
	return !errno && !end[strspn(end, "uUlL")];
}

static int store_int(const struct target *t, bool is_signed, uint64_t mag, bool neg,
		     struct skep_err *err)
{
	unsigned int bits = 8 * t->size;
	uint64_t max = bits == 64 ? UINT64_MAX : (1ull << bits) - 1;
	uint64_t v = neg ? -mag : mag;

	if (t->size > 8)
		return bad_value(t, "cannot be stored in an integer of more than 8 bytes", err);
	if (is_signed)
		max >>= 1;
	if (neg && !is_signed && mag)
		return bad_value(t, "is negative, the variable is unsigned", err);
	if (mag > max + (neg ? 1 : 0))
		return bad_value(t, "does not fit the variable's type", err);
	memcpy(t->to, &v, t->size);
	return 0;
}

static int set_int(const struct target *t, const struct btf_type *type, struct skep_err *err)
{
	uint32_t enc = BTF_INT_ENCODING(skep_btf_int(type));
	uint64_t mag;
	bool neg;

	if (enc & BTF_INT_BOOL) {
		bool on = !strcmp(t->value, "true") || !strcmp(t->value, "1");

		if (!on && strcmp(t->value, "false") && strcmp(t->value, "0"))
			return bad_value(t, "is not true or false", err);
		memset(t->to, 0, t->size);
		t->to[0] = on;
		return 0;
	}
	if (!strcmp(t->value, "true") || !strcmp(t->value, "false"))
		return store_int(t, false, t->value[0] == 't', false, err);
	if (!parse_int(t->value, &mag, &neg))
		return bad_value(t, "is not an integer", err);
	return store_int(t, enc & BTF_INT_SIGNED, mag, neg, err);
}

static int set_enum(const struct target *t, const struct btf_type *type, struct skep_err *err)
{
	const char *name;
	uint64_t mag;
	uint32_t i;
	int64_t v;
	bool neg;

	for (i = 0; i < skep_btf_vlen(type); i++) {
		v = skep_btf_enum_value(t->btf, type, i, &name);
		if (!strcmp(name, t->value)) {
			memcpy(t->to, &v, t->size < 8 ? t->size : 8);
			return 0;
		}
	}
	if (!parse_int(t->value, &mag, &neg))
		return bad_value(t, "is neither a name of its enum nor an integer", err);
	return store_int(t, skep_btf_enum_signed(type), mag, neg, err);
}

static int set_text(const struct target *t, struct skep_err *err)
{
	const char *s = t->value;
	size_t len = strlen(s);

	/* Quotes are the shell's business; a pair that arrives here is C's. */
	if (len >= 2 && s[0] == '"' && s[len - 1] == '"') {
		s++;
		len -= 2;
	}
	if (len >= t->size)
		return bad_value(t, "is longer than the array", err);
	memset(t->to, 0, t->size);
	memcpy(t->to, s, len);
	return 0;
}

static int set_value(struct target *t, struct skep_err *err)
{
	const struct btf_type *type = skep_btf_resolve(t->btf, t->type, NULL);
	int64_t size = skep_btf_sizeof(t->btf, t->type);

	if (!type || size < 0 || (uint64_t)size > t->size)
		return bad_value(t, "cannot be stored: the variable's type is malformed", err);
	t->size = size;
	switch (skep_btf_kind(type)) {
	case BTF_KIND_INT: return set_int(t, type, err);
	case BTF_KIND_ENUM:
	case BTF_KIND_ENUM64: return set_enum(t, type, err);
	case BTF_KIND_ARRAY:
		if (skep_btf_is_char(t->btf, skep_btf_array(type)->type))
			return set_text(t, err);
		break;
	default: break;
	}
	return skep_fail(err, SKEP_E_UNSUPPORTED, EOPNOTSUPP,
			 "variable '%s' is no integer, enum or char array: it cannot be set from "
			 "text",
			 t->name);
}

/* The place of variable @name in @map, or false. */
static bool find_var(const struct skep_obj *obj, const struct skep_obj_map *map, struct target *t)
{
	const struct btf_type *sec, *var;
	const struct btf_var_secinfo *vs;
	uint32_t i;

	if (!map->datasec || !map->init)
		return false;
	sec = skep_btf_type(obj->btf, map->datasec);
	vs = skep_btf_secinfos(sec);
	for (i = 0; i < skep_btf_vlen(sec); i++) {
		var = skep_btf_type(obj->btf, vs[i].type);
		if (!var || skep_btf_kind(var) != BTF_KIND_VAR ||
		    strcmp(skep_btf_str(obj->btf, var->name_off), t->name) != 0 ||
		    vs[i].offset > map->init_size)
			continue;
		t->type = var->type;
		t->to = (unsigned char *)map->init + vs[i].offset;
		t->size = map->init_size - vs[i].offset;
		return true;
	}
	return false;
}

int skep_obj_set_global(struct skep_obj *obj, const char *name, const char *value,
			struct skep_err *err)
{
	struct target t = {.btf = obj->btf, .name = name, .value = value};
	uint32_t i;

	if (!obj->btf)
		return skep_fail(err, SKEP_E_BTF_MISSING, ENOENT,
				 "%s: has no types, so variable '%s' cannot be found; compile "
				 "with -g",
				 obj->name, name);
	for (i = 0; i < obj->nr_maps; i++)
		if (find_var(obj, &obj->maps[i], &t))
			return set_value(&t, err);
	return skep_fail(err, SKEP_E_NOT_FOUND, ENOENT, "%s: has no global variable '%s'",
			 obj->name, name);
}
