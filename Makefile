# The commands people type; Meson and Ninja do the work.
BUILD ?= build

all: $(BUILD)/build.ninja
	ninja -C $(BUILD)

$(BUILD)/build.ninja:
	scripts/deps build
	meson setup $(BUILD)

demo: all
	scripts/deps demo
	BUILD=$(BUILD) scripts/demo

# The whole test suite: both compilers, sanitizers, stock kernels, fuzzers, style.
check:
	scripts/check

# The suite once, on the build at hand: what to run between two edits.
test: all
	BUILD=$(BUILD) scripts/test

# The same on stock kernels 6.1 and 6.12 under QEMU (host, then both guests side by side).
check-guest: all
	scripts/deps check
	scripts/deps guest
	BUILD=$(BUILD) scripts/check-guest

bench: all
	scripts/deps bench
	BUILD=$(BUILD) bench/run

install: all
	meson install -C $(BUILD)

clean:
	rm -rf build build-*

.PHONY: all demo check test check-guest bench install clean
