#!/usr/bin/env python3
"""Checkpoints of torch DCP and DeepSpeed, written by those libraries themselves on CPU processes (Gloo).

    torchrun --nproc-per-node N make_distributed.py KIND OUT

KIND: dcp (one process), dcp-2ranks, deepspeed-z1, deepspeed-z2, deepspeed-z3 (two processes).
The model has odd sizes, so that padding and uneven splits occur. For every
saved step the consolidated weights and moments are asked from the library while
it is live and stored as OUT/consolidated/step-N.safetensors with the names
``weights.<name>``, ``exp_avg.<name>``, ``exp_avg_sq.<name>``: the answer that a
reader of the shards has to find.
"""

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import save_file

STEPS, SAVE_EVERY = 8, 4


class OddModel(torch.nn.Module):
    """A next-token model of 33 symbols whose tensor sizes are odd."""

    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Embedding(33, 15)
        self.up = torch.nn.Linear(15, 27)
        self.norm = torch.nn.LayerNorm(27)
        self.head = torch.nn.Linear(27, 33)

    def forward(self, tokens):
        logits = self.head(self.norm(self.up(self.embed(tokens[:, :-1])).relu()))
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())


def adamw_in_two_groups(model):
    decay = [p for p in model.parameters() if p.dim() >= 2]
    rest = [p for p in model.parameters() if p.dim() < 2]
    return torch.optim.AdamW([{"params": decay, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}], lr=1e-3)


def batch(step, rank):
    return torch.randint(0, 33, (4, 16), generator=torch.Generator().manual_seed(100 * step + rank))


def save_consolidated(out, step, tensors):
    (out / "consolidated").mkdir(parents=True, exist_ok=True)
    save_file({name: t.detach().float().contiguous().clone() for name, t in tensors.items()},
              out / "consolidated" / f"step-{step}.safetensors")


def make_dcp(out, sharded):
    import torch.distributed.checkpoint as dcp
    from torch.distributed.checkpoint.state_dict import (StateDictOptions, get_model_state_dict,
                                                         get_optimizer_state_dict)
    if sharded:
        from torch.distributed.fsdp import fully_shard
        dist.init_process_group("gloo")
    rank = dist.get_rank() if sharded else 0
    torch.manual_seed(0)
    model = OddModel()
    if sharded:
        fully_shard(model, mesh=torch.distributed.init_device_mesh("cpu", (2,)))
    optimizer = adamw_in_two_groups(model)
    for step in range(1, STEPS + 1):
        model(batch(step, rank)).backward()
        optimizer.step()
        optimizer.zero_grad()
        if step % SAVE_EVERY:
            continue
        for layout in ("nested", "flat"):
            options = StateDictOptions(flatten_optimizer_state_dict=layout == "flat")
            state = {"model": get_model_state_dict(model),
                     "optim": get_optimizer_state_dict(model, optimizer, options=options), "step": step}
            dcp.save(state, checkpoint_id=out / layout / f"step-{step}")
        full = StateDictOptions(full_state_dict=True)
        weights = get_model_state_dict(model, options=full)
        moments = get_optimizer_state_dict(model, optimizer, options=full)["state"]
        if rank == 0:
            tensors = {f"weights.{n}": t for n, t in weights.items()}
            tensors |= {f"{k}.{n}": s[k] for n, s in moments.items() for k in ("exp_avg", "exp_avg_sq")}
            save_consolidated(out, step, tensors)


def make_deepspeed(out, stage):
    import deepspeed
    from deepspeed.utils import safe_get_full_fp32_param, safe_get_full_optimizer_state
    deepspeed.init_distributed("gloo")
    torch.manual_seed(0)
    model = OddModel()
    config = {"train_micro_batch_size_per_gpu": 4, "zero_optimization": {"stage": stage},
              "bf16": {"enabled": stage != 2}, "zero_allow_untested_optimizer": True}
    engine, *_ = deepspeed.initialize(model=model, optimizer=adamw_in_two_groups(model), config=config)
    for step in range(1, STEPS + 1):
        loss = engine(batch(step, engine.global_rank))
        engine.backward(loss)
        engine.step()
        if step % SAVE_EVERY:
            continue
        engine.save_checkpoint(str(out))
        if stage < 3:  # DeepSpeed links the moments after the first group's step, when later groups have none yet
            engine.optimizer._hp_optimizer_states_linked = False
            engine.optimizer._lazy_init_hp_params_optimizer_state()
        tensors = {}
        for name, parameter in engine.module.named_parameters():
            tensors[f"weights.{name}"] = safe_get_full_fp32_param(parameter)
            for moment in ("exp_avg", "exp_avg_sq"):
                tensors[f"{moment}.{name}"] = safe_get_full_optimizer_state(parameter, moment)
        if engine.global_rank == 0:
            save_consolidated(out, step, tensors)


def main():
    kind, out = sys.argv[1], Path(sys.argv[2])
    torch.set_num_threads(1)
    if kind.startswith("dcp"):
        make_dcp(out, sharded=kind == "dcp-2ranks")
    else:
        make_deepspeed(out, stage=int(kind[-1]))
    if dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
