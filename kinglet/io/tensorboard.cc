#include "kinglet/io/tensorboard.h"

#include <fmt/format.h>
#include <unistd.h>

#include "kinglet/base/byte_io.h"
#include "kinglet/base/hash.h"

namespace kinglet {
namespace fs = std::filesystem;
namespace {

// Fields of tensorflow.Event, Summary, Summary.Value and SessionLog.
namespace event {
constexpr int kWallTime = 1, kStep = 2, kFileVersion = 3, kSummary = 5, kSessionLog = 7;
}
namespace summary {
constexpr int kValue = 1;
}
namespace value {
constexpr int kTag = 1, kSimpleValue = 2;
}
namespace session_log {
constexpr int kStatus = 1;
constexpr std::uint64_t kStart = 1;
}  // namespace session_log

// The few kinds of protocol-buffer fields that events are made of.
class Message {
 public:
  void real(int field, double number) {
    key(field, 1);
    writer_.number(number);
  }
  void real(int field, float number) {
    key(field, 5);
    writer_.number(number);
  }
  void integer(int field, std::uint64_t number) {
    key(field, 0);
    writer_.varint(number);
  }
  void bytes(int field, ByteView content) {
    key(field, 2);
    writer_.varint(content.size());
    writer_.bytes(content);
  }
  const Bytes& content() const { return content_; }

 private:
  void key(int field, int wire_type) { writer_.varint(static_cast<std::uint64_t>(field << 3 | wire_type)); }

  Bytes content_;
  ByteWriter writer_{content_};
};

std::uint32_t masked_crc(ByteView bytes) {
  const std::uint32_t crc = crc32c(bytes);
  return (crc >> 15 | crc << 17) + 0xA282EAD8U;
}

Bytes record(const Message& message) {
  Bytes result;
  ByteWriter writer(result);
  writer.number(static_cast<std::uint64_t>(message.content().size()));
  writer.number(masked_crc(result));
  writer.bytes(message.content());
  writer.number(masked_crc(message.content()));
  return result;
}

fs::path new_file(const fs::path& folder) {
  fs::create_directories(folder);
  char host[256] = "host";
  if (gethostname(host, sizeof(host) - 1) != 0) host[0] = '\0';
  // Files are read in the order of their names; a run resumed within a second gets the next number.
  for (int number = 0;; ++number) {
    fs::path path = folder / fmt::format("events.out.tfevents.{}.{}.{}.{}",
                                         static_cast<std::int64_t>(seconds_since_1970()), host, getpid(), number);
    if (!fs::exists(path)) return path;
  }
}

}  // namespace

Bytes tensorboard_version_record(double seconds) {
  Message message;
  message.real(event::kWallTime, seconds);
  message.bytes(event::kFileVersion, as_bytes("brain.Event:2"));
  return record(message);
}

Bytes tensorboard_restart_record(std::int64_t first_step, double seconds) {
  Message status, message;
  status.integer(session_log::kStatus, session_log::kStart);
  message.real(event::kWallTime, seconds);
  message.integer(event::kStep, static_cast<std::uint64_t>(first_step));
  message.bytes(event::kSessionLog, status.content());
  return record(message);
}

Bytes tensorboard_scalar_record(std::int64_t step, const NamedNumbers& values, double seconds) {
  Message scalars, message;
  for (const auto& [name, number] : values) {
    Message scalar;
    scalar.bytes(value::kTag, as_bytes(name));
    scalar.real(value::kSimpleValue, static_cast<float>(number));
    scalars.bytes(summary::kValue, scalar.content());
  }
  message.real(event::kWallTime, seconds);
  message.integer(event::kStep, static_cast<std::uint64_t>(step));
  message.bytes(event::kSummary, scalars.content());
  return record(message);
}

TensorboardWriter::TensorboardWriter(const fs::path& folder, std::optional<std::int64_t> resumed_step)
    : path_(new_file(folder)), file_(path_) {
  file_.append(tensorboard_version_record(seconds_since_1970()));
  if (resumed_step) file_.append(tensorboard_restart_record(*resumed_step + 1, seconds_since_1970()));
}

void TensorboardWriter::write(std::int64_t step, const NamedNumbers& values, double seconds) {
  file_.append(tensorboard_scalar_record(step, values, seconds));
}

}  // namespace kinglet
