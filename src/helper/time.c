/* SPDX-License-Identifier: BSD-2-Clause */
/* Helpers that tell the time: the system's clocks, as the kernel's helpers read them. */
#include <time.h>

#include "helper/impl.h"

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t skep_help_ktime_get_ns(struct skep_vm *vm, const uint64_t a[5])
{
	return clock_ns(CLOCK_MONOTONIC);
}

uint64_t skep_help_ktime_get_boot_ns(struct skep_vm *vm, const uint64_t a[5])
{
	return clock_ns(CLOCK_BOOTTIME);
}

uint64_t skep_help_ktime_get_coarse_ns(struct skep_vm *vm, const uint64_t a[5])
{
	return clock_ns(CLOCK_MONOTONIC_COARSE);
}

uint64_t skep_help_ktime_get_tai_ns(struct skep_vm *vm, const uint64_t a[5])
{
	return clock_ns(CLOCK_TAI);
}

/* Ticks as Debian's kernels count them: 250 a second, starting five minutes before the wrap. */
uint64_t skep_help_jiffies64(struct skep_vm *vm, const uint64_t a[5])
{
	return (uint32_t)(-300 * 250) + clock_ns(CLOCK_MONOTONIC) / (1000000000u / 250);
}
