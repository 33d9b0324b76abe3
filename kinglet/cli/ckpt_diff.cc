// kinglet ckpt diff: the error of every tensor between two checkpoints, stored or not.
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <iostream>
#include <memory>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/table.h"
#include "kinglet/cli/ckpt.h"
#include "kinglet/io/checkpoint_diff.h"

namespace kinglet::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Align = Table::Align;

struct DiffArguments {
  std::string a, b, param_order;
  std::optional<double> fail_above;
};

// A checkpoint by its path, or STORE@STEP, which is restored to a temporary folder for as long as the object lives.
class NamedCheckpoint {
 public:
  NamedCheckpoint(const std::string& name, const CheckpointOptions& options) {
    std::error_code error;
    if (fs::exists(name, error)) {
      if (fs::exists(fs::path(name) / "manifest.json", error)) {
        throw bad_input(name, "is a store", fmt::format("name one of its steps: {}@STEP", name));
      }
      checkpoint_ = Checkpoint::open(name, options);
      return;
    }
    const std::size_t at = name.rfind('@');
    std::int64_t step = 0;
    const char* end = name.data() + name.size();
    if (at == std::string::npos || std::from_chars(name.data() + at + 1, end, step).ptr != end ||
        at + 1 == name.size()) {
      throw bad_input(name, "no such checkpoint", "give a checkpoint or STORE@STEP");
    }
    restore(open_store(name.substr(0, at)), step, options);
  }
  ~NamedCheckpoint() {
    std::error_code ignored;
    checkpoint_.reset();
    if (!folder_.empty()) fs::remove_all(folder_, ignored);
  }
  NamedCheckpoint(const NamedCheckpoint&) = delete;
  NamedCheckpoint& operator=(const NamedCheckpoint&) = delete;

  const Checkpoint& checkpoint() const { return *checkpoint_; }

 private:
  void restore(const excp::Store& store, std::int64_t step, const CheckpointOptions& options) {
    std::string pattern = (fs::temp_directory_path() / "kinglet-diff-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) {
      throw system_error(pattern, "cannot make a temporary folder", errno);
    }
    folder_ = pattern;
    try {
      store.get(step, folder_ / fmt::format("checkpoint-{}", step));
      checkpoint_ = Checkpoint::open(folder_ / fmt::format("checkpoint-{}", step), options);
    } catch (...) {  // the destructor does not run
      std::error_code ignored;
      fs::remove_all(folder_, ignored);
      throw;
    }
  }

  fs::path folder_;
  std::optional<Checkpoint> checkpoint_;
};

std::string_view state_text(FileDifference::State state) {
  switch (state) {
    case FileDifference::State::kEqual:
      return "equal";
    case FileDifference::State::kDifferent:
      return "different";
    case FileDifference::State::kOnlyInA:
      return "only in A";
    default:
      return "only in B";
  }
}

json array_json(const ArrayDifference& array) {
  json result = {{"array", array.role}, {"same_bytes", array.same_bytes}};
  if (!array.present) result["missing_in_one"] = true;
  if (!array.comparable) return result;
  result.update({{"elements", array.n},
                 {"different", array.different},
                 {"max_abs", number_json(array.max_abs)},
                 {"rms", number_json(array.rms())},
                 {"relative_rms", number_json(array.relative_rms())}});
  return result;
}

json difference_json(const CheckpointDifference& difference) {
  json result = {{"same_bytes", difference.same_bytes()},
                 {"weight_error", number_json(difference.relative_rms("weight"))},
                 {"worst_weight_error", number_json(difference.worst_weight_error())},
                 {"only_in_a", difference.only_in_a},
                 {"only_in_b", difference.only_in_b},
                 {"tensors", json::array()},
                 {"files", json::array()}};
  for (const ParameterDifference& parameter : difference.parameters) {
    json arrays = json::array();
    for (const ArrayDifference& array : parameter.arrays) arrays.push_back(array_json(array));
    result["tensors"].push_back({{"name", parameter.name},
                                 {"shape", parameter.shape},
                                 {"same_shape", parameter.same_shape},
                                 {"arrays", arrays}});
  }
  for (const FileDifference& file : difference.files) {
    result["files"].push_back({{"name", file.name}, {"other_data", state_text(file.state)}});
  }
  return result;
}

