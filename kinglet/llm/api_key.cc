#include "kinglet/llm/api_key.h"

#include <cstdlib>

#include "kinglet/base/ascii.h"
#include "kinglet/base/error.h"
#include "kinglet/base/files.h"

namespace kinglet {
namespace {

constexpr std::size_t kLongest = 8192;
constexpr std::size_t kShortestSecret = 6;  // shorter ones ("none", "x") stand for no key, and occur in ordinary text

}  // namespace

ApiKey::ApiKey(std::string secret) : secret_(std::move(secret)) {
  if (secret_.size() > kLongest) throw bad_input("API key", "is longer than 8 KiB");
  for (const char c : secret_) {
    if (c <= ' ' || c > '~') throw bad_input("API key", "holds blanks or characters that a header cannot carry");
  }
}

ApiKey ApiKey::from_environment(const std::string& variable) {
  const char* value = std::getenv(variable.c_str());
  if (value == nullptr) throw bad_input(variable, "is not set in the environment", "export it, or name a key file");
  return ApiKey(std::string(ascii::trimmed(value)));
}

ApiKey ApiKey::from_file(const std::filesystem::path& path) {
  return ApiKey(std::string(ascii::trimmed(as_text(read_file(path, kLongest)))));
}

std::string ApiKey::header(std::string_view name, std::string_view prefix) const {
  return fmt::format("{}: {}{}", name, prefix, secret_);
}

std::string ApiKey::redact(std::string text) const {
  if (secret_.size() < kShortestSecret) return text;
  for (std::size_t at = 0; (at = text.find(secret_, at)) != std::string::npos;)
    text.replace(at, secret_.size(), "[key]");
  return text;
}

}  // namespace kinglet
