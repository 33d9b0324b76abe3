#include <set>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/io/pickle.h"

namespace kinglet {
namespace {

constexpr std::size_t kMaxText = 200;

bool is_container(PickleKind kind) {
  return kind == PickleKind::kList || kind == PickleKind::kTuple || kind == PickleKind::kDict ||
         kind == PickleKind::kSet || kind == PickleKind::kCall || kind == PickleKind::kPersistentId;
}

std::string quoted(const std::string& text) {
  if (text.size() <= kMaxText) return "'" + printable(text) + "'";
  return fmt::format("'{}'... ({} bytes)", printable(text.substr(0, kMaxText)), text.size());
}

std::string scalar_text(const PickleValue& value) {
  switch (value.kind) {
    case PickleKind::kNone:
      return "None";
    case PickleKind::kBool:
      return value.boolean ? "True" : "False";
    case PickleKind::kInt:
      return std::to_string(value.integer);
    case PickleKind::kBigInt:
      return value.text;
    case PickleKind::kFloat:
      return fmt::format("{}", value.number);
    case PickleKind::kString:
      return quoted(value.text);
    case PickleKind::kBytes:
      return "b" + quoted(value.text);
    case PickleKind::kGlobal: {
      std::string name = printable(value.text);
      for (char& c : name) c = c == ' ' ? '.' : c;
      return "<" + name + ">";
    }
    default:
      return "";
  }
}

// Prints with an explicit stack; containers that were printed before become a reference to their number.
class Dumper {
 public:
  explicit Dumper(std::size_t max_items) : max_items_(max_items) {}

  std::string run(const PickleValue* root) {
    open_.push_back({root, nullptr, 0, ""});
    while (!open_.empty()) {
      const Line line = open_.back();
      open_.pop_back();
      print(line);
    }
    return std::move(text_);
  }

 private:
  struct Line {
    const PickleValue* value;  // null: only the label
    const PickleValue* key;    // of a dict entry
    int depth;
    std::string label;
  };

  void print(const Line& line) {
    text_.append(static_cast<std::size_t>(line.depth) * 2, ' ');
    text_ += line.label;
    if (line.key != nullptr) text_ += key_text(*line.key) + ": ";
    if (line.value == nullptr) {
      text_ += "\n";
      return;
    }
    const PickleValue& value = *line.value;
    if (!is_container(value.kind)) {
      text_ += scalar_text(value) + "\n";
      return;
    }
    const auto [place, fresh] = numbers_.try_emplace(&value, numbers_.size() + 1);
    if (!fresh) {
      text_ += fmt::format("(same object as #{})\n", place->second);
      return;
    }
    text_ += fmt::format("{} #{}\n", heading(value), place->second);
    push_children(value, line.depth + 1);
  }

  std::string key_text(const PickleValue& key) {
    return is_container(key.kind) ? std::string("(container)") : scalar_text(key);
  }

  static std::string heading(const PickleValue& value) {
    switch (value.kind) {
      case PickleKind::kList:
        return fmt::format("list of {}", value.items.size());
      case PickleKind::kTuple:
        return fmt::format("tuple of {}", value.items.size());
      case PickleKind::kSet:
        return fmt::format("set of {}", value.items.size());
      case PickleKind::kDict:
        return fmt::format("dict of {}", value.items.size() / 2);
      case PickleKind::kPersistentId:
        return "storage";
      default:
        return "call (not run)";
    }
  }

  void push_children(const PickleValue& value, int depth) {
    std::vector<Line> children;
    append(children, value.items, value.kind == PickleKind::kDict, depth);
    if (!value.appended.empty()) append(children, value.appended, value.appended.size() % 2 == 0, depth);
    if (value.state != nullptr) children.push_back({value.state, nullptr, depth, "state: "});
    open_.insert(open_.end(), children.rbegin(), children.rend());
  }

  void append(std::vector<Line>& children, const std::vector<PickleValue*>& items, bool pairs, int depth) const {
    const std::size_t stride = pairs ? 2 : 1, count = items.size() / stride;
    for (std::size_t i = 0; i < std::min(count, max_items_); ++i) {
      children.push_back({items[i * stride + stride - 1], pairs ? items[i * stride] : nullptr, depth, ""});
    }
    if (count > max_items_)
      children.push_back({nullptr, nullptr, depth, fmt::format("... {} more", count - max_items_)});
  }

  std::size_t max_items_;
  std::string text_;
  std::vector<Line> open_;
  std::unordered_map<const PickleValue*, std::size_t> numbers_;
};

}  // namespace

std::vector<std::string> pickle_globals(const PickleDocument& document) {
  std::set<std::string> names;
  for (const PickleValue& value : document.nodes) {
    if (value.kind == PickleKind::kGlobal) names.insert(value.text);
  }
  return {names.begin(), names.end()};
}

std::string dump_pickle(const PickleDocument& document, std::size_t max_items) {
  return Dumper(max_items).run(document.root);
}

}  // namespace kinglet
