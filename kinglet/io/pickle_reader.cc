#include <algorithm>
#include <bit>
#include <cstring>
#include <unordered_map>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/io/pickle.h"
#include "kinglet/io/pickle_depth.h"

namespace kinglet {
namespace {

bool is_valid_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto byte = [&](std::size_t k) { return static_cast<unsigned char>(text[k]); };
    const unsigned char lead = byte(i);
    std::size_t length = 0;
    unsigned low = 0x80, high = 0xBF;  // range of the second byte: no overlong forms, nothing above U+10FFFF
    if (lead < 0x80) {
      length = 1;
    } else if (lead >= 0xC2 && lead <= 0xDF) {
      length = 2;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
      length = 3;  // surrogates are let through: Python writes them with "surrogatepass"
      if (lead == 0xE0) low = 0xA0;
    } else if (lead >= 0xF0 && lead <= 0xF4) {
      length = 4;
      if (lead == 0xF0) low = 0x90;
      if (lead == 0xF4) high = 0x8F;
    } else {
      return false;
    }
    if (length > text.size() - i) return false;
    if (length > 1 && (byte(i + 1) < low || byte(i + 1) > high)) return false;
    for (std::size_t k = 2; k < length; ++k) {
      if ((byte(i + k) & 0xC0) != 0x80) return false;
    }
    i += length;
  }
  return true;
}

// Decimal text of a little-endian two's-complement integer of up to 255 bytes.
std::string decimal_of(ByteView bytes) {
  std::vector<std::uint8_t> magnitude;
  for (const std::byte byte : bytes) magnitude.push_back(std::to_integer<std::uint8_t>(byte));
  const bool negative = !magnitude.empty() && magnitude.back() >= 0x80;
  if (negative) {
    unsigned carry = 1;
    for (std::uint8_t& byte : magnitude) {
      carry += static_cast<std::uint8_t>(~byte);
      byte = static_cast<std::uint8_t>(carry);
      carry >>= 8;
    }
  }
  std::string digits;
  while (!magnitude.empty()) {
    unsigned remainder = 0;
    for (std::size_t i = magnitude.size(); i-- > 0;) {
      remainder = remainder << 8 | magnitude[i];
      magnitude[i] = static_cast<std::uint8_t>(remainder / 10);
      remainder %= 10;
    }
    digits += static_cast<char>('0' + remainder);
    while (!magnitude.empty() && magnitude.back() == 0) magnitude.pop_back();
  }
  if (digits.empty()) digits = "0";
  if (negative) digits += '-';
  std::reverse(digits.begin(), digits.end());
  return digits;
}

class PickleReader {
 public:
  PickleReader(ByteView bytes, std::string_view where, const PickleLimits& limits)
      : bytes_(bytes), where_(where), limits_(limits) {}

  PickleDocument read() && {
    while (document_.root == nullptr) step();
    document_.bytes_read = position_;
    if (is_nested_deeper(document_.root, limits_.max_depth)) {
      throw bad_input(where_, fmt::format("pickle nested deeper than {}", limits_.max_depth), "not a plain checkpoint");
    }
    return std::move(document_);
  }

 private:
  Error damaged(std::string_view what) const {
    return bad_input(where_, fmt::format("bad pickle at byte {}: {}", opcode_position_, what),
                     "the file is damaged or not a plain checkpoint");
  }

  ByteView take(std::uint64_t count) {
    if (count > bytes_.size() - position_) throw damaged("it ends in the middle of a value");
    const ByteView taken = bytes_.subspan(position_, count);
    position_ += count;
    return taken;
  }
  std::uint64_t take_unsigned(std::size_t width) {
    const ByteView raw = take(width);
    std::uint64_t value = 0;
    for (std::size_t i = width; i-- > 0;) value = value << 8 | std::to_integer<std::uint64_t>(raw[i]);
    return value;
  }
  std::string_view take_line() {
    const std::string_view rest = as_text(bytes_.subspan(position_));
    const std::size_t end = rest.find('\n');
    if (end == std::string_view::npos) throw damaged("a name has no end");
    position_ += end + 1;
    return rest.substr(0, end);
  }

