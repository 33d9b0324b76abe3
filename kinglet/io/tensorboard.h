// TensorBoard event files: scalars that `tensorboard --logdir FOLDER` draws.
//
// A file is a sequence of records: u64 length | u32 checksum of the length | bytes | u32 checksum of the bytes, all
// little-endian, with the CRC-32C rotated and offset as in TFRecord files. The bytes are protocol-buffer messages
// (tensorflow.Event); the first one says the version.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "kinglet/base/append_file.h"
#include "kinglet/base/files.h"
#include "kinglet/io/metrics.h"

namespace kinglet {

class TensorboardWriter {
 public:
  // Starts a new event file in `folder` (made when missing); TensorBoard reads all of a folder in the order of their
  // times. A run that goes on from `resumed_step` tells TensorBoard to forget the later steps of the files before.
  // Raises Error.
  explicit TensorboardWriter(const std::filesystem::path& folder, std::optional<std::int64_t> resumed_step = {});

  // One event, in the file when this returns. Values become fp32, as the format has them.
  void write(std::int64_t step, const NamedNumbers& values, double seconds = seconds_since_1970());

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  AppendFile file_;
};

// The records that the writer appends, for tests and other writers.
Bytes tensorboard_version_record(double seconds);
Bytes tensorboard_restart_record(std::int64_t first_step, double seconds);
Bytes tensorboard_scalar_record(std::int64_t step, const NamedNumbers& values, double seconds);

}  // namespace kinglet
