"""Small tokenizers with the pipelines of real families, and what the tokenizers package makes of hard strings.

    pip install tokenizers
    python3 tests/golden/text/make_tokenizers.py

Writes FAMILY.json (a tokenizer.json) and FAMILY.expected.json: [{"text", "ids", "decoded"}, ...]. Made with tokenizers
0.23.3.
"""
import json
import pathlib

import tokenizers as tk
from hard_strings import HARD_STRINGS
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = pathlib.Path(__file__).parent
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")
SPECIAL = ["<unk>", "<s>", "</s>"]


def byte_level(split):
    tokenizer = tk.Tokenizer(models.BPE())
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=split is None)
    tokenizer.pre_tokenizer = level if split is None else pre_tokenizers.Sequence(
        [pre_tokenizers.Split(tk.Regex(split), "isolated"), level])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=SPECIAL, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    return tokenizer, trainer


def metaspace(normalizer):
    tokenizer = tk.Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizer
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    trainer = trainers.BpeTrainer(vocab_size=700, special_tokens=SPECIAL + [f"<0x{i:02X}>" for i in range(256)],
                                  show_progress=False, limit_alphabet=200, max_token_length=12)
    return tokenizer, trainer


def main():
    corpus = HARD_STRINGS + [pathlib.Path(__file__).read_text()] * 2 + [p.read_text() for p in HERE.glob("*.py")]
    families = {
        "gpt2": byte_level(None),
        "llama3": byte_level(LLAMA3),
        "llama2": metaspace(normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])),
        "gemma": metaspace(normalizers.Replace(" ", "\u2581")),
    }
    for name, (tokenizer, trainer) in families.items():
        tokenizer.train_from_iterator(corpus, trainer)
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
        tokenizer.save(str(HERE / f"{name}.json"), pretty=False)
        tokenizer = tk.Tokenizer.from_file(str(HERE / f"{name}.json"))
        rows = []
        for text in HARD_STRINGS:
            ids = tokenizer.encode(text).ids
            rows.append({"text": text, "ids": ids, "decoded": tokenizer.decode(ids)})
        (HERE / f"{name}.expected.json").write_text(json.dumps(rows, ensure_ascii=True))


if __name__ == "__main__":
    main()