  PickleValue* make(PickleKind kind) {
    if (document_.nodes.size() >= limits_.max_nodes) throw damaged("too many values");
    PickleValue& value = document_.nodes.emplace_back();
    value.kind = kind;
    return &value;
  }
  void push(PickleValue* value) { stack_.push_back(value); }
  void push_text(PickleKind kind, ByteView raw) {
    if (kind == PickleKind::kString && !is_valid_utf8(as_text(raw))) throw damaged("a string is not UTF-8");
    PickleValue* value = make(kind);
    value->text = as_text(raw);
    push(value);
  }
  void push_int(std::int64_t number) {
    PickleValue* value = make(PickleKind::kInt);
    value->integer = number;
    push(value);
  }
  void push_long(ByteView raw) {
    if (raw.size() > 8) {
      PickleValue* value = make(PickleKind::kBigInt);
      value->text = decimal_of(raw);
      push(value);
      return;
    }
    std::uint64_t number = 0;
    for (std::size_t i = raw.size(); i-- > 0;) number = number << 8 | std::to_integer<std::uint64_t>(raw[i]);
    const std::size_t unused = 64 - 8 * raw.size();
    push_int(raw.empty() ? 0 : static_cast<std::int64_t>(number << unused) >> unused);
  }
  void push_float(double number) {
    PickleValue* value = make(PickleKind::kFloat);
    value->number = number;
    push(value);
  }
  void push_bool(bool flag) {
    PickleValue* value = make(PickleKind::kBool);
    value->boolean = flag;
    push(value);
  }
  void push_global(std::string_view module, std::string_view name) {
    // STACK_GLOBAL copies strings of the memo: without a limit a few bytes could stand for megabytes, again and again.
    constexpr std::size_t kMaxName = 256;
    if (module.size() > kMaxName || name.size() > kMaxName) throw damaged("a global's name is too long");
    if (!is_valid_utf8(module) || !is_valid_utf8(name)) throw damaged("a global's name is not UTF-8");
    if (module.find(' ') != std::string_view::npos) throw damaged("a global's module has a blank in its name");
    PickleValue* value = make(PickleKind::kGlobal);
    value->text = fmt::format("{} {}", module, name);
    push(value);
  }

  PickleValue* pop() {
    const std::size_t floor = marks_.empty() ? 0 : marks_.back();
    if (stack_.size() <= floor) throw damaged("it takes a value that is not there");
    PickleValue* value = stack_.back();
    stack_.pop_back();
    return value;
  }
  PickleValue* top() {
    PickleValue* value = pop();
    stack_.push_back(value);
    return value;
  }
  std::vector<PickleValue*> pop_to_mark() {
    if (marks_.empty()) throw damaged("a mark is missing");
    const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<PickleValue*> items(begin, stack_.end());
    stack_.erase(begin, stack_.end());
    marks_.pop_back();
    return items;
  }
  void push_container(PickleKind kind, std::vector<PickleValue*> items) {
    PickleValue* value = make(kind);
    value->items = std::move(items);
    push(value);
  }

  void memo_put(std::uint64_t key) {
    if (memo_.size() >= limits_.max_memo || key > limits_.max_memo) throw damaged("too many memo entries");
    memo_[key] = top();
  }
  void memo_get(std::uint64_t key) {
    const auto found = memo_.find(key);
    if (found == memo_.end()) throw damaged("it refers to a value that it never stored");
    push(found->second);
  }

  // Items for a list, set or dict; for the result of a call they are kept apart, since its class is unknown.
  void extend(PickleKind kind, const std::vector<PickleValue*>& items) {
    PickleValue* target = top();
    if (kind == PickleKind::kDict && items.size() % 2 != 0) throw damaged("a dict has a key without a value");
    std::vector<PickleValue*>* place = nullptr;
    if (target->kind == kind) place = &target->items;
    if (target->kind == PickleKind::kCall) place = &target->appended;
    if (place == nullptr) throw damaged("items are added to something that holds none");
    place->insert(place->end(), items.begin(), items.end());
  }

