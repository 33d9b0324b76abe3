// The vocabulary of a GGUF file (tokenizer.ggml.*) as a tokenizer.
#pragma once

#include <memory>

#include "kinglet/io/gguf.h"
#include "kinglet/text/tokenizer_pipeline.h"

namespace kinglet {

// Models "gpt2" (byte-level BPE; tokenizer.ggml.pre names the regular expressions) and "llama" (SentencePiece's BPE by
// scores), with the ids that llama.cpp gives: texts are not brought into a normal form, and each stretch between
// special tokens gets its own leading blank when add_space_prefix says so. Raises Error (bad input) that names what is
// missing or not supported. Nothing of `gguf` is used afterwards.
std::unique_ptr<Tokenizer> make_gguf_tokenizer(const Gguf& gguf);

}  // namespace kinglet
