#!/usr/bin/env python3
"""Writes small checkpoints of every kind that users bring, and what PyTorch reads from them.

    make_variants.py OUT [--only NAME ...]

One folder per kind below OUT, each with an expected.json (see expectations.py):

    run-tiny       Trainer, AdamW, 50 steps, saved every 10 steps
    run-sharded    the same weights in several safetensors shards with an index
    run-bin        the same weights as pytorch_model.bin; the last step as .bin shards with an index
    run-bf16       the same weights rounded to bfloat16, fp32 moments
    run-bf16-all   trained in bfloat16: weights and moments
    run-sgd        SGD with momentum          run-amsgrad   AdamW with amsgrad
    run-adafactor  Adafactor                  run-named     AdamW given named_parameters (param_names)
    run-tied       tied embeddings            run-frozen    embedding without gradient and optimizer state
    run-accelerate accelerate's save_state    legacy        files in torch.save's format before the zip
    odd            views, transposed and shared storages, empty and 0-d tensors, every dtype
    dcp            torch.distributed.checkpoint, one process: nested and flattened optimizer state
    dcp-2ranks     the same from two processes with FSDP-sharded parameters
    deepspeed-z1 / deepspeed-z2 / deepspeed-z3   DeepSpeed ZeRO, two ranks
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

import corpus
import expectations
import train_neox

HERE = Path(__file__).parent
TINY = ["--layers", "2", "--width", "64", "--context", "64", "--batch", "8", "--steps", "50", "--save-every", "10"]


def adamw(params, **options):
    return torch.optim.AdamW(params, lr=1e-3, weight_decay=0.1, **options)


def tiny_run(out, make_optimizer, tied=False, dtype=None, frozen=()):
    """Trains the tiny model through Trainer with an optimizer of the caller's; width 32, 30 steps."""
    args = train_neox.parse_args([*TINY, "--quiet", "--steps", "30", "--out", str(out)])
    torch.manual_seed(args.seed)
    model = GPTNeoXForCausalLM(GPTNeoXConfig(
        vocab_size=256, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=128,
        max_position_embeddings=args.context, bos_token_id=0, eos_token_id=0, use_cache=False,
        tie_word_embeddings=tied)).to(dtype or torch.float32)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name not in frozen)
    dataset = corpus.WindowDataset(corpus.load_corpus()[0], args.context, args.seed, 10_000)
    trainer = train_neox.SequentialTrainer(model=model, args=train_neox.training_arguments(args), train_dataset=dataset,
                                           optimizers=(make_optimizer(model), None))
    trainer.losses = []
    trainer.train()


def run_tiny(out):
    subprocess.run([sys.executable, HERE / "train_neox.py", "--quiet", *TINY, "--out", out],
                   check=True, stdout=subprocess.DEVNULL)


def rewrite_tiny(out, rewrite):
    """Copies run-tiny's checkpoints without the weights and calls rewrite(source, target) for each."""
    for source in sorted((out.parent / "run-tiny").glob("checkpoint-*")):
        target = out / source.name
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("model.safetensors"))
        rewrite(source, target)


def run_sharded(out):
    rewrite_tiny(out, lambda source, target:
                 GPTNeoXForCausalLM.from_pretrained(source).save_pretrained(target, max_shard_size="100KB"))


def run_bin(out):
    def rewrite(source, target):
        weights = load_file(source / "model.safetensors")
        if target.name != "checkpoint-50":
            torch.save(weights, target / "pytorch_model.bin")
            return
        names, shards = list(weights), 3
        weight_map = {}
        for i in range(shards):
            part = {n: weights[n] for n in names[i::shards]}
            file = f"pytorch_model-{i + 1:05d}-of-{shards:05d}.bin"
            torch.save(part, target / file)
            weight_map.update(dict.fromkeys(part, file))
        total = sum(w.nbytes for w in weights.values())
        index = {"metadata": {"total_size": total}, "weight_map": weight_map}
        (target / "pytorch_model.bin.index.json").write_text(json.dumps(index, indent=2) + "\n")
    rewrite_tiny(out, rewrite)


def run_bf16(out):
    rewrite_tiny(out, lambda source, target:
                 GPTNeoXForCausalLM.from_pretrained(source, dtype=torch.bfloat16).save_pretrained(target))


