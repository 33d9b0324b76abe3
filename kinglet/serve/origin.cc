#include "kinglet/serve/origin.h"

#include <algorithm>

namespace kinglet {
namespace {

std::string_view without_port(std::string_view host) {
  if (host.starts_with('[')) return host.substr(0, host.find(']') + 1);
  return host.substr(0, host.find(':'));
}

bool is_number_address(std::string_view name) {
  return name.starts_with('[') || (!name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= '0' && c <= '9') || c == '.';
         }));
}

}  // namespace

bool is_own_page(std::string_view origin, std::string_view host, bool loopback_only) {
  const std::size_t scheme = origin.find("://");
  if (scheme == std::string_view::npos || host.empty() || origin.substr(scheme + 3) != host) return false;
  const std::string_view name = without_port(host);
  return !loopback_only || name == "localhost" || is_number_address(name);
}

}  // namespace kinglet
