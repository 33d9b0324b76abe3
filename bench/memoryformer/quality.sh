#!/bin/bash
# Does a small MemoryFormer learn, and which of its parts matter? Validation loss (nats a token) on dictionary text of
# arms with equal width, text, steps and seeds; d = 128, 2 layers, 4 heads.
#
#   bench/memoryformer/quality.sh [--steps N] [--seeds "1 2 3"] [--arms "dense sum_prob ..."] [--out FOLDER]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
program=${KINGLET:-$here/../../build/kinglet}
steps=600 seeds="1 2 3" out=quality-runs
arms="dense dense_slow dense_large sum_prob sum_prob_slow prob none sum_prob_4bit sum_prob_no_norm"
while [ $# -gt 0 ]; do
  case $1 in
    --steps) steps=$2 ;;
    --seeds) seeds=$2 ;;
    --arms) arms=$2 ;;
    --out) out=$2 ;;
    *) echo "unknown option $1" >&2; exit 2 ;;
  esac
  shift 2
done

dense=(model.family=gpt_neox model.num_layers=2 model.num_heads=4 model.tied_embeddings=false)
memory=(model.kind=memoryformer model.hidden_size=128 model.num_layers=2 model.num_heads=4 model.norm_outer=layernorm)
settings_of() {  # prints the settings of an arm
  case $1 in
    dense) echo "${dense[@]}" model.hidden_size=128 ;;
    dense_slow) echo "${dense[@]}" model.hidden_size=128 optimizer.lr=1e-3 ;;
    dense_large) echo "${dense[@]}" model.hidden_size=512 optimizer.lr=1e-3 ;;  # parameters as the 8-bit arms
    sum_prob) echo "${memory[@]}" model.score=sum_prob ;;
    sum_prob_slow) echo "${memory[@]}" model.score=sum_prob optimizer.lr=1e-3 ;;
    sum_prob_sparse) echo "${memory[@]}" model.score=sum_prob model.row_sparse=true ;;
    prob) echo "${memory[@]}" model.score=prob ;;
    none) echo "${memory[@]}" model.score=none ;;
    sum_prob_4bit) echo "${memory[@]}" model.score=sum_prob model.bits=4 ;;
    sum_prob_no_norm) echo "${memory[@]}" model.score=sum_prob model.norm_outer=none ;;
    *) echo "unknown arm $1" >&2; exit 2 ;;
  esac
}
value_of() { sed -n "s/^ *\"$1\": \([-0-9.e+]*\),\{0,1\}$/\1/p" "$2"; }

mkdir -p "$out"
printf '%-18s %10s  %s\n' arm parameters "validation loss, seeds $seeds"
for arm in $arms; do
  losses="" parameters=""
  for seed in $seeds; do
    run=$out/$arm-$seed
    sets=(--set seed="$seed" --set training.steps="$steps" --set evaluation.every="$steps")
    for setting in $(settings_of "$arm"); do
      case ${setting#*=} in
        [0-9]*|true|false) sets+=(--set "$setting") ;;
        *) sets+=(--set "${setting%%=*}=\"${setting#*=}\"") ;;
      esac
    done
    "$program" train "$here/quality.toml" --out "$run" "${sets[@]}" --json > "$run.json"
    losses+=" $(value_of eval_loss "$run.json")"
    parameters=$(value_of parameters "$run.json")
    rm -rf "$run/model" "$run/best" "$run/checkpoints"
  done
  echo "$losses" | awk -v arm="$arm" -v parameters="$parameters" '{
    for (i = 1; i <= NF; ++i) sum += $i
    mean = sum / NF
    for (i = 1; i <= NF; ++i) square += ($i - mean) ^ 2
    printf "%-18s %8.2f M  %.3f", arm, parameters / 1e6, mean
    if (NF > 1) printf " +- %.3f", sqrt(square / (NF - 1))
    printf "  (%s )\n", $0 }'
done
