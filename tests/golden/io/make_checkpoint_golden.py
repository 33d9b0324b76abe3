#!/usr/bin/env python3
"""Writes checkpoints/: small training checkpoints as PyTorch, transformers and DeepSpeed lay them out.

  trainer/checkpoint-2  transformers.Trainer, GPT-NeoX with 2 layers of width 8 (two parameter groups, no names)
  loop-3.pt             one file of a plain loop: model with BatchNorm, a tied and a frozen weight, AMSGrad
  named/                torch.save of state dict and optimizer with param_names, in another order than the model's
  dcp/                  torch.distributed.checkpoint; one tensor in two chunks
  zero2/, zero3/        the layout of DeepSpeed's ZeRO files (their classes are stand-ins of the same names)
  expected.json         checkpoint -> parameter -> CRC-32 of the bytes of weight, exp_avg, exp_avg_sq as Python knows
                        them from the live objects

    python3 make_checkpoint_golden.py    (made with torch 2.13, transformers 5.24)
"""

import collections
import enum
import json
import shutil
import sys
import tempfile
import types
import zlib
from pathlib import Path

import torch
import torch.distributed.checkpoint as dcp
import transformers as tf
from safetensors.torch import load_file

HERE = Path(__file__).parent / "checkpoints"
EXPECTED = {}


def crc(tensor):
    return zlib.crc32(tensor.detach().contiguous().view(torch.uint8).numpy().tobytes())


def record(checkpoint, name, weight, state):
    keys = [key for key in ("exp_avg", "exp_avg_sq", "max_exp_avg_sq") if key in state]
    EXPECTED.setdefault(checkpoint, {})[name] = [crc(weight)] + [crc(state[key]) for key in keys]


def trainer():
    class Data(torch.utils.data.Dataset):
        def __len__(self):
            return 64

        def __getitem__(self, i):
            ids = torch.randint(0, 16, (8,), generator=torch.Generator().manual_seed(i))
            return {"input_ids": ids, "labels": ids}

    tf.set_seed(0)
    model = tf.GPTNeoXForCausalLM(tf.GPTNeoXConfig(
        vocab_size=16, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=8, bos_token_id=0, eos_token_id=0))
    with tempfile.TemporaryDirectory() as folder:
        arguments = tf.TrainingArguments(folder, max_steps=2, save_steps=2, per_device_train_batch_size=4,
                                         weight_decay=0.1, report_to=[], use_cpu=True, disable_tqdm=True)
        run = tf.Trainer(model=model, args=arguments, train_dataset=Data())
        run.train()
        target = HERE / "trainer" / "checkpoint-2"
        shutil.copytree(Path(folder) / "checkpoint-2", target)
    in_file = set(load_file(target / "model.safetensors"))
    for name, parameter in model.named_parameters():
        name = name if name in in_file else name.replace("lm_head", "embed_out")
        record("trainer/checkpoint-2", name, parameter, run.optimizer.optimizer.state[parameter])


class Loop(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Embedding(12, 6)
        self.frozen = torch.nn.Linear(6, 6)
        self.norm = torch.nn.BatchNorm1d(6)
        self.hidden = torch.nn.ModuleList([torch.nn.Linear(6, 6) for _ in range(2)])
        self.head = torch.nn.Linear(6, 12, bias=False)
        self.head.weight = self.embed.weight
        self.frozen.requires_grad_(False)

    def forward(self, ids):
        x = self.norm(self.frozen(self.embed(ids)))
        for layer in self.hidden:
            x = torch.tanh(layer(x))
        return self.head(x)


def train(model, optimizer, steps=3):
    for step in range(steps):
        ids = torch.randint(0, 12, (16,), generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(ids), ids).backward()
        optimizer.step()


def loop():
    torch.manual_seed(0)
    model = Loop()
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], amsgrad=True)
    train(model, optimizer)
    torch.save({"epoch": 3, "model_state_dict": model.state_dict(), "optimizer_state_dict": optimizer.state_dict()},
               HERE / "loop-3.pt")
    for name, parameter in model.named_parameters():
        record("loop-3.pt", name, parameter, optimizer.state.get(parameter, {}))


def named():
    torch.manual_seed(1)
    model = Loop()
    rest = [(n, p) for n, p in model.named_parameters() if p.requires_grad and p.dim() < 2]
    decay = [(n, p) for n, p in reversed(list(model.named_parameters())) if p.requires_grad and p.dim() >= 2]
    optimizer = torch.optim.AdamW([{"params": rest, "weight_decay": 0}, {"params": decay}])
    train(model, optimizer)
    folder = HERE / "named"
    folder.mkdir()
    torch.save(model.state_dict(), folder / "weights.pth")
    torch.save(optimizer.state_dict(), folder / "opt.pth")
    for name, parameter in model.named_parameters():
        record("named", name, parameter, optimizer.state.get(parameter, {}))


