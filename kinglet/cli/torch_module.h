// Commands that need LibTorch are loaded from libkinglet_torch.so when one is called: loading LibTorch takes about half
// a second, which `kinglet inspect` or `kinglet ckpt` should not pay.
#pragma once

#include <cstdint>

#include "kinglet/cli/command.h"

namespace kinglet {
struct LocalEngine;
}
namespace kinglet::cli {

struct ConversationOptions;
struct GenerateOptions;
struct MemoryFormerCommand;
struct ServedModelOptions;
struct PerplexityOptions;
struct ServeOptions;
struct TourOptions;
struct TrainOptions;

// The module's C entry points, found by name with dlsym; each may throw kinglet::Error.
using TourEntry = int(const TourOptions&, const Globals&);
inline constexpr const char* kTourEntryName = "kinglet_run_tour";
using TrainEntry = int(const TrainOptions&, const Globals&);
inline constexpr const char* kTrainEntryName = "kinglet_run_train";
inline constexpr const char* kDistillEntryName = "kinglet_run_distill";  // a TrainEntry
using MemoryFormerEntry = int(const MemoryFormerCommand&, const Globals&);
inline constexpr const char* kMemoryFormerEntryName = "kinglet_run_memoryformer";
using GenerateEntry = int(const GenerateOptions&, const Globals&);
inline constexpr const char* kGenerateEntryName = "kinglet_run_generate";
using PerplexityEntry = int(const PerplexityOptions&, const Globals&);
inline constexpr const char* kPerplexityEntryName = "kinglet_run_perplexity";
using ServeEntry = int(const ServeOptions&, const Globals&);
inline constexpr const char* kServeEntryName = "kinglet_run_serve";
using ChatEntry = int(const ConversationOptions&, const Globals&);
inline constexpr const char* kChatEntryName = "kinglet_run_chat";

// A model of this machine for commands without LibTorch. Raises Error as load_language_model() does.
using LocalModelEntry = void(const ServedModelOptions&, std::int64_t parallel, LocalEngine& opened);
inline constexpr const char* kLocalModelEntryName = "kinglet_open_local_model";

// Loads the module (next to the program, in ../lib beside it, or in the library path) and returns the entry point.
// Raises Error with the remedy when the module or LibTorch is missing.
void* find_torch_entry(const char* name);

}  // namespace kinglet::cli
