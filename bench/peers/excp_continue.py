#!/usr/bin/env python3
"""Does training go on from compressed checkpoints? The acceptance test of `kinglet ckpt`.

    excp_continue.py RUN... --kinglet build/kinglet --work WORK --out RESULTS

Each RUN is a folder of Trainer checkpoints made by train_neox.py. For every
setting the run is packed and every step is taken out again:

    kinglet ckpt pack STORE RUN --lambda X      (or --lossless, or --lambda X --fill-pruned)
    kinglet ckpt get STORE --step N OUT         (OUT is then a checkpoint folder)

Each restored folder is opened with safetensors and torch.load and compared
with the original: same files, names, shapes, dtypes, param_groups, Adam step,
learning rate, scheduler. Validation loss is measured at every restored step and
after Trainer has gone on from --step to --until on the same batches.
Controls that need no compression: the uninterrupted run, the optimizer dropped
("fresh": moments gone, bias correction restarts; "zeroed": moments zero, step
kept), and xz -9 / zstd -19 of the raw files.

Writes RESULTS.json and RESULTS.md. A continuation is reused when its result
exists for byte-identical restored files. --kinglet may be a command with
arguments, such as "python3 bench/peers/reference_excp.py".
Exit code 1 if a check failed.
"""

import argparse
import hashlib
import json
import lzma
import re
import shlex
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
import zstandard
from safetensors.torch import load_file
from transformers import GPTNeoXForCausalLM

import corpus
import train_neox

HERE = Path(__file__).parent
TENSOR_FILES = ("model.safetensors", "optimizer.pt")
RUN_OPTIONS = ("seed", "steps", "batch", "context", "lr", "beta2", "weight_decay", "layers", "width", "heads",
               "threads")


def log(message):
    print(time.strftime("%H:%M:%S"), message, file=sys.stderr, flush=True)


def checkpoint_steps(run):
    return sorted(int(p.name.split("-")[1]) for p in run.glob("checkpoint-*") if p.is_dir())


def folder_size(folder):
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


def raw_size(checkpoint):
    return sum((checkpoint / name).stat().st_size for name in TENSOR_FILES)


def file_sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def pack_flags(setting):
    """'lossless', a lambda such as '0.5' or with means for pruned second moments '0.5+fill', or 'NAME=flags of pack'."""
    if "=" in setting:
        return shlex.split(setting.split("=", 1)[1])
    if setting == "lossless":
        return ["--lossless"]
    factor, fill, _ = setting.partition("+fill")
    return ["--lambda", factor] + (["--fill-pruned"] if fill else [])


def setting_name(setting):
    return setting.split("=", 1)[0]


# ---- packing and restoring -------------------------------------------------------------------------------------------


