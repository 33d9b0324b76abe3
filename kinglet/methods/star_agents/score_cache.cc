#include "kinglet/methods/star_agents/score_cache.h"

#include <array>
#include <optional>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"
#include "kinglet/base/sha256.h"
#include "kinglet/text/json_text.h"

namespace kinglet::star_agents {
namespace {

constexpr std::array kKept{ScoreStatus::kScored, ScoreStatus::kEmpty, ScoreStatus::kPromptTooLong,
                           ScoreStatus::kNotFinite, ScoreStatus::kNothingToGuess};

std::optional<double> number_in(const Json& json, const char* field) {
  const auto found = json.find(field);
  return found != json.end() && found->is_number() ? std::optional(found->get<double>()) : std::nullopt;
}

// Nothing for what is no line of ours.
std::optional<std::pair<std::string, Likelihoods>> parse_line(std::string_view line, const std::string& where) {
  Json json;
  try {
    json = parse_json(line, where);
  } catch (const Error&) {
    return std::nullopt;
  }
  if (!json.is_object() || !json.contains("key") || !json["key"].is_string() || !json.contains("status")) return {};
  Likelihoods one;
  for (const ScoreStatus status : kKept) {
    if (json["status"] == name_of(status)) one.status = status;
  }
  const auto conditional = number_in(json, "cond"), unconditional = number_in(json, "unc"),
             tokens = number_in(json, "tokens"), bytes = number_in(json, "bytes");
  if (one.status == ScoreStatus::kFailed || !tokens || !bytes || *tokens < 0 || *tokens > 1e12 || *bytes < 0 ||
      *bytes > 1e15 || (one.scored() && (!conditional || !unconditional))) {
    return std::nullopt;
  }
  one.conditional = conditional.value_or(0);
  one.unconditional = unconditional.value_or(0);
  one.tokens = static_cast<std::int64_t>(*tokens);
  one.bytes = static_cast<std::int64_t>(*bytes);
  one.truncated = json.contains("truncated") && json["truncated"] == true;
  return std::pair(json["key"].get<std::string>(), one);
}

}  // namespace

std::string score_key(const std::string& scorer, const ScoreItem& item) {
  std::string text = fmt::format("{} {}\n", scorer.size(), scorer);
  for (const ChatMessage& message : item.context) {
    text += fmt::format("{} {} {} {}\n", message.role.size(), message.role, message.content.size(), message.content);
  }
  text += item.response;
  return sha256_hex(as_bytes(text));
}

ScoreCache::ScoreCache(const std::filesystem::path& path) {
  if (std::filesystem::exists(path)) {
    const Bytes bytes = read_file(path);
    std::string_view text = as_text(bytes);
    const std::size_t whole = text.rfind('\n') == std::string_view::npos ? 0 : text.rfind('\n') + 1;
    const bool torn = whole < text.size();
    text = text.substr(0, whole);
    if (torn) write_file_atomically(path, as_bytes(text));  // the next line must not join the torn one
    std::size_t number = 0;
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t end = text.find('\n', begin);
      const std::string where = fmt::format("{}:{}", path.string(), ++number);
      auto line = parse_line(text.substr(begin, end - begin), where);
      if (!line) throw bad_input(where, "no line with a score", "delete the line or the file; it is computed again");
      scores_.insert(std::move(*line));
      begin = end + 1;
    }
  }
  file_ = std::make_unique<AppendFile>(path);
}

const Likelihoods* ScoreCache::find(const std::string& key) const {
  const auto found = scores_.find(key);
  return found == scores_.end() ? nullptr : &found->second;
}

void ScoreCache::add(const std::string& key, const Likelihoods& likelihoods) {
  if (likelihoods.status == ScoreStatus::kFailed || !scores_.emplace(key, likelihoods).second) return;
  Json json = {{"key", key}, {"status", name_of(likelihoods.status)}};
  if (likelihoods.scored()) {
    json["cond"] = likelihoods.conditional;
    json["unc"] = likelihoods.unconditional;
  }
  json["tokens"] = likelihoods.tokens;
  json["bytes"] = likelihoods.bytes;
  if (likelihoods.truncated) json["truncated"] = true;
  file_->append(as_bytes(json.dump() + "\n"));
}

std::vector<Likelihoods> score_cached(Scorer& scorer, ScoreCache& cache, std::span<const ScoreItem> items) {
  const std::string name = scorer.name();
  std::vector<std::string> keys;
  std::vector<ScoreItem> missing;
  std::vector<std::string> missing_keys;
  std::unordered_map<std::string, std::size_t> asked;
  for (const ScoreItem& item : items) {
    keys.push_back(score_key(name, item));
    if (cache.find(keys.back()) != nullptr || !asked.emplace(keys.back(), missing.size()).second) continue;
    missing.push_back(item);
    missing_keys.push_back(keys.back());
  }
  const std::vector<Likelihoods> computed = missing.empty() ? std::vector<Likelihoods>() : scorer.score(missing);
  for (std::size_t i = 0; i < computed.size(); ++i) cache.add(missing_keys[i], computed[i]);
  std::vector<Likelihoods> result;
  for (const std::string& key : keys) {
    const auto found = asked.find(key);
    result.push_back(found != asked.end() ? computed[found->second] : *cache.find(key));
  }
  return result;
}

}  // namespace kinglet::star_agents