def distributed():
    from torch.distributed.checkpoint.metadata import (ChunkStorageMetadata, Metadata, MetadataIndex,
                                                       TensorStorageMetadata)
    from torch.distributed.checkpoint.filesystem import _StorageInfo
    from torch.distributed.checkpoint.state_dict import get_state_dict

    torch.manual_seed(2)
    model = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Linear(6, 4))
    optimizer = torch.optim.AdamW(model.parameters())
    for _ in range(2):
        model(torch.randn(8, 4)).square().mean().backward()
        optimizer.step()
    weights, states = get_state_dict(model, optimizer)
    dcp.save({"model": weights, "optim": states, "iteration": 2}, checkpoint_id=HERE / "dcp")
    for name, parameter in model.named_parameters():
        state = optimizer.state[parameter]
        if name != "0.weight":
            record("dcp", name, parameter, state)
        for row in (0, 3):
            if name == "0.weight":
                record("dcp", f"0.weight[{row},0]", parameter[row:row + 3],
                       {key: state[key][row:row + 3] for key in ("exp_avg", "exp_avg_sq")})

    # A second rank: 0.weight [6, 4] and its moments again as two chunks of three rows.
    import pickle
    path = HERE / "dcp" / ".metadata"
    metadata: Metadata = pickle.loads(path.read_bytes())
    blobs = {"__0_1.distcp": b"", "__1_0.distcp": b""}
    keys = {"model.0.weight": model[0].weight.detach(),
            "optim.state.0.weight.exp_avg": optimizer.state[model[0].weight]["exp_avg"],
            "optim.state.0.weight.exp_avg_sq": optimizer.state[model[0].weight]["exp_avg_sq"]}
    for key, tensor in keys.items():
        old: TensorStorageMetadata = metadata.state_dict_metadata[key]
        old.chunks = []
        metadata.storage_data = {i: s for i, s in metadata.storage_data.items() if i.fqn != key}
        for row, file in ((0, "__0_1.distcp"), (3, "__1_0.distcp")):
            with tempfile.TemporaryFile() as stream:
                torch.save(tensor[row:row + 3].clone(), stream)
                stream.seek(0)
                blob = stream.read()
            old.chunks.append(ChunkStorageMetadata(torch.Size([row, 0]), torch.Size([3, 4])))
            metadata.storage_data[MetadataIndex(key, torch.Size([row, 0]))] = _StorageInfo(
                file, len(blobs[file]), len(blob))
            blobs[file] += blob
    for file, content in blobs.items():
        (HERE / "dcp" / file).write_bytes(content)
    path.write_bytes(pickle.dumps(metadata, protocol=4))


def stand_in(module, name, base=object, **members):
    """A class that pickles under the name of DeepSpeed's."""
    parts = module.split(".")
    for i in range(1, len(parts) + 1):
        sys.modules.setdefault(".".join(parts[:i]), types.ModuleType(".".join(parts[:i])))
    kind = base(name, members["values"]) if members else type(name, (), {})
    kind.__module__ = module
    kind.__qualname__ = name
    setattr(sys.modules[module], name, kind)
    return kind


def zero():
    scaler = stand_in("deepspeed.runtime.fp16.loss_scaler", "LossScaler")
    stage = stand_in("deepspeed.runtime.zero.config", "ZeroStageEnum", enum.Enum,
                     values={"gradients": 2, "weights": 3})
    torch.manual_seed(3)
    for level, folder in ((stage.gradients, HERE / "zero2" / "global_step7"),
                          (stage.weights, HERE / "zero3" / "global_step7")):
        folder.mkdir(parents=True)
        (folder.parent / "latest").write_text("global_step7")
        for rank in range(2):
            flat = [torch.randn(24), torch.randn(7)]
            state = {g: {"step": torch.tensor(7.0), "exp_avg": torch.randn(len(v)), "exp_avg_sq": torch.rand(len(v))}
                     for g, v in enumerate(flat)}
            inner = {"state": state, "param_groups": [{"lr": 1e-3, "betas": (0.9, 0.999), "params": [g]}
                                                      for g in range(2)]}
            common = {"loss_scaler": scaler(), "zero_stage": level}
            if level == stage.gradients:
                name = f"bf16_zero_pp_rank_{rank}_mp_rank_00_optim_states.pt"
                osd = {**common, "base_optimizer_state": inner, "single_partition_of_fp32_groups": flat,
                       "group_paddings": [0, 1], "partition_count": [2, 2]}
            else:
                name = f"zero_pp_rank_{rank}_mp_rank_00_optim_states.pt"
                osd = {**common, "partition_count": 2, "optimizer_state_dict": inner, "fp32_flat_groups": flat}
            torch.save({"optimizer_state_dict": osd, "ds_version": "0.19.8"}, folder / name)
            for g, vector in enumerate(flat):
                record(folder.parent.name, f"{name}:group{g}", vector, state[g])
        shapes = [collections.OrderedDict([("w", torch.Size([8, 6]))]), collections.OrderedDict([("b", torch.Size([13]))])]
        torch.save({"module": collections.OrderedDict(w=torch.zeros(8, 6, dtype=torch.bfloat16),
                                                      b=torch.zeros(13, dtype=torch.bfloat16)),
                    "optimizer": None, "param_shapes": shapes, "global_steps": 7},
                   folder / "mp_rank_00_model_states.pt")


def main():
    shutil.rmtree(HERE, ignore_errors=True)
    HERE.mkdir()
    for part in (trainer, loop, named, distributed, zero):
        part()
    (HERE / "expected.json").write_text(json.dumps(EXPECTED, indent=1) + "\n")


if __name__ == "__main__":
    main()
