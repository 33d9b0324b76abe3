#include "kinglet/text/tokenizer_config.h"

#include <algorithm>
#include <charconv>

#include "kinglet/base/files.h"
#include "kinglet/text/json_fields.h"
#include "kinglet/text/json_tables.h"

namespace kinglet {
namespace {

constexpr std::uint64_t kLargestConfig = std::uint64_t{64} << 20;

// A token is a text or an object with its "content".
std::optional<std::string> token_text(const JsonFields& json, const char* field) {
  if (!json.has(field)) return std::nullopt;
  if (json.value(field).is_object()) return json.object(field).text("content");
  return json.text(field);
}

std::optional<bool> optional_flag(const JsonFields& json, const char* field) {
  if (!json.has(field)) return std::nullopt;
  return json.boolean(field, false);
}

void read_names(const JsonFields& json, TokenizerConfig& config) {
  if (const auto bos = token_text(json, "bos_token")) config.bos = bos;
  if (const auto eos = token_text(json, "eos_token")) config.eos = eos;
  if (const auto padding = token_text(json, "pad_token")) config.padding = padding;
}

void read_added(const JsonFields& json, TokenizerConfig& config) {
  if (!json.has("added_tokens_decoder")) return;
  const nlohmann::json& table = json.value("added_tokens_decoder");
  if (!table.is_object()) throw json.wrong("'added_tokens_decoder' must be a JSON object");
  for (const auto& [key, value] : table.items()) {
    const JsonFields fields(value, json.where() + ": added_tokens_decoder");
    AddedToken token;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), token.id);
    if (error != std::errc() || end != key.data() + key.size() || token.id < 0 || token.id >= Vocabulary::kMostIds) {
      throw fields.wrong(fmt::format("'{}' is no id", key));
    }
    token.content = fields.text("content");
    token.special = fields.boolean("special", false);
    token.single_word = fields.boolean("single_word", false);
    token.strip_left = fields.boolean("lstrip", false);
    token.strip_right = fields.boolean("rstrip", false);
    token.normalized = fields.boolean("normalized", !token.special);
    config.added.push_back(std::move(token));
  }
  std::sort(config.added.begin(), config.added.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
}

template <typename Read>
void read_if_there(const std::filesystem::path& path, const Read& read) {
  if (!std::filesystem::exists(path)) return;
  const Bytes bytes = read_file(path, kLargestConfig);
  const nlohmann::json json = parse_json_tables(as_text(bytes), path.string(), false).rest;
  read(JsonFields(json, path.string()));
}

}  // namespace

TokenizerConfig read_tokenizer_config(const std::filesystem::path& folder) {
  TokenizerConfig config;
  read_if_there(folder / "special_tokens_map.json", [&](const JsonFields& json) { read_names(json, config); });
  read_if_there(folder / "tokenizer_config.json", [&](const JsonFields& json) {
    read_names(json, config);
    config.tokenizer_class = json.text("tokenizer_class", "");
    config.add_bos = optional_flag(json, "add_bos_token");
    config.add_eos = optional_flag(json, "add_eos_token");
    read_added(json, config);
  });
  return config;
}

}  // namespace kinglet
