# Shared by the scripts of this folder, tour.sh and test.sh: source it, do not run it.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

say() { printf '==> %s\n' "$*" >&2; }
die() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }

# Prints the comment block at the head of the calling script: its help text.
usage() { sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$1"; }

# How many compilers to run at once: one a core, and about 2 GB of memory for each that reads LibTorch's headers.
jobs_at_once() {
  local cores memory_gb
  cores=$(nproc 2>/dev/null || echo 2)
  memory_gb=$(awk '/^MemTotal/ {print int($2 / 2e6)}' /proc/meminfo 2>/dev/null || echo "$cores")
  if ((memory_gb < 1)); then memory_gb=1; fi
  echo $((memory_gb < cores ? memory_gb : cores))
}

# The build folder of a preset, as CMakePresets.json has it.
folder_of() { if [[ $1 == release ]]; then echo build; else echo "build-$1"; fi; }
