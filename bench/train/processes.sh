#!/bin/bash
# How much a second process of a data-parallel run gives: tokens/s of one process with one thread, of two with one
# thread each (Gloo over loopback), and of one with two threads, on recipes/lm-tiny.toml.
#
# usage: bench/train/processes.sh [STEPS]    (30)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
steps=${1:-30}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# rate NAME THREADS PROCESSES: the last tokens/s of a run
rate() {
  local name=$1 threads=$2 processes=$3 rank
  local command=(build/kinglet --threads "$threads" train recipes/lm-tiny.toml --out "$work/$name"
    --set "training.steps=$steps" --set schedule.warm_up_steps=2 --set evaluation.every=0
    --set checkpoints.kind=plain --set checkpoints.every=0 --set "training.log_every=$((steps / 2))")
  for ((rank = 0; rank < processes; ++rank)); do
    RANK=$rank WORLD_SIZE=$processes MASTER_PORT=29741 "${command[@]}" >"$work/$name.$rank.out" &
  done
  wait
  grep -o '"tokens_per_second":[0-9.]*' "$work/$name/metrics.jsonl" | tail -1 | cut -d: -f2
}

one=$(rate one 1 1)
two=$(rate two 1 2)
threads=$(rate threads 2 1)
awk -v one="$one" -v two="$two" -v threads="$threads" 'BEGIN {
  printf "1 process,   1 thread   %6.0f tokens/s\n", one
  printf "2 processes, 1 thread   %6.0f tokens/s   %.2fx\n", two, two / one
  printf "1 process,   2 threads  %6.0f tokens/s   %.2fx\n", threads, threads / one
}'
