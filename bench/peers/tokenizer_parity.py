#!/usr/bin/env python3
"""Compares `kinglet tokenize` with the `tokenizers` package, by hand.

usage: tokenizer_parity.py KINGLET FOLDER [--random N]

FOLDER holds one folder a family with its tokenizer.json. Every text is encoded (with and without the tokens around it)
and its ids are decoded again (with and without special tokens); a row says how many of them differ. Texts: the hard
strings of tests/golden/text/hard_strings.py, N strings of random characters of all planes, and mixtures of the two with
the file's own added tokens.
"""
import argparse
import json
import pathlib
import random
import subprocess
import sys

from tokenizers import Tokenizer

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests/golden/text"))
from hard_strings import HARD_STRINGS  # noqa: E402

BLOCKS = [(0, 0x80, 30), (0x80, 0x250, 10), (0x300, 0x370, 6), (0x370, 0x600, 6), (0x600, 0x1000, 8),
          (0x1000, 0x2000, 6), (0x2000, 0x2070, 8), (0x2070, 0x3000, 8), (0x3000, 0xA000, 10), (0xA000, 0xD800, 6),
          (0xE000, 0x10000, 6), (0x10000, 0x20000, 10), (0x20000, 0x110000, 3), (0x1F300, 0x1FB00, 6)]


def random_character(rng):
    low, high, _ = rng.choices(BLOCKS, [weight for _, _, weight in BLOCKS])[0]
    return chr(rng.randrange(low, high))


def random_string(rng):
    kind = rng.randrange(4)
    length = rng.randrange(1, 60)
    if kind == 0:
        return "".join(random_character(rng) for _ in range(length))
    if kind == 1:
        return "".join(rng.choice(" \t\n\r\u00a0\u3000'sStTrReEaA1.9!?\u0301\u200d") for _ in range(length))
    if kind == 2:
        character = random_character(rng)
        return character * rng.randrange(1, 300) + random_character(rng)
    words = ["the", "don't", "I'LL", "123", "4567", "  ", "\n\n", "caf\u00e9", "\u4f60\u597d", "\U0001f44d\U0001f3fd",
             "x=1;", "\r\n", "\u0627\u0644", "\u0e2a\u0e27", "\u1f00", "</", ">", "_a_", "---"]
    return "".join(rng.choice(words) + rng.choice(["", " "]) for _ in range(length))


def ask(kinglet, path, options, values):
    lines = "".join(json.dumps(value) + "\n" for value in values)
    run = subprocess.run([kinglet, "tokenize", path, "--lines", *options], input=lines, capture_output=True, text=True)
    if run.returncode != 0:
        raise RuntimeError(run.stderr.strip())
    return [json.loads(line) for line in run.stdout.split("\n") if line]


def compare(kinglet, path, count):
    reference = Tokenizer.from_file(str(path))
    reference.no_truncation()
    reference.no_padding()
    rng = random.Random(1)
    added = [token["content"] for token in json.loads(path.read_text())["added_tokens"]] or ["<s>"]
    texts = list(HARD_STRINGS) + [random_string(rng) for _ in range(count)]
    for _ in range(count // 4):
        texts.append("".join(rng.choice([random_string(rng), rng.choice(added), " "]) for _ in range(5)))
    row, examples = [], []
    for special, options in ((True, []), (False, ["--no-special"])):
        expected = [reference.encode(text, add_special_tokens=special).ids for text in texts]
        got = ask(kinglet, path, options, texts)
        wrong = [(text, a, b) for text, a, b in zip(texts, expected, got) if a != b]
        row.append(len(wrong))
        examples += wrong[:2]
    lists = [reference.encode(text).ids for text in texts]
    known = sorted(set(reference.get_vocab().values()))
    lists += [[rng.choice(known) for _ in range(rng.randrange(1, 40))] for _ in range(count // 2)]
    for skip, options in ((True, []), (False, ["--keep-special"])):
        expected = [reference.decode(ids, skip_special_tokens=skip) for ids in lists]
        got = ask(kinglet, path, options, lists)
        wrong = [(ids, a, b) for ids, a, b in zip(lists, expected, got) if a != b]
        row.append(len(wrong))
        examples += wrong[:2]
    return len(texts), len(lists), row, examples


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("kinglet")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--random", type=int, default=2000)
    parser.add_argument("--show", action="store_true", help="print some differences")
    arguments = parser.parse_args()
    print("| tokenizer | texts | encode differs | without special | lists | decode differs | with special |")
    print("|---|---|---|---|---|---|---|")
    for path in sorted(arguments.folder.glob("*/tokenizer.json")):
        try:
            texts, lists, row, examples = compare(arguments.kinglet, path, arguments.random)
        except RuntimeError as error:
            print(f"| {path.parent.name} | {error} |")
            continue
        print(f"| {path.parent.name} | {texts} | {row[0]} | {row[1]} | {lists} | {row[2]} | {row[3]} |", flush=True)
        if arguments.show:
            for value, expected, got in examples:
                print("   ", ascii(value)[:300], "\n     expected", ascii(expected)[:300], "\n     got     ", ascii(got)[:300])


if __name__ == "__main__":
    main()
