// A file of torch.save, zip or legacy: every tensor that is found lies in its storage, every storage in the file.
#include <algorithm>
#include <cstring>

#include "tests/fuzz/fuzz_target.h"

#include "kinglet/base/hash.h"
#include "kinglet/io/torch_file.h"
#include "kinglet/io/zip.h"

namespace kinglet::fuzz {
namespace {

// A changed pickle would stop at its checksum: brings the checksums of an archive up to date.
Bytes with_right_checksums(ByteView input) {
  Bytes file(input.begin(), input.end());
  accepted([&] {
    for (const ZipEntry& entry : parse_zip(input, "input")) {
      const std::uint32_t crc = crc32(ByteView(file).subspan(entry.data_offset, entry.size));
      for (const std::uint64_t offset : entry.crc_offsets) std::memcpy(file.data() + offset, &crc, sizeof(crc));
    }
  });
  return file;
}

void check_tensor(const TorchFile& file, const TorchTensor& tensor) {
  require(tensor.storage < file.storages().size(), "a tensor has a storage");
  require(tensor.shape.size() == tensor.strides.size(), "a tensor has a stride for every size");
  const TorchStorage& storage = file.storages()[tensor.storage];
  const std::uint64_t available = storage.bytes / item_size(tensor.dtype);
  auto last = static_cast<std::uint64_t>(tensor.storage_offset);
  for (std::size_t d = 0; d < tensor.shape.size(); ++d) {
    require(tensor.shape[d] >= 0 && tensor.strides[d] >= 0, "sizes and strides are not negative");
    last += static_cast<std::uint64_t>(tensor.shape[d] - 1) * static_cast<std::uint64_t>(tensor.strides[d]);
  }
  const std::int64_t count = tensor.numel();
  require(count >= 0 && (count == 0 || last < available), "a tensor lies in its storage");
  if (!tensor.is_contiguous()) return;
  const ByteView bytes = file.contiguous_bytes(tensor);
  require(bytes.size() == static_cast<std::uint64_t>(count) * item_size(tensor.dtype), "shape and bytes agree");
  const ByteView all = file.bytes();
  require(bytes.empty() || (bytes.data() >= all.data() && bytes.data() + bytes.size() <= all.data() + all.size()),
          "the bytes lie in the file");
}

void check_file(const TorchFile& file) {
  for (const TorchStorage& storage : file.storages()) {
    require(storage.offset <= file.bytes().size() && storage.bytes <= file.bytes().size() - storage.offset,
            "storages lie in the file");
    require(std::all_of(storage.crc_offsets.begin(), storage.crc_offsets.end(),
                        [&](std::uint64_t offset) { return offset + 4 <= file.bytes().size(); }),
            "checksums lie in the file");
  }
  for (const PickleValue& value : file.document().nodes) {
    if (const TorchTensor* tensor = file.tensor(&value)) check_tensor(file, *tensor);
  }
  std::size_t text = 0;
  for (const TorchFile::Named& named : file.named_tensors()) {
    require(named.tensor != nullptr, "a name has a tensor");
    text += named.path.size();
  }
  // Two letters of a key and few bytes an entry could otherwise stand for kilobytes of path each.
  require(text <= 4096 * file.bytes().size(), "paths are not larger than the input allows");
}

void check_torch_file(ByteView input) {
  const Bytes bytes = with_right_checksums(input);
  const bool strict = accepted([&] { check_file(TorchFile::parse(bytes, "input", true)); });
  const bool lenient = accepted([&] { check_file(TorchFile::parse(bytes, "input", false)); });
  require(lenient || !strict, "what the strict reader takes, the lenient one takes too");
}

}  // namespace
}  // namespace kinglet::fuzz

KINGLET_FUZZ_TARGET(torch_file, kinglet::fuzz::check_torch_file)
