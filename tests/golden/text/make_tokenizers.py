#!/usr/bin/env python3
"""Makes the golden files of tests/text: small tokenizers of every family with what the reference software answers.

usage: make_tokenizers.py            (needs tokenizers 0.23 and sentencepiece 0.2)

For each family: <family>.json or .model, a vocabulary of some hundred entries with the family's exact pipeline, and
expected/<family>.json: the ids of every text of hard_strings.py and what those ids decode to.
"""
import io
import json
import pathlib

import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from hard_strings import HARD_STRINGS

HERE = pathlib.Path(__file__).resolve().parent

_PROSE = """It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness,
it was the epoch of belief, it was the epoch of incredulity, it was the season of Light, it was the season of Darkness.
The quick brown fox jumps over the lazy dog. Don't you think that we've seen this before? I'm sure they'll say it's fine.
def train(model, data):\n    for step, batch in enumerate(data):\n        loss = model(batch)\n        loss.backward()\n
for (int i = 0; i < n; ++i) {\n\tsum += a[i] * b[i];\n}\n In 1984, 12345 people and 67 dogs walked 3.14159 miles.
Hello world! Hello, World? HELLO WORLD. user@example.org https://example.com/path?q=1&r=2
"""
_OTHERS = """Привет, мир! Как дела? Это было лучшее время. 你好，世界！这是一个测试。我们在这里学习语言模型。 こんにちは世界。
これはテストです。 안녕하세요 세계. مرحبا بالعالم. שלום עולם. नमस्ते दुनिया. Γειά σου Κόσμε. café naïve Straße Łódź
😀😀 👍🏽 👨‍👩‍👧‍👦 ❤️ — “quoted” … € ± × ∀x∈A
"""
CORPUS = [line + "\n" for line in (_PROSE * 4 + _OTHERS * 3).split("\n")] + [_PROSE, _OTHERS]

_LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
           r"|\s+(?!\S)|\s+")
_QWEN2 = _LLAMA3.replace("{1,3}", "")
_NEMO = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
         r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
         r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
_DEEPSEEK = [r"\p{N}{1,3}", "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
             r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
             r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"]


def special(*contents, **flags):
    return [AddedToken(content, special=True, normalized=False, **flags) for content in contents]


def byte_level(splits, use_regex=False, add_prefix_space=False):
    last = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space, use_regex=use_regex)
    steps = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in splits]
    return pre_tokenizers.Sequence([*steps, last]) if steps else last


def train_byte_level(pre_tokenizer, tokens, size=600, normalizer=None, ignore_merges=False, first=True):
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=size, show_progress=False, special_tokens=tokens if first else [],
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(CORPUS, trainer)
    if not first:
        tokenizer.add_special_tokens(tokens)
    return tokenizer


def template(tokenizer, before=(), after=()):
    ids = [(token, tokenizer.token_to_id(token)) for token in {*before, *after}]
    return processors.TemplateProcessing(single=[*before, "$A", *after], special_tokens=ids)


def gpt2():
    tokenizer = train_byte_level(byte_level([], use_regex=True), special("<|endoftext|>"), first=False)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer


def neox():
    tokenizer = train_byte_level(byte_level([], use_regex=True), special("<|endoftext|>", "<|padding|>"),
                                 normalizer=normalizers.NFC())
    tokenizer.add_tokens([AddedToken(" " * count, normalized=True) for count in range(24, 1, -1)])
    return tokenizer


def opt():
    tokenizer = train_byte_level(byte_level([], use_regex=True), special("<s>", "<pad>", "</s>", "<unk>"))
    tokenizer.post_processor = template(tokenizer, before=["</s>"])
    return tokenizer


def roberta():
    tokens = special("<s>", "<pad>", "</s>", "<unk>") + special("<mask>", lstrip=True)
    tokenizer = train_byte_level(byte_level([], use_regex=True, add_prefix_space=True), tokens)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return tokenizer


def llama3():
    tokens = special("<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>")
    tokenizer = train_byte_level(byte_level([_LLAMA3]), tokens, ignore_merges=True, first=False)
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False),
                                                    template(tokenizer, before=["<|begin_of_text|>"])])
    return tokenizer


