#include "kinglet/text/jinja_evaluator.h"

#include <algorithm>
#include <deque>
#include <memory>

#include <fmt/format.h>

#include "kinglet/text/jinja_builtins.h"
#include "kinglet/text/jinja_format.h"
#include "kinglet/text/jinja_operators.h"
#include "kinglet/text/jinja_scope.h"

namespace kinglet::jinja {
namespace {

constexpr std::uint64_t kKeptScope = 1024;  // about what a scope costs that outlives its block

enum class Flow { kOn, kBreak, kContinue };

class Evaluator {
 public:
  Evaluator(const Limits& limits, const std::string& where) : runtime_(limits, where) {}
  ~Evaluator() {
    for (Namespace& one : namespaces_) one.attributes.clear();
  }
  Evaluator(const Evaluator&) = delete;
  Evaluator& operator=(const Evaluator&) = delete;

  Output run(const Statements& program, std::vector<std::pair<std::string, Value>> variables) {
    Scope globals(nullptr), top(&globals);
    for (auto& [name, function] : global_functions()) globals.set(name, std::move(function));
    globals.set("namespace", make_callable("namespace", [this](Runtime&, const Arguments& arguments) {
                  return new_namespace(arguments);
                }));
    for (auto& [name, value] : variables) globals.set(name, std::move(value));
    scope_ = &top;
    Output output;
    out_ = &output.text;
    output_ = &output;
    execute(program);
    return output;
  }

 private:
  // A scope for as long as it lives, and longer when a macro was defined in it.
  class Inside {
   public:
    Inside(Evaluator& evaluator, Scope* outer) : evaluator_(evaluator), before_(evaluator.scope_) {
      own_ = std::make_unique<Scope>(outer);
      evaluator.scope_ = own_.get();
    }
    ~Inside() {
      evaluator_.scope_ = before_;
      if (own_->kept()) evaluator_.kept_.push_back(std::move(own_));
    }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;

   private:
    Evaluator& evaluator_;
    Scope* before_;
    std::unique_ptr<Scope> own_;
  };

  // Output goes to a text of its own for as long as it lives.
  class Captured {
   public:
    explicit Captured(Evaluator& evaluator) : evaluator_(evaluator), before_(evaluator.out_) {
      evaluator.out_ = &text_;
    }
    ~Captured() { evaluator_.out_ = before_; }
    Captured(const Captured&) = delete;
    Captured& operator=(const Captured&) = delete;
    std::string take() { return std::move(text_); }

   private:
    Evaluator& evaluator_;
    std::string* before_;
    std::string text_;
  };

  // ---- statements ----------------------------------------------------------------------------------------------

  Flow execute(const Statements& statements) {
    for (const auto& statement : statements) {
      const Flow flow = execute(*statement);
      if (flow != Flow::kOn) return flow;
    }
    return Flow::kOn;
  }

  Flow execute(const Statement& statement) {
    const Runtime::Descent descent(runtime_);
    runtime_.set_line(statement.line);
    runtime_.spend();
    switch (statement.kind) {
      case Statement::Kind::kText:
        runtime_.spend_bytes(statement.text.size());
        *out_ += statement.text;
        return Flow::kOn;
      case Statement::Kind::kOutput:
        *out_ += to_text(runtime_, evaluate(*statement.value));
        return Flow::kOn;
      case Statement::Kind::kIf:
        return execute(truth(evaluate(*statement.value)) ? statement.body : statement.otherwise);
      case Statement::Kind::kFor:
        return loop(statement);
      case Statement::Kind::kSet:
        assign(statement.target, evaluate(*statement.value));
        return Flow::kOn;
      case Statement::Kind::kSetBlock:
        assign(statement.target, captured(statement));
        return Flow::kOn;
      case Statement::Kind::kMacro:
        scope_->set(statement.text, macro(statement));
        return Flow::kOn;
      case Statement::Kind::kCall:
        call_block(statement);
        return Flow::kOn;
      case Statement::Kind::kFilter:
        *out_ += to_text(runtime_, captured(statement));
        return Flow::kOn;
      case Statement::Kind::kWith:
        return with(statement);
      case Statement::Kind::kGeneration:
        return generation(statement);
      case Statement::Kind::kBreak:
        return Flow::kBreak;
      case Statement::Kind::kContinue:
        return Flow::kContinue;
    }
    return Flow::kOn;
  }

