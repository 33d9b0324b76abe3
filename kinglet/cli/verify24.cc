// kinglet verify24: is this expression a solution, or is there one?
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/cli/command.h"
#include "kinglet/methods/fot/game24.h"

namespace kinglet::cli {
namespace {

struct VerifyArguments {
  std::string puzzle, expression;
};

int run_verify24(const VerifyArguments& arguments, const Globals& globals) {
  const fot::Puzzle puzzle = fot::parse_puzzle(arguments.puzzle, "puzzle");
  if (arguments.expression.empty()) {
    const auto solution = fot::solve24(fot::numbers_of(puzzle), fot::Intermediates::kAny);
    if (globals.json)
      print_json({{"puzzle", puzzle}, {"solvable", solution.has_value()}, {"solution", solution.value_or("")}});
    else
      std::cout << (solution ? *solution + " = 24" : "no solution") << '\n';
    return solution ? 0 : 1;
  }
  const fot::Verdict verdict = fot::verify24(puzzle, arguments.expression);
  if (globals.json)
    print_json({{"puzzle", puzzle}, {"correct", verdict.correct}, {"reason", printable(verdict.reason)}});
  else
    std::cout << (verdict.correct ? "correct" : "wrong: " + printable(verdict.reason)) << '\n';
  return verdict.correct ? 0 : 1;
}

}  // namespace

void add_verify24_command(CLI::App& app, const Globals& globals) {
  auto arguments = std::make_shared<VerifyArguments>();
  CLI::App* command = add_command(app, "verify24", "Check a solution of the Game of 24 exactly, or find one",
                                  "kinglet verify24 '4 5 6 10' '5 * (10 - 4) - 6'",
                                  [arguments, &globals] { return run_verify24(*arguments, globals); });
  command->add_option("puzzle", arguments->puzzle, "Four numbers in one text")->required()->type_name("NUMBERS");
  command->add_option("expression", arguments->expression, "The solution to check; without it one is looked for")
      ->type_name("EXPRESSION");
}

}  // namespace kinglet::cli
