/* SPDX-License-Identifier: BSD-2-Clause */
/* Types that are hard to write down again: dump.t has them dumped and compiled once more. */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

struct later;
typedef int (*callback_t)(struct later *, const char *const *, ...);

enum small { SMALL_A, SMALL_B = -3, SMALL_C = 2147483647 };
enum large { LARGE_A = 0xfffffffffffULL, LARGE_B = 1 };
enum large_signed { LARGE_C = -0x7fffffffffffffffLL - 1, LARGE_D = 0x7fffffffffffffffLL };
enum byte { BYTE_A, BYTE_B = 255 } __attribute__((packed));
enum half { HALF_A, HALF_B = 65535 } __attribute__((packed));
enum unsigned32 { UNSIGNED_A = 0xffffffffu };

struct padded {
	u8 a;
	u64 b;
	u16 c;
} __attribute__((aligned(64)));

struct packed {
	u8 a;
	u64 b;
	struct padded *p;
	u16 c[3];
} __attribute__((packed));

struct packed_aligned {
	u8 a;
	u32 b;
	u8 c[3];
} __attribute__((packed, aligned(4)));

struct bits {
	u32 a : 3;
	u32 : 5;
	u32 b : 20;
	u32 c : 8;
	int d : 1;
	u64 e : 33;
	u64 f : 40;
	_Bool g : 1;
	enum small h : 4;
	u8 i : 7;
	u8 j : 7;
	u16 k;
	int : 0;
	u8 l : 1;
};

struct packed_bits {
	u32 a : 3;
	u32 b : 31;
	u64 c : 60;
	u8 d;
} __attribute__((packed));

struct holes {
	u8 a;
	u64 b __attribute__((aligned(32)));
	u8 c;
	u8 d __attribute__((aligned(16)));
	struct {
		u32 x, y;
		union {
			u64 z;
			u8 bytes[3];
			struct {
				u8 deep;
			};
		};
	};
	struct packed e;
	u8 f;
	struct packed_aligned g;
	u8 flex[];
};

union wide {
	u8 a;
	u32 b[3];
	struct bits c;
} __attribute__((aligned(32)));

union packed_union {
	u8 a;
	u64 b;
	u8 c[9];
} __attribute__((packed));

struct empty {
};

struct pointers {
	struct later **l;
	struct pointers *self;
	callback_t cb;
	int (*(*f)(int (*)(struct pointers *), u8))[4];
	int *(*table[3])(void);
	const volatile struct empty *const cv;
	const char *const names[2][5];
	const u8 (*matrix)[4][8];
	void *restrict r;
	struct empty e;
	struct {
		int x;
	} * anon, list[2];
	enum { INNER_A, INNER_B } inner;
	enum byte by;
	enum half ha;
	enum large la;
	enum large_signed ls;
	enum unsigned32 un;
	__int128 wide;
	unsigned __int128 uwide;
	float fl;
	double db;
	_Bool truth;
	char text[16];
};

typedef struct {
	u8 a;
	u64 b;
} nameless_t;

typedef nameless_t nameless2_t;
typedef u32 vector_t[7];
typedef union wide wide_t;

struct user {
	nameless2_t n;
	vector_t v;
	wide_t w;
	u8 last;
};

struct later {
	struct user *user;
	union packed_union u;
};

#define KEEP(type, name) type keep_##name
KEEP(struct padded, padded);
KEEP(struct packed, packed);
KEEP(struct packed_aligned, packed_aligned);
KEEP(struct bits, bits);
KEEP(struct packed_bits, packed_bits);
KEEP(struct holes, holes);
KEEP(union wide, wide);
KEEP(union packed_union, packed_union);
KEEP(struct pointers, pointers);
KEEP(struct user, user);
KEEP(struct later, later);
KEEP(enum small, small);
static volatile const int hidden = 4;

int probe(void *ctx)
{
	return hidden + keep_bits.a;
}
