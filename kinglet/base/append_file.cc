#include "kinglet/base/append_file.h"

#include <cerrno>

#include <fcntl.h>
#include <unistd.h>

#include "kinglet/base/error.h"

namespace kinglet {

AppendFile::AppendFile(const std::filesystem::path& path)
    : path_(path), descriptor_(open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666)) {
  if (descriptor_ < 0) throw system_error(path_.string(), "cannot be opened for writing", errno);
}

AppendFile::~AppendFile() { close(descriptor_); }

void AppendFile::append(ByteView record) {
  while (!record.empty()) {
    const ssize_t written = write(descriptor_, record.data(), record.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw system_error(path_.string(), "cannot be written", errno);
    record = record.subspan(static_cast<std::size_t>(written));
  }
}

}  // namespace kinglet
