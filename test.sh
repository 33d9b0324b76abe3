#!/bin/bash
# Sets up the machine, builds Kinglet and runs all its tests.
#
# usage: ./test.sh [PRESET] [CTEST OPTIONS...]
#   PRESET   release (default), or asan: the tests under AddressSanitizer and UBSan
# Example: ./test.sh -R excp    only the tests of ExCP
source "$(dirname "${BASH_SOURCE[0]}")/scripts/common.sh"

preset=release
case ${1:-} in
  release|asan) preset=$1; shift ;;
  -h|--help) usage "$0"; exit 0 ;;
esac
started=$SECONDS
scripts/setup
scripts/build "$preset"
say "Running the tests ($((SECONDS - started)) s so far)"
ctest --preset "$preset" -j "$(nproc)" "$@"
