#!/usr/bin/env python3
"""Writes files/: single files as torch.save and safetensors write them, and tensors.json: every tensor in them and in
checkpoints/ as PyTorch reads it back.

  dtypes.pt, dtypes.safetensors   every element type
  views.pt                        transposed, sliced, expanded, shared, empty and 0-d tensors, parameters
  legacy.pt                       the same objects in the format before PyTorch 1.6
  script.pt                       a TorchScript archive

  tensors.json   file -> tensor -> [dtype in the spelling of safetensors, shape, CRC-32 of the contiguous bytes]

    python3 make_torch_file_golden.py    (made with torch 2.13, safetensors 0.8; after make_checkpoint_golden.py)
"""

import enum
import json
import sys
import tempfile
import types
import zlib
from collections import OrderedDict
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch.distributed.checkpoint.format_utils import dcp_to_torch_save

HERE = Path(__file__).parent
FILES = HERE / "files"
NAMES = {torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
         torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint64: "U64",
         torch.uint32: "U32", torch.uint16: "U16", torch.uint8: "U8", torch.bool: "BOOL",
         torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2", torch.complex64: "C64",
         torch.complex128: "C128"}


def describe(tensor):
    flat = tensor.detach().contiguous().reshape(-1).view(torch.uint8)
    return [NAMES[tensor.dtype], list(tensor.shape), zlib.crc32(flat.numpy().tobytes())]


def walk(value, path, found):
    """All tensors below `value` under dotted paths."""
    if isinstance(value, torch.Tensor):
        found[path] = describe(value)
        return
    items = []
    if isinstance(value, dict):
        items = [(key, child) for key, child in value.items() if type(key) in (str, int)]
    elif isinstance(value, (list, tuple)):
        items = enumerate(value)
    for key, child in items:
        walk(child, f"{path}.{key}" if path else str(key), found)


def dtypes():
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for dtype, name in NAMES.items():
        bits = torch.randint(0, 256, (6 * dtype.itemsize,), generator=generator, dtype=torch.uint8)
        bits = bits % 2 if dtype == torch.bool else bits
        tensors[name.lower()] = bits.view(dtype).reshape(2, 3)
    return tensors


def views():
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    shared = torch.randn(5, generator=torch.Generator().manual_seed(1))
    layer = torch.nn.Linear(2, 3)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.arange(parameter.numel()).reshape(parameter.shape) / 8)
    return {"transposed": base.t(), "rows": base[1:3], "columns": base[:, 2:4], "expanded": torch.ones(1, 3).expand(4, 3),
            "scalar": torch.tensor(7.0), "empty": torch.empty(0, 3), "shared": [shared, shared, shared[2:]],
            "module": layer.state_dict(), "parameter": layer.weight,
            "ordered": OrderedDict(b=torch.tensor([1, 2]), a=torch.tensor([True, False])), 3: torch.tensor([4, 5]),
            "size": torch.Size([4, 6]), "device": torch.device("cpu"), "text": "é", "none": None, "big": 1 << 80,
            "set": {1}, "bytes": bytearray(b"ab"), "complex": 1 + 2j}


def write_files():
    FILES.mkdir(exist_ok=True)
    torch.save(dtypes(), FILES / "dtypes.pt")
    torch.save(views(), FILES / "views.pt")
    torch.save(views(), FILES / "legacy.pt", _use_new_zipfile_serialization=False)
    known = {name: tensor for name, tensor in dtypes().items() if name != "c128"}  # safetensors has no such type
    save_file(known, FILES / "dtypes.safetensors", metadata={"format": "pt", "note": "every element type"})
    torch.jit.script(torch.nn.Linear(2, 2)).save(FILES / "script.pt")


def stand_ins():
    """Classes that ZeRO's files refer to."""
    for module in ("deepspeed", "deepspeed.runtime", "deepspeed.runtime.fp16", "deepspeed.runtime.fp16.loss_scaler",
                   "deepspeed.runtime.zero", "deepspeed.runtime.zero.config"):
        sys.modules[module] = types.ModuleType(module)
    sys.modules["deepspeed.runtime.fp16.loss_scaler"].LossScaler = type("LossScaler", (), {})
    sys.modules["deepspeed.runtime.zero.config"].ZeroStageEnum = enum.Enum(
        "ZeroStageEnum", {"gradients": 2, "weights": 3})


def main():
    write_files()
    stand_ins()
    expected = {}
    paths = sorted(path for folder in ("files", "checkpoints") for path in (HERE / folder).rglob("*") if path.is_file())
    for path in paths:
        found = expected.setdefault(path.relative_to(HERE).as_posix(), {})
        if path.suffix == ".safetensors":
            walk(load_file(path), "", found)
        elif path.suffix in (".pt", ".pth") and path.name != "script.pt":
            walk(torch.load(path, weights_only=False), "", found)
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "whole.pt"
        dcp_to_torch_save(HERE / "checkpoints" / "dcp", whole)
        walk(torch.load(whole, weights_only=False), "", expected.setdefault("checkpoints/dcp", {}))
    expected = {path: found for path, found in expected.items() if found}
    lines = [f' {json.dumps(path)}: {{\n' + ",\n".join(f'  {json.dumps(name)}: {json.dumps(facts)}'
                                                      for name, facts in found.items()) + "\n }"
             for path, found in expected.items()]
    (HERE / "tensors.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
