"""Tiny random decoders of every family, with the logits that transformers computes: golden data for tests/models/decoder.

    pip install torch transformers safetensors numpy
    python3 tests/golden/models/make_decoders.py

Writes FAMILY/{config.json, model.safetensors, expected.safetensors}; the whole is a few hundred kilobytes. Made with
torch 2.13.0 and transformers 5.24.0.

expected.safetensors:
  tokens [2, 12]           token ids of a batch without padding
  logits [2, 12, vocab]    from one forward pass (fp32, eager attention)
  padded_tokens [2, 12]    the second row has 5 padding tokens on the left
  padded_mask [2, 12]      1 for tokens, 0 for padding
  padded_logits [2, 12, vocab]  with positions that count from the first real token
  generated [1, 20]        greedy continuation of tokens[0, :4]
"""
import json
import pathlib

import torch
import transformers as tf
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent
VOCAB = 61


def llama(**more):
    base = dict(vocab_size=VOCAB, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
                num_key_value_heads=2, max_position_embeddings=64, bos_token_id=1, eos_token_id=2, pad_token_id=0)
    return {**base, **more}


ROPE3 = dict(rope_type="llama3", factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0,
             original_max_position_embeddings=16)
CONFIGS = {
    "gpt2": tf.GPT2Config(vocab_size=VOCAB, n_embd=32, n_layer=2, n_head=4, n_positions=64, bos_token_id=1,
                          eos_token_id=2, attn_pdrop=0.0, embd_pdrop=0.0, resid_pdrop=0.0),
    "gpt_neox": tf.GPTNeoXConfig(vocab_size=VOCAB, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
                                 num_attention_heads=2, max_position_embeddings=64, rotary_pct=0.25, bos_token_id=1,
                                 eos_token_id=2),
    "gpt_neox_serial": tf.GPTNeoXConfig(vocab_size=VOCAB, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
                                        num_attention_heads=2, max_position_embeddings=64, rotary_pct=0.5,
                                        use_parallel_residual=False, bos_token_id=1, eos_token_id=2),
    "opt": tf.OPTConfig(vocab_size=VOCAB, hidden_size=32, ffn_dim=48, num_hidden_layers=2, num_attention_heads=4,
                        max_position_embeddings=64, word_embed_proj_dim=32, bos_token_id=1, eos_token_id=2,
                        pad_token_id=0, dropout=0.0),
    "llama2": tf.LlamaConfig(**llama(num_key_value_heads=4, rms_norm_eps=1e-5)),
    "llama3": tf.LlamaConfig(**llama(rope_parameters=dict(rope_theta=500000.0, **ROPE3), tie_word_embeddings=True)),
    "llama_biased": tf.LlamaConfig(**llama(attention_bias=True, mlp_bias=True)),
    "mistral": tf.MistralConfig(**llama(sliding_window=5, head_dim=8)),
    "qwen2": tf.Qwen2Config(**llama(rope_theta=1000000.0, tie_word_embeddings=True)),
    "qwen3": tf.Qwen3Config(**llama(head_dim=16, rope_theta=1000000.0)),
    "gemma3": tf.Gemma3TextConfig(**llama(head_dim=16, sliding_window=4, num_hidden_layers=3, query_pre_attn_scalar=16,
                                          sliding_window_pattern=3,
                                          layer_types=["sliding_attention", "sliding_attention", "full_attention"])),
}


def randomise(model, generator):
    """Weights large enough that every part matters, norms and biases included."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if "norm" in name or "ln_" in name:
                parameter.add_(0.2 * noise)
            else:
                parameter.copy_(noise * (0.3 if parameter.dim() == 2 else 0.1))


def positions_of(mask):
    return (mask.cumsum(-1) - 1).clamp(min=0)


def main():
    for number, (name, config) in enumerate(CONFIGS.items()):
        generator = torch.Generator().manual_seed(number)
        config._attn_implementation = "eager"
        model = tf.AutoModelForCausalLM.from_config(config).float().eval()
        randomise(model, generator)
        folder = HERE / name
        model.save_pretrained(folder)
        for extra in folder.glob("generation_config.json"):
            extra.unlink()
        tokens = torch.randint(3, VOCAB, (2, 12), generator=generator)
        padded = tokens.clone()
        padded[1, :5] = 0
        mask = torch.ones_like(padded)
        mask[1, :5] = 0
        with torch.no_grad():
            arguments = dict(input_ids=padded, attention_mask=mask)
            if name != "opt":  # OPT derives its positions from the mask
                arguments["position_ids"] = positions_of(mask)
            expected = {
                "tokens": tokens,
                "logits": model(input_ids=tokens).logits,
                "padded_tokens": padded,
                "padded_mask": mask,
                "padded_logits": model(**arguments).logits,
            }
            row = tokens[:1, :4]
            for _ in range(16):
                row = torch.cat([row, model(input_ids=row).logits[:, -1:].argmax(-1)], 1)
            expected["generated"] = row
        save_file({key: value.contiguous() for key, value in expected.items()}, folder / "expected.safetensors")
        print(name, sum(p.numel() for p in model.parameters()), "parameters", expected["logits"].abs().max().item())


if __name__ == "__main__":
    main()
