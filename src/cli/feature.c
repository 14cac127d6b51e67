/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * skep feature: what the kernel, or skep's own engine, can do, in the groups
 * and under the names of bpftool; and what skep itself knows by name.
 */
#include "cli/feature.h"

#include <ctype.h>
#include <errno.h>
#include <json-c/json.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/cli.h"
#include "helper/helper.h"
#include "obj/kconfig.h"
#include "sys/names.h"

static const char help[] =
	"usage: skep feature probe [kernel] [full] [unprivileged] [--engine kernel|user] [--json]\n"
	"       skep feature list_builtins GROUP [--json]\n"
	"\n"
	"probe: asks what can be used here: program types, map types, the helpers that each\n"
	"program type may call, ways to attach, and what loaders adapt objects to.  Nothing\n"
	"is told by the kernel's version.\n"
	"\n"
	"  full                  also the helpers whose use leaves a line in the kernel's log\n"
	"  unprivileged          what a user without any capability may use\n"
	"  --engine kernel|user  whom to ask (the kernel)\n"
	"  -j, --json            one JSON object, with bpftool's names\n"
	"\n"
	"list_builtins: the names skep knows; GROUP is prog_types, map_types, attach_types,\n"
	"link_types or helpers.\n";

struct args {
	const char *engine, *group;
	bool json, full, unprivileged, list;
};

/* "SOCKET_FILTER" as "socket_filter". */
static const char *lower(const char *name, char *buf, size_t size)
{
	size_t i;

	for (i = 0; name[i] && i + 1 < size; i++)
		buf[i] = (char)tolower((unsigned char)name[i]);
	buf[i] = '\0';
	return buf;
}

/* A section of the report: its JSON object, or NULL for text. */
struct section {
	struct json_object *o;
	const char *kind; /* "eBPF program_type" */
};

static struct section begin(struct json_object *top, const char *id, const char *title,
			    const char *kind)
{
	struct section s = {.kind = kind};

	if (top) {
		s.o = json_object_new_object();
		json_object_object_add(top, id, s.o);
	} else {
		printf("%s%s...\n", strcmp(id, "system_config") ? "\n" : "", title);
	}
	return s;
}

static const char *answer_text(int answer)
{
	return answer > 0 ? "is available"
	       : answer	  ? "may not be asked for: not permitted"
			  : "is NOT available";
}

/* @id: JSON's name; @name: what stands in text. */
static void put_answer(struct section *s, const char *id, const char *name, int answer)
{
	if (s->o)
		json_object_object_add(s->o, id, json_object_new_boolean(answer > 0));
	else
		printf("%s%s%s %s\n", s->kind, *s->kind ? " " : "", name, answer_text(answer));
}

/* The number in /proc/sys/@path, -1: not to be read. */
static long read_sysctl(const char *path)
{
	char full[128];
	long value = -1;
	FILE *f;

	snprintf(full, sizeof(full), "/proc/sys/%s", path);
	f = fopen(full, "re");
	if (!f)
		return -1;
	if (fscanf(f, "%ld", &value) != 1)
		value = -1;
	fclose(f);
	return value;
}

static void put_sysctl(struct section *s, const char *name, const char *path)
{
	long value = read_sysctl(path);

	if (s->o)
		json_object_object_add(s->o, name, json_object_new_int64(value));
	else if (value < 0)
		printf("%s cannot be read\n", name);
	else
		printf("%s is %ld\n", name, value);
}

static void put_config(struct section *s, const struct skep_kconfig *config, const char *name,
		       const char *what)
{
	const char *value = skep_kconfig_get(config, name);

	if (s->o)
		json_object_object_add(s->o, name, value ? json_object_new_string(value) : NULL);
	else if (value)
		printf("%s is set to %s\n", name, value);
	else
		printf("%s is not set (%s)\n", name, what);
}

