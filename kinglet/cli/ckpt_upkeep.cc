// kinglet ckpt gc, rebase: changes inside a store.
#include <algorithm>
#include <iostream>
#include <memory>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/progress.h"
#include "kinglet/cli/ckpt.h"
#include "kinglet/methods/excp/retention.h"

namespace kinglet::cli {
namespace {

using nlohmann::json;
using Access = excp::Store::Access;

struct GcArguments {
  std::string store;
  excp::RetentionRule rule;
  bool dry_run = false;
};

std::uint64_t bytes_of(const std::vector<excp::StepInfo>& stored, const std::vector<std::int64_t>& steps) {
  std::uint64_t bytes = 0;
  for (const excp::StepInfo& info : stored) {
    if (std::find(steps.begin(), steps.end(), info.step) != steps.end()) bytes += info.stored_bytes;
  }
  return bytes;
}

int run_gc(const GcArguments& arguments, const Globals& globals) {
  if (arguments.rule.steps.empty() && !arguments.rule.last && !arguments.rule.every) {
    throw bad_input("gc", "nothing says which steps are to be kept", "give --keep, --keep-last or --keep-every");
  }
  excp::Store store = open_store(arguments.store, arguments.dry_run ? Access::kRead : Access::kWrite);
  const std::vector<excp::StepInfo> before = store.steps();
  const std::vector<std::int64_t> retained = excp::choose_retained(before, arguments.rule);
  const std::vector<std::int64_t> removed =
      arguments.dry_run ? excp::removable_steps(before, retained) : store.collect_garbage(retained);
  std::vector<std::int64_t> ancestors;  // stay although no rule wants them
  for (const excp::StepInfo& info : before) {
    const auto in = [&](const std::vector<std::int64_t>& steps) {
      return std::find(steps.begin(), steps.end(), info.step) != steps.end();
    };
    if (!in(retained) && !in(removed)) ancestors.push_back(info.step);
  }
  const std::uint64_t freed = bytes_of(before, removed);
  if (globals.json) {
    print_json({{"removed", removed},
                {"kept", retained},
                {"kept_for_others", ancestors},
                {"freed_bytes", freed},
                {"dry_run", arguments.dry_run}});
    return 0;
  }
  const char* verb = arguments.dry_run ? "would remove" : "removed";
  std::cout << (removed.empty() ? fmt::format("{} nothing\n", verb)
                                : fmt::format("{} {} steps, {}: {}\n", verb, removed.size(),
                                              format_bytes(static_cast<double>(freed)), steps_text(removed)));
  if (!ancestors.empty()) {
    std::cout << fmt::format("kept because later steps need them: {} ('kinglet ckpt rebase' frees a step from them)\n",
                             steps_text(ancestors));
  }
  return 0;
}

struct RebaseArguments {
  std::string store;
  std::int64_t step = 0;
};

int run_rebase(const RebaseArguments& arguments, const Globals& globals) {
  excp::Store store = open_store(arguments.store, Access::kWrite);
  const excp::StepInfo before = store.find(arguments.step);
  store.rebase(arguments.step);
  const excp::StepInfo& after = store.find(arguments.step);
  if (globals.json) {
    json result = step_json(after);
    result["stored_bytes_before"] = before.stored_bytes;
    print_json(result);
  } else {
    std::cout << fmt::format("step {}: {} -> {}, {} -> {}\n", after.step, kind_text(before), kind_text(after),
                             format_bytes(static_cast<double>(before.stored_bytes)),
                             format_bytes(static_cast<double>(after.stored_bytes)));
  }
  return 0;
}

}  // namespace

void add_ckpt_upkeep_commands(CLI::App& ckpt, const Globals& globals) {
  auto gc = std::make_shared<GcArguments>();
  CLI::App* command = add_command(ckpt, "gc", "Remove steps; the kept ones and whatever they need stay",
                                  "kinglet ckpt gc run.store --keep-last 5 --keep-every 1000 --dry-run",
                                  [gc, &globals] { return run_gc(*gc, globals); });
  add_store_argument(*command, gc->store);
  command->add_option("--keep", gc->rule.steps, "Keep these steps")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("N,N...");
  command->add_option("--keep-last", gc->rule.last, "Keep the newest K steps")
      ->check(CLI::PositiveNumber)
      ->type_name("K");
  command->add_option("--keep-every", gc->rule.every, "Keep the multiples of N")
      ->check(CLI::PositiveNumber)
      ->type_name("N");
  command->add_flag("--dry-run", gc->dry_run, "Only say what would be removed");

  auto rebase = std::make_shared<RebaseArguments>();
  command = add_command(ckpt, "rebase", "Turn a step into a key frame, so that it no longer needs earlier steps",
                        "kinglet ckpt rebase run.store --step 5000",
                        [rebase, &globals] { return run_rebase(*rebase, globals); });
  add_store_argument(*command, rebase->store);
  command->add_option("--step", rebase->step, "Training step")->required()->type_name("N");
}

}  // namespace kinglet::cli
