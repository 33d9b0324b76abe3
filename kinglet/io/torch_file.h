// Files written by torch.save: zip format (read, write, write-back of storages) and the legacy pickle stream (read).
//
// The object tree is read with pickle.h; tensors are recognised by the white-listed rebuild functions and checked
// against their storages. Nothing is executed. TorchScript archives are refused with a clear message.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "kinglet/base/files.h"
#include "kinglet/io/dtype.h"
#include "kinglet/io/pickle.h"
#include "kinglet/io/tensor_view.h"

namespace kinglet {

// A storage: a flat array inside the file. Tensors are views of storages; two tensors may share one.
struct TorchStorage {
  std::string key;
  DType dtype = DType::kF32;  // of the typed storage; untyped storages take their first tensor's dtype
  std::uint64_t offset = 0;   // from the start of the parsed bytes
  std::uint64_t bytes = 0;
  std::vector<std::uint64_t> crc_offsets;  // places of this payload's CRC-32 in the archive; empty for legacy files
};

struct TorchTensor {
  std::size_t storage = 0;  // index into storages()
  DType dtype = DType::kF32;
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> strides;  // in elements
  std::int64_t storage_offset = 0;    // in elements
  std::int64_t numel() const;
  bool is_contiguous() const;  // row-major
};

class TorchFile {
 public:
  enum class Format { kZip, kLegacy };

  // `strict`: refuse any global outside the white list, naming it. Otherwise unknown globals stay inert nodes.
  static TorchFile open(const std::filesystem::path& path, bool strict = true);
  // The same over bytes that the caller keeps alive (a blob inside another file).
  static TorchFile parse(ByteView bytes, std::string_view where, bool strict = true);

  Format format() const { return format_; }
  ByteView bytes() const { return bytes_; }
  const PickleDocument& document() const { return document_; }
  const PickleValue* root() const { return document_.root; }
  const std::vector<TorchStorage>& storages() const { return storages_; }

  // The tensor that a node of the tree stands for, or nullptr. Follows `_rebuild_parameter`.
  const TorchTensor* tensor(const PickleValue* value) const;

  // All tensors with their place as a dotted path ("state.0.exp_avg", "model.layers.0.weight"), in file order.
  struct Named {
    std::string path;
    const TorchTensor* tensor;
  };
  std::vector<Named> named_tensors() const;

  // The contiguous bytes of a tensor; raises Error when the view is not contiguous.
  ByteView contiguous_bytes(const TorchTensor& tensor) const;

 private:
  TorchFile() = default;
  MappedFile file_;
  ByteView bytes_;
  Format format_ = Format::kZip;
  PickleDocument document_;
  std::vector<TorchStorage> storages_;
  std::map<const PickleValue*, TorchTensor> tensors_;
};

// Builds a file that torch.load reads: containers through `builder`, tensors through add_tensor().
class TorchFileWriter {
 public:
  PickleBuilder builder;
  // `data`: contiguous little-endian elements, kept alive by the caller until write(). A scalar has an empty shape.
  PickleValue* add_tensor(DType dtype, std::vector<std::int64_t> shape, ByteView data);
  // OrderedDict of name -> tensor, as module.state_dict() pickles.
  PickleValue* ordered_dict(const std::vector<std::pair<PickleValue*, PickleValue*>>& items);
  // Writes atomically; `root` from this writer's builder. The archive's directory is the file stem.
  void write(const std::filesystem::path& path, PickleValue* root) &&;

 private:
  std::vector<ByteView> storages_;
};

}  // namespace kinglet
