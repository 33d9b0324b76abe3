#include "kinglet/text/json_tables.h"

#include <fmt/format.h>

#include "kinglet/base/error.h"

namespace kinglet {
namespace {

using nlohmann::json;

constexpr std::size_t kDeepest = 64;

// Receives what the parser reads. Values go into a tree, except inside model.vocab and model.merges.
class Receiver {
 public:
  Receiver(JsonTables& tables, std::string_view where, bool divert) : tables_(tables), where_(where), divert_(divert) {}

  // NOLINTBEGIN(google-default-arguments): the names and types that nlohmann's parser calls
  bool null() { return table_ == Table::kNone ? add(nullptr) : refuse_entry(); }
  bool boolean(bool value) { return table_ == Table::kNone ? add(value) : refuse_entry(); }
  bool number_integer(std::int64_t value) {
    if (table_ == Table::kNone) return add(value);
    return table_ == Table::kVocabulary ? entry_id(value) : entry_score(static_cast<double>(value));
  }
  bool number_unsigned(std::uint64_t value) {
    if (table_ == Table::kNone) return add(value);
    if (table_ == Table::kScores) return entry_score(static_cast<double>(value));
    return entry_id(value > INT64_MAX ? INT64_MAX : static_cast<std::int64_t>(value));
  }
  bool number_float(double value, const std::string&) {
    return table_ == Table::kNone ? add(value) : entry_score(value);
  }
  bool string(std::string& value) { return table_ == Table::kNone ? add(std::move(value)) : entry_text(value); }
  bool binary(json::binary_t&) { return refuse_entry(); }

  bool key(std::string& name) {
    key_ = std::move(name);
    return true;
  }
  bool start_object(std::size_t) {
    if (table_ != Table::kNone) return refuse_entry();
    if (at_table("vocab")) {
      tables_.has_vocabulary = true;
      table_ = Table::kVocabulary;
      return true;
    }
    return open(json::object());
  }
  bool end_object() {
    if (table_ == Table::kNone)
      open_.pop_back();
    else
      table_ = Table::kNone;
    return true;
  }
  bool start_array(std::size_t) {
    if (table_ != Table::kNone) {  // a pair inside a list
      if (table_ == Table::kVocabulary || in_pair_) return refuse_entry();
      in_pair_ = true;
      pair_.clear();
      return true;
    }
    if (at_table("vocab")) {
      tables_.has_scores = true;
      table_ = Table::kScores;
      return true;
    }
    if (at_table("merges")) {
      tables_.has_merges = true;
      table_ = Table::kMerges;
      return true;
    }
    return open(json::array());
  }
  bool end_array() {
    if (table_ == Table::kNone) {
      open_.pop_back();
    } else if (in_pair_) {
      in_pair_ = false;
      return end_pair();
    } else {
      table_ = Table::kNone;
    }
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const json::exception&) {
    throw bad_input(where_, fmt::format("is not valid JSON near byte {}", position),
                    "the file is damaged: fetch or save it again");
  }
  // NOLINTEND(google-default-arguments)

 private:
  enum class Table { kNone, kVocabulary, kScores, kMerges };

  bool at_table(std::string_view name) const {
    return divert_ && open_.size() == 2 && key_ == name && open_.front()->is_object() && open_.back()->is_object() &&
           open_.front()->contains("model") && open_.back() == &open_.front()->at("model");
  }
  [[noreturn]] bool refuse_entry() const {
    throw bad_input(where_, table_ == Table::kMerges ? "model.merges has an entry that is no pair of texts"
                                                     : "model.vocab has an entry that is not a text with a number");
  }

  json* insert(json value) {
    if (open_.empty()) {
      tables_.rest = std::move(value);
      return &tables_.rest;
    }
    json& parent = *open_.back();
    if (parent.is_object()) return &(parent[key_] = std::move(value));
    parent.push_back(std::move(value));
    return &parent.back();
  }
  bool add(json value) {
    insert(std::move(value));
    return true;
  }
  bool open(json value) {
    if (open_.size() >= kDeepest) throw bad_input(where_, "JSON is nested too deeply");
    open_.push_back(insert(std::move(value)));
    return true;
  }

  bool entry_id(std::int64_t id) {
    if (table_ != Table::kVocabulary) refuse_entry();
    tables_.vocabulary.emplace_back(std::move(key_), id);
    return true;
  }
  bool entry_score(double score) {
    if (table_ != Table::kScores || !in_pair_ || pair_.size() != 1) refuse_entry();
    tables_.scores.emplace_back(std::move(pair_[0]), score);
    pair_.emplace_back();
    return true;
  }
  bool entry_text(std::string& text) {
    if (table_ == Table::kVocabulary || pair_.size() > 1) refuse_entry();
    if (in_pair_) {
      pair_.push_back(std::move(text));
      return true;
    }
    if (table_ != Table::kMerges) refuse_entry();
    const std::size_t blank = text.find(' ');
    if (text.starts_with("#version")) return true;
    if (blank == std::string::npos || text.find(' ', blank + 1) != std::string::npos) refuse_entry();
    tables_.merges.emplace_back(text.substr(0, blank), text.substr(blank + 1));
    return true;
  }
  bool end_pair() {
    if (pair_.size() != 2) refuse_entry();
    if (table_ == Table::kMerges) tables_.merges.emplace_back(std::move(pair_[0]), std::move(pair_[1]));
    pair_.clear();
    return true;
  }

  JsonTables& tables_;
  std::string_view where_;
  bool divert_;
  std::vector<json*> open_;  // containers that are not closed; a parent is not touched while a child is open
  std::string key_;
  Table table_ = Table::kNone;
  bool in_pair_ = false;
  std::vector<std::string> pair_;
};

}  // namespace

JsonTables parse_json_tables(std::string_view text, std::string_view where, bool divert) {
  if (text.find('\0') != std::string_view::npos) {  // nlohmann takes NUL for the end of the text
    throw bad_input(where, "is not valid JSON: it has a NUL byte", "the file is damaged: fetch or save it again");
  }
  JsonTables tables;
  Receiver receiver(tables, where, divert);
  json::sax_parse(text, &receiver);
  return tables;
}

}  // namespace kinglet
