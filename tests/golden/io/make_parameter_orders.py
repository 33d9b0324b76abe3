#!/usr/bin/env python3
"""Writes parameter_orders.json: in which order transformers' models hand their parameters to an optimizer.

For every architecture a tiny model is built whose parameters are filled with distinct constants, saved with
save_pretrained, and its optimizer is built by transformers.Trainer. The constants tell which tensor of the file is
which parameter, whatever it is called in memory. Per model:
  model_type  as in config.json
  tensors     [name in the file, shape], in file order
  module      the order of model.parameters(), as places in `tensors`
  decay, rest the two groups of Trainer's AdamW

    python3 make_parameter_orders.py    (made with torch 2.13, transformers 5.24)
"""

import json
import tempfile
from pathlib import Path

import torch
import transformers as tf
from safetensors.torch import load_file

SMALL = dict(hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16, vocab_size=32)
DECODER = dict(SMALL, num_key_value_heads=1)
BERT = dict(SMALL, max_position_embeddings=16)
IMAGE = dict(hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16, image_size=8,
             patch_size=4)
OPT = dict(hidden_size=8, num_hidden_layers=2, num_attention_heads=2, ffn_dim=16, vocab_size=32,
           max_position_embeddings=16)


def models():
    yield tf.GPTNeoXForCausalLM(tf.GPTNeoXConfig(**SMALL, max_position_embeddings=16))
    yield tf.GPT2LMHeadModel(tf.GPT2Config(n_embd=8, n_layer=12, n_head=2, vocab_size=32, n_positions=16))
    yield tf.LlamaForCausalLM(tf.LlamaConfig(**DECODER))
    yield tf.LlamaForCausalLM(tf.LlamaConfig(**DECODER, tie_word_embeddings=True, attention_bias=True, mlp_bias=True))
    yield tf.MistralForCausalLM(tf.MistralConfig(**DECODER))
    yield tf.Qwen2ForCausalLM(tf.Qwen2Config(**DECODER))
    yield tf.Qwen3ForCausalLM(tf.Qwen3Config(**DECODER, head_dim=4))
    yield tf.GemmaForCausalLM(tf.GemmaConfig(**DECODER, head_dim=4))
    yield tf.Gemma2ForCausalLM(tf.Gemma2Config(**DECODER, head_dim=4))
    yield tf.Gemma3ForCausalLM(tf.Gemma3TextConfig(**DECODER, head_dim=4))
    vision = dict(IMAGE, image_size=16)
    yield tf.Gemma3ForConditionalGeneration(tf.Gemma3Config(
        text_config=dict(DECODER, head_dim=4), vision_config=vision, mm_tokens_per_image=4))
    yield tf.Olmo2ForCausalLM(tf.Olmo2Config(**DECODER))
    yield tf.GraniteForCausalLM(tf.GraniteConfig(**DECODER))
    yield tf.SmolLM3ForCausalLM(tf.SmolLM3Config(**DECODER, pad_token_id=0))
    yield tf.Phi3ForCausalLM(tf.Phi3Config(**DECODER, pad_token_id=0))
    yield tf.ViTForImageClassification(tf.ViTConfig(**IMAGE, num_labels=3))
    yield tf.ViTModel(tf.ViTConfig(**IMAGE), use_mask_token=True)
    yield tf.DeiTForImageClassificationWithTeacher(tf.DeiTConfig(**IMAGE, num_labels=3))
    yield tf.BertForMaskedLM(tf.BertConfig(**BERT))
    yield tf.BertForSequenceClassification(tf.BertConfig(**BERT))
    yield tf.BertForPreTraining(tf.BertConfig(**BERT))
    yield tf.RobertaForMaskedLM(tf.RobertaConfig(**BERT))
    yield tf.OPTForCausalLM(tf.OPTConfig(**OPT, word_embed_proj_dim=8))
    yield tf.OPTForCausalLM(tf.OPTConfig(**OPT, word_embed_proj_dim=4, do_layer_norm_before=False))


def describe(model):
    number = {}
    with torch.no_grad():
        for i, p in enumerate(model.parameters()):
            p.fill_(i + 1)
            number[id(p)] = i + 1
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        tensors = load_file(Path(folder) / "model.safetensors")
        arguments = tf.TrainingArguments(output_dir=folder, report_to=[], use_cpu=True)
        groups = tf.Trainer(model=model, args=arguments).create_optimizer().param_groups
    name = {}
    for key, tensor in tensors.items():
        assert tensor.numel() and (tensor == tensor.flatten()[0]).all(), key  # the file keeps tensors whole
        name[int(tensor.flatten()[0])] = key
    position = {key: i for i, key in enumerate(tensors)}
    return {
        "class": type(model).__name__,
        "model_type": model.config.model_type,
        "tensors": [[key, list(tensor.shape)] for key, tensor in tensors.items()],
        "module": [position[name[number[id(p)]]] for p in model.parameters()],
        "decay": [position[name[number[id(p)]]] for p in groups[0]["params"]],
        "rest": [position[name[number[id(p)]]] for p in groups[1]["params"]],
    }


def main():
    lines = [json.dumps(describe(model), separators=(",", ":")) for model in models()]
    out = Path(__file__).with_name("parameter_orders.json")
    out.write_text("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main()
