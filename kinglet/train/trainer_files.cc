#include "kinglet/train/trainer_files.h"

#include <nlohmann/json.hpp>

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"
#include "kinglet/io/torch_file.h"

namespace kinglet {
namespace fs = std::filesystem;

namespace {

fs::path state_path(const fs::path& folder) { return folder / "trainer_state.json"; }

}  // namespace

void write_scheduler(const fs::path& path, std::int64_t step, double lr, int groups) {
  TorchFileWriter writer;
  PickleBuilder& b = writer.builder;
  std::vector<PickleValue*> rates;
  for (int group = 0; group < groups; ++group) rates.push_back(b.number(lr));
  PickleValue* const root = b.dict({{b.string("last_epoch"), b.integer(step)},
                                    {b.string("_step_count"), b.integer(step + 1)},
                                    {b.string("_last_lr"), b.list(rates)}});
  std::move(writer).write(path, root);
}

void write_trainer_state(const fs::path& folder, const TrainerState& state) {
  nlohmann::ordered_json summary = {{"global_step", state.step}};
  if (!state.data.empty()) summary["data"] = state.data;
  write_file_atomically(state_path(folder), as_bytes(summary.dump(2) + "\n"));
}

TrainerState read_trainer_state(const fs::path& folder) {
  const fs::path path = state_path(folder);
  const auto summary = nlohmann::json::parse(as_text(read_file(path, 1 << 26)), nullptr, false);
  if (!summary.is_object() || !summary.contains("global_step") || !summary["global_step"].is_number_integer()) {
    throw bad_input(path.string(), "no integer global_step", "this is no complete checkpoint");
  }
  const std::int64_t step = summary["global_step"].get<std::int64_t>();
  const auto data = summary.find("data");
  return {step, data != summary.end() && data->is_string() ? data->get<std::string>() : std::string()};
}

}  // namespace kinglet
