#!/bin/sh
exec "$SKEP_BUILD/tests/run/runner" tests/run/*.bpf
