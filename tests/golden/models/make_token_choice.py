"""What transformers leaves of a row of logits: golden data for tests/models/decoder/token_choice_test.cc.

    pip install torch transformers
    python3 tests/golden/models/make_token_choice.py

Writes token_choice.json: cases of settings with the tokens that stay and their probabilities. Made with torch 2.13.0 and
transformers 5.24.0.
"""
import json
import pathlib

import torch
from transformers import GenerationConfig, GenerationMixin, PretrainedConfig

VOCAB = 97
SETTINGS = [
    {"temperature": 1.0},
    {"temperature": 0.7},
    {"temperature": 1.9, "repetition_penalty": 1.3},
    {"temperature": 1.0, "top_k": 5},
    {"temperature": 0.5, "top_k": 200},
    {"temperature": 1.0, "top_p": 0.9},
    {"temperature": 1.6, "top_p": 0.999},
    {"temperature": 1.0, "top_p": 0.01},
    {"temperature": 1.0, "min_p": 0.05},
    {"temperature": 0.8, "min_p": 1.0},
    {"temperature": 0.8, "top_k": 20, "top_p": 0.8},
    {"temperature": 1.4, "top_p": 0.95, "min_p": 0.02},
    {"temperature": 1.2, "top_k": 30, "top_p": 0.9, "min_p": 0.1, "repetition_penalty": 1.5},
    {"temperature": 2.5, "top_k": 60, "top_p": 0.97, "min_p": 0.01, "repetition_penalty": 0.8},
]


class Bare(GenerationMixin):
    """The order of the processors is that of generate(), without a model."""

    def __init__(self):
        self.generation_config, self.config = GenerationConfig(), PretrainedConfig()


def processors(settings):
    config = GenerationConfig(do_sample=True, **{"top_k": 0, **settings})
    return Bare()._get_logits_processor(generation_config=config, input_ids_seq_length=1, device="cpu")


def main():
    generator = torch.Generator().manual_seed(5)
    cases = []
    for settings in SETTINGS:
        for spread in (1.0, 4.0):
            logits = (torch.randn(1, VOCAB, generator=generator) * spread * 1024).round() / 1024
            seen = torch.randperm(VOCAB, generator=generator)[:12]
            left = processors(settings)(seen.unsqueeze(0), logits.clone())
            probabilities = torch.softmax(left.double(), -1)[0]
            kept = torch.nonzero(probabilities).flatten().tolist()
            cases.append({"settings": settings, "seen": seen.tolist(),
                          "logits": logits[0].tolist(), "tokens": kept,
                          "probabilities": [float(f"{probabilities[i]:.6g}") for i in kept]})
    path = pathlib.Path(__file__).parent / "token_choice.json"
    path.write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")
    print(len(cases), "cases", path.stat().st_size, "bytes", [len(case["tokens"]) for case in cases])


if __name__ == "__main__":
    main()
