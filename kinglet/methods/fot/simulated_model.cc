#include "kinglet/methods/fot/simulated_model.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <fmt/format.h>

#include "kinglet/base/hash.h"
#include "kinglet/base/rng.h"
#include "kinglet/methods/fot/game24.h"
#include "kinglet/methods/fot/game24_step.h"

namespace kinglet::fot {
namespace {

std::vector<Rational> numbers_in(std::string_view text) {
  std::vector<Rational> numbers;
  while (!text.empty() && numbers.size() < 8) {
    const std::size_t end = std::min(text.find_first_of(" \n"), text.size());
    if (const auto number = parse_decimal(text.substr(0, end))) numbers.push_back(*number);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return numbers;
}

std::string_view last_line(std::string_view text) {
  const std::size_t at = text.rfind('\n');
  return at == std::string_view::npos ? text : text.substr(at + 1);
}

std::string_view between(std::string_view text, std::string_view begin, std::string_view end) {
  const std::size_t from = text.rfind(begin);
  if (from == std::string_view::npos) return {};
  text.remove_prefix(from + begin.size());
  return text.substr(0, text.find(end));
}

// The text in the first fence: the answer that is examined.
std::string_view fenced_text(std::string_view text) {
  const std::size_t open = text.find("<<<\n");
  if (open == std::string_view::npos) return {};
  text.remove_prefix(open + 4);
  return text.substr(0, text.find("\n>>>"));
}

class Dice {
 public:
  Dice(const SimulationSettings& settings, const ChatRequest& request)
      : settings_(settings),
        text_(request.messages.back().content),
        rng_(request.seed.value_or(0) ^ xxh3(as_bytes(text_))) {}

  std::string propose() {
    const std::vector<Rational> state = numbers_in(between(text_, "Input: ", "\n"));
    if (state.size() < 2) return "";
    const int lines = state.size() > 3 ? settings_.four_number_lines : settings_.three_number_lines;
    std::string reply;
    for (int i = 0; i < lines; ++i) reply += propose_line(state);
    return reply;
  }

  std::string value() {
    const bool solvable = solve24(numbers_in(last_line(text_)), Intermediates::kAny).has_value();
    if (settings_.perfect_value) return solvable ? "sure" : "impossible";
    const double sure = solvable ? 0.396 : 0.186, likely = solvable ? 0.529 : 0.649;
    const double throw_ = rng_.uniform();
    return throw_ < sure ? "sure" : throw_ < sure + likely ? "likely" : "impossible";
  }

  Rng& rng() { return rng_; }
  const std::string& text() const { return text_; }

 private:
  std::size_t pick(std::size_t count) {
    double total = 0;
    for (std::size_t i = 0; i < count; ++i) total += std::pow(settings_.order_bias, static_cast<double>(i));
    double left = rng_.uniform() * total;
    for (std::size_t i = 0; i < count; ++i) {
      left -= std::pow(settings_.order_bias, static_cast<double>(i));
      if (left < 0) return i;
    }
    return count - 1;
  }

  std::string propose_line(std::vector<Rational> state) {
    const std::size_t first = pick(state.size());
    Rational a = state[first];
    state.erase(state.begin() + static_cast<std::ptrdiff_t>(first));
    const std::size_t second = pick(state.size());
    const Rational b = state[second];
    state.erase(state.begin() + static_cast<std::ptrdiff_t>(second));
    const auto operation = static_cast<Operation>("+-*/"[rng_.below(4)]);
    auto result = apply(operation, a, b);
    if (!result) return "";
    if (!result->is_whole()) {
      if (rng_.uniform() >= settings_.floored_division) return "";
      result = Rational(result->numerator() / result->denominator());
    }
    if (rng_.uniform() < settings_.wrong_operand) a = apply(Operation::kAdd, a, Rational(1)).value_or(a);
    state.insert(state.begin(), *result);
    if (rng_.uniform() < settings_.wrong_left)
      state[rng_.below(state.size())] = Rational(1 + static_cast<std::int64_t>(rng_.below(13)));
    return to_text(Game24Step{a, operation, b, *result, state}) + "\n";
  }

  const SimulationSettings& settings_;
  const std::string& text_;
  Rng rng_;
};

std::string wrong_number(const std::string& right, std::uint64_t offset) {
  const auto number = parse_decimal(right);
  const auto wrong =
      number ? apply(Operation::kAdd, *number, Rational(static_cast<std::int64_t>(offset))) : std::nullopt;
  return wrong ? wrong->to_text() : fmt::format("{}", 1000 + offset);
}

std::string wrong_answer(Task task, const std::string& right, std::uint64_t offset) {
  if (task != Task::kChoice || right.empty()) return wrong_number(right, offset);
  const auto letter = static_cast<std::uint64_t>(right[0] - 'A');
  return std::string(1, static_cast<char>('A' + (letter + 1 + offset % 4) % 5));
}

std::string written(Task task, const std::string& answer) {
  if (task == Task::kMath) return fmt::format("Working it out step by step gives the result \\boxed{{{}}}", answer);
  if (task == Task::kChoice) return fmt::format("Going through the options one by one.\nThe answer is ({})", answer);
  return fmt::format("Working it out step by step.\nThe answer is {}\n#### {}", answer, answer);
}

}  // namespace

void SimulatedModel::teach(Task task, const std::string& question, const std::string& answer) {
  known_[question.substr(0, question.find('\n'))] = {task, answer};
}

ChatReply SimulatedModel::operator()(const ChatRequest& request) const {
  ChatReply reply = reply_to(request);
  // About four bytes a token.
  for (const ChatMessage& message : request.messages) {
    reply.usage.prompt += static_cast<std::int64_t>(message.content.size() / 4 + 4);
  }
  reply.usage.completion = static_cast<std::int64_t>(reply.text.size() / 4 + 1);
  return reply;
}

ChatReply SimulatedModel::reply_to(const ChatRequest& request) const {
  ChatReply reply;
  reply.finish_reason = FinishReason::kStop;
  if (request.messages.empty()) return reply;
  Dice dice(settings_, request);
  Rng& rng = dice.rng();
  const std::string& role = request.role;
  const bool puzzle = dice.text().find("Input: ") != std::string::npos;
  if (role == "propose" && puzzle) {
    reply.text = dice.propose();
    return reply;
  }
  if (role == "value" && dice.text().find("Question: ") == std::string::npos) {
    reply.text = dice.value();
    return reply;
  }
  const auto found = known_.find(between(dice.text(), "Question: ", "\n"));
  const Known known = found == known_.end() ? Known{Task::kGeneric, "42"} : found->second;
  const std::uint64_t hash = xxh3(as_bytes(known.answer + std::string(between(dice.text(), "Question: ", "\n"))));
  const double ability = std::clamp(settings_.right + settings_.spread * (Rng(hash).uniform() * 2 - 1), 0.0, 1.0);
  const auto is_right = [&](std::string_view text) {
    const auto label = label_of(known.task, text);
    return label && label == label_of(known.task, written(known.task, known.answer));
  };
  const auto draw = [&](double chance) {
    const double throw_ = rng.uniform();
    if (throw_ < chance) return known.answer;
    const double rest = (throw_ - chance) / std::max(1e-12, 1 - chance);
    const double attracted = settings_.attractor / std::max(1e-12, 1 - settings_.right);
    return wrong_answer(known.task, known.answer, rest < attracted ? 1 + hash % 9 : 100 + rng.below(1'000'000));
  };
  if (role == "reward") {
    const double score = (is_right(fenced_text(dice.text())) ? 68 : 52) + 16 * rng.normal();
    reply.text = fmt::format("There are weak points.\n[Score] {:.0f}", std::clamp(score, 0.0, 94.0));
  } else if (role == "reflect") {
    reply.text = "The second step needs to be checked again, and the units are missing.";
  } else if (role == "refine") {
    const double chance = is_right(fenced_text(dice.text())) ? 1 - settings_.refined_wrong : settings_.refined_right;
    reply.text = "[reasoning process] " + written(known.task, draw(chance));
  } else if (role == "finalise" && dice.text().find("Reasoning:\n") != std::string::npos) {
    const auto label = label_of(known.task, between(dice.text(), "Reasoning:\n", "\n\nTherefore"));
    reply.text = label.value_or("unclear");
    if (known.task != Task::kGeneric) reply.text = written(known.task, reply.text);
  } else if (role == "value") {
    reply.text = fmt::format("[Score] {:.2f}", std::clamp(0.5 + 0.2 * rng.normal(), 0.0, 0.89));
  } else if (role == "propose") {
    reply.text = fmt::format("Consider case {} of the problem.", rng.below(1000));
  } else if (role == "expert" && dice.text().find("Choice:") != std::string::npos) {
    std::vector<char> letters, right;
    for (char letter = 'A'; letter <= 'T'; ++letter) {
      const std::size_t at = dice.text().find(fmt::format("\n({}) ", letter));
      if (at == std::string::npos) break;
      letters.push_back(letter);
      if (is_right(fenced_text(std::string_view(dice.text()).substr(at)))) right.push_back(letter);
    }
    const bool sees = !right.empty() && rng.uniform() < settings_.expert_right;
    std::erase_if(letters,
                  [&](char letter) { return !right.empty() && letter == right.front() && letters.size() > 1; });
    const char choice = sees ? right.front() : letters.empty() ? 'A' : letters[rng.below(letters.size())];
    reply.text = fmt::format("I solved it myself and compared.\nChoice: {}", choice);
  } else {
    reply.text = written(known.task, draw(ability));
  }
  if (request.log_probs) {
    // Right answers are written with more confidence, by and large.
    const double mean = (is_right(reply.text) ? -0.35 : -0.65) + 0.2 * rng.normal();
    reply.log_probs.assign(8, TokenLogProb{"token", std::min(-0.01, mean), {}});
  }
  return reply;
}

}  // namespace kinglet::fot