def pack(kinglet, store, run, setting):
    """Returns seconds taken, start of the program included."""
    shutil.rmtree(store, ignore_errors=True)
    store.parent.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()
    subprocess.run([*kinglet, "ckpt", "pack", str(store), str(run), *pack_flags(setting)],
                   check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - begin


def step_sizes(store):
    """Bytes of every step's container, oldest first (one file a step, named by its number)."""
    files = list((store / "steps").glob("*.step")) or list(store.glob("step-*.xz"))
    return [p.stat().st_size for p in sorted(files, key=lambda p: int(re.search(r"\d+", p.name).group()))]


def restore(kinglet, store, step, out):
    """Returns seconds taken, start of the program included."""
    shutil.rmtree(out, ignore_errors=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()
    subprocess.run([*kinglet, "ckpt", "get", str(store), "--step", str(step), str(out)],
                   check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - begin


# ---- checking --------------------------------------------------------------------------------------------------------


def compare(original, restored, must_be_equal):
    """Returns (problems, facts) about one restored checkpoint folder against the original."""
    problems = []
    names = {p.name for p in original.iterdir()}
    if names != {p.name for p in restored.iterdir()}:
        return [f"files differ: {sorted(names ^ {p.name for p in restored.iterdir()})}"], {}
    problems += [f"{name} differs" for name in sorted(names - set(TENSOR_FILES))
                 if (original / name).read_bytes() != (restored / name).read_bytes()]

    old_weights, weights = load_file(original / "model.safetensors"), load_file(restored / "model.safetensors")
    old_optimizer, optimizer = (torch.load(c / "optimizer.pt", weights_only=True) for c in (original, restored))
    if optimizer["param_groups"] != old_optimizer["param_groups"]:
        problems.append("param_groups differ")
    if list(weights) != list(old_weights) or list(optimizer["state"]) != list(old_optimizer["state"]):
        return problems + ["names or ids differ"], {}

    pairs = [(f"weights {n}", old_weights[n], weights[n]) for n in weights]
    for i, old_state in old_optimizer["state"].items():
        state = optimizer["state"][i]
        if list(state) != list(old_state):
            return problems + [f"state {i} has keys {list(state)}"], {}
        if not torch.equal(state["step"], old_state["step"]):
            problems.append(f"state {i}: step {state['step']} instead of {old_state['step']}")
        pairs += [(f"{k} {i}", old_state[k], state[k]) for k in state if k != "step"]
        if "exp_avg_sq" in state:
            if bool((state["exp_avg_sq"] < 0).any()):
                problems.append(f"state {i}: negative second moment")
            if bool((state["exp_avg_sq"][state["exp_avg"] != 0] == 0).any()):
                problems.append(f"state {i}: first moment without second moment")
    for name, old, new in pairs:
        if old.dtype != new.dtype or old.shape != new.shape or old.stride() != new.stride():
            problems.append(f"{name}: {new.dtype} {tuple(new.shape)} instead of {old.dtype} {tuple(old.shape)}")
        elif not bool(torch.isfinite(new).all()):
            problems.append(f"{name}: not finite")
        elif must_be_equal and not torch.equal(old, new):
            problems.append(f"{name}: values differ")

    error = sum(((weights[n] - old_weights[n]).double() ** 2).sum().item() for n in weights)
    moments = [s["exp_avg"] for s in optimizer["state"].values() if "exp_avg" in s]
    facts = {"weight_rms_error": (error / sum(w.numel() for w in weights.values())) ** 0.5,
             "moments_kept": sum(int((m != 0).sum()) for m in moments) / max(1, sum(m.numel() for m in moments)),
             "files_byte_identical": all(file_sha256(original / n) == file_sha256(restored / n) for n in TENSOR_FILES)}
    return problems, facts


_validation = {}


def validation_loss(checkpoint):
    """Validation loss of a checkpoint folder; results are remembered by the weights' hash."""
    key = file_sha256(checkpoint / "model.safetensors")
    if key not in _validation:
        model = GPTNeoXForCausalLM.from_pretrained(checkpoint)
        data = corpus.load_corpus()[1]
        _validation[key] = train_neox.validation_loss(model, data, model.config.max_position_embeddings)
    return _validation[key]


# ---- going on --------------------------------------------------------------------------------------------------------


def continue_training(run, checkpoint, until, folder, dropped=None):
    """Resumes through train_neox.py; returns its result with the loss of every step added."""
    options = json.loads((run / "run.json").read_text())
    identity = {"files": [file_sha256(checkpoint / name) for name in TENSOR_FILES], "until": until,
                "dropped": dropped, "options": {k: options[k] for k in RUN_OPTIONS if k in options}}
    cached = folder / "continued.json"
    if cached.exists():
        result = json.loads(cached.read_text())
        if result["identity"] == identity:
            return result
    command = [sys.executable, HERE / "train_neox.py", "--quiet", "--out", folder, "--save-every", "0",
               "--resume-from", checkpoint, "--stop-at", str(until)]
    for name, value in identity["options"].items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    if dropped:
        command += ["--weights-only-resume", dropped]
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "stderr.log", "w") as errors:
        lines = subprocess.run([str(c) for c in command], check=True, stdout=subprocess.PIPE,
                               stderr=errors, text=True).stdout.splitlines()
    result = json.loads(lines[-1])
    result["identity"] = identity
    result["losses"] = read_losses(folder)
    cached.write_text(json.dumps(result))
    return result


def read_losses(folder):
    """Returns {step as text: training loss}."""
    rows = map(json.loads, (folder / "losses.jsonl").read_text().splitlines())
    return {str(row["step"]): row["loss"] for row in rows}


def kick(losses, reference, count=10):
    """Mean training-loss difference to the uninterrupted run over the first `count` common steps."""
    steps = sorted(map(int, losses))[:count]
    return statistics.fmean(losses[str(s)] - reference[str(s)] for s in steps)


# ---- one run ---------------------------------------------------------------------------------------------------------


def lossless_baselines(checkpoint):
    raw = [(checkpoint / name).read_bytes() for name in TENSOR_FILES]
    total = sum(map(len, raw))
    return {"xz -9": total / sum(len(lzma.compress(r, preset=9)) for r in raw),
            "zstd -19": total / sum(len(zstandard.ZstdCompressor(level=19).compress(r)) for r in raw)}


def measure_run(run, args, kinglet):
    """Returns a dict: facts of the original, one row per setting or control, problems found."""
    work = args.work / run.name
    steps = checkpoint_steps(run)
    at = run / f"checkpoint-{args.step}"
    reference = read_losses(run)
    torch.set_num_threads(json.loads((run / "run.json").read_text())["threads"])  # same sums as in the run
    result = {"run": run.name, "steps": steps, "raw_bytes_per_step": raw_size(at),
              "baselines": lossless_baselines(at), "problems": [], "rows": []}
    losses_original = {s: validation_loss(run / f"checkpoint-{s}") for s in steps}
    result["rows"].append({"setting": "original", "val_by_step": losses_original, "val": losses_original[args.step],
                           "val_until": validation_loss(run / f"checkpoint-{args.until}")})

    for setting in args.settings:
        name = setting_name(setting)
        log(f"{run.name}: {name}")
        store = work / f"store-{name}"
        row = {"setting": name, "pack_seconds": pack(kinglet, store, run, setting), "get_seconds": 0, "val_by_step": {}}
        for step in steps:
            restored = work / f"restored-{name}" / f"checkpoint-{step}"
            row["get_seconds"] += restore(kinglet, store, step, restored)
            problems, facts = compare(run / f"checkpoint-{step}", restored,
                                      must_be_equal=setting == "lossless" or step == steps[0])
            result["problems"] += [f"{name}, step {step}: {p}" for p in problems]
            row["val_by_step"][step] = validation_loss(restored)
            if step == args.step:
                row.update(facts)
        sizes = step_sizes(store)
        if len(sizes) != len(steps) or setting != "lossless" and max(sizes[1:]) > sizes[0] / 2:
            result["problems"].append(f"{name}: a step is missing or is not a delta, sizes {sizes}")
        row["step_bytes"] = dict(zip(steps, sizes))
        row["delta_bytes"] = statistics.fmean(sizes[1:])
        row["ratio"] = result["raw_bytes_per_step"] / row["delta_bytes"]
        row["run_ratio"] = result["raw_bytes_per_step"] * len(steps) / sum(sizes)
        megabytes = sum(folder_size(run / f"checkpoint-{s}") for s in steps) / 1e6
        row["pack_rate"], row["get_rate"] = megabytes / row["pack_seconds"], megabytes / row["get_seconds"]
        row["val"] = row["val_by_step"][args.step]
        restored = work / f"restored-{name}" / f"checkpoint-{args.step}"
        continued = continue_training(run, restored, args.until, work / f"continued-{name}")
        row["val_until"], row["kick"] = continued["validation_loss"], kick(continued["losses"], reference)
        if setting == "lossless":
            wrong = [s for s, loss in continued["losses"].items() if loss != reference[s]]
            if wrong or row["val_until"] != result["rows"][0]["val_until"]:
                result["problems"].append(f"lossless: losses differ from step {min(map(int, wrong), default='-')}")
        result["rows"].append(row)

    for how in ("fresh", "zeroed"):
        log(f"{run.name}: optimizer {how}")
        continued = continue_training(run, at, args.until, work / f"continued-optimizer-{how}", dropped=how)
        result["rows"].append({"setting": f"optimizer {how}", "val": losses_original[args.step],
                               "val_until": continued["validation_loss"],
                               "kick": kick(continued["losses"], reference)})
    return result


# ---- report ----------------------------------------------------------------------------------------------------------


def spread(values, digits):
    """'median (min .. max)' or the value alone."""
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} .. {max(values):.{digits}f})"


