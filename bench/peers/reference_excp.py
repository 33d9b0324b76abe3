#!/usr/bin/env python3
"""A slow numpy writing of ExCP behind the same two commands as ``kinglet ckpt``.

    reference_excp.py ckpt pack STORE RUN_DIR [--lambda X | --alpha A | --lossless] [--fill tensor|row | --fill-pruned]
    reference_excp.py ckpt get STORE --step N OUT

It serves as an oracle for results (loss after restoring, kept fractions) and
as a stand-in to try the experiment's plumbing. It is no yardstick for speed,
and its sizes come from xz over packed 4-bit indices, as in the original work.

Notation follows the method: the residual is W_t - What_{t-1}; exp_avg is the
first moment, exp_avg_sq the second. Parameters are paired with optimizer ids
by the order of named_parameters(): decay group first, then the rest.
"""

import argparse
import copy
import io
import json
import lzma
import pickle
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

BITS = 4
LAMBDA_CAP = 2.5


def checkpoints(run):
    """Returns [(step, folder)] of RUN/checkpoint-N in the order of steps."""
    found = [(int(p.name.split("-")[1]), p) for p in run.glob("checkpoint-*") if p.is_dir()]
    return sorted(found)


def optimizer_order(folder, names):
    """Names of the weights in the order of optimizer.pt's ids (two-group AdamW of Trainer, GPT-NeoX)."""
    layers = json.loads((folder / "config.json").read_text())["num_hidden_layers"]
    parts = ["input_layernorm.weight", "input_layernorm.bias", "post_attention_layernorm.weight",
             "post_attention_layernorm.bias", "attention.query_key_value.weight", "attention.query_key_value.bias",
             "attention.dense.weight", "attention.dense.bias", "mlp.dense_h_to_4h.weight", "mlp.dense_h_to_4h.bias",
             "mlp.dense_4h_to_h.weight", "mlp.dense_4h_to_h.bias"]
    module_order = (["gpt_neox.embed_in.weight"] +
                    [f"gpt_neox.layers.{i}.{part}" for i in range(layers) for part in parts] +
                    ["gpt_neox.final_layer_norm.weight", "gpt_neox.final_layer_norm.bias", "embed_out.weight"])
    module_order = [n for n in module_order if n in names]
    no_decay = [n for n in module_order if n.endswith("bias") or "norm" in n]
    return [n for n in module_order if n not in no_decay] + no_decay


def lower_median(x):
    return np.partition(x, (x.size - 1) // 2)[(x.size - 1) // 2] if x.size else np.float32(0)


def kmeans(values, k, rounds=60):
    """Lloyd's algorithm in one dimension from quantiles; returns sorted float32 centres."""
    values = np.sort(values.astype(np.float64))
    prefix = np.concatenate([[0.0], np.cumsum(values)])
    centres = np.quantile(values, (np.arange(k) + 0.5) / k)
    for _ in range(rounds):
        edges = np.searchsorted(values, (centres[1:] + centres[:-1]) / 2)
        edges = np.concatenate([[0], edges, [values.size]])
        counts = np.diff(edges)
        moved = np.where(counts > 0, np.diff(prefix[edges]) / np.maximum(counts, 1), centres)
        if np.array_equal(moved, centres):
            break
        centres = moved
    return np.sort(centres).astype(np.float32)


def quantise(x):
    """Returns (uint8 indices, float32 table with table[0] = 0): zeros stay zero, the rest gets 15 classes."""
    nonzero = x[x != 0]
    k = 2 ** BITS - 1
    distinct = np.unique(nonzero)
    centres = distinct if distinct.size <= k else kmeans(nonzero, k)
    index = np.zeros(x.shape, np.uint8)
    if centres.size:
        index[x != 0] = 1 + np.searchsorted((centres[1:] + centres[:-1]) / 2, nonzero)
    return index, np.concatenate([[np.float32(0)], centres]).astype(np.float32)


def pack_nibbles(index):
    padded = np.append(index, np.zeros(index.size % 2, np.uint8))
    return (padded[0::2] << 4 | padded[1::2]).tobytes()


def unpack_nibbles(data, n):
    packed = np.frombuffer(data, np.uint8)
    return np.stack([packed >> 4, packed & 15], 1).reshape(-1)[:n]


def second_moment_means(exp_avg_sq, keep, shape, fill):
    """Mean of the pruned second moments: one for the tensor, or one per row of a matrix (float32, broadcastable)."""
    rows = (shape[0], -1) if fill == "row" and len(shape) > 1 else (1, -1)
    pruned = ~keep.reshape(rows)
    total = (exp_avg_sq.reshape(rows) * pruned).sum(1, keepdims=True, dtype=np.float64)
    return (total / np.maximum(pruned.sum(1, keepdims=True), 1)).astype(np.float32)


def compress_tensor(weights, reference, exp_avg, exp_avg_sq, shape, options):
    """Equations (1)-(9) for one tensor; returns (frame, reconstructed weights). All arrays flat float32."""
    residual = weights - reference
    factor = options.factor
    if factor is None:
        mean_sq = exp_avg_sq.mean(dtype=np.float64)
        factor = min(LAMBDA_CAP, options.alpha / np.sqrt(mean_sq)) if mean_sq > 0 else LAMBDA_CAP
    residual[~(np.abs(residual) > np.float32(factor * lower_median(np.abs(residual))))] = 0
    keep = (np.abs(exp_avg) > options.beta * np.abs(exp_avg).mean(dtype=np.float64)) & (residual != 0)
    frame = {"n": weights.size, "lambda": float(factor)}
    for name, values in (("weights", residual), ("exp_avg", np.where(keep, exp_avg, 0)),
                         ("exp_avg_sq", np.where(keep, exp_avg_sq, 0))):
        index, table = quantise(values.astype(np.float32))
        frame[name] = (pack_nibbles(index), table)
        frame[name + "_kept"] = int((index != 0).sum())
    if options.fill:
        frame["fill"] = second_moment_means(exp_avg_sq, keep, shape, options.fill)
    return frame, reference + decode(frame, "weights")


def decode(frame, name):
    data, table = frame[name]
    return table[unpack_nibbles(data, frame["n"])]


def decode_second_moment(frame):
    values = decode(frame, "exp_avg_sq")
    if "fill" in frame:
        rows = values.reshape(frame["fill"].shape[0], -1)
        values = np.where(rows == 0, frame["fill"], rows).reshape(-1)
    return values


def load_checkpoint(folder):
    weights = load_file(folder / "model.safetensors")
    optimizer = torch.load(folder / "optimizer.pt", weights_only=True)
    return weights, optimizer, optimizer_order(folder, weights)


def other_files(folder):
    skipped = {"model.safetensors", "optimizer.pt"}
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.name not in skipped}


