// Decoders from GGUF files, the format of llama.cpp: the architectures llama (Mistral too), qwen2, qwen3 and gemma3.
#pragma once

#include <filesystem>
#include <memory>

#include "kinglet/io/gguf.h"
#include "kinglet/models/decoder/decoder.h"
#include "kinglet/models/decoder/model_folder.h"

namespace kinglet {

// Raises Error (bad input) naming the key or tensor that is missing, senseless or not supported.
DecoderConfig gguf_decoder_config(const Gguf& file);

// Quantised matrices become fp32, or bf16 with kBFloat16; kAsStored is kFloat32 here.
std::shared_ptr<Decoder> load_gguf_decoder(const std::filesystem::path& path, WeightType type = WeightType::kFloat32);

}  // namespace kinglet