  void call(PickleValue* callable, std::vector<PickleValue*> arguments) {
    if (callable->kind != PickleKind::kGlobal && callable->kind != PickleKind::kCall) {
      throw damaged("something that is not a name is called");
    }
    arguments.insert(arguments.begin(), callable);
    push_container(PickleKind::kCall, std::move(arguments));
  }
  PickleValue* pop_tuple() {
    PickleValue* arguments = pop();
    if (arguments->kind != PickleKind::kTuple) throw damaged("a call without an argument tuple");
    return arguments;
  }
  void build() {
    PickleValue* state = pop();
    PickleValue* target = top();
    if (target->kind != PickleKind::kCall && target->kind != PickleKind::kGlobal) {
      throw damaged("state is set on something that has none");
    }
    target->state = state;
  }

  void step();
  bool step_protocol2(std::uint8_t opcode);
  bool step_later_protocols(std::uint8_t opcode);

  ByteView bytes_;
  std::string_view where_;
  const PickleLimits& limits_;
  std::size_t position_ = 0, opcode_position_ = 0;
  PickleDocument document_;
  std::vector<PickleValue*> stack_;
  std::vector<std::size_t> marks_;
  std::unordered_map<std::uint64_t, PickleValue*> memo_;
};

void PickleReader::step() {
  opcode_position_ = position_;
  const auto opcode = static_cast<std::uint8_t>(take_unsigned(1));
  if (!step_protocol2(opcode) && !step_later_protocols(opcode)) {
    throw damaged(fmt::format("opcode 0x{:02x} is not allowed in a checkpoint", opcode));
  }
}

bool PickleReader::step_protocol2(std::uint8_t opcode) {
  switch (opcode) {
    case 0x80:  // PROTO
      if (take_unsigned(1) > 5) throw damaged("unknown protocol");
      return true;
    case '.':  // STOP
      document_.root = pop();
      if (!stack_.empty() || !marks_.empty()) throw damaged("values are left over at the end");
      return true;
    case 'N':
      push(make(PickleKind::kNone));
      return true;
    case 0x88:
      push_bool(true);
      return true;
    case 0x89:
      push_bool(false);
      return true;
    case 'K':
      push_int(static_cast<std::int64_t>(take_unsigned(1)));
      return true;
    case 'M':
      push_int(static_cast<std::int64_t>(take_unsigned(2)));
      return true;
    case 'J':
      push_int(static_cast<std::int32_t>(take_unsigned(4)));
      return true;
    case 0x8A:
      push_long(take(take_unsigned(1)));
      return true;  // LONG1
    case 'G': {     // BINFLOAT, big-endian
      std::uint64_t bits = 0;
      for (const std::byte byte : take(8)) bits = bits << 8 | std::to_integer<std::uint64_t>(byte);
      push_float(std::bit_cast<double>(bits));
      return true;
    }
    case 'X':
      push_text(PickleKind::kString, take(take_unsigned(4)));
      return true;
    case 'U':
      push_text(PickleKind::kString, take(take_unsigned(1)));
      return true;  // SHORT_BINSTRING of old files
    case '}':
      push(make(PickleKind::kDict));
      return true;
    case ']':
      push(make(PickleKind::kList));
      return true;
    case ')':
      push(make(PickleKind::kTuple));
      return true;
    case '(':
      marks_.push_back(stack_.size());
      return true;
    case 't':
      push_container(PickleKind::kTuple, pop_to_mark());
      return true;
    case 0x85:
    case 0x86:
    case 0x87: {  // TUPLE1..3
      std::vector<PickleValue*> items(opcode - 0x84U);
      for (std::size_t i = items.size(); i-- > 0;) items[i] = pop();
      push_container(PickleKind::kTuple, std::move(items));
      return true;
    }
    case 'q':
      memo_put(take_unsigned(1));
      return true;
    case 'r':
      memo_put(take_unsigned(4));
      return true;
    case 'h':
      memo_get(take_unsigned(1));
      return true;
    case 'j':
      memo_get(take_unsigned(4));
      return true;
    case 'c': {
      const std::string_view module = take_line();
      push_global(module, take_line());
      return true;
    }
    case 'Q':
      push_container(PickleKind::kPersistentId, {pop()});
      return true;
    case 'R': {
      PickleValue* arguments = pop_tuple();
      call(pop(), {arguments});
      return true;
    }
    case 0x81: {  // NEWOBJ
      PickleValue* arguments = pop_tuple();
      call(pop(), {arguments});
      return true;
    }
    case 'b':
      build();
      return true;
    case 's': {
      PickleValue* value = pop();
      PickleValue* key = pop();
      extend(PickleKind::kDict, {key, value});
      return true;
    }
    case 'u':
      extend(PickleKind::kDict, pop_to_mark());
      return true;
    case 'a': {
      PickleValue* item = pop();
      extend(PickleKind::kList, {item});
      return true;
    }
    case 'e':
      extend(PickleKind::kList, pop_to_mark());
      return true;
    default:
      return false;
  }
}

