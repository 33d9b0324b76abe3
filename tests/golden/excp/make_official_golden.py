#!/usr/bin/env python3
"""Writes official/: the published tool's form of a small checkpoint, and what its reader makes of it.

  compressed.pt   of a made-up step after ../io/checkpoints/trainer/checkpoint-2, by bench/peers/official_excp.py
  expected.json   parameter -> CRC-32 of the bytes of weight, exp_avg, exp_avg_sq as rebuilt in Python

    python3 make_official_golden.py    (made with torch 2.13)
"""

import json
import shutil
import sys
import tempfile
import zlib
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[2] / "bench" / "peers"))
import official_excp

REFERENCE = HERE.parent / "io" / "checkpoints" / "trainer" / "checkpoint-2"


def step_on(reference, target):
    """A checkpoint whose weights and moments moved at random from the reference's."""
    shutil.copytree(reference, target)
    generator = torch.Generator().manual_seed(0)
    weights = load_file(reference / "model.safetensors")
    for tensor in weights.values():
        tensor += 1e-3 * torch.randn(tensor.shape, generator=generator)
    save_file(weights, target / "model.safetensors", metadata={"format": "pt"})
    optimizer = torch.load(reference / "optimizer.pt", weights_only=True)
    for state in optimizer["state"].values():
        state["exp_avg"] = 1e-3 * torch.randn(state["exp_avg"].shape, generator=generator)
        state["exp_avg_sq"] = 1e-5 * torch.rand(state["exp_avg"].shape, generator=generator)
    torch.save(optimizer, target / "optimizer.pt")


def crc(tensor):
    return zlib.crc32(tensor.contiguous().view(torch.uint8).numpy().tobytes())


def main():
    out = HERE / "official"
    out.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        step_on(REFERENCE, Path(folder) / "checkpoint-3")
        torch.save(official_excp.compress(REFERENCE, Path(folder) / "checkpoint-3"), out / "compressed.pt")
    compressed = torch.load(out / "compressed.pt", weights_only=True)
    weights, _, moments = official_excp.reconstruct(compressed, REFERENCE)
    expected = {name: [crc(weights[name]), crc(moments[f"exp_avg.{name}"]), crc(moments[f"exp_avg_sq.{name}"])]
                for name in sorted(weights)}
    (out / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
