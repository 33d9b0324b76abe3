// A secret that cannot be printed by accident: it has no formatter and no comparison, and whoever keeps or shows bytes
// that came from outside passes them through redact() first, because servers repeat keys in their error messages.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace kinglet {

class ApiKey {
 public:
  ApiKey() = default;  // none: no header is sent
  // Raises Error (bad input) that does not show the value: blanks or control characters inside, more than 8 KiB.
  explicit ApiKey(std::string secret);
  // Raises Error (bad input) when the variable is not set, or the file cannot be read. Blanks around are dropped.
  static ApiKey from_environment(const std::string& variable);
  static ApiKey from_file(const std::filesystem::path& path);

  bool empty() const { return secret_.empty(); }
  // "Authorization: Bearer ..."; for the transport only.
  std::string header(std::string_view name = "Authorization", std::string_view prefix = "Bearer ") const;

  // `text` with every occurrence of the secret replaced by "[key]".
  std::string redact(std::string text) const;

 private:
  std::string secret_;
};

}  // namespace kinglet
