// What people want to know about a stored step, from its index.
#pragma once

#include <string>
#include <vector>

#include "kinglet/methods/excp/step_file.h"
#include "kinglet/methods/excp/store.h"

namespace kinglet::excp {

// file: the container's path relative to the store.
StepInfo info_of(const StepFile& step, std::string file);
std::vector<TensorRecord> records_of(const StepIndex& index);
// What the user should hear after an add: settings that do nothing or too much, tensors that were stored losslessly.
// report: its info and tensors are set.
std::vector<std::string> warnings_of(const StepIndex& index, const Options& options, const AddReport& report);

}  // namespace kinglet::excp
