#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/io/torch_file.h"
#include "kinglet/io/torch_globals.h"
#include "kinglet/io/zip.h"

namespace kinglet {

PickleValue* TorchFileWriter::add_tensor(DType dtype, std::vector<std::int64_t> shape, ByteView data) {
  const std::string_view type = storage_class(dtype);
  if (type.empty())
    throw bad_input("tensor", fmt::format("dtype {} has no typed storage in PyTorch", dtype_name(dtype)));
  std::int64_t count = 1;
  for (const std::int64_t size : shape) count *= size;
  if (static_cast<std::uint64_t>(count) * item_size(dtype) != data.size()) {
    throw bad_input("tensor", "shape and data differ in size");
  }
  std::vector<PickleValue*> sizes, strides(shape.size());
  std::int64_t stride = 1;
  for (std::size_t d = shape.size(); d-- > 0;) {
    strides[d] = builder.integer(stride);
    stride *= std::max<std::int64_t>(1, shape[d]);
  }
  for (const std::int64_t size : shape) sizes.push_back(builder.integer(size));
  PickleValue* storage = builder.persistent_id(
      builder.tuple({builder.string("storage"), builder.global("torch", std::string(type)),
                     builder.string(std::to_string(storages_.size())), builder.string("cpu"), builder.integer(count)}));
  storages_.push_back(data);
  PickleValue* hooks = builder.call(builder.global("collections", "OrderedDict"), {});
  return builder.call(
      builder.global("torch._utils", "_rebuild_tensor_v2"),
      {storage, builder.integer(0), builder.tuple(sizes), builder.tuple(strides), builder.boolean(false), hooks});
}

PickleValue* TorchFileWriter::ordered_dict(const std::vector<std::pair<PickleValue*, PickleValue*>>& items) {
  PickleValue* dict = builder.call(builder.global("collections", "OrderedDict"), {});
  for (const auto& [key, value] : items) {
    dict->appended.push_back(key);
    dict->appended.push_back(value);
  }
  return dict;
}

void TorchFileWriter::write(const std::filesystem::path& path, PickleValue* root) && {
  const PickleDocument document = std::move(builder).finish(root);
  const Bytes pickle = write_pickle(document);
  const std::string stem = path.stem().empty() ? "archive" : path.stem().string();
  std::vector<ZipRecord> records = {{stem + "/data.pkl", pickle}, {stem + "/byteorder", as_bytes("little")}};
  for (std::size_t i = 0; i < storages_.size(); ++i)
    records.push_back({fmt::format("{}/data/{}", stem, i), storages_[i]});
  records.push_back({stem + "/version", as_bytes("3\n")});
  write_zip(path, records);
}

}  // namespace kinglet
