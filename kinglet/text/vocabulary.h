// The entries of a vocabulary and their ids, in both directions.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace kinglet {

using TokenId = std::int32_t;

class Vocabulary {
 public:
  // Ids of sparse vocabularies may reach this much beyond eight times the number of entries, and never 2^24: the tables
  // by id stay in proportion to the file.
  static constexpr std::int64_t kMostIds = std::int64_t{1} << 24;
  static constexpr std::int64_t kMostHoles = std::int64_t{1} << 20;

  // `entries`: how many will be added. `where`: the file, for errors.
  Vocabulary(std::size_t entries, std::string_view where);
  Vocabulary(Vocabulary&&) noexcept = default;
  Vocabulary& operator=(Vocabulary&&) noexcept = default;
  Vocabulary(const Vocabulary&) = delete;
  Vocabulary& operator=(const Vocabulary&) = delete;

  // A text that was there gets the new id. Two texts may share an id: the last one names it. Raises Error (bad input)
  // for an id that is out of bounds.
  void add(std::string text, std::int64_t id);

  std::optional<TokenId> find(std::string_view text) const;
  bool has(TokenId id) const { return id >= 0 && id < size() && present_[static_cast<std::size_t>(id)]; }
  std::string_view text(TokenId id) const;  // empty where no entry has the id

  TokenId size() const { return static_cast<TokenId>(texts_.size()); }  // one more than the largest id
  std::size_t count() const { return ids_.size(); }                     // different texts
  // Every text with its id, in the order in which they were added.
  const std::deque<std::string>& all() const { return storage_; }

 private:
  std::int64_t most_;
  std::string where_;
  std::deque<std::string> storage_;  // what the views below point into
  std::unordered_map<std::string_view, TokenId> ids_;
  std::vector<std::string_view> texts_;
  std::vector<bool> present_;
};

}  // namespace kinglet
