/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The log sink: where warnings and progress go.
 *
 * There are no global streams below the command line: whoever can warn is
 * given a struct skep_log.  A NULL sink drops everything.
 */
#ifndef SKEP_BASE_LOG_H
#define SKEP_BASE_LOG_H

enum skep_log_level { SKEP_LOG_ERROR, SKEP_LOG_WARN, SKEP_LOG_INFO, SKEP_LOG_DEBUG };

struct skep_log {
	/* Called with one message, no newline at its end. */
	void (*fn)(struct skep_log *log, enum skep_log_level level, const char *msg);
	enum skep_log_level level; /* messages above it are not formatted */
	void *ctx; /* the owner's */
};

void skep_log(struct skep_log *log, enum skep_log_level level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#define skep_warn(log, ...)  skep_log(log, SKEP_LOG_WARN, __VA_ARGS__)
#define skep_info(log, ...)  skep_log(log, SKEP_LOG_INFO, __VA_ARGS__)
#define skep_debug(log, ...) skep_log(log, SKEP_LOG_DEBUG, __VA_ARGS__)

#endif
