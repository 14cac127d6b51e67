/* SPDX-License-Identifier: BSD-2-Clause */
/* Loops, strings, locks, random numbers. */
#include <ctype.h>
#include <limits.h>
#include <sched.h>
#include <string.h>
#include <time.h>

#include "helper/impl.h"

#define MAX_LOOPS    (8u << 20) /* BPF_MAX_LOOPS */
#define STRTOX_BASES 0x1f /* BPF_STRTOX_BASE_MASK */

uint64_t skep_help_get_prandom_u32(struct skep_vm *vm, const uint64_t a[5])
{
	return skep_vm_random(vm);
}

uint64_t skep_help_loop(struct skep_vm *vm, const uint64_t a[5])
{
	uint64_t args[5] = {0, a[2], 0, 0, 0}, stop = 0;
	uint32_t i, n = (uint32_t)a[0];

	if (a[3])
		return skep_help_err(EINVAL);
	if (n > MAX_LOOPS)
		return skep_help_err(E2BIG);
	for (i = 0; i < n && !stop; i++) {
		args[0] = i;
		if (skep_vm_call(vm, a[1], args, &stop) < 0)
			break;
	}
	return i;
}

uint64_t skep_help_strncmp(struct skep_vm *vm, const uint64_t a[5])
{
	int cmp = strncmp(skep_help_ptr(a[0]), skep_help_ptr(a[2]), (uint32_t)a[1]);

	return (int64_t)((cmp > 0) - (cmp < 0));
}

struct number {
	uint64_t value;
	bool negative;
};

/* The digits at @s (NUL-terminated) in @base.  Their number, 0, or -ERANGE. */
static int digits(const char *s, unsigned int base, uint64_t *value)
{
	int n;

	*value = 0;
	for (n = 0; isxdigit((unsigned char)s[n]); n++) {
		unsigned int d = isdigit((unsigned char)s[n])
					 ? (unsigned int)(s[n] - '0')
					 : (unsigned int)(s[n] | 32) - 'a' + 10;

		if (d >= base)
			break;
		if (__builtin_mul_overflow(*value, base, value) ||
		    __builtin_add_overflow(*value, d, value))
			return -ERANGE;
	}
	return n;
}

/* Bytes of @buf taken, or -EINVAL, -ERANGE: __bpf_strtoull() of kernel/bpf/helpers.c. */
static int parse(const char *buf, size_t len, uint64_t flags, struct number *number)
{
	unsigned int base = flags & STRTOX_BASES;
	size_t at = 0, rest;
	char text[64];
	const char *p = text;
	int n;

	if (!len || flags & ~(uint64_t)STRTOX_BASES ||
	    (base != 0 && base != 8 && base != 10 && base != 16))
		return -EINVAL;
	while (at < len && isspace((unsigned char)buf[at]))
		at++;
	number->negative = at < len && buf[at] == '-';
	at += number->negative;
	rest = len - at;
	if (!rest)
		return -EINVAL;
	if (rest > sizeof(text) - 1)
		rest = sizeof(text) - 1;
	memcpy(text, buf + at, rest);
	text[rest] = 0;
	if (base == 0)
		base = text[0] != '0'						   ? 10
		       : (text[1] | 32) == 'x' && isxdigit((unsigned char)text[2]) ? 16
										   : 8;
	if (base == 16 && text[0] == '0' && (text[1] | 32) == 'x')
		p += 2;
	n = digits(p, base, &number->value);
	if (n <= 0)
		return n ? n : -EINVAL;
	return (int)at + (int)(p - text) + n;
}

uint64_t skep_help_strtol(struct skep_vm *vm, const uint64_t a[5])
{
	struct number number;
	int n = parse(skep_help_ptr(a[0]), (uint32_t)a[1], a[2], &number);

	if (n < 0)
		return (int64_t)n;
	if (number.value > (uint64_t)INT64_MAX + number.negative)
		return skep_help_err(ERANGE);
	if (number.negative)
		number.value = 0 - number.value;
	memcpy(skep_help_ptr(a[3]), &number.value, sizeof(number.value));
	return n;
}

uint64_t skep_help_strtoul(struct skep_vm *vm, const uint64_t a[5])
{
	struct number number;
	int n = parse(skep_help_ptr(a[0]), (uint32_t)a[1], a[2], &number);

	if (n >= 0 && number.negative)
		n = -EINVAL;
	if (n < 0)
		return (int64_t)n;
	memcpy(skep_help_ptr(a[3]), &number.value, sizeof(number.value));
	return n;
}

/*
 * Waits two seconds at most: an unverified program may have written the lock
 * itself, and then nobody will ever release it.
 */
static bool lock_in_time(uint32_t *lock)
{
	struct timespec now;
	time_t end = 0;

	while (__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE)) {
		sched_yield();
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (!end)
			end = now.tv_sec + 2;
		else if (now.tv_sec >= end)
			return false;
	}
	return true;
}

uint64_t skep_help_spin_lock(struct skep_vm *vm, const uint64_t a[5])
{
	uint32_t *lock = skep_help_ptr(a[0]);

	if (!skep_vm_unhold(vm, SKEP_VM_HELD_LOCK, lock, NULL)) {
		if (!lock_in_time(lock))
			return skep_vm_stop(vm, SKEP_E_RUN_LIMIT, "nobody releases the lock");
		if (skep_vm_hold(vm, SKEP_VM_HELD_LOCK, NULL, lock, sizeof(*lock)) < 0) {
			__atomic_store_n(lock, 0, __ATOMIC_RELEASE);
			return skep_vm_stop(vm, SKEP_E_NOMEM, "out of memory");
		}
		return 0;
	}
	__atomic_store_n(lock, 0, __ATOMIC_RELEASE);
	return skep_vm_stop(vm, SKEP_E_RUN_ACCESS, "the lock is already held");
}

uint64_t skep_help_spin_unlock(struct skep_vm *vm, const uint64_t a[5])
{
	uint32_t *lock = skep_help_ptr(a[0]);

	if (!skep_vm_unhold(vm, SKEP_VM_HELD_LOCK, lock, NULL))
		return skep_vm_stop(vm, SKEP_E_RUN_ACCESS, "the lock is not held");
	__atomic_store_n(lock, 0, __ATOMIC_RELEASE);
	return 0;
}
