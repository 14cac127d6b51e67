/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Errors: what went wrong, told once, in words.
 *
 * A function that can fail returns >= 0 or -errno and takes, as its last
 * parameter, a struct skep_err owned by the caller (may be NULL).  The place
 * where it goes wrong calls skep_fail(); it wins over later ones.  Callers on
 * the way out may call skep_wrap() to put their context in front.
 */
#ifndef SKEP_BASE_ERR_H
#define SKEP_BASE_ERR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

enum skep_tag {
#define SKEP_ERROR(tag, exit, what) SKEP_E_##tag,
#include "base/errors.def"
#undef SKEP_ERROR
	SKEP_E_MAX,
};

#define SKEP_ERR_MSG 1024

struct skep_err {
	enum skep_tag tag; /* SKEP_E_NONE: nothing failed */
	int err; /* errno, positive */
	int insn; /* instruction index the failure belongs to, or -1 */
	int line; /* line in `file`, 0: not known */
	char file[128]; /* source or input file, "" if not known */
	char msg[SKEP_ERR_MSG]; /* the sentence, without a full stop; never ends in newline */
	uint64_t addr; /* E_RUN_ACCESS of memory: what was accessed, if len is not 0 */
	uint32_t len;
	bool write;
	char *detail; /* malloc'ed longer text (verifier log), or NULL; see skep_err_deinit */
};

/* A fresh error: nothing failed, no instruction. */
#define SKEP_ERR_INIT \
	{ \
		.insn = -1 \
	}

/* Empties @err and frees its detail.  NULL-safe.  @err can be used again. */
void skep_err_deinit(struct skep_err *err);

/*
 * Records a failure: @tag, the positive errno @code and a formatted sentence
 * that names the thing and what is wrong with it.  Does nothing but return
 * when @err is NULL or already holds a failure.  Returns -@code.
 */
int skep_fail(struct skep_err *err, enum skep_tag tag, int code, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/*
 * Puts "context: " in front of the message of @err.  If nothing was recorded
 * yet, records @ret with the context as the message and the errno's text.
 * @ret is a negative errno and is returned unchanged.
 */
int skep_wrap(struct skep_err *err, int ret, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Out of memory, recorded: returns -ENOMEM. */
int skep_fail_nomem(struct skep_err *err);

/* Replaces the long text of @err; takes ownership of the malloc'ed @text. */
void skep_err_take_detail(struct skep_err *err, char *text);

/* "E_INSN_INVALID" for SKEP_E_INSN_INVALID: the name tests use. */
const char *skep_tag_name(enum skep_tag tag);

/* Exit status of the command line program for @tag. */
int skep_tag_exit(enum skep_tag tag);

/* "EINVAL" for 22; "E?" and the number's place is left to the caller when unknown. */
const char *skep_errno_name(int code);

#endif