def write_frame(store, step, frame):
    (store / f"step-{step}.xz").write_bytes(lzma.compress(pickle.dumps(frame), preset=6))


def pack_delta(folder, reference, options):
    """Returns the frame of one delta checkpoint; moves `reference` (name -> flat array) to What_t."""
    weights, optimizer, order = load_checkpoint(folder)
    skeleton = copy.deepcopy(optimizer)
    frame = {"tensors": {}, "files": other_files(folder)}
    for number, name in enumerate(order):
        state = optimizer["state"][number]
        flat = [t.numpy().reshape(-1) for t in (weights[name], state["exp_avg"], state["exp_avg_sq"])]
        frame["tensors"][name], reference[name] = compress_tensor(
            flat[0], reference[name], flat[1], flat[2], tuple(weights[name].shape), options)
        skeleton["state"][number]["exp_avg"] = skeleton["state"][number]["exp_avg_sq"] = None
    buffer = io.BytesIO()
    torch.save(skeleton, buffer)
    frame["optimizer"] = buffer.getvalue()
    return frame


def pack(options):
    options.store.mkdir(parents=True)
    reference = None
    for step, folder in checkpoints(options.run):
        if options.lossless or reference is None:
            frame = {"files": {p.name: p.read_bytes() for p in folder.iterdir()}}
            reference = {n: t.numpy().reshape(-1) for n, t in load_file(folder / "model.safetensors").items()}
        else:
            frame = pack_delta(folder, reference, options)
        write_frame(options.store, step, frame)
        print(f"packed step {step}", file=sys.stderr)


def get(options):
    options.out.mkdir(parents=True)
    frames = {}
    for path in options.store.glob("step-*.xz"):
        step = int(path.stem.split("-")[1])
        if step <= options.step:
            frames[step] = pickle.loads(lzma.decompress(path.read_bytes()))
    target = frames[options.step]
    for name, data in target["files"].items():
        (options.out / name).write_bytes(data)
    if "tensors" not in target:
        return
    key = max(step for step, frame in frames.items() if "tensors" not in frame)
    (options.out / "model.safetensors").write_bytes(frames[key]["files"]["model.safetensors"])
    weights = load_file(options.out / "model.safetensors")
    with safe_open(options.out / "model.safetensors", "pt") as f:
        metadata = f.metadata()
    for step in sorted(s for s in frames if s > key):
        for name, frame in frames[step]["tensors"].items():
            weights[name] += torch.from_numpy(decode(frame, "weights")).view_as(weights[name])
    save_file(weights, options.out / "model.safetensors", metadata=metadata)
    optimizer = torch.load(io.BytesIO(target["optimizer"]), weights_only=True)
    for number, (name, frame) in enumerate(target["tensors"].items()):
        moments = {"exp_avg": decode(frame, "exp_avg"), "exp_avg_sq": decode_second_moment(frame)}
        for moment, values in moments.items():
            optimizer["state"][number][moment] = torch.from_numpy(values).view_as(weights[name])
    torch.save(optimizer, options.out / "optimizer.pt")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True).add_parser("ckpt").add_subparsers(required=True)
    p = commands.add_parser("pack")
    p.add_argument("store", type=Path)
    p.add_argument("run", type=Path)
    p.add_argument("--lambda", type=float, dest="factor")
    p.add_argument("--alpha", type=float, default=5e-5)
    p.add_argument("--beta", type=float, default=2.0)
    p.add_argument("--lossless", action="store_true")
    p.add_argument("--fill", choices=["tensor", "row"],
                   help="restore pruned second moments as their mean instead of 0 (not in the original method)")
    p.add_argument("--fill-pruned", action="store_const", const="row", dest="fill", help="--fill row")
    p.set_defaults(do=pack)
    g = commands.add_parser("get")
    g.add_argument("store", type=Path)
    g.add_argument("out", type=Path)
    g.add_argument("--step", type=int, required=True)
    g.set_defaults(do=get)
    options = parser.parse_args()
    options.do(options)


if __name__ == "__main__":
    main()
