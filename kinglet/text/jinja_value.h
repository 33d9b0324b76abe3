// The values that a chat template computes with: those of the Python that templates are written for.
//
// Values are immutable and shared; only namespaces change, and the evaluator owns them (a value holds a bare pointer),
// so that no cycle of shared pointers can arise. Nesting is limited where a value is built: nothing that walks or
// destroys a value can exhaust the stack.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace kinglet::jinja {

class Value;
class Runtime;

inline constexpr int kMaxNesting = 100;

struct Undefined {
  std::shared_ptr<const std::string> why;  // "'name' is undefined"; never null
};
struct None {};

// Everything that is iterated in order. Python tells the flavours apart: only lists and tuples equal each other within
// their kind and become JSON, views and generators have no items by number, a generator gives its items once.
struct Sequence {
  enum class Flavour { kList, kTuple, kRange, kKeys, kValues, kItems, kGenerator };
  Flavour flavour = Flavour::kList;
  std::vector<Value> items;
  int depth = 1;
  mutable bool consumed = false;  // of a generator
};

// Keys keep their order of insertion.
struct Dict {
  std::vector<std::pair<Value, Value>> items;
  int depth = 1;

  const Value* find(std::string_view key) const;  // null when it is not there
};

struct Namespace {
  std::vector<std::pair<std::string, Value>> attributes;

  const Value* find(std::string_view name) const;
  void set(std::string_view name, Value value);
};

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;

  // The argument at this place or of this name; null when it was not given.
  const Value* find(std::size_t place, std::string_view name) const;
};

struct Callable {
  std::string name;
  std::function<Value(Runtime&, const Arguments&)> body;
  int depth = 1;  // of what `body` holds
};

struct Loop {
  std::shared_ptr<const Sequence> items;
  std::size_t index = 0;
  int depth = 1;  // of `items`
};

class Value {
 public:
  Value() : data_(None{}) {}
  Value(None) : data_(None{}) {}
  Value(bool value) : data_(value) {}
  Value(std::int64_t value) : data_(value) {}
  Value(double value) : data_(value) {}
  Value(Undefined value) : data_(std::move(value)) {}
  Value(std::string value) : data_(std::make_shared<const std::string>(std::move(value))) {}
  Value(const char* value) : Value(std::string(value)) {}
  Value(std::shared_ptr<const std::string> value) : data_(std::move(value)) {}
  Value(std::shared_ptr<const Sequence> value) : data_(std::move(value)) {}
  Value(std::shared_ptr<const Dict> value) : data_(std::move(value)) {}
  Value(std::shared_ptr<const Callable> value) : data_(std::move(value)) {}
  Value(std::shared_ptr<const Loop> value) : data_(std::move(value)) {}
  Value(Namespace* value) : data_(value) {}

  bool is_undefined() const { return std::holds_alternative<Undefined>(data_); }
  bool is_none() const { return std::holds_alternative<None>(data_); }
  bool is_boolean() const { return std::holds_alternative<bool>(data_); }
  bool is_integer() const { return std::holds_alternative<std::int64_t>(data_); }  // booleans are not
  bool is_float() const { return std::holds_alternative<double>(data_); }
  bool is_string() const { return std::holds_alternative<std::shared_ptr<const std::string>>(data_); }
  bool is_number() const { return is_integer() || is_float() || is_boolean(); }

  const std::string& undefined_reason() const { return *std::get<Undefined>(data_).why; }
  bool boolean() const { return std::get<bool>(data_); }
  std::int64_t integer() const {  // of an integer or boolean
    return is_boolean() ? static_cast<std::int64_t>(boolean()) : std::get<std::int64_t>(data_);
  }
  double number() const { return is_float() ? std::get<double>(data_) : static_cast<double>(integer()); }
  const std::string& text() const { return *std::get<std::shared_ptr<const std::string>>(data_); }

  // Null where the value is of another kind.
  const Sequence* sequence() const { return pointer<Sequence>(); }
  const Dict* dict() const { return pointer<Dict>(); }
  const Callable* callable() const { return pointer<Callable>(); }
  const Loop* loop() const { return pointer<Loop>(); }
  Namespace* name_space() const {
    const auto* found = std::get_if<Namespace*>(&data_);
    return found == nullptr ? nullptr : *found;
  }
  std::shared_ptr<const Sequence> shared_sequence() const { return std::get<std::shared_ptr<const Sequence>>(data_); }

  int depth() const;
  bool same_object(const Value& other) const;  // Python's `is`
  std::string_view kind_name() const;          // the name of its Python type, for messages

 private:
  template <typename T>
  const T* pointer() const {
    const auto* found = std::get_if<std::shared_ptr<const T>>(&data_);
    return found == nullptr ? nullptr : found->get();
  }

  std::variant<Undefined, None, bool, std::int64_t, double, std::shared_ptr<const std::string>,
               std::shared_ptr<const Sequence>, std::shared_ptr<const Dict>, std::shared_ptr<const Callable>,
               std::shared_ptr<const Loop>, Namespace*>
      data_;
};

Value undefined(std::string why);
bool truth(const Value& value);

// Raise Error (bad input) when the result would be nested more deeply than kMaxNesting.
Value make_sequence(Sequence::Flavour flavour, std::vector<Value> items);
Value make_list(std::vector<Value> items);
Value make_tuple(std::vector<Value> items);
Value make_dict(std::vector<std::pair<Value, Value>> items);  // the keys are different
Value make_callable(std::string name, std::function<Value(Runtime&, const Arguments&)> body, int held_depth = 0);

// Python's == without an order of evaluation that could be noticed. `steps` counts down; false when it is used up,
// because values that share parts may stand for more comparisons than any time allows.
bool equal(const Value& a, const Value& b, std::int64_t& steps);

// Raises Error (bad input) for JSON that is nested too deeply or holds invalid UTF-8.
Value from_json(const nlohmann::ordered_json& json);

}  // namespace kinglet::jinja