def markdown(results, args):
    original = {r["run"]: r["rows"][0] for r in results}
    lines = [f"Step {args.step}, continued to {args.until}; {len(results)} run(s): {', '.join(original)}. "
             f"Median (min .. max) over runs. Loss in nats per byte; d = difference to the uninterrupted run.", "",
             "| setting | KiB per delta | ratio | ratio of the run with its key frame | val | d val | val at end "
             "| d val at end | first 10 steps: d train | pack MB/s | get MB/s |",
             "|---" * 11 + "|"]
    for name in [row["setting"] for row in results[0]["rows"]]:
        rows = [(r["run"], row) for r in results for row in r["rows"] if row["setting"] == name]
        cells = [f"lambda {name}" if name[0].isdigit() else name]

        def cell(key, digits, scale=1):
            return spread([row[key] / scale for _, row in rows], digits) if key in rows[0][1] else "-"

        cells += [cell("delta_bytes", 1, 1024), cell("ratio", 2), cell("run_ratio", 2)]
        for key in ("val", "val_until"):
            cells.append(spread([row[key] for _, row in rows], 4))
            cells.append(spread([row[key] - original[run][key] for run, row in rows], 4) if name != "original" else "-")
        cells += [cell("kick", 4), cell("pack_rate", 0), cell("get_rate", 0)]
        lines.append("| " + " | ".join(cells) + " |")
    for name in results[0]["baselines"]:
        lines.append(f"| {name} of the raw files | - | {spread([r['baselines'][name] for r in results], 2)} "
                     + "| - " * 8 + "|")
    lines += ["", f"Raw: {results[0]['raw_bytes_per_step'] / 1024:.0f} KiB per step (weights and both moments); "
              f"{len(results[0]['steps'])} steps, the first a key frame. MB/s of whole checkpoint folders, the start "
              "of the program included."]
    problems = [f"{r['run']}: {p}" for r in results for p in r["problems"]]
    lines += ["", "All checks passed." if not problems else "FAILED checks:"] + [f"- {p}" for p in problems]
    return "\n".join(lines) + "\n"


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("runs", nargs="+", type=Path)
    p.add_argument("--kinglet", default="build/kinglet")
    p.add_argument("--work", type=Path, required=True, help="stores, restored folders and continuations")
    p.add_argument("--out", type=Path, required=True, help="results, without suffix")
    p.add_argument("--step", type=int, default=1000)
    p.add_argument("--until", type=int, default=1500)
    p.add_argument("--settings", nargs="+", default=["0.5", "1", "1+fill", "2.5", "lossless"],
                   help="'lossless', a lambda, LAMBDA+fill, or NAME=PACK_FLAGS such as 'published=--paper'")
    args = p.parse_args()
    kinglet = shlex.split(args.kinglet)
    results = []
    args.out.parent.mkdir(parents=True, exist_ok=True)
    for run in args.runs:
        results.append(measure_run(run, args, kinglet))
        args.out.with_suffix(".json").write_text(json.dumps(
            {"kinglet": args.kinglet, "step": args.step, "until": args.until, "runs": results}, indent=1) + "\n")
        args.out.with_suffix(".md").write_text(markdown(results, args))
    print(markdown(results, args))
    return 1 if any(r["problems"] for r in results) else 0


if __name__ == "__main__":
    sys.exit(main())
