#!/bin/sh
# The whole ExCP experiment in one command: environment, training runs, packing, restoring, continuing, table.
# Finished parts are kept and not repeated.
#   PEERS_DIR  where everything goes (default build/peers)
#   KINGLET    the program under test (default build/kinglet)
#   SETTINGS   what to pack with, see excp_continue.py --help (default "0.5 1 1+fill 2.5 lossless")
#   SEEDS      (default "1 2 3")      BETA2  Adam's beta2 (default 0.999)      THREADS  of a training (default 2)
set -eu
cd "$(dirname "$0")/../.."
peers=${PEERS_DIR:-build/peers}
kinglet=${KINGLET:-build/kinglet}
beta2=${BETA2:-0.999}
suffix=; [ "$beta2" = 0.999 ] || suffix=-beta$beta2
here=bench/peers
mkdir -p "$peers"
[ -x "$peers/venv/bin/python" ] || python3 -m venv "$peers/venv"
python=$peers/venv/bin/python
"$python" -c 'import torch, transformers, accelerate, safetensors, zstandard' 2>/dev/null ||
  "$python" -m pip install -q -r "$here/requirements.txt"

runs=
for seed in ${SEEDS:-1 2 3}; do
  run=$peers/run-seed$seed$suffix
  runs="$runs $run"
  [ -d "$run" ] && continue
  rm -rf "$run.part"
  "$python" "$here/train_neox.py" --seed "$seed" --beta2 "$beta2" --threads "${THREADS:-2}" --out "$run.part"
  mv "$run.part" "$run"
done
# shellcheck disable=SC2086 # runs and settings are meant to be split
exec "$python" "$here/excp_continue.py" $runs --kinglet "$kinglet" \
  --work "$peers/excp$suffix" --out "$peers/excp$suffix/results" --settings ${SETTINGS:-0.5 1 1+fill 2.5 lossless}