  // The text of a block, through the filters that stand in its tag.
  Value captured(const Statement& statement) {
    std::string text;
    {
      const Inside inside(*this, scope_);
      Captured capture(*this);
      execute(statement.body);
      text = capture.take();
    }
    Value value(std::move(text));
    if (statement.value == nullptr) return value;
    body_of_filter_ = &value;
    return evaluate(*statement.value);
  }

  Flow loop(const Statement& statement) {
    std::vector<Value> items = loop_items(statement);
    if (items.empty()) {
      const Inside inside(*this, scope_);
      return execute(statement.otherwise);
    }
    auto state = std::make_shared<Loop>();
    const Value sequence = runtime_.list(std::move(items));
    state->items = sequence.shared_sequence();
    state->depth = sequence.depth();
    Flow flow = Flow::kOn;
    for (const std::size_t count = state->items->items.size(); state->index < count; ++state->index) {
      const Inside inside(*this, scope_);
      runtime_.spend();
      scope_->set("loop", Value(std::shared_ptr<const Loop>(state)));
      assign(statement.target, state->items->items[state->index]);
      flow = execute(statement.body);
      if (flow == Flow::kBreak) break;
    }
    return Flow::kOn;
  }

  // What the loop goes through: without the items that its condition leaves out.
  std::vector<Value> loop_items(const Statement& statement) {
    std::vector<Value> items = runtime_.iterate(evaluate(*statement.value));
    if (statement.condition == nullptr) return items;
    std::vector<Value> kept;
    for (Value& item : items) {
      const Inside inside(*this, scope_);
      assign(statement.target, item);
      if (truth(evaluate(*statement.condition))) kept.push_back(std::move(item));
    }
    return kept;
  }

  void assign(const Target& target, const Value& value) {
    if (!target.parts.empty()) return assign_parts(target, value);
    if (target.attribute.empty()) return scope_->set(target.name, value);
    const Value* holder = scope_->find(target.name);
    Namespace* name_space = holder == nullptr ? nullptr : holder->name_space();
    if (name_space == nullptr) {
      runtime_.fail(fmt::format("'{}' is no namespace: its attributes cannot be set", target.name));
    }
    set_attribute(*name_space, target.attribute, value);
  }
  void assign_parts(const Target& target, const Value& value) {
    const std::vector<Value> items = runtime_.iterate(value);
    if (items.size() != target.parts.size()) {
      runtime_.fail(fmt::format("{} values for {} names", items.size(), target.parts.size()));
    }
    for (std::size_t i = 0; i < items.size(); ++i) assign(target.parts[i], items[i]);
  }
  void set_attribute(Namespace& name_space, const std::string& name, const Value& value) {
    if (name.starts_with('_')) runtime_.fail(fmt::format("the attribute '{}' of a namespace is not allowed", name));
    runtime_.spend(1 + name_space.attributes.size() / 8);
    runtime_.spend_bytes(sizeof(Value));
    name_space.set(name, value);
  }

  Value new_namespace(const Arguments& arguments) {
    runtime_.spend_bytes(sizeof(Namespace));
    Namespace& result = namespaces_.emplace_back();
    for (const Value& source : arguments.positional) {
      if (source.dict() == nullptr) runtime_.fail("namespace takes a dictionary or named arguments");
      for (const auto& [key, value] : source.dict()->items) {
        set_attribute(result, runtime_.text_of(key, "an attribute"), value);
      }
    }
    for (const auto& [name, value] : arguments.named) set_attribute(result, name, value);
    return &result;
  }

  Flow with(const Statement& statement) {
    std::vector<Value> values;  // seen from outside of the block
    for (const Parameter& parameter : statement.parameters) values.push_back(evaluate(*parameter.otherwise));
    const Inside inside(*this, scope_);
    for (std::size_t i = 0; i < values.size(); ++i) scope_->set(statement.parameters[i].name, std::move(values[i]));
    return execute(statement.body);
  }

  Flow generation(const Statement& statement) {
    const bool counts = out_ == &output_->text;  // what a macro writes gets its place later
    const std::size_t begin = out_->size();
    Flow flow = Flow::kOn;
    {
      const Inside inside(*this, scope_);
      flow = execute(statement.body);
    }
    if (counts) output_->generations.emplace_back(begin, out_->size());
    return flow;
  }

  // ---- macros --------------------------------------------------------------------------------------------------

  Value macro(const Statement& statement) {
    scope_->keep();
    Scope* home = scope_;
    runtime_.spend_bytes(kKeptScope);
    return make_callable(statement.text, [this, home, &statement](Runtime&, const Arguments& arguments) {
      return run_macro(statement, home, arguments);
    });
  }

