// The parts of `kinglet ckpt` and what they share.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "kinglet/cli/command.h"
#include "kinglet/methods/excp/store.h"

namespace kinglet::cli {

void add_ckpt_add_commands(CLI::App& ckpt, const Globals& globals);     // ckpt_add.cc: add, pack, watch
void add_ckpt_look_commands(CLI::App& ckpt, const Globals& globals);    // ckpt_look.cc: list, info, verify, export-plot
void add_ckpt_get_commands(CLI::App& ckpt, const Globals& globals);     // ckpt_get.cc: get, import-official
void add_ckpt_diff_command(CLI::App& ckpt, const Globals& globals);     // ckpt_diff.cc
void add_ckpt_upkeep_commands(CLI::App& ckpt, const Globals& globals);  // ckpt_upkeep.cc: gc, rebase

CLI::Option* add_store_argument(CLI::App& command, std::string& store);
CLI::Option* add_param_order_option(CLI::App& command, std::string& file);

// A store that must exist already: a mistyped path must not become a new store.
excp::Store open_store(const std::filesystem::path& path, excp::Store::Access access = excp::Store::Access::kRead);

// How results look; ckpt_report.cc.
std::string ratio_text(std::uint64_t original_bytes, std::uint64_t stored_bytes);  // "32.1x"
std::string percent_text(double share);                                            // "0.123 %"
std::string kind_text(const excp::StepInfo& info);                                 // "key", "lossy key", "delta", ...
std::string steps_text(const std::vector<std::int64_t>& steps);                    // "250, 500"
std::string shape_text(const std::vector<std::int64_t>& shape);                    // "[128, 64]"
std::string added_line(const excp::AddReport& report);
nlohmann::json step_json(const excp::StepInfo& info);
nlohmann::json tensor_json(const excp::TensorRecord& tensor);
nlohmann::json added_json(const excp::AddReport& report);
nlohmann::json number_json(double value);  // JSON has no infinity: null

}  // namespace kinglet::cli
