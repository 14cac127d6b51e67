/* SPDX-License-Identifier: BSD-2-Clause */
/* What both engines share. */
#include "sys/sys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

void skep_sys_destroy(struct skep_sys *sys)
{
	if (sys)
		sys->ops->destroy(sys);
}

int skep_nr_cpus(void)
{
	char list[256] = "";
	FILE *f = fopen("/sys/devices/system/cpu/possible", "re");
	const char *last;

	if (f) {
		if (!fgets(list, sizeof(list), f))
			list[0] = '\0';
		fclose(f);
	}
	/* "0-3,8-11": the kernel's arrays reach up to the last one. */
	last = strrchr(list, ',') > strrchr(list, '-') ? strrchr(list, ',') : strrchr(list, '-');
	return (last ? atoi(last + 1) : atoi(list)) + 1;
}

uint32_t skep_kernel_version(void)
{
	unsigned int a = 0, b = 0, c = 0;
	const char *debian;
	struct utsname uts;
	FILE *f;
	int n = 0;

	f = fopen("/proc/version_signature", "re");
	if (f) {
		n = fscanf(f, "%*s %*s %u.%u.%u", &a, &b, &c);
		fclose(f);
	}
	uname(&uts);
	debian = strstr(uts.version, "Debian ");
	if (n != 3 && debian)
		n = sscanf(debian, "Debian %u.%u.%u", &a, &b, &c);
	if (n != 3) {
		c = 0;
		n = sscanf(uts.release, "%u.%u.%u", &a, &b, &c);
	}
	return (a << 16) + (b << 8) + (c > 255 ? 255 : c);
}
