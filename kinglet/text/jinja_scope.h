// Variables by name, in scopes within scopes: a loop's body, a macro's body and a `with` block each have their own.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "kinglet/text/jinja_value.h"

namespace kinglet::jinja {

class Scope {
 public:
  explicit Scope(Scope* outer) : outer_(outer) {}

  const Value* find(const std::string& name) const {
    for (const Scope* scope = this; scope != nullptr; scope = scope->outer_) {
      const auto found = scope->variables_.find(name);
      if (found != scope->variables_.end()) return &found->second;
    }
    return nullptr;
  }
  void set(const std::string& name, Value value) { variables_.insert_or_assign(name, std::move(value)); }

  // A macro was defined inside: it may be called later, and looks its variables up here.
  void keep() {
    for (Scope* scope = this; scope != nullptr && !scope->kept_; scope = scope->outer_) scope->kept_ = true;
  }
  bool kept() const { return kept_; }
  Scope* outer() const { return outer_; }

 private:
  Scope* outer_;
  bool kept_ = false;
  std::unordered_map<std::string, Value> variables_;
};

}  // namespace kinglet::jinja