  Value run_macro(const Statement& statement, Scope* home, const Arguments& arguments) {
    const int line = runtime_.line();
    const Inside inside(*this, home);
    bind(statement, arguments);
    Captured capture(*this);
    execute(statement.body);
    runtime_.set_line(line);
    return capture.take();
  }

  void bind(const Statement& statement, const Arguments& arguments) {
    const std::vector<Parameter>& parameters = statement.parameters;
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      const std::string& name = parameters[i].name;
      if (const Value* given = arguments.find(i, name)) {
        scope_->set(name, *given);
      } else if (parameters[i].otherwise != nullptr) {
        scope_->set(name, evaluate(*parameters[i].otherwise));
      } else {
        scope_->set(name, undefined(fmt::format("parameter '{}' was not provided", name)));
      }
    }
    bind_rest(statement, arguments);
  }

  // `varargs`, `kwargs`, `caller`.
  void bind_rest(const Statement& statement, const Arguments& arguments) {
    std::vector<Value> more;
    for (std::size_t i = statement.parameters.size(); i < arguments.positional.size(); ++i) {
      more.push_back(arguments.positional[i]);
    }
    std::vector<std::pair<Value, Value>> others;
    for (const auto& [name, value] : arguments.named) {
      const bool known = std::any_of(statement.parameters.begin(), statement.parameters.end(),
                                     [&, &wanted = name](const Parameter& one) { return one.name == wanted; });
      if (known) continue;
      if (name == "caller")
        scope_->set(name, value);
      else
        others.emplace_back(name, value);
    }
    scope_->set("varargs", runtime_.sequence(Sequence::Flavour::kTuple, std::move(more)));
    scope_->set("kwargs", runtime_.dict(std::move(others)));
  }

  void call_block(const Statement& statement) {
    scope_->keep();
    runtime_.spend_bytes(kKeptScope);
    Scope* home = scope_;
    Value caller = make_callable("caller", [this, home, &statement](Runtime&, const Arguments& arguments) {
      return run_macro(statement, home, arguments);
    });
    const Expression& call = *statement.value;
    Arguments arguments = evaluate_arguments(call);
    arguments.named.emplace_back("caller", std::move(caller));
    *out_ += to_text(runtime_, runtime_.call(evaluate(*call.operands[0]), arguments));
  }

  // ---- expressions ---------------------------------------------------------------------------------------------

  Value evaluate(const Expression& expression) {
    const Runtime::Descent descent(runtime_);
    runtime_.set_line(expression.line);
    runtime_.spend();
    switch (expression.kind) {
      case Expression::Kind::kConstant:
        return expression.constant;
      case Expression::Kind::kName:
        return variable(expression.text);
      case Expression::Kind::kTuple:
        return runtime_.sequence(Sequence::Flavour::kTuple, evaluate_all(expression));
      case Expression::Kind::kList:
        return runtime_.list(evaluate_all(expression));
      case Expression::Kind::kDict:
        return dict(expression);
      case Expression::Kind::kUnary:
        return unary(expression);
      case Expression::Kind::kBinary:
        return binary(expression);
      case Expression::Kind::kComparison:
        return comparison(expression);
      case Expression::Kind::kCondition:
        return condition(expression);
      case Expression::Kind::kAttribute:
        return attribute(runtime_, evaluate(*expression.operands[0]), expression.text);
      case Expression::Kind::kItem: {
        const Value value = evaluate(*expression.operands[0]);
        return item(runtime_, value, evaluate(*expression.operands[1]));
      }
      case Expression::Kind::kSlice:
        return slice(expression);
      case Expression::Kind::kCall: {
        const Value function = evaluate(*expression.operands[0]);
        const Arguments arguments = evaluate_arguments(expression);
        runtime_.set_line(expression.line);
        return runtime_.call(function, arguments);
      }
      case Expression::Kind::kFilter: {
        const Value value = expression.operands[0] == nullptr ? *body_of_filter_ : evaluate(*expression.operands[0]);
        return apply_filter(runtime_, expression.text, value, evaluate_arguments(expression));
      }
      case Expression::Kind::kTest: {
        const Value value = evaluate(*expression.operands[0]);
        return apply_test(runtime_, expression.text, value, evaluate_arguments(expression));
      }
    }
    return None{};
  }

  Value variable(const std::string& name) {
    const Value* found = scope_->find(name);
    return found != nullptr ? *found : undefined(fmt::format("'{}' is undefined", name));
  }

