"""Generation speed of transformers (PyTorch on the CPU) and of llama.cpp, the peers of build/bench/generate.

    pip install torch transformers gguf llama-cpp-python
    python3 bench/peers/generate_speed.py --transformers MODEL --llama-cpp MODEL.gguf [--threads 2]

MODEL: a folder, a GGUF file, or "random": the Llama of 134 M parameters of build/bench/generate. Prompts are random
tokens; decoding is greedy behind 32 of them. Each figure is the best of three.
"""
import argparse
import pathlib
import time


def best(function, times=3):
    return min(function() for _ in range(times))


def row(name, prefill, decode):
    print(f"{name:<22} {prefill:9.0f} {decode:9.1f}", flush=True)


def transformers_rates(path, dtype, threads, prompt, new):
    import torch
    import transformers as tf

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    kind = {"fp32": torch.float32, "bf16": torch.bfloat16}[dtype]
    if path == "random":
        model = tf.LlamaForCausalLM(tf.LlamaConfig(vocab_size=32000, hidden_size=768, intermediate_size=2048,
                                                   num_hidden_layers=12, num_attention_heads=12,
                                                   max_position_embeddings=2048)).to(kind)
    elif path.endswith(".gguf"):
        file = pathlib.Path(path)
        model = tf.AutoModelForCausalLM.from_pretrained(str(file.parent), gguf_file=file.name, dtype=kind)
    else:
        model = tf.AutoModelForCausalLM.from_pretrained(path, dtype=kind)
    model.eval()
    tokens = torch.randint(0, model.config.vocab_size, (1, prompt))

    @torch.inference_mode()
    def prefill():
        start = time.perf_counter()
        model(tokens, use_cache=True, logits_to_keep=1)
        return time.perf_counter() - start

    @torch.inference_mode()
    def decode():
        out = model(tokens[:, :32], use_cache=True, logits_to_keep=1)
        start = time.perf_counter()
        for _ in range(new - 1):
            token = out.logits[:, -1].argmax(-1, keepdim=True)
            out = model(token, past_key_values=out.past_key_values, use_cache=True)
        return time.perf_counter() - start

    prefill()
    row(f"transformers {dtype}", prompt / best(prefill), (new - 1) / best(decode))


def llama_cpp_rates(path, threads, prompt, new):
    import llama_cpp
    import numpy as np

    # Without repacking: its kernels end with a segmentation fault on a processor with AMX (llama-cpp-python 0.3.36).
    defaults = llama_cpp.llama_cpp.llama_model_default_params

    def without_repacking():
        parameters = defaults()
        parameters.use_extra_bufts = False
        return parameters

    llama_cpp.llama_cpp.llama_model_default_params = without_repacking
    llm = llama_cpp.Llama(path, n_ctx=1024, n_batch=prompt, n_ubatch=prompt, n_threads=threads,
                          n_threads_batch=threads, verbose=False)
    rng = np.random.default_rng(0)
    tokens = [int(t) for t in rng.integers(0, llm.n_vocab(), prompt)]

    def prefill():
        llm.reset()
        start = time.perf_counter()
        llm.eval(tokens)
        return time.perf_counter() - start

    def decode():
        llm.reset()
        llm.eval(tokens[:32])
        start = time.perf_counter()
        for _ in range(new - 1):
            llm.eval([llm.sample(temp=0.0)])
        return time.perf_counter() - start

    prefill()
    row(f"llama.cpp {pathlib.Path(path).stem[-12:]}", prompt / best(prefill), (new - 1) / best(decode))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--transformers")
    parser.add_argument("--dtypes", default="fp32,bf16", help="of transformers; bf16 takes minutes without AVX-512")
    parser.add_argument("--llama-cpp", action="append", default=[])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--new", type=int, default=64)
    arguments = parser.parse_args()
    if arguments.transformers:
        for dtype in arguments.dtypes.split(","):
            transformers_rates(arguments.transformers, dtype, arguments.threads, arguments.prompt, arguments.new)
    for path in arguments.llama_cpp:
        llama_cpp_rates(path, arguments.threads, arguments.prompt, arguments.new)


if __name__ == "__main__":
    main()
