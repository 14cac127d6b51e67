/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What every verb of the command line shares: the log sink on stderr, the
 * exit statuses, and how failures are told.
 */
#ifndef SKEP_CLI_CLI_H
#define SKEP_CLI_CLI_H

#include <stdbool.h>

#include "base/err.h"
#include "base/log.h"

enum skep_exit {
	SKEP_EXIT_OK = 0,
	SKEP_EXIT_FAILED = 1,
	SKEP_EXIT_USAGE = 2,
	SKEP_EXIT_REJECTED = 3,
	SKEP_EXIT_UNSUPPORTED = 4,
};

struct skep_cli {
	struct skep_log log; /* prints "skep: ..." on stderr */
	const char *verb;
	bool color; /* stdout is a terminal and NO_COLOR is not set */
};

/* A verb: argv[0] is the verb's name.  Returns an exit status. */
#define SKEP_CMD(name, args, what) int skep_cmd_##name(struct skep_cli *cli, int argc, char **argv);
#include "cli/cmd.def"
#undef SKEP_CMD

/*
 * Tells @err on stderr ("skep: prog.bpf.o: ..."), its detail after it, frees
 * it and returns the exit status that belongs to its tag.
 */
int skep_cli_fail(struct skep_cli *cli, struct skep_err *err);

/* "skep VERB: sentence" and where the help is; returns SKEP_EXIT_USAGE. */
int skep_cli_usage(struct skep_cli *cli, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * Flushes stdout; a write error (full disk, closed pipe) is told and turns
 * SKEP_EXIT_OK into SKEP_EXIT_FAILED.  Every verb that prints ends with it.
 */
int skep_cli_end(struct skep_cli *cli, int status);

#endif
