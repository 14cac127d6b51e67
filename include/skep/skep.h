/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libskep: eBPF programs in your own process.
 *
 *	struct skep_err *err = skep_err_create();
 *	skep_engine_create(&engine, NULL, err);
 *	skep_object_open(&object, engine, "policy.bpf.o", err);
 *	skep_object_load(object, err);
 *	skep_thread_create(&thread, engine, err);
 *	skep_run(thread, skep_object_program(object, "policy"), &ctx, sizeof(ctx), &r0, err);
 *
 * examples/embed.c is this in full, docs/embed.md the manual.
 *
 * Functions return 0 (or what they say) or a negative errno, and then tell the
 * reason in words in the struct skep_err given as their last parameter.  All
 * structs that have no members here are opaque.  Structs of options begin
 * with `sz`, their size as the caller knows it; members that are zero mean the
 * default, so that an options struct can be zeroed and grow.
 */
#ifndef SKEP_SKEP_H
#define SKEP_SKEP_H

#include <skep/engine.h>
#include <skep/err.h>
#include <skep/map.h>
#include <skep/program.h>
#include <skep/thread.h>

#endif
