#!/usr/bin/env python3
"""Trains a small GPT-NeoX with transformers.Trainer: ordinary checkpoints made by others' software.

    train_neox.py --seed 1 --out RUN                    RUN/checkpoint-250 ... RUN/checkpoint-1500
    train_neox.py --resume-from RUN/checkpoint-1000 --out MORE
    train_neox.py --eval-only RUN/checkpoint-1000

Model: GPTNeoXForCausalLM over bytes. Optimizer: torch AdamW as Trainer builds
it (two groups: decay and no decay), betas 0.9 / 0.999 unless --beta2 is given,
lr 1e-3 with 100 warm-up steps and cosine decay to 0, weight decay 0.1, gradient
norm clipped to 1. Batches depend on (seed, step) alone. Dropout is off.

Every line on stdout is a JSON object; progress and logs go to stderr. The loss
of every step is also written to OUT/losses.jsonl at full precision.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

# Threads that wait asleep instead of spinning: much faster where other programs share the cores. Same arithmetic.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
import transformers
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, Trainer, TrainingArguments

import corpus

DATASET_STEPS = 100_000  # nominal length of one epoch; max_steps ends the run earlier
VALIDATION_WINDOWS = 512


def parse_args(argv=None):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", type=Path, help="run folder (required unless --eval-only)")
    p.add_argument("--seed", type=int, default=1, help="initial weights and batches")
    p.add_argument("--steps", type=int, default=1500)
    p.add_argument("--stop-at", type=int, help="stop here although the schedule is made for --steps")
    p.add_argument("--save-every", type=int, default=250, help="0: write no checkpoint")
    p.add_argument("--resume-from", type=Path, metavar="CHECKPOINT")
    p.add_argument("--weights-only-resume", choices=["fresh", "zeroed"], nargs="?", const="fresh",
                   help="with --resume-from: drop both moments but keep scheduler and step; "
                        "'fresh' restarts Adam's bias correction, 'zeroed' keeps its step count")
    p.add_argument("--eval-only", type=Path, metavar="CHECKPOINT")
    p.add_argument("--layers", type=int, default=4)
    p.add_argument("--width", type=int, default=128)
    p.add_argument("--heads", type=int, default=4)
    p.add_argument("--context", type=int, default=128)
    p.add_argument("--batch", type=int, default=16)
    p.add_argument("--lr", type=float, default=1e-3)
    p.add_argument("--beta2", type=float, default=0.999)
    p.add_argument("--weight-decay", type=float, default=0.1)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--quiet", action="store_true", help="no progress bar")
    args = p.parse_args(argv)
    if (args.out is None) == (args.eval_only is None):
        p.error("give exactly one of --out and --eval-only")
    if args.weights_only_resume and not args.resume_from:
        p.error("--weights-only-resume needs --resume-from")
    return args


def starting_model(args):
    """Returns the checkpoint's model, or a new one with weights that depend on args.seed alone.

    Trainer's own resume does not apply transformers' weight renaming (the head
    is `embed_out` in files and `lm_head` in memory since 5.x, see issue 43701),
    so it would leave the head at its initial values. from_pretrained renames.
    """
    transformers.set_seed(args.seed)
    if args.resume_from:
        return GPTNeoXForCausalLM.from_pretrained(args.resume_from)
    return GPTNeoXForCausalLM(GPTNeoXConfig(
        vocab_size=corpus.VOCAB_SIZE, hidden_size=args.width, num_hidden_layers=args.layers,
        num_attention_heads=args.heads, intermediate_size=4 * args.width,
        max_position_embeddings=args.context, bos_token_id=0, eos_token_id=0, use_cache=False))


@torch.no_grad()
def validation_loss(model, data, context, batch=64):
    """Mean next-byte cross entropy in nats over fixed windows, summed in double."""
    model.eval()
    windows = corpus.validation_windows(data, context, VALIDATION_WINDOWS)
    total = 0.0
    for part in windows.split(batch):
        total += model(input_ids=part, labels=part).loss.item() * len(part)
    model.train()
    return total / len(windows)


class SequentialTrainer(Trainer):
    """Trainer that reads the data set in order and keeps the exact loss of every step."""

    losses = None

    def _get_train_sampler(self, *args, **kwargs):
        return torch.utils.data.SequentialSampler(self.train_dataset)

    def compute_loss(self, model, inputs, *args, **kwargs):
        loss = super().compute_loss(model, inputs, *args, **kwargs)
        value = loss[0] if isinstance(loss, tuple) else loss
        self.losses.append((self.state.global_step + 1, value.item()))
        return loss


class StopAt(transformers.TrainerCallback):
    def __init__(self, step):
        self.step = step

    def on_step_end(self, args, state, control, **kwargs):
        control.should_training_stop |= state.global_step >= self.step


def drop_moments(checkpoint, folder, how):
    """Links `checkpoint` into `folder` with an optimizer.pt whose moments are gone or zero."""
    for path in checkpoint.iterdir():
        if path.name != "optimizer.pt":
            os.symlink(path.resolve(), folder / path.name)
    optimizer = torch.load(checkpoint / "optimizer.pt", weights_only=True)
    if how == "fresh":
        optimizer["state"] = {}
    else:
        for state in optimizer["state"].values():
            state["exp_avg"].zero_()
            state["exp_avg_sq"].zero_()
    torch.save(optimizer, folder / "optimizer.pt")
    return folder


def training_arguments(args):
    return TrainingArguments(
        output_dir=str(args.out), max_steps=args.steps, per_device_train_batch_size=args.batch,
        learning_rate=args.lr, lr_scheduler_type="cosine", warmup_steps=min(100, args.steps // 10),
        adam_beta1=0.9, adam_beta2=args.beta2, weight_decay=args.weight_decay, max_grad_norm=1.0,
        save_strategy="steps" if args.save_every else "no", save_steps=args.save_every or 500,
        logging_steps=50, report_to=[], seed=args.seed, use_cpu=True,
        dataloader_num_workers=0, disable_tqdm=args.quiet)


def write_run_description(args):
    """OUT/run.json: every option, so that a run can be continued with the same ones."""
    options = {k: v for k, v in vars(args).items() if isinstance(v, (int, float)) and not isinstance(v, bool)}
    (args.out / "run.json").write_text(json.dumps(options, indent=2) + "\n")


def emit(**result):
    print(json.dumps(result), file=sys.__stdout__, flush=True)


def train(args):
    train_data, validation_data = corpus.load_corpus()
    emit(event="start", seed=args.seed, steps=args.steps, beta2=args.beta2, lr=args.lr,
         torch=torch.__version__, transformers=transformers.__version__,
         train_bytes=len(train_data), train_sha256=corpus.sha256(train_data),
         validation_bytes=len(validation_data), validation_sha256=corpus.sha256(validation_data))
    model = starting_model(args)
    dataset = corpus.WindowDataset(train_data, args.context, args.seed, DATASET_STEPS * args.batch)
    stop = [StopAt(args.stop_at)] if args.stop_at else []
    trainer = SequentialTrainer(model=model, args=training_arguments(args), train_dataset=dataset, callbacks=stop)
    trainer.losses = []

    scratch = tempfile.TemporaryDirectory()
    resume = args.resume_from
    if args.weights_only_resume:
        resume = drop_moments(resume, Path(scratch.name), args.weights_only_resume)
    begin = time.monotonic()
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    seconds = time.monotonic() - begin
    scratch.cleanup()

    with open(args.out / "losses.jsonl", "w") as f:
        for step, loss in trainer.losses:
            f.write(json.dumps({"step": step, "loss": loss}) + "\n")
    emit(event="done", seed=args.seed, step=trainer.state.global_step,
         parameters=sum(p.numel() for p in model.parameters()), seconds=round(seconds, 1),
         first_losses=[loss for _, loss in trainer.losses[:10]],
         validation_loss=validation_loss(model, validation_data, args.context))


def evaluate(args):
    _, validation_data = corpus.load_corpus()
    model = GPTNeoXForCausalLM.from_pretrained(args.eval_only)
    state = json.loads((args.eval_only / "trainer_state.json").read_text())
    emit(event="eval", checkpoint=str(args.eval_only), step=state["global_step"],
         validation_loss=validation_loss(model, validation_data, model.config.max_position_embeddings))


def main():
    args = parse_args()
    sys.stdout = sys.stderr  # stdout carries results only
    torch.set_num_threads(args.threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    if args.eval_only:
        evaluate(args)
    else:
        args.out.mkdir(parents=True, exist_ok=True)
        write_run_description(args)
        train(args)


if __name__ == "__main__":
    main()
