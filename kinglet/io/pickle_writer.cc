#include <bit>
#include <charconv>
#include <limits>
#include <unordered_map>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/io/pickle.h"

namespace kinglet {
namespace {

constexpr std::size_t kBatch = 1000;

// Emits values with an explicit stack of pending actions, so that depth costs no call stack.
class PickleWriter {
 public:
  Bytes write(const PickleValue* root) && {
    byte(0x80);
    byte(2);
    open_.push_back({Action::kValue, root, 0});
    while (!open_.empty()) {
      const Pending next = open_.back();
      open_.pop_back();
      run(next);
    }
    byte('.');
    return std::move(out_);
  }

 private:
  enum class Action { kValue, kOpcode, kMemo, kItems, kAppended };
  struct Pending {
    Action action;
    const PickleValue* value;
    std::size_t argument;
  };

  void byte(unsigned value) { out_.push_back(static_cast<std::byte>(value)); }
  void little_endian(std::uint64_t value, std::size_t width) {
    for (std::size_t i = 0; i < width; ++i) byte(static_cast<unsigned>(value >> (8 * i) & 0xFF));
  }
  void raw(std::string_view text) {
    const ByteView view = as_bytes(text);
    out_.insert(out_.end(), view.begin(), view.end());
  }
  void memoize(const PickleValue* value) {
    const std::size_t key = memo_.size();
    if (!memo_.emplace(value, key).second) {  // it was written once more on the way to its own end
      throw bad_input("pickle", "a tuple or call that holds itself cannot be written", "put it in a list");
    }
    if (key < 256) {
      byte('q');
      little_endian(key, 1);
    } else {
      byte('r');
      little_endian(key, 4);
    }
  }

  void run(const Pending& next) {
    switch (next.action) {
      case Action::kValue:
        begin_value(next.value);
        break;
      case Action::kOpcode:
        byte(static_cast<unsigned>(next.argument));
        break;
      case Action::kMemo:
        memoize(next.value);
        break;
      case Action::kItems:
        write_batch(next.value, next.value->items, next.argument, Action::kItems);
        break;
      case Action::kAppended:
        write_batch(next.value, next.value->appended, next.argument, Action::kAppended);
        break;
    }
  }

  void begin_value(const PickleValue* value) {
    if (const auto found = memo_.find(value); found != memo_.end()) {
      byte(found->second < 256 ? 'h' : 'j');
      little_endian(found->second, found->second < 256 ? 1 : 4);
      return;
    }
    switch (value->kind) {
      case PickleKind::kNone:
        byte('N');
        break;
      case PickleKind::kBool:
        byte(value->boolean ? 0x88 : 0x89);
        break;
      case PickleKind::kInt:
        write_int(value->integer);
        break;
      case PickleKind::kFloat:
        write_float(value->number);
        break;
      case PickleKind::kString:
        write_string(value);
        break;
      case PickleKind::kGlobal:
        write_global(value);
        break;
      case PickleKind::kDict:
      case PickleKind::kList:
        byte(value->kind == PickleKind::kDict ? '}' : ']');
        memoize(value);
        open_.push_back({Action::kItems, value, 0});
        break;
      case PickleKind::kTuple:
        write_tuple(value);
        break;
      case PickleKind::kPersistentId:
        open_.push_back({Action::kOpcode, nullptr, 'Q'});
        open_.push_back({Action::kValue, value->items.at(0), 0});
        break;
      case PickleKind::kCall:
        write_call(value);
        break;
      case PickleKind::kBigInt:
      case PickleKind::kBytes:
      case PickleKind::kSet:
        throw bad_input("pickle", "this kind of value cannot be written in protocol 2",
                        "convert it to a list or a string");
    }
  }

