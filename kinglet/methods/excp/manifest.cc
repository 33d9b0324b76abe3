#include "kinglet/methods/excp/manifest.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"
#include "kinglet/base/hash.h"

namespace kinglet::excp {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kFormat = "kinglet excp store";
constexpr int kManifestVersion = 1;
constexpr std::uint64_t kMaxManifest = std::uint64_t{256} << 20;

fs::path manifest_path(const fs::path& store) { return store / "manifest.json"; }

json to_json(const StepInfo& info) {
  json entry = {{"step", info.step},
                {"key", info.key},
                {"lossy", info.lossy},
                {"original_bytes", info.original_bytes},
                {"stored_bytes", info.stored_bytes},
                {"file", info.file},
                {"hash", hex64(info.hash)}};
  if (info.parent) entry["parent"] = *info.parent;
  return entry;
}

std::uint64_t parse_hash(const std::string& text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (error != std::errc() || end != text.data() + text.size()) throw std::invalid_argument("not a hash");
  return value;
}

StepInfo from_json(const fs::path& store, const json& entry) {
  StepInfo info;
  info.step = entry.at("step").get<std::int64_t>();
  info.key = entry.at("key").get<bool>();
  info.lossy = entry.at("lossy").get<bool>();
  info.original_bytes = entry.at("original_bytes").get<std::uint64_t>();
  info.stored_bytes = entry.at("stored_bytes").get<std::uint64_t>();
  info.file = entry.at("file").get<std::string>();
  info.hash = parse_hash(entry.at("hash").get<std::string>());
  if (entry.contains("parent")) info.parent = entry.at("parent").get<std::int64_t>();
  join_untrusted(store, info.file);
  return info;
}

// Ascending steps; every parent is an earlier step of the list.
bool is_consistent(const std::vector<StepInfo>& steps) {
  for (std::size_t i = 0; i < steps.size(); ++i) {
    if (i > 0 && steps[i].step <= steps[i - 1].step) return false;
    if (steps[i].key == steps[i].parent.has_value()) return false;
    if (!steps[i].parent) continue;
    const auto parent = std::find_if(steps.begin(), steps.begin() + static_cast<std::ptrdiff_t>(i),
                                     [&](const StepInfo& other) { return other.step == *steps[i].parent; });
    if (parent == steps.begin() + static_cast<std::ptrdiff_t>(i)) return false;
  }
  return true;
}

}  // namespace

std::vector<StepInfo> read_manifest(const fs::path& store) {
  const fs::path path = manifest_path(store);
  if (!fs::exists(path)) return {};
  const Bytes bytes = read_file(path, kMaxManifest);
  std::vector<StepInfo> steps;
  std::string problem;
  try {
    const json document = json::parse(as_text(bytes));
    if (document.at("format") != kFormat) {
      problem = "it is not the manifest of an ExCP store";
    } else if (document.at("version") != kManifestVersion) {
      problem = "its version is not known";
    } else if (parse_hash(document.at("checksum").get<std::string>()) != xxh3(as_bytes(document.at("steps").dump()))) {
      problem = "it does not match its checksum";
    } else {
      for (const json& entry : document.at("steps")) steps.push_back(from_json(store, entry));
      if (!is_consistent(steps)) problem = "its steps do not form chains";
    }
  } catch (const std::exception& error) {
    problem = fmt::format("it cannot be read: {}", error.what());
  }
  if (!problem.empty()) {
    throw failed(path.string(), "the manifest is damaged: " + problem,
                 "run 'kinglet ckpt verify STORE --rebuild-manifest', which lists the intact step files again");
  }
  return steps;
}

void write_manifest(const fs::path& store, const std::vector<StepInfo>& steps) {
  json list = json::array();
  for (const StepInfo& info : steps) list.push_back(to_json(info));
  json document = {{"format", kFormat},
                   {"version", kManifestVersion},
                   {"steps", list},
                   {"checksum", hex64(xxh3(as_bytes(list.dump())))}};
  write_file_atomically(manifest_path(store), as_bytes(document.dump(1) + "\n"));
}

}  // namespace kinglet::excp
