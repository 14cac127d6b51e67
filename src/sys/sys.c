/* SPDX-License-Identifier: BSD-2-Clause */
/* What both engines share. */
#include "sys/sys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
