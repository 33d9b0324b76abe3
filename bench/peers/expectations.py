"""What PyTorch says is in a file: name, dtype, shape, sum and sha256 of every tensor.

The sha256 is of the elements in row-major order, little-endian, without
strides or storage; the sum is in double precision (real parts of complex numbers). Nested containers are
flattened with '/' between keys, e.g. ``state/0/exp_avg``.
"""

import hashlib
import json

import torch
from safetensors import safe_open


def describe(tensor):
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    raw = flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""
    return {"dtype": str(tensor.dtype).removeprefix("torch."), "shape": list(tensor.shape),
            "stride": list(tensor.stride()), "sum": (flat.real if flat.is_complex() else flat).double().sum().item(),
            "sha256": hashlib.sha256(raw).hexdigest()}


def flatten(value, prefix=""):
    """Yields (path, tensor) for every tensor in nested dicts, lists and tuples."""
    if isinstance(value, torch.Tensor):
        yield prefix, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from flatten(item, f"{prefix}/{key}" if prefix else str(key))
    elif isinstance(value, (list, tuple)):
        for key, item in enumerate(value):
            yield from flatten(item, f"{prefix}/{key}" if prefix else str(key))


def describe_safetensors(path):
    with safe_open(path, "pt") as f:
        return {"metadata": f.metadata(), "tensors": {name: describe(f.get_tensor(name)) for name in f.keys()}}


def describe_torch_file(path):
    """For files with tensors, containers and plain values only."""
    value = torch.load(path, weights_only=False, map_location="cpu")
    storages = {}
    tensors = {}
    for name, tensor in flatten(value):
        tensors[name] = describe(tensor)
        storages.setdefault(tensor.untyped_storage().data_ptr(), []).append(name)
    shared = [names for address, names in storages.items() if address and len(names) > 1]
    result = {"tensors": tensors, "shared_storage": shared}
    if isinstance(value, dict) and "param_groups" in value:
        result["param_groups"] = value["param_groups"]
    return result


def write_expectations(root, path):
    """Describes every tensor file below `root`; keys are paths relative to `root`."""
    files = {}
    for file in sorted(root.rglob("*")):
        name = file.relative_to(root).as_posix()
        if file.suffix == ".safetensors":
            files[name] = describe_safetensors(file)
        elif file.suffix in (".pt", ".bin", ".pth") and file.name not in ("training_args.bin", "rng_state.pth"):
            files[name] = describe_torch_file(file)
    path.write_text(json.dumps({"torch": torch.__version__, "files": files}, indent=1) + "\n")