static void put_system(struct json_object *top)
{
	struct section s = begin(top, "system_config", "Scanning system configuration", "");
	struct skep_err err = SKEP_ERR_INIT;
	struct skep_kconfig config = {0};
	int ret = skep_kconfig_open(&config, NULL, &err);

	if (ret < 0 && !s.o)
		printf("%s\n", err.msg);
	skep_err_deinit(&err);
#define SKEP_SYSCTL(name, path) put_sysctl(&s, #name, path);
#define SKEP_CONFIG(name, what) \
	if (ret >= 0) \
		put_config(&s, &config, "CONFIG_" #name, what);
#include "cli/feature_config.def"
#undef SKEP_SYSCTL
#undef SKEP_CONFIG
	if (ret >= 0)
		skep_kconfig_deinit(&config);
}

static void put_types(struct json_object *top, const struct feature_answers *a)
{
	struct section s =
		begin(top, "program_types", "Scanning eBPF program types", "eBPF program_type");
	char name[64], id[96];
	uint32_t i;

	for (i = 1; skep_name(SKEP_NAME_PROG_TYPE, i); i++) {
		lower(skep_name(SKEP_NAME_PROG_TYPE, i), name, sizeof(name));
		snprintf(id, sizeof(id), "have_%s_prog_type", name);
		put_answer(&s, id, name, a->progs[i].there);
	}
	s = begin(top, "map_types", "Scanning eBPF map types", "eBPF map_type");
	for (i = 1; skep_name(SKEP_NAME_MAP_TYPE, i); i++) {
		lower(skep_name(SKEP_NAME_MAP_TYPE, i), name, sizeof(name));
		snprintf(id, sizeof(id), "have_%s_map_type", name);
		put_answer(&s, id, name, a->maps[i]);
	}
}

static void put_helpers(struct section *s, const struct feature_answers *a, uint32_t type)
{
	struct json_object *list = s->o ? json_object_new_array() : NULL;
	char name[64], id[128];
	uint32_t n;

	lower(skep_name(SKEP_NAME_PROG_TYPE, type), name, sizeof(name));
	snprintf(id, sizeof(id), "%s_available_helpers", name);
	if (list)
		json_object_object_add(s->o, id, list);
	else
		printf("eBPF helpers supported for program type %s:\n", name);
	if (!list && a->progs[type].there < 1)
		puts("\tProgram type not supported");
	else if (!list && a->progs[type].why)
		printf("\tCould not determine which helpers are available: %s\n",
		       a->progs[type].why);
	for (n = 1; n < SKEP_HELPER_MAX; n++) {
		if (!a->progs[type].helpers[n])
			continue;
		if (list)
			json_object_array_add(list,
					      json_object_new_string(skep_helper_find(n)->name));
		else
			printf("\t- %s\n", skep_helper_find(n)->name);
	}
}

static void put_features(struct json_object *top, const struct feature_answers *a)
{
	static const struct {
		const char *id, *title;
	} groups[] = {
		[SKEP_FEATURE_LOAD] = {"loader", "Scanning what loaders adapt objects to"},
		[SKEP_FEATURE_LINK] = {"attach", "Scanning ways to attach"},
		[SKEP_FEATURE_ISA] = {"misc", "Scanning miscellaneous eBPF features"},
	};
	const struct skep_feature_def *def;
	struct section s;
	uint32_t g, i;
	char id[80], name[64], text[160];

	for (g = 0; g < SKEP_ARRAY_SIZE(groups); g++) {
		s = begin(top, groups[g].id, groups[g].title, "");
		for (i = 0; i < SKEP_FEATURE_MAX; i++) {
			def = skep_feature_at(i);
			if (def->group != g)
				continue;
			snprintf(id, sizeof(id), "have_%s", lower(def->id, name, sizeof(name)));
			snprintf(text, sizeof(text), "%s (Linux %u.%u):", def->what,
				 def->since >> 8, def->since & 0xff);
			put_answer(&s, id, text, a->features[i]);
		}
	}
}

static void put_all(struct json_object *top, const struct feature_answers *a)
{
	struct section s;
	uint32_t i;

	put_system(top);
	s = begin(top, "syscall_config", "Scanning system call availability", "");
	put_answer(&s, "have_bpf_syscall", "bpf() syscall", a->maps[BPF_MAP_TYPE_ARRAY] != 0);
	put_types(top, a);
	s = begin(top, "helpers", "Scanning eBPF helper functions", "");
	for (i = 1; skep_name(SKEP_NAME_PROG_TYPE, i); i++)
		put_helpers(&s, a, i);
	put_features(top, a);
}

/* From here on this process may do what any user may. */
static int drop_capabilities(struct skep_err *err)
{
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct none[2] = {{0}};

	return syscall(__NR_capset, &head, none) == 0
		       ? 0
		       : skep_fail(err, SKEP_E_SYSTEM, errno, "capabilities cannot be dropped: %s",
				   strerror(errno));
}

static int probe(struct skep_cli *cli, const struct args *args, struct skep_err *err)
{
	struct feature_answers *a = calloc(1, sizeof(*a));
	struct json_object *top = NULL;
	int ret = a ? 0 : skep_fail_nomem(err);

	if (ret == 0 && args->unprivileged)
		ret = drop_capabilities(err);
	if (ret == 0) {
		a->full = args->full;
		a->sys = feature_engine(args->engine);
		ret = a->sys ? feature_probe(a, args->engine, err) : skep_fail_nomem(err);
	}
	if (ret == 0) {
		if (args->json)
			top = json_object_new_object();
		put_all(top, a);
		if (top)
			puts(json_object_to_json_string_ext(top, JSON_C_TO_STRING_PLAIN));
		json_object_put(top);
		/* No map of this kind is for the unprivileged: the refusal has the sentence. */
		if (!args->unprivileged && a->maps[BPF_MAP_TYPE_QUEUE] == -EPERM &&
		    skep_feature_map_type(a->sys, BPF_MAP_TYPE_QUEUE) < 0)
			skep_warn(&cli->log,
				  "what may not be asked for counts as not available: %s",
				  a->sys->why);
	}
	if (a)
		skep_sys_destroy(a->sys);
	free(a);
	return ret;
}

static const struct {
	const char *group;
	enum skep_name_set set;
} groups[] = {
	{"prog_types", SKEP_NAME_PROG_TYPE},
	{"map_types", SKEP_NAME_MAP_TYPE},
	{"attach_types", SKEP_NAME_ATTACH_TYPE},
	{"link_types", SKEP_NAME_LINK_TYPE},
};

/* The @n-th name of @group, NULL after the last; @known: there is such a group. */
static const char *builtin(const char *group, uint32_t n, char *buf, size_t size, bool *known)
{
	const char *name;
	size_t i;

	*known = true;
	if (!strcmp(group, "helpers"))
		return n >= SKEP_HELPER_MAX ? NULL : n ? skep_helper_find(n)->name : "bpf_unspec";
	for (i = 0; i < SKEP_ARRAY_SIZE(groups); i++) {
		if (strcmp(group, groups[i].group))
			continue;
		name = skep_name(groups[i].set, n);
		return name ? lower(name, buf, size) : NULL;
	}
	*known = false;
	return NULL;
}

static int list(struct skep_cli *cli, const struct args *args)
{
	struct json_object *names = args->json ? json_object_new_array() : NULL;
	const char *name;
	char buf[64];
	bool known;
	uint32_t n;

	for (n = 0; (name = builtin(args->group, n, buf, sizeof(buf), &known)); n++)
		if (names)
			json_object_array_add(names, json_object_new_string(name));
		else
			puts(name);
	if (names && known)
		puts(json_object_to_json_string_ext(names, JSON_C_TO_STRING_PLAIN));
	json_object_put(names);
	if (!known)
		return skep_cli_usage(cli,
				      "GROUP is prog_types, map_types, attach_types, link_types or "
				      "helpers, not '%s'",
				      args->group);
	return skep_cli_end(cli, SKEP_EXIT_OK);
}

/* A word that is no option.  NULL, or what is wrong. */
static const char *parse_word(struct args *a, const char *word, int n)
{
	if (n == 0) {
		a->list = !strcmp(word, "list_builtins");
		return a->list || !strcmp(word, "probe") ? NULL
							 : "expected: probe or list_builtins";
	}
	if (a->list) {
		a->group = word;
		return n == 1 ? NULL : "one GROUP only";
	}
	if (!strcmp(word, "full"))
		a->full = true;
	else if (!strcmp(word, "unprivileged"))
		a->unprivileged = true;
	else if (strcmp(word, "kernel"))
		return !strcmp(word, "dev") || !strcmp(word, "macros")
			       ? "skep has no probe of devices and prints no macros"
			       : "after probe come kernel, full and unprivileged only";
	return NULL;
}

static const char *parse(int argc, char **argv, struct args *a)
{
	const char *wrong = NULL;
	int i, n = 0;

	a->engine = "kernel";
	for (i = 1; i < argc && !wrong; i++) {
		if (!strcmp(argv[i], "--json") || !strcmp(argv[i], "-j")) {
			a->json = true;
		} else if (!strcmp(argv[i], "--engine")) {
			a->engine = i + 1 < argc ? argv[++i] : "";
			if (strcmp(a->engine, "kernel") && strcmp(a->engine, "user"))
				wrong = "--engine is kernel or user";
		} else if (argv[i][0] == '-') {
			wrong = "no such option";
		} else {
			wrong = parse_word(a, argv[i], n++);
		}
	}
	if (!wrong && !n)
		wrong = "expected: probe or list_builtins";
	if (!wrong && a->list && !a->group)
		wrong = "which GROUP?";
	return wrong;
}

int skep_cmd_feature(struct skep_cli *cli, int argc, char **argv)
{
	struct skep_err err = SKEP_ERR_INIT;
	struct args a = {0};
	const char *wrong;
	int i;

	for (i = 1; i < argc; i++)
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h") ||
		    (i == 1 && !strcmp(argv[i], "help"))) {
			fputs(help, stdout);
			return skep_cli_end(cli, SKEP_EXIT_OK);
		}
	wrong = parse(argc, argv, &a);
	if (wrong)
		return skep_cli_usage(cli, "%s", wrong);
	if (a.list)
		return list(cli, &a);
	if (probe(cli, &a, &err) < 0)
		return skep_cli_fail(cli, &err);
	return skep_cli_end(cli, SKEP_EXIT_OK);
}
