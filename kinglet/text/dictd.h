// Dictionaries as the dictd server keeps them (Debian's dict-gcide, dict-wn): NAME.index, one "headword TAB offset TAB
// length" a line with numbers in base 64, and NAME.dict or NAME.dict.dz (gzip).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kinglet {

class DictdFile {
 public:
  // `base`: the path without .index. Raises Error when a file is missing or damaged.
  static DictdFile open(const std::filesystem::path& base);

  // The articles in the order of the file, each once; without those that describe the dictionary.
  std::size_t size() const { return places_.size(); }
  std::string_view article(std::size_t i) const {
    return std::string_view(text_).substr(places_[i].first, places_[i].second);
  }

 private:
  std::string text_;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> places_;  // offset, length
};

}  // namespace kinglet
