// The parts of a name that uses "/" between folders, whatever the system's own separator.
#pragma once

#include <string_view>

namespace kinglet {

// "model.safetensors" of "checkpoint-10/model.safetensors".
inline std::string_view base_name(std::string_view name) {
  const std::size_t slash = name.rfind('/');
  return slash == std::string_view::npos ? name : name.substr(slash + 1);
}

// "checkpoint-10/" of the same; "" without a folder.
inline std::string_view folder_of(std::string_view name) {
  return name.substr(0, name.size() - base_name(name).size());
}

}  // namespace kinglet