def qwen2():
    tokenizer = train_byte_level(byte_level([_QWEN2]), special("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
                                 normalizer=normalizers.NFC(), first=False)
    tokenizer.add_tokens([AddedToken("<tool_call>", normalized=False), AddedToken("word", single_word=True)])
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer


def deepseek():
    tokenizer = train_byte_level(byte_level(_DEEPSEEK), special("<\uff5cbegin\u2581of\u2581sentence\uff5c>"),
                                 normalizer=normalizers.Sequence([]), first=False)
    tokenizer.add_special_tokens([AddedToken("<mask>", special=True, normalized=True, rstrip=True)])
    return tokenizer


def nemo():
    tokenizer = train_byte_level(byte_level([_NEMO]), special("<unk>", "<s>", "</s>", "[INST]", "[/INST]"),
                                 ignore_merges=True)
    tokenizer.post_processor = template(tokenizer, before=["<s>"])
    return tokenizer


def train_metaspace(normalizer, pre_tokenizer, tokens, fuse_unk=True, size=700):
    """A vocabulary with byte tokens, as converters make it from SentencePiece models."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=fuse_unk, byte_fallback=True))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    if pre_tokenizer is not None:
        tokenizer.pre_tokenizer = pre_tokenizer
    learner = Tokenizer(models.BPE(unk_token="<unk>"))
    learner.normalizer = normalizers.Replace(" ", "\u2581")
    learner.pre_tokenizer = pre_tokenizers.Split("\u2581", "merged_with_next")
    byte_tokens = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=size, show_progress=False, limit_alphabet=150,
                                  special_tokens=[token.content for token in tokens] + byte_tokens)
    learner.train_from_iterator(CORPUS, trainer)
    data = json.loads(tokenizer.to_str())
    learned = json.loads(learner.to_str())["model"]
    data["model"]["vocab"] = learned["vocab"]
    data["model"]["merges"] = learned["merges"]
    tokenizer = Tokenizer.from_str(json.dumps(data))
    tokenizer.add_special_tokens(tokens)
    return tokenizer


def llama2():
    normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    tokenizer = train_metaspace(normalizer, None, special("<unk>", "<s>", "</s>"))
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(),
                                           decoders.Strip(" ", 1, 0)])
    tokenizer.post_processor = template(tokenizer, before=["<s>"])
    return tokenizer


def mistral():
    tokenizer = train_metaspace(None, pre_tokenizers.Metaspace("\u2581", prepend_scheme="first", split=False),
                                special("<unk>", "<s>", "</s>", "[INST]"))
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(),
                                           decoders.Strip(" ", 1, 0)])
    tokenizer.post_processor = template(tokenizer, before=["<s>"])
    return tokenizer


def metaspace():
    tokenizer = train_metaspace(None, pre_tokenizers.Metaspace(), special("<unk>", "<s>", "</s>"), fuse_unk=False)
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = template(tokenizer, before=["<s>"], after=["</s>"])
    data = json.loads(tokenizer.to_str())
    data["model"]["byte_fallback"] = False
    return Tokenizer.from_str(json.dumps(data))


def gemma():
    tokenizer = train_metaspace(normalizers.Replace(" ", "\u2581"), pre_tokenizers.Split(" ", "merged_with_previous"),
                                special("<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"))
    tokenizer.add_tokens([AddedToken("\n" * count, normalized=False) for count in range(2, 20)])
    tokenizer.add_tokens([AddedToken("\u2581" * count, normalized=False) for count in range(2, 20)])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.post_processor = template(tokenizer, before=["<bos>"])
    return tokenizer


def unigram():
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " "),
                                                 normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=500, unk_token="<unk>", show_progress=False,
                                      special_tokens=["<pad>", "</s>", "<unk>"])
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = template(tokenizer, after=["</s>"])
    data = json.loads(tokenizer.to_str())
    for entry in data["model"]["vocab"]:  # so short that every parser reads the same number
        entry[1] = round(entry[1], 6)
    return Tokenizer.from_str(json.dumps(data))


def mixture():
    """Components that the families do not use, one after the other."""
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]", end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents(), normalizers.Strip(),
                                                 normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("contiguous"), pre_tokenizers.Digits(True),
        pre_tokenizers.Split(Regex(r"[aeiou]\w"), "merged_with_next"), pre_tokenizers.Split("-", "removed"),
        pre_tokenizers.Split(Regex(r"\p{L}+"), "isolated", invert=True)])
    trainer = trainers.BpeTrainer(vocab_size=400, show_progress=False, special_tokens=["[UNK]", "<s>"],
                                  end_of_word_suffix="</w>", limit_alphabet=100)
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.decoder = decoders.Sequence([decoders.Replace(Regex("</w>$"), " "), decoders.Strip(" ", 1, 1)])
    tokenizer.post_processor = processors.BertProcessing(("<s>", 1), ("<s>", 1))
    return tokenizer


def whitespace():
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]", continuing_subword_prefix="##", fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(vocab_size=400, show_progress=False, special_tokens=["[UNK]"],
                                  continuing_subword_prefix="##", limit_alphabet=80)
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


FAMILIES = [gpt2, neox, opt, roberta, llama3, qwen2, deepseek, nemo, llama2, mistral, metaspace, gemma, unigram, mixture,
            whitespace]


def write_expected(name, before, after, rows):
    lines = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
    (HERE / "expected" / f"{name}.json").write_text(
        f'{{"before":{json.dumps(before)},"after":{json.dumps(after)},"rows":[\n{lines}\n]}}\n')


def shorter(text, same_as):
    """A decoded text is written only where it is not what one expects."""
    return None if text == same_as else text


def make_family(family):
    tokenizer = family()
    name = family.__name__
    (HERE / f"{name}.json").write_text(json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False,
                                                  separators=(",", ":")) + "\n")
    tokenizer = Tokenizer.from_file(str(HERE / f"{name}.json"))
    rows = []
    for text in HARD_STRINGS:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        decoded = tokenizer.decode(ids)
        kept = tokenizer.decode(ids, skip_special_tokens=False)
        rows.append([ids, shorter(decoded, text), shorter(kept, decoded)])
    whole = tokenizer.encode("Hello").ids
    plain = tokenizer.encode("Hello", add_special_tokens=False).ids
    start = next(at for at in range(len(whole)) if whole[at : at + len(plain)] == plain)
    before, after = whole[:start], whole[start + len(plain) :]
    for text, row in zip(HARD_STRINGS, rows):
        assert tokenizer.encode(text).ids == before + row[0] + after, (name, text)
    write_expected(name, before, after, rows)


def make_sentencepiece(name, **options):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(CORPUS * 3), model_writer=model, minloglevel=2,
                                             character_coverage=0.98, hard_vocab_limit=False, **options)
    (HERE / f"{name}.model").write_bytes(model.getvalue())
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    # Texts with the names of control symbols are left to other tests: the library alone does not look for them.
    rows = []
    for text in HARD_STRINGS:
        control = any(token in text for token in ("<s>", "</s>", "<unk>"))
        ids = processor.encode(text)
        rows.append(None if control else [ids, shorter(processor.decode(ids), text), None])
    write_expected(name, [processor.bos_id()], [], rows)
    if options["model_type"] == "bpe":  # for a GGUF file made of it: texts, scores and llama.cpp's token types
        types = [2 if processor.is_unknown(id) else 3 if processor.is_control(id) else 6 if processor.is_byte(id) else 1
                 for id in range(len(processor))]
        pieces = [[processor.id_to_piece(id), processor.get_score(id), types[id]] for id in range(len(processor))]
        (HERE / f"expected/{name}_pieces.json").write_text(json.dumps(pieces, separators=(",", ":")) + "\n")


def make_training():
    """What BpeTrainer learns from CORPUS, for the test of ours."""
    tokenizer = train_byte_level(byte_level([], use_regex=True), ["<|endoftext|>", "<pad>"], size=800)
    model = json.loads(tokenizer.to_str())["model"]
    (HERE / "expected/training.json").write_text(json.dumps(
        {"texts": CORPUS, "vocab": model["vocab"], "merges": model["merges"]}, separators=(",", ":")) + "\n")


def main():
    (HERE / "expected").mkdir(exist_ok=True)
    (HERE / "expected/texts.json").write_text("[\n" + ",\n".join(map(json.dumps, HARD_STRINGS)) + "\n]\n")
    for family in FAMILIES:
        make_family(family)
    make_sentencepiece("sentencepiece_bpe", model_type="bpe", vocab_size=700, byte_fallback=True,
                       normalization_rule_name="identity", remove_extra_whitespaces=False)
    make_sentencepiece("sentencepiece_unigram", model_type="unigram", vocab_size=500,
                       normalization_rule_name="identity", user_defined_symbols=["<mask>"])
    make_training()


if __name__ == "__main__":
    main()
