#include "kinglet/methods/excp/packed_folder.h"

#include <algorithm>
#include <memory>
#include <vector>

#include <fmt/format.h>

#include "kinglet/base/atomic_folder.h"
#include "kinglet/base/error.h"
#include "kinglet/io/checkpoint.h"
#include "kinglet/methods/excp/restore.h"
#include "kinglet/methods/excp/step_chain.h"
#include "kinglet/methods/excp/step_file.h"
#include "kinglet/methods/excp/store.h"

namespace kinglet::excp {
namespace fs = std::filesystem;
namespace {

// The same files with zeros for every number.
void write_zeros(const Checkpoint& checkpoint, const fs::path& out) {
  for (const FileLayout& file : checkpoint.files()) {
    const ByteView view = checkpoint.bytes(file);
    Bytes bytes(view.begin(), view.end());
    for (const Region& region : file.regions)
      std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(region.offset), region.bytes, std::byte{0});
    fs::create_directories((out / file.name).parent_path());
    write_file_atomically(out / file.name, bytes);
  }
}

}  // namespace

std::uint64_t pack_folder(const fs::path& folder, const fs::path& out, const Options& options) {
  if (fs::exists(fs::symlink_status(out))) throw bad_input(out.string(), "it exists already", "choose another name");
  AtomicFolder work(out);
  const fs::path scratch = work.temporary() / "scratch";
  const Checkpoint checkpoint = Checkpoint::open(folder);
  write_zeros(checkpoint, scratch / "zeros");
  Options lossless;
  lossless.lossless = true;
  std::uint64_t bytes = 0;
  {
    Store store = Store::open(scratch / "store", Store::Access::kWrite);
    store.add(Checkpoint::open(scratch / "zeros"), 0, lossless);
    store.add(checkpoint, 1, options, true);
    for (const StepInfo& step : store.steps()) {
      fs::copy_file(store.path() / step.file, work.temporary() / (step.key ? kPackedKey : kPackedWeights));
      bytes += step.stored_bytes;
    }
  }
  fs::remove_all(scratch);
  work.commit();
  return bytes;
}

void unpack_folder(std::span<const ByteView> containers, const std::string& name, const fs::path& out) {
  std::vector<std::shared_ptr<const StepFile>> files;
  for (const ByteView bytes : containers)
    files.push_back(std::make_shared<StepFile>(bytes, fmt::format("{}, part {}", name, files.size() + 1)));
  if (files.empty()) throw failed(name, "it has no parts");
  restore_step(StepChain(std::move(files)), out, {});
}

}  // namespace kinglet::excp