  void write_int(std::int64_t value) {
    if (value >= 0 && value < 256) {
      byte('K');
      little_endian(static_cast<std::uint64_t>(value), 1);
    } else if (value >= 0 && value < 65536) {
      byte('M');
      little_endian(static_cast<std::uint64_t>(value), 2);
    } else if (value >= std::numeric_limits<std::int32_t>::min() && value <= std::numeric_limits<std::int32_t>::max()) {
      byte('J');
      little_endian(static_cast<std::uint64_t>(value), 4);
    } else {
      byte(0x8A);
      byte(8);
      little_endian(static_cast<std::uint64_t>(value), 8);
    }
  }
  void write_float(double value) {
    byte('G');
    const auto bits = std::bit_cast<std::uint64_t>(value);
    for (int shift = 56; shift >= 0; shift -= 8) byte(static_cast<unsigned>(bits >> shift & 0xFF));
  }
  void write_string(const PickleValue* value) {
    if (value->text.size() > std::numeric_limits<std::uint32_t>::max())
      throw bad_input("pickle", "a string is over 4 GiB");
    byte('X');
    little_endian(value->text.size(), 4);
    raw(value->text);
    memoize(value);
  }
  void write_global(const PickleValue* value) {
    const std::size_t blank = value->text.find(' ');
    if (value->state != nullptr) throw bad_input("pickle", "a global with a state cannot be written");
    if (blank == std::string::npos || value->text.find('\n') != std::string::npos) {
      throw bad_input("pickle", "a global must be \"module name\"");
    }
    byte('c');
    raw(value->text.substr(0, blank) + "\n" + value->text.substr(blank + 1) + "\n");
    memoize(value);
  }
  void write_tuple(const PickleValue* value) {
    const std::size_t count = value->items.size();
    if (count == 0) {
      byte(')');
      return;
    }
    open_.push_back({Action::kMemo, value, 0});
    open_.push_back({Action::kOpcode, nullptr, count <= 3 ? 0x84 + count : std::size_t{'t'}});
    for (std::size_t i = count; i-- > 0;) open_.push_back({Action::kValue, value->items[i], 0});
    if (count > 3) byte('(');
  }
  void write_call(const PickleValue* value) {
    if (value->items.size() != 2) throw bad_input("pickle", "calls with keywords cannot be written in protocol 2");
    if (value->appended.size() % 2 != 0) throw bad_input("pickle", "a call with list items cannot be written");
    if (value->state != nullptr) {
      open_.push_back({Action::kOpcode, nullptr, 'b'});
      open_.push_back({Action::kValue, value->state, 0});
    }
    if (!value->appended.empty()) open_.push_back({Action::kAppended, value, 0});
    open_.push_back({Action::kMemo, value, 0});
    open_.push_back({Action::kOpcode, nullptr, 'R'});
    open_.push_back({Action::kValue, value->items[1], 0});
    open_.push_back({Action::kValue, value->items[0], 0});
  }

  // One batch of at most 1000 entries from `first` on, then the rest; as Python does. Items appended to a call are
  // key/value pairs (OrderedDict).
  void write_batch(const PickleValue* value, const std::vector<PickleValue*>& items, std::size_t first, Action again) {
    const bool pairs = value->kind != PickleKind::kList;
    const std::size_t stride = pairs ? 2 : 1;
    const std::size_t end = std::min(items.size(), first + kBatch * stride);
    if (first >= end) return;
    if (end < items.size()) open_.push_back({again, value, end});
    const bool single = end - first == stride;
    const unsigned opcode =
        pairs ? (single ? 's' : 'u') : (single ? 'a' : 'e');  // NOLINT(bugprone-signed-char-misuse): ASCII
    open_.push_back({Action::kOpcode, nullptr, opcode});
    for (std::size_t i = end; i-- > first;) open_.push_back({Action::kValue, items[i], 0});
    if (!single) byte('(');
  }

  Bytes out_;
  std::vector<Pending> open_;
  std::unordered_map<const PickleValue*, std::size_t> memo_;
};

}  // namespace

Bytes write_pickle(const PickleDocument& document) { return PickleWriter().write(document.root); }

PickleValue* PickleBuilder::add(PickleKind kind) {
  PickleValue& value = document_.nodes.emplace_back();
  value.kind = kind;
  return &value;
}
PickleValue* PickleBuilder::none() { return add(PickleKind::kNone); }
PickleValue* PickleBuilder::boolean(bool value) {
  PickleValue* node = add(PickleKind::kBool);
  node->boolean = value;
  return node;
}
PickleValue* PickleBuilder::integer(std::int64_t value) {
  PickleValue* node = add(PickleKind::kInt);
  node->integer = value;
  return node;
}
PickleValue* PickleBuilder::number(double value) {
  PickleValue* node = add(PickleKind::kFloat);
  node->number = value;
  return node;
}
PickleValue* PickleBuilder::string(std::string value) {
  PickleValue* node = add(PickleKind::kString);
  node->text = std::move(value);
  return node;
}
PickleValue* PickleBuilder::list(std::vector<PickleValue*> items) {
  PickleValue* node = add(PickleKind::kList);
  node->items = std::move(items);
  return node;
}
PickleValue* PickleBuilder::tuple(std::vector<PickleValue*> items) {
  PickleValue* node = add(PickleKind::kTuple);
  node->items = std::move(items);
  return node;
}
PickleValue* PickleBuilder::dict(const std::vector<std::pair<PickleValue*, PickleValue*>>& items) {
  PickleValue* node = add(PickleKind::kDict);
  for (const auto& [key, value] : items) {
    node->items.push_back(key);
    node->items.push_back(value);
  }
  return node;
}
PickleValue* PickleBuilder::global(std::string_view module, std::string_view name) {
  PickleValue* node = add(PickleKind::kGlobal);
  node->text.append(module).append(" ").append(name);
  return node;
}
PickleValue* PickleBuilder::call(PickleValue* callable, std::vector<PickleValue*> arguments) {
  PickleValue* tuple_node = tuple(std::move(arguments));
  PickleValue* node = add(PickleKind::kCall);
  node->items = {callable, tuple_node};
  return node;
}
PickleValue* PickleBuilder::persistent_id(PickleValue* id) {
  PickleValue* node = add(PickleKind::kPersistentId);
  node->items = {id};
  return node;
}
PickleDocument PickleBuilder::finish(PickleValue* root) && {
  document_.root = root;
  return std::move(document_);
}

}  // namespace kinglet
