#include "kinglet/text/jinja_format.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "kinglet/text/jinja_text.h"

namespace kinglet::jinja {
namespace {

using Flavour = Sequence::Flavour;

void append_text_repr(std::string& out, std::string_view text) {
  const bool has_single = text.find('\'') != std::string_view::npos;
  const bool has_double = text.find('"') != std::string_view::npos;
  const char quote = has_single && !has_double ? '"' : '\'';
  out.push_back(quote);
  for_each_character(text, [&](std::string_view character) {
    const char32_t c = code_point_at(character, 0);
    if (c == static_cast<char32_t>(quote) || c == '\\') {
      out.push_back('\\');
      out += character;
    } else if (c == '\n' || c == '\r' || c == '\t') {
      out += c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t";
    } else if (is_printable(c)) {
      out += character;
    } else if (c < 0x100) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned>(c));
    } else {
      out += c < 0x10000 ? fmt::format("\\u{:04x}", static_cast<unsigned>(c))
                         : fmt::format("\\U{:08x}", static_cast<unsigned>(c));
    }
  });
  out.push_back(quote);
}

class ReprWriter {
 public:
  explicit ReprWriter(Runtime& runtime) : runtime_(runtime) {}

  // The text grows by what is counted, so that shared parts cannot make it larger than the limit.
  void write(const Value& value) {
    const std::size_t before = out.size();
    write_uncounted(value);
    runtime_.spend();
    if (value.sequence() == nullptr && value.dict() == nullptr) runtime_.spend_bytes(out.size() - before);
  }

  std::string out;

 private:
  void write_uncounted(const Value& value) {
    if (value.is_string()) {
      append_text_repr(out, value.text());
    } else if (const Sequence* sequence = value.sequence()) {
      write_sequence(*sequence);
    } else if (const Dict* dict = value.dict()) {
      write_dict(*dict);
    } else if (value.is_undefined()) {
      out += "Undefined";
    } else {
      out += to_text(runtime_, value);
    }
  }

  void write_sequence(const Sequence& sequence) {
    if (sequence.flavour == Flavour::kRange) return write_range(sequence);
    static constexpr std::array<std::pair<std::string_view, std::string_view>, 7> kMarks = {
        {{"[", "]"}, {"(", ")"}, {}, {"dict_keys([", "])"}, {"dict_values([", "])"}, {"dict_items([", "])"}, {}}};
    if (sequence.flavour == Flavour::kGenerator) {
      out += "<generator>";
      return;
    }
    const auto& [begin, end] = kMarks[static_cast<std::size_t>(sequence.flavour)];
    out += begin;
    for (std::size_t i = 0; i < sequence.items.size(); ++i) {
      if (i > 0) out += ", ";
      write(sequence.items[i]);
    }
    if (sequence.flavour == Flavour::kTuple && sequence.items.size() == 1) out += ",";
    out += end;
  }

  // Only the numbers are kept: the end is one step behind the last of them.
  void write_range(const Sequence& range) {
    const std::size_t count = range.items.size();
    const std::int64_t first = count > 0 ? range.items[0].integer() : 0;
    const std::int64_t step = count > 1 ? range.items[1].integer() - first : 1;
    out += fmt::format("range({}, {}", first, first + step * static_cast<std::int64_t>(count));
    out += step == 1 ? ")" : fmt::format(", {})", step);
  }

  void write_dict(const Dict& dict) {
    out += "{";
    for (std::size_t i = 0; i < dict.items.size(); ++i) {
      if (i > 0) out += ", ";
      write(dict.items[i].first);
      out += ": ";
      write(dict.items[i].second);
    }
    out += "}";
  }

  Runtime& runtime_;
};

class JsonWriter {
 public:
  JsonWriter(Runtime& runtime, const JsonStyle& style) : runtime_(runtime), style_(style) {}

  void write(const Value& value) {
    runtime_.spend();
    const std::size_t before = out.size();
    if (const Sequence* sequence = list_of(value)) return write_list(*sequence);
    if (const Dict* dict = value.dict()) return write_dict(*dict);
    if (value.is_none()) {
      out += "null";
    } else if (value.is_string()) {
      write_text(value.text());
    } else if (value.is_number()) {
      out += number_text(value);
    } else {
      runtime_.fail(fmt::format("a value of type {} cannot become JSON", value.kind_name()));
    }
    runtime_.spend_bytes(out.size() - before);
  }

  std::string out;

 private:
  static const Sequence* list_of(const Value& value) {
    const Sequence* sequence = value.sequence();
    if (sequence == nullptr) return nullptr;
    const bool is_list =
        sequence->flavour == Sequence::Flavour::kList || sequence->flavour == Sequence::Flavour::kTuple;
    return is_list ? sequence : nullptr;
  }

