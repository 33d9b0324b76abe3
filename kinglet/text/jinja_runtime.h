// What a running template may use, and what every built-in function needs: limits, errors with the line, iteration.
//
// A template comes with a model and is hostile until shown otherwise. Every step of the evaluator and every item that a
// built-in looks at costs a step; every text and list that is built costs its bytes, for good. Both are bounded, so is
// the depth of calls; whatever a template does, it ends with its text or with Error (bad input).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kinglet/text/jinja_value.h"

namespace kinglet::jinja {

struct Limits {
  std::int64_t steps = 20'000'000;
  std::int64_t bytes = std::int64_t{256} << 20;
  int depth = 400;  // of expressions, blocks and macros within each other
};

class Runtime {
 public:
  Runtime(const Limits& limits, std::string where) : limits_(limits), where_(std::move(where)) {}

  void spend(std::uint64_t steps = 1);
  void spend_bytes(std::uint64_t bytes);

  void set_line(int line) { line_ = line; }
  int line() const { return line_; }
  [[noreturn]] void fail(std::string_view what, std::string_view remedy = {}) const;
  [[noreturn]] void fail_undefined(const Value& value) const;

  // One level deeper for as long as it lives.
  class Descent {
   public:
    explicit Descent(Runtime& runtime) : runtime_(runtime) { runtime_.descend(); }
    ~Descent() { --runtime_.depth_; }
    Descent(const Descent&) = delete;
    Descent& operator=(const Descent&) = delete;

   private:
    Runtime& runtime_;
  };

  Value text(std::string value);  // counted
  Value sequence(Sequence::Flavour flavour, std::vector<Value> items);
  Value list(std::vector<Value> items) { return sequence(Sequence::Flavour::kList, std::move(items)); }
  Value generator(std::vector<Value> items) { return sequence(Sequence::Flavour::kGenerator, std::move(items)); }
  Value dict(std::vector<std::pair<Value, Value>> items);

  bool equal(const Value& a, const Value& b);
  const Value* find(const Dict& dict, const Value& key);  // null when it is not there
  // The items that a loop over `value` sees: those of a sequence, the keys of a dictionary, the characters of a text,
  // nothing for an undefined value. Raises Error for what cannot be iterated.
  std::vector<Value> iterate(const Value& value);
  std::int64_t length(const Value& value);  // Python's len()
  Value call(const Value& function, const Arguments& arguments);

  // Arguments of built-ins, checked.
  const std::string& text_of(const Value& value, std::string_view what) const;
  std::int64_t integer_of(const Value& value, std::string_view what) const;

 private:
  void descend();

  Limits limits_;
  std::string where_;
  int line_ = 1;
  int depth_ = 0;
};

}  // namespace kinglet::jinja