def run_accelerate(out):
    from accelerate import Accelerator
    model = GPTNeoXForCausalLM.from_pretrained(out.parent / "run-tiny" / "checkpoint-10")
    accelerator = Accelerator(cpu=True)
    optimizer = adamw(model.parameters())
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer)
    model, optimizer, schedule = accelerator.prepare(model, optimizer, schedule)
    windows = corpus.WindowDataset(corpus.load_corpus()[0], 64, 1, 1000)
    for step in range(1, 5):
        batch = torch.stack([windows[8 * step + i]["input_ids"] for i in range(8)])
        accelerator.backward(model(input_ids=batch, labels=batch).loss)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % 2 == 0:
            accelerator.save_state(str(out / f"step_{step}"))


def legacy(out):
    """The tiny run's optimizer and weights in the format before the zip, and old views into one storage."""
    out.mkdir()
    source = out.parent / "run-tiny" / "checkpoint-50"
    optimizer = torch.load(source / "optimizer.pt", weights_only=True)
    weights = load_file(source / "model.safetensors")
    shared = torch.arange(24, dtype=torch.float32)
    views = {"base": shared.view(4, 6), "transposed": shared.view(4, 6).t(), "tail": shared[20:]}
    for name, value in (("optimizer.pt", optimizer), ("weights.pt", weights), ("views.pt", views)):
        torch.save(value, out / name, _use_new_zipfile_serialization=False)


def odd(out):
    out.mkdir()
    generator = torch.Generator().manual_seed(1)
    base = torch.randn(6, 10, generator=generator)
    dtypes = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16,
              torch.int8, torch.uint8, torch.bool, torch.float8_e4m3fn, torch.float8_e5m2, torch.uint16,
              torch.complex64]
    torch.save({"whole": base, "column": base[:, 3], "transposed": base.t(), "tail": base.view(-1)[37:],
                "again": base, "parameter": torch.nn.Parameter(base.clone()), "scalar": torch.tensor(2.5),
                "empty": torch.empty(0, 7), "negative": -base, "expanded": torch.tensor([3.0]).expand(5)},
               out / "views.pt")
    torch.save({str(d).removeprefix("torch."): (base[0] * 3).abs().to(d) for d in dtypes}, out / "dtypes.pt")
    torch.save({f"key{i}": torch.tensor([float(i)]) for i in range(2500)}, out / "many-keys.pt")
    module = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.BatchNorm1d(5))
    torch.save(module.state_dict(), out / "state_dict_with_metadata.pt")


def distributed(kind):
    def make(out):
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu"}
        processes = "1" if kind == "dcp" else "2"
        subprocess.run([sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", processes,
                        HERE / "make_distributed.py", kind, out], check=True, env=environment)
    return make


def no_decay_named(model):
    decay = [(n, p) for n, p in model.named_parameters() if p.dim() >= 2]
    rest = [(n, p) for n, p in model.named_parameters() if p.dim() < 2]
    return adamw([{"params": decay}, {"params": rest, "weight_decay": 0.0}])


VARIANTS = {
    "run-tiny": run_tiny,
    "run-sharded": run_sharded,
    "run-bin": run_bin,
    "run-bf16": run_bf16,
    "run-bf16-all": lambda out: tiny_run(out, lambda m: adamw(m.parameters()), dtype=torch.bfloat16),
    "run-sgd": lambda out: tiny_run(out, lambda m: torch.optim.SGD(m.parameters(), lr=0.05, momentum=0.9)),
    "run-amsgrad": lambda out: tiny_run(out, lambda m: adamw(m.parameters(), amsgrad=True)),
    "run-adafactor": lambda out: tiny_run(out, lambda m: torch.optim.Adafactor(m.parameters())),
    "run-named": lambda out: tiny_run(out, no_decay_named),
    "run-tied": lambda out: tiny_run(out, lambda m: adamw(m.parameters()), tied=True),
    "run-frozen": lambda out: tiny_run(out, lambda m: adamw(m.parameters()), frozen=("gpt_neox.embed_in.weight",)),
    "run-accelerate": run_accelerate,
    "legacy": legacy,
    "odd": odd,
    "dcp": distributed("dcp"),
    "dcp-2ranks": distributed("dcp-2ranks"),
    "deepspeed-z1": distributed("deepspeed-z1"),
    "deepspeed-z2": distributed("deepspeed-z2"),
    "deepspeed-z3": distributed("deepspeed-z3"),
}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("out", type=Path)
    p.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    args = p.parse_args()
    torch.set_num_threads(1)
    for name in args.only:
        print(name, file=sys.stderr, flush=True)
        out = (args.out / name).resolve()
        shutil.rmtree(out, ignore_errors=True)
        VARIANTS[name](out)
        expectations.write_expectations(out, out / "expected.json")


if __name__ == "__main__":
    main()