bool is_equal(const ParameterDifference& parameter) {
  return parameter.same_shape && std::all_of(parameter.arrays.begin(), parameter.arrays.end(),
                                             [](const ArrayDifference& array) { return array.same_bytes; });
}

void add_rows(Table& table, const ParameterDifference& parameter) {
  const std::string name = printable(parameter.name), shape = shape_text(parameter.shape);
  if (!parameter.same_shape) table.add_row({name, shape, "", "another shape in B", "", "", ""});
  for (const ArrayDifference& array : parameter.arrays) {
    const bool first = &array == &parameter.arrays.front();
    std::vector<std::string> row = {first ? name : "", first ? shape : "", array.role};
    if (!array.present) {
      row.insert(row.end(), {"only in one of them", "", "", ""});
    } else if (array.same_bytes || !array.comparable) {
      row.insert(row.end(), {array.same_bytes ? "equal" : "different", "", "", ""});
    } else {
      row.insert(row.end(),
                 {percent_text(array.n == 0 ? 0 : static_cast<double>(array.different) / static_cast<double>(array.n)),
                  fmt::format("{:.3g}", array.max_abs), fmt::format("{:.3g}", array.rms()),
                  percent_text(array.relative_rms())});
    }
    table.add_row(row);
  }
}

void print_difference(const CheckpointDifference& difference) {
  Table tensors({{"tensor"},
                 {"shape"},
                 {"array"},
                 {"different", Align::kRight},
                 {"max abs error", Align::kRight},
                 {"RMS error", Align::kRight},
                 {"relative", Align::kRight}});
  std::size_t equal = 0;
  for (const ParameterDifference& parameter : difference.parameters) {
    if (is_equal(parameter))
      ++equal;
    else
      add_rows(tensors, parameter);
  }
  if (!tensors.empty()) std::cout << tensors.to_text();
  std::cout << fmt::format("{} tensors are equal\n\n", equal);
  Table files({{"file"}, {"data outside weights and moments"}});
  for (const FileDifference& file : difference.files) {
    files.add_row({printable(file.name), std::string(state_text(file.state))});
  }
  std::cout << files.to_text() << "\n";
  for (const std::string& name : difference.only_in_a) std::cout << "only in A: " << printable(name) << "\n";
  for (const std::string& name : difference.only_in_b) std::cout << "only in B: " << printable(name) << "\n";
  if (difference.same_bytes()) {
    std::cout << "no difference\n";
    return;
  }
  std::cout << fmt::format(
      "relative RMS error: weights {} (worst tensor {}), exp_avg {}, exp_avg_sq {}\n",
      percent_text(difference.relative_rms("weight")), percent_text(difference.worst_weight_error()),
      percent_text(difference.relative_rms("exp_avg")), percent_text(difference.relative_rms("exp_avg_sq")));
}

int run_diff(const DiffArguments& arguments, const Globals& globals) {
  CheckpointOptions reading;
  reading.parameter_order = arguments.param_order;
  const NamedCheckpoint a(arguments.a, reading), b(arguments.b, reading);
  const CheckpointDifference difference = diff_checkpoints(a.checkpoint(), b.checkpoint());
  if (globals.json)
    print_json(difference_json(difference));
  else
    print_difference(difference);
  return arguments.fail_above && !(difference.worst_weight_error() <= *arguments.fail_above) ? 1 : 0;
}

}  // namespace

void add_ckpt_diff_command(CLI::App& ckpt, const Globals& globals) {
  auto arguments = std::make_shared<DiffArguments>();
  CLI::App* diff = add_command(ckpt, "diff", "Errors of every weight and moment between two checkpoints, B against A",
                               "kinglet ckpt diff my-run/checkpoint-1000 run.store@1000 --fail-above 0.01",
                               [arguments, &globals] { return run_diff(*arguments, globals); });
  diff->add_option("a", arguments->a, "Checkpoint, or STORE@STEP (restored to $TMPDIR for the comparison)")
      ->required()
      ->type_name("A");
  diff->add_option("b", arguments->b, "The same")->required()->type_name("B");
  diff->add_option("--fail-above", arguments->fail_above,
                   "Exit code 1 when the relative RMS error of any weight is above X, or a weight is missing")
      ->check(CLI::NonNegativeNumber)
      ->type_name("X");
  add_param_order_option(*diff, arguments->param_order);
}

}  // namespace kinglet::cli
