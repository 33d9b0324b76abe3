// The fp32 reconstruction of a store's newest step, kept in a memory-mapped file so that the next delta can be made
// without decoding the chain. Nothing in it is trusted: every block is compared with its hash before use.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "kinglet/base/files.h"
#include "kinglet/methods/excp/step_chain.h"

namespace kinglet::excp {

class ReferenceCache {
 public:
  explicit ReferenceCache(std::filesystem::path path) : path_(std::move(path)) {}

  // Makes the content that of chain.newest(): blocks that do not match their hash are decoded from the chain.
  void load(const StepChain& chain);
  // Makes room for the parameters of `index` that have a reference; values of those with equal name and size are kept,
  // the others are undefined.
  void change_layout(const StepIndex& index);

  // [n]; empty when the layout has no such parameter.
  std::span<float> of(std::string_view name) const;

 private:
  struct Place {
    std::string name;
    std::uint64_t offset = 0, n = 0;  // in elements
    bool operator==(const Place&) const = default;
  };
  using Layout = std::vector<Place>;
  static Layout layout_of(const StepIndex& index);
  void open(Layout layout, const std::filesystem::path& path);

  std::filesystem::path path_;
  Layout layout_;
  std::unordered_map<std::string_view, std::size_t> by_name_;
  WritableMap map_;
};

}  // namespace kinglet::excp
