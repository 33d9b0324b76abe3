"""The tiny decoders of make_decoders.py as GGUF files (F32), as llama.cpp's converter lays them out.

    pip install torch gguf safetensors numpy
    python3 tests/golden/models/make_gguf.py

Writes model.gguf into the folders llama2, qwen2, qwen3; the logits to compare with are in expected.safetensors. Gemma 3
is checked with a real file (docs/models.md): its layer pattern is fixed at six in GGUF.
"""
import json
import pathlib

import gguf
from safetensors.numpy import load_file

HERE = pathlib.Path(__file__).parent
NAMES = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
         "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
         "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate",
         "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}


def gguf_name(name):
    plain = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
             "lm_head.weight": "output.weight"}
    if name in plain:
        return plain[name]
    _, _, layer, rest = name.split(".", 3)
    part, kind = rest.rsplit(".", 1)
    return f"blk.{layer}.{NAMES[part]}.{kind}"


def interleaved(weight, heads):
    shape = weight.shape
    return weight.reshape(heads, 2, shape[0] // heads // 2, *shape[1:]).swapaxes(1, 2).reshape(shape)


def main():
    for folder, architecture in [("llama2", "llama"), ("qwen2", "qwen2"), ("qwen3", "qwen3")]:
        config = json.loads((HERE / folder / "config.json").read_text())
        writer = gguf.GGUFWriter(HERE / folder / "model.gguf", architecture)
        heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
        writer.add_context_length(config["max_position_embeddings"])
        writer.add_embedding_length(config["hidden_size"])
        writer.add_block_count(config["num_hidden_layers"])
        writer.add_feed_forward_length(config["intermediate_size"])
        writer.add_head_count(heads)
        writer.add_head_count_kv(kv_heads)
        writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
        writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
        head_dim = config.get("head_dim") or config["hidden_size"] // heads
        writer.add_key_length(head_dim)
        for name, weight in load_file(HERE / folder / "model.safetensors").items():
            if architecture == "llama" and ("q_proj" in name or "k_proj" in name):
                weight = interleaved(weight, heads if "q_proj" in name else kv_heads)
            writer.add_tensor(gguf_name(name), weight)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


if __name__ == "__main__":
    main()