bool PickleReader::step_later_protocols(std::uint8_t opcode) {
  switch (opcode) {
    case 0x95:  // FRAME: only a hint for buffering, but it must not promise more than there is
      if (take_unsigned(8) > bytes_.size() - position_) throw damaged("a frame is longer than the file");
      return true;
    case 0x8C:
      push_text(PickleKind::kString, take(take_unsigned(1)));
      return true;
    case 0x8D:
      push_text(PickleKind::kString, take(take_unsigned(8)));
      return true;
    case 'B':
      push_text(PickleKind::kBytes, take(take_unsigned(4)));
      return true;
    case 'C':
      push_text(PickleKind::kBytes, take(take_unsigned(1)));
      return true;
    case 0x8E:
      push_text(PickleKind::kBytes, take(take_unsigned(8)));
      return true;
    case 0x94:
      memo_put(memo_.size());
      return true;  // MEMOIZE
    case 0x93: {    // STACK_GLOBAL
      const PickleValue* name = pop();
      const PickleValue* module = pop();
      if (name->kind != PickleKind::kString || module->kind != PickleKind::kString)
        throw damaged("a global without a name");
      push_global(module->text, name->text);
      return true;
    }
    case 0x8F:
      push(make(PickleKind::kSet));
      return true;
    case 0x90:
      extend(PickleKind::kSet, pop_to_mark());
      return true;
    case 0x91:
      push_container(PickleKind::kSet, pop_to_mark());
      return true;  // FROZENSET
    case 0x92: {    // NEWOBJ_EX
      PickleValue* keywords = pop();
      if (keywords->kind != PickleKind::kDict) throw damaged("a call without a keyword dict");
      PickleValue* arguments = pop_tuple();
      call(pop(), {arguments, keywords});
      return true;
    }
    default:
      return false;
  }
}

}  // namespace

const PickleValue* PickleValue::find(std::string_view key) const {
  const auto search = [&](const std::vector<PickleValue*>& pairs) -> const PickleValue* {
    const PickleValue* found = nullptr;  // the last of equal keys wins, as in Python
    for (std::size_t i = 0; i + 1 < pairs.size(); i += 2) {
      if (pairs[i]->kind == PickleKind::kString && pairs[i]->text == key) found = pairs[i + 1];
    }
    return found;
  };
  if (kind == PickleKind::kDict) return search(items);
  if (kind == PickleKind::kCall) return search(appended);
  return nullptr;
}

PickleDocument parse_pickle(ByteView bytes, std::string_view where, const PickleLimits& limits) {
  return PickleReader(bytes, where, limits).read();
}

}  // namespace kinglet
