#!/usr/bin/env python3
"""Writes and reads the published ExCP tool's `compressed.pt`, independently of it, for tests of our reader.

    official_excp.py REFERENCE CHECKPOINT OUT      two consecutive Trainer checkpoints of one run

The file is a torch.save of {weight name: {
    weights_i, opt_v_i, opt_m_i    uint8 [n / last, last / 2], last = last dimension: two 4-bit classes a byte,
                                   the first in the high nibble; or, where at most 15 values are not zero, the
                                   pruned float32 tensor itself
    weights_c, opt_v_c, opt_m_c    float16 [15, 1]: unsorted centres of classes 1..15; absent in the second case }}
with weights = residual to REFERENCE, opt_v = exp_avg (first moment!), opt_m = exp_avg_sq. Class 0 is 0. Float16
centres flush small second moments to zero; that is in the format, so it is kept here.

OUT receives compressed.pt, reference/ and checkpoint/ (copies), and expected/ with model.safetensors and optimizer.pt
as the published reader rebuilds them: the optimizer is the REFERENCE's one with both moments replaced, hence its
`step` and `lr` are the reference's. expected/moments.safetensors holds the moments by weight name.
"""

import argparse
import math
import shutil
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

import expectations
from reference_excp import optimizer_order

CLASSES = 15
MAX_SAMPLES = CLASSES * 256


def prune_weights(residual, exp_avg_sq, alpha=5e-5, cap=2.5):
    factor = min(cap, alpha / math.sqrt(exp_avg_sq.mean().item()))
    return torch.where(residual.abs() > factor * residual.abs().median(), residual, 0.0)


def prune_moments(exp_avg, exp_avg_sq, pruned_residual, beta=2.0):
    keep = (exp_avg.abs() > beta * exp_avg.abs().mean()) & (pruned_residual != 0)
    return exp_avg * keep, exp_avg_sq * keep


def random_start_kmeans(values, generator, rounds=25):
    """Lloyd's algorithm from random data points on a random sample; the centres stay in the order of the draw."""
    sample = generator.choice(values, min(values.size, MAX_SAMPLES), replace=False)
    centres = generator.choice(sample, CLASSES, replace=False)
    for _ in range(rounds):
        nearest = np.abs(sample[:, None] - centres[None]).argmin(1)
        for c in range(CLASSES):
            if (nearest == c).any():
                centres[c] = sample[nearest == c].mean()
    return centres


def quantise(tensor, generator):
    """Returns (index tensor, centres or None) in the file's form."""
    flat = tensor.reshape(-1).numpy()
    values = flat[flat != 0]
    if values.size <= CLASSES:
        return tensor, None
    centres = random_start_kmeans(values, generator)
    classes = np.zeros(flat.size, np.uint8)
    classes[flat != 0] = 1 + np.abs(values[:, None] - centres[None]).argmin(1)
    packed = classes[0::2] * 16 + classes[1::2]
    return (torch.from_numpy(packed.reshape(-1, tensor.shape[-1] // 2)),
            torch.from_numpy(centres.astype(np.float16).reshape(CLASSES, 1)))


def dequantise(entry, name, shape):
    if f"{name}_c" not in entry:
        return entry[f"{name}_i"].reshape(shape)
    table = torch.cat([torch.zeros(1), entry[f"{name}_c"].float().flatten()])
    packed = entry[f"{name}_i"].flatten().long()
    return table[torch.stack([packed >> 4, packed & 15], 1).flatten()].reshape(shape)


def compress(reference, checkpoint):
    """Returns the dict that compressed.pt holds."""
    generator = np.random.default_rng(1234)
    old = load_file(reference / "model.safetensors")
    new = load_file(checkpoint / "model.safetensors")
    state = torch.load(checkpoint / "optimizer.pt", weights_only=True)["state"]
    order = optimizer_order(checkpoint, new)
    result = {}
    for name in old:
        moments = state[order.index(name)]
        residual = prune_weights(new[name] - old[name], moments["exp_avg_sq"])
        first, second = prune_moments(moments["exp_avg"], moments["exp_avg_sq"], residual)
        entry = result[name] = {}
        for key, tensor in (("weights", residual), ("opt_v", first), ("opt_m", second)):
            entry[f"{key}_i"], centres = quantise(tensor, generator)
            if centres is not None:
                entry[f"{key}_c"] = centres
    return result


def reconstruct(compressed, reference):
    """Returns (weights, optimizer, moments by name) as the published reader makes them."""
    old = load_file(reference / "model.safetensors")
    optimizer = torch.load(reference / "optimizer.pt", weights_only=True)
    order = optimizer_order(reference, old)
    weights, moments = {}, {}
    for name, entry in compressed.items():
        shape = old[name].shape
        weights[name] = dequantise(entry, "weights", shape) + old[name]
        state = optimizer["state"][order.index(name)]
        state["exp_avg"] = moments[f"exp_avg.{name}"] = dequantise(entry, "opt_v", shape)
        state["exp_avg_sq"] = moments[f"exp_avg_sq.{name}"] = dequantise(entry, "opt_m", shape)
    return weights, optimizer, moments


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("reference", type=Path)
    p.add_argument("checkpoint", type=Path)
    p.add_argument("out", type=Path)
    args = p.parse_args()
    shutil.rmtree(args.out, ignore_errors=True)
    (args.out / "expected").mkdir(parents=True)
    shutil.copytree(args.reference, args.out / "reference")
    shutil.copytree(args.checkpoint, args.out / "checkpoint")
    torch.save(compress(args.reference, args.checkpoint), args.out / "compressed.pt")
    compressed = torch.load(args.out / "compressed.pt", weights_only=True)
    weights, optimizer, moments = reconstruct(compressed, args.reference)
    save_file(weights, args.out / "expected" / "model.safetensors", metadata={"format": "pt"})
    save_file({n: t.contiguous() for n, t in moments.items()}, args.out / "expected" / "moments.safetensors")
    torch.save(optimizer, args.out / "expected" / "optimizer.pt")
    expectations.write_expectations(args.out, args.out / "expected.json")


if __name__ == "__main__":
    main()
