"""Training steps of a Llama-like model in PyTorch on the CPU: tokens per second, the peer of bench/train/lm_step.

    python3 bench/peers/lm_step.py --precision fp32|bf16 --threads 2

Same shape, batch and optimizer as the C++ program; fused AdamW, scaled-dot-product attention, random tokens.
"""
import argparse
import json
import time

import torch
import transformers as tf


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--window", type=int, default=256)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    config = tf.LlamaConfig(vocab_size=8192, hidden_size=256, intermediate_size=704, num_hidden_layers=6,
                            num_attention_heads=8, num_key_value_heads=8, max_position_embeddings=512,
                            attn_implementation="sdpa", use_cache=False)
    model = tf.LlamaForCausalLM(config).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.1, betas=(0.9, 0.95), fused=True)
    tokens = torch.randint(0, 8192, (arguments.batch, arguments.window + 1))
    seconds = []
    for _ in range(arguments.steps):
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=arguments.precision == "bf16"):
            logits = model(tokens[:, :-1]).logits
        loss = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), tokens[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        seconds.append(time.perf_counter() - start)
    best = min(seconds[2:])
    print(json.dumps({"torch": torch.__version__, "precision": arguments.precision,
                      "tokens_per_second": arguments.batch * arguments.window / best}))


if __name__ == "__main__":
    main()
