#!/bin/bash
# Sets up the machine, builds Kinglet and shows every finished system at work on real data.
#
# usage: ./tour.sh [TOUR OPTIONS...]    (see build/kinglet tour --help; for example --quick, --out FOLDER)
source "$(dirname "${BASH_SOURCE[0]}")/scripts/common.sh"

scripts/setup
scripts/build
say "kinglet tour $*"
exec build/kinglet tour "$@"
