#include "kinglet/io/checkpoint_copy.h"

#include <cassert>

#include <unistd.h>

#include "kinglet/base/atomic_folder.h"
#include "kinglet/base/error.h"
#include "kinglet/base/files.h"
#include "kinglet/base/hash.h"
#include "kinglet/base/interrupt.h"

namespace kinglet {
namespace fs = std::filesystem;
namespace {

void write_file(const Checkpoint& checkpoint, std::size_t index, const fs::path& path, const RegionSource& replace) {
  const FileLayout& layout = checkpoint.files()[index];
  const ByteView original = checkpoint.bytes(layout);
  AtomicFile file(path);
  std::uint64_t written = 0;
  std::vector<std::optional<std::uint32_t>> checksums(layout.regions.size());
  for (std::size_t r = 0; r < layout.regions.size(); ++r) {
    check_interrupt();
    const Region& region = layout.regions[r];
    file.append(original.subspan(written, region.offset - written));
    const std::optional<Bytes> bytes = replace({index, r});
    assert(!bytes || bytes->size() == region.bytes);
    file.append(bytes ? ByteView(*bytes) : original.subspan(region.offset, region.bytes));
    if (bytes) checksums[r] = crc32(*bytes);
    written = region.offset + region.bytes;
  }
  file.append(original.subspan(written));
  for (const RegionChecksum& checksum : layout.checksums) {
    if (const auto& value = checksums[checksum.region]) {
      file.write_at(checksum.offset, std::as_bytes(std::span(&*value, 1)));
    }
  }
  file.commit();
}

}  // namespace

void write_checkpoint_copy(const Checkpoint& checkpoint, const fs::path& given, const RegionSource& replace) {
  const fs::path out = given.has_filename() ? given : given.parent_path();
  if (fs::exists(fs::symlink_status(out))) {
    throw bad_input(out.string(), "exists already", "name a new place, or remove it first");
  }
  if (!checkpoint.is_folder()) {
    write_file(checkpoint, 0, out, replace);
    return;
  }
  AtomicFolder folder(out);
  for (std::size_t i = 0; i < checkpoint.files().size(); ++i) {
    const fs::path path = join_untrusted(folder.temporary(), checkpoint.files()[i].name);
    fs::create_directories(path.parent_path());
    write_file(checkpoint, i, path, replace);
  }
  folder.commit();
}

}  // namespace kinglet
