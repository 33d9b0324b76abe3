#!/usr/bin/env python3
"""The speed of the `tokenizers` package on one thread, to set beside build/bench/text_tokenizer.

usage: tokenizer_speed.py TOKENIZER.json TEXT-FILE
"""
import os
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
from tokenizers import Tokenizer  # noqa: E402


def main():
    start = time.process_time()
    tokenizer = Tokenizer.from_file(sys.argv[1])
    print(f"load: {1e3 * (time.process_time() - start):.0f} ms")
    text = open(sys.argv[2], encoding="utf-8", errors="replace").read()
    documents = [text[at : at + 2000] for at in range(0, len(text), 2000)]
    megabytes = 1e-6 * len(text.encode())
    start = time.process_time()
    encoded = [tokenizer.encode(document, add_special_tokens=False).ids for document in documents]
    print(f"encode, {len(documents)} documents, one thread:  {megabytes / (time.process_time() - start):7.1f} MB/s")
    start = time.process_time()
    tokenizer.encode_batch_fast(documents, add_special_tokens=False)
    print(f"encode_batch_fast, one thread:          {megabytes / (time.process_time() - start):7.1f} MB/s")
    start = time.process_time()
    for ids in encoded:
        tokenizer.decode(ids)
    print(f"decode:                             {megabytes / (time.process_time() - start):7.1f} MB/s")


if __name__ == "__main__":
    main()
