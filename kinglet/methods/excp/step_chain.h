// A step and every step it depends on, opened.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "kinglet/methods/excp/step_file.h"

namespace kinglet::excp {

class StepChain {
 public:
  // files: the key frame first, each the parent of the next; not empty. Raises Error (failed) when a parent is not the
  // one that its child was made from.
  explicit StepChain(std::vector<std::shared_ptr<const StepFile>> files);

  std::size_t size() const { return links_.size(); }
  const StepFile& file(std::size_t link) const { return *links_[link].file; }
  const StepFile& newest() const { return *links_.back().file; }
  std::size_t last() const { return links_.size() - 1; }

  // The parameter of that name with a reference; nullptr when the step has none.
  const StoredParameter* find(std::size_t link, std::string_view name) const;

  // Reconstructs What of one block of the parameter `name` at `link`, from the nearest lossless block on. out:
  // [block_size]. Raises Error (bad input) naming the file that does not verify.
  void reference(std::size_t link, std::string_view name, std::uint64_t block, std::span<float> out) const;

  // Decoded bytes of a chunk.
  Bytes chunk(std::size_t link, std::size_t file, std::size_t number) const;
  // Decoded bytes of chunk `number` of the file called `name`; empty when the step has no such chunk.
  Bytes chunk(std::size_t link, std::string_view name, std::size_t number) const;

 private:
  struct Link {
    std::shared_ptr<const StepFile> file;
    std::unordered_map<std::string_view, const StoredParameter*> parameters;
    std::unordered_map<std::string_view, std::size_t> files;
  };
  std::vector<Link> links_;
};

}  // namespace kinglet::excp