  static std::string number_text(const Value& value) {
    if (value.is_boolean()) return value.boolean() ? "true" : "false";
    if (value.is_integer()) return std::to_string(value.integer());
    if (std::isnan(value.number())) return "NaN";
    if (std::isinf(value.number())) return value.number() > 0 ? "Infinity" : "-Infinity";
    return float_text(value.number());
  }

  void break_line() {
    if (!style_.indent) return;
    const std::size_t before = out.size();
    out.push_back('\n');
    for (int i = 0; i < level_; ++i) out += *style_.indent;
    runtime_.spend_bytes(out.size() - before);
  }

  void write_list(const Sequence& sequence) {
    if (sequence.items.empty()) {
      out += "[]";
      return;
    }
    out += "[";
    ++level_;
    for (std::size_t i = 0; i < sequence.items.size(); ++i) {
      if (i > 0) out += style_.item_separator;
      break_line();
      write(sequence.items[i]);
    }
    --level_;
    break_line();
    out += "]";
  }

  std::string key_text(const Value& key) {
    if (key.is_string()) return key.text();
    if (key.is_none()) return "null";
    if (key.is_number()) return number_text(key);
    runtime_.fail(fmt::format("a key of type {} cannot become JSON", key.kind_name()));
  }

  void write_dict(const Dict& dict) {
    if (dict.items.empty()) {
      out += "{}";
      return;
    }
    std::vector<std::pair<std::string, const Value*>> items;
    for (const auto& [key, value] : dict.items) items.emplace_back(key_text(key), &value);
    if (style_.sort_keys) {
      std::stable_sort(items.begin(), items.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    }
    out += "{";
    ++level_;
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out += style_.item_separator;
      break_line();
      const std::size_t before = out.size();
      write_text(items[i].first);
      out += style_.key_separator;
      runtime_.spend_bytes(out.size() - before);
      write(*items[i].second);
    }
    --level_;
    break_line();
    out += "}";
  }

  void write_text(std::string_view text) {
    out.push_back('"');
    for_each_character(text, [&](std::string_view character) {
      const char32_t c = code_point_at(character, 0);
      static constexpr std::string_view kNamed = "\b\t\n\f\r\"\\", kLetters = "btnfr\"\\";
      const std::size_t named = c < 0x80 ? kNamed.find(static_cast<char>(c)) : std::string_view::npos;
      if (named != std::string_view::npos) {
        out.push_back('\\');
        out.push_back(kLetters[named]);
      } else if (c < 0x20 || (style_.ascii_only && c > 0x7E)) {
        write_escaped(c);
      } else {
        out += character;
      }
    });
    out.push_back('"');
  }
  void write_escaped(char32_t c) {
    if (c >= 0x10000) {
      out += fmt::format("\\u{:04x}\\u{:04x}", 0xD800U + (static_cast<unsigned>(c - 0x10000) >> 10U),
                         0xDC00U + (static_cast<unsigned>(c - 0x10000) & 0x3FFU));
    } else {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    }
  }

  Runtime& runtime_;
  const JsonStyle& style_;
  int level_ = 0;
};

}  // namespace

std::string float_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  std::array<char, 64> buffer{};
  const auto scientific =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::scientific);
  std::string text(buffer.data(), scientific.ptr);
  const int exponent = std::stoi(text.substr(text.find('e') + 1));
  if (exponent < -4 || exponent >= 16) return text;  // both write at least two digits of the exponent
  const auto fixed = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::fixed);
  text.assign(buffer.data(), fixed.ptr);
  return text.find('.') == std::string::npos ? text + ".0" : text;
}

std::string to_text(Runtime& runtime, const Value& value) {
  if (value.is_undefined()) return {};
  if (value.is_none()) return "None";
  if (value.is_boolean()) return value.boolean() ? "True" : "False";
  if (value.is_integer()) return std::to_string(value.integer());
  if (value.is_float()) return float_text(value.number());
  if (value.is_string()) {
    runtime.spend_bytes(value.text().size());
    return value.text();
  }
  if (value.sequence() != nullptr || value.dict() != nullptr) return to_repr(runtime, value);
  return fmt::format("<{}>", value.kind_name());
}

std::string to_repr(Runtime& runtime, const Value& value) {
  ReprWriter writer(runtime);
  writer.write(value);
  return std::move(writer.out);
}

std::string to_json(Runtime& runtime, const Value& value, const JsonStyle& style) {
  JsonWriter writer(runtime, style);
  writer.write(value);
  return std::move(writer.out);
}

}  // namespace kinglet::jinja