  std::vector<Value> evaluate_all(const Expression& expression) {
    std::vector<Value> values;
    for (const ExpressionPointer& operand : expression.operands) values.push_back(evaluate(*operand));
    return values;
  }

  Value dict(const Expression& expression) {
    std::vector<std::pair<Value, Value>> items;
    for (std::size_t i = 0; i < expression.operands.size(); i += 2) {
      Value key = evaluate(*expression.operands[i]);
      const Sequence* sequence = key.sequence();
      const bool fits =
          key.dict() == nullptr && (sequence == nullptr || sequence->flavour == Sequence::Flavour::kTuple);
      if (!fits) runtime_.fail(fmt::format("a value of type {} cannot be a key", key.kind_name()));
      Value value = evaluate(*expression.operands[i + 1]);
      const auto known =
          std::find_if(items.begin(), items.end(), [&](const auto& one) { return runtime_.equal(one.first, key); });
      if (known == items.end())
        items.emplace_back(std::move(key), std::move(value));
      else
        known->second = std::move(value);
    }
    return runtime_.dict(std::move(items));
  }

  Value unary(const Expression& expression) {
    const Value value = evaluate(*expression.operands[0]);
    if (expression.text == "not") return !truth(value);
    if (expression.text == "-") return negative(runtime_, value);
    return negative(runtime_, negative(runtime_, value));  // + of a number; an error for others
  }

  Value binary(const Expression& expression) {
    if (expression.text == "~") return joined(expression);
    Value left = evaluate(*expression.operands[0]);
    if (expression.text == "and" || expression.text == "or") {
      return truth(left) == (expression.text == "or") ? left : evaluate(*expression.operands[1]);
    }
    const Value right = evaluate(*expression.operands[1]);
    runtime_.set_line(expression.line);
    return arithmetic(runtime_, expression.text, left, right);
  }

  Value joined(const Expression& expression) {
    std::string text;
    for (const ExpressionPointer& operand : expression.operands) text += to_text(runtime_, evaluate(*operand));
    return runtime_.text(std::move(text));
  }

  Value comparison(const Expression& expression) {
    Value left = evaluate(*expression.operands[0]);
    for (std::size_t i = 0; i < expression.texts.size(); ++i) {
      Value right = evaluate(*expression.operands[i + 1]);
      runtime_.set_line(expression.line);
      if (!compare(runtime_, expression.texts[i], left, right)) return false;
      left = std::move(right);
    }
    return true;
  }

  Value condition(const Expression& expression) {
    if (truth(evaluate(*expression.operands[1]))) return evaluate(*expression.operands[0]);
    if (expression.operands[2] != nullptr) return evaluate(*expression.operands[2]);
    return undefined("the condition of an inline if is false, and it has no else");
  }

  Value slice(const Expression& expression) {
    const Value value = evaluate(*expression.operands[0]);
    const auto bound = [&](std::size_t i) {
      return expression.operands[i] == nullptr ? Value() : evaluate(*expression.operands[i]);
    };
    const Value begin = bound(1), end = bound(2), step = bound(3);
    return jinja::slice(runtime_, value, begin, end, step);
  }

  Arguments evaluate_arguments(const Expression& expression) {
    using Spread = NamedExpression::Spread;
    Arguments arguments;
    for (const NamedExpression& argument : expression.arguments) {
      Value value = evaluate(*argument.value);
      if (argument.spread == Spread::kPositional) {
        for (Value& one : runtime_.iterate(value)) arguments.positional.push_back(std::move(one));
      } else if (argument.spread == Spread::kNamed) {
        if (value.dict() == nullptr) runtime_.fail("'**' takes a dictionary");
        for (const auto& [name, one] : value.dict()->items) {
          arguments.named.emplace_back(runtime_.text_of(name, "the name of an argument"), one);
        }
      } else if (argument.name.empty()) {
        arguments.positional.push_back(std::move(value));
      } else {
        arguments.named.emplace_back(argument.name, std::move(value));
      }
    }
    return arguments;
  }

  Runtime runtime_;
  std::deque<Namespace> namespaces_;
  std::vector<std::unique_ptr<Scope>> kept_;
  Scope* scope_ = nullptr;
  std::string* out_ = nullptr;
  Output* output_ = nullptr;
  const Value* body_of_filter_ = nullptr;
};

}  // namespace

Output evaluate(const Statements& program, std::vector<std::pair<std::string, Value>> variables, const Limits& limits,
                const std::string& where) {
  return Evaluator(limits, where).run(program, std::move(variables));
}

}  // namespace kinglet::jinja
