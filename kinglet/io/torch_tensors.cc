#include "kinglet/io/torch_tensors.h"

#include <limits>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/io/torch_globals.h"

namespace kinglet {
namespace {

constexpr std::size_t kMaxDimensions = 64;

class TensorFinder {
 public:
  TensorFinder(const PickleDocument& document, std::string_view where,
               const std::function<TorchStorage(const StorageReference&)>& locate)
      : document_(document), where_(where), locate_(locate) {}

  FoundTensors run() && {
    // Nodes stand in the order in which the file creates them, so a parameter follows the tensor it wraps.
    for (const PickleValue& value : document_.nodes) {
      if (value.kind != PickleKind::kCall || value.items.empty() || value.items[0]->kind != PickleKind::kGlobal)
        continue;
      const std::string& name = value.items[0]->text;
      const PickleValue* arguments = value.items.size() > 1 ? value.items[1] : nullptr;
      if (arguments == nullptr || arguments->kind != PickleKind::kTuple) continue;
      if (name == "torch._utils _rebuild_tensor" || name == "torch._utils _rebuild_tensor_v2") {
        found_.tensors.emplace(&value, rebuild(arguments->items, std::nullopt));
      } else if (name == "torch._utils _rebuild_tensor_v3") {
        if (arguments->items.size() < 7 || arguments->items[6]->kind != PickleKind::kGlobal)
          throw damaged("a tensor without dtype");
        const auto dtype = torch_dtype(arguments->items[6]->text);
        if (!dtype) throw damaged(fmt::format("a tensor of unknown type '{}'", arguments->items[6]->text));
        found_.tensors.emplace(&value, rebuild(arguments->items, dtype));
      } else if (name == "torch._tensor _rebuild_from_type_v2") {
        rebuild_from_type(value, arguments->items);
      } else if (name == "torch._utils _rebuild_parameter" || name == "torch._utils _rebuild_parameter_with_state") {
        if (arguments->items.empty()) throw damaged("a parameter without data");
        const auto data = found_.tensors.find(arguments->items[0]);
        if (data != found_.tensors.end()) found_.tensors.emplace(&value, data->second);
      }
    }
    return std::move(found_);
  }

 private:
  Error damaged(std::string_view what) const {
    return bad_input(where_, fmt::format("bad tensor: {}", what), "the file is damaged: use another checkpoint");
  }

  std::int64_t non_negative(const PickleValue* value, const char* what) const {
    if (value->kind != PickleKind::kInt || value->integer < 0)
      throw damaged(fmt::format("{} must be a non-negative integer", what));
    return value->integer;
  }

  std::vector<std::int64_t> sizes(const PickleValue* value, const char* what) const {
    // A torch.Size may be pickled as a call around its tuple.
    if (value->kind == PickleKind::kCall && value->items.size() > 1 && value->items[1]->kind == PickleKind::kTuple &&
        value->items[1]->items.size() == 1) {
      value = value->items[1]->items[0];
    }
    if (value->kind != PickleKind::kTuple || value->items.size() > kMaxDimensions) {
      throw damaged(fmt::format("{} must be a tuple of at most 64 integers", what));
    }
    std::vector<std::int64_t> result;
    for (const PickleValue* item : value->items) result.push_back(non_negative(item, what));
    return result;
  }

  // (function, class, its arguments, state): a tensor with attributes of its own, such as DeepSpeed's.
  void rebuild_from_type(const PickleValue& value, const std::vector<PickleValue*>& arguments) {
    if (arguments.size() < 3 || arguments[2]->kind != PickleKind::kTuple) throw damaged("too few arguments");
    const bool plain =
        arguments[0]->kind == PickleKind::kGlobal && (arguments[0]->text == "torch._utils _rebuild_tensor_v2" ||
                                                      arguments[0]->text == "torch._utils _rebuild_tensor");
    if (plain) found_.tensors.emplace(&value, rebuild(arguments[2]->items, std::nullopt));
  }

  TorchTensor rebuild(const std::vector<PickleValue*>& arguments, std::optional<DType> dtype) {
    if (arguments.size() < 4) throw damaged("too few arguments");
    if (arguments[0]->kind != PickleKind::kPersistentId) throw damaged("no storage");
    TorchTensor tensor;
    tensor.storage = storage_of(*arguments[0], dtype);
    const TorchStorage& storage = found_.storages[tensor.storage];
    tensor.dtype = dtype ? *dtype : storage.dtype;
    tensor.storage_offset = non_negative(arguments[1], "storage offset");
    tensor.shape = sizes(arguments[2], "size");
    tensor.strides = sizes(arguments[3], "stride");
    if (tensor.shape.size() != tensor.strides.size()) throw damaged("size and stride differ in length");
    check_bounds(tensor, storage.bytes / item_size(tensor.dtype));
    return tensor;
  }

  void check_bounds(const TorchTensor& tensor, std::uint64_t available) const {
    std::uint64_t last = static_cast<std::uint64_t>(tensor.storage_offset), count = 1;
    bool empty = false;
    for (std::size_t d = 0; d < tensor.shape.size(); ++d) {
      const auto size = static_cast<std::uint64_t>(tensor.shape[d]);
      empty = empty || size == 0;
      if (empty) continue;
      std::uint64_t reach = 0;
      if (__builtin_mul_overflow(size - 1, static_cast<std::uint64_t>(tensor.strides[d]), &reach) ||
          __builtin_add_overflow(last, reach, &last) || __builtin_mul_overflow(count, size, &count) ||
          count > std::uint64_t{std::numeric_limits<std::int64_t>::max()} / item_size(tensor.dtype)) {
        throw damaged("size or stride overflows");
      }
    }
    if (!empty && last >= available) {
      throw damaged(fmt::format("a view reaches element {} of a storage of {}", last, available));
    }
  }

  std::size_t storage_of(const PickleValue& persistent_id, std::optional<DType> tensor_dtype) {
    const StorageReference reference = parse_storage_reference(persistent_id, where_);
    const auto [place, fresh] = by_key_.try_emplace(reference.key, found_.storages.size());
    const DType dtype = reference.dtype.value_or(tensor_dtype.value_or(DType::kU8));
    if (!fresh) {
      const TorchStorage& known = found_.storages[place->second];
      if (reference.dtype && *reference.dtype != known.dtype && !tensor_dtype)
        throw damaged("one storage has two types");
      return place->second;
    }
    TorchStorage storage = locate_(reference);
    storage.key = reference.key;
    storage.dtype = dtype;
    const std::uint64_t item = reference.dtype ? item_size(*reference.dtype) : 1;
    if (storage.bytes % item != 0 || storage.bytes / item != reference.numel) {
      throw damaged(fmt::format("storage '{}' holds {} bytes instead of {} elements of {}", reference.key,
                                storage.bytes, reference.numel, item));
    }
    found_.storages.push_back(std::move(storage));
    return place->second;
  }

  const PickleDocument& document_;
  std::string_view where_;
  const std::function<TorchStorage(const StorageReference&)>& locate_;
  FoundTensors found_;
  std::map<std::string, std::size_t> by_key_;
};

}  // namespace

StorageReference parse_storage_reference(const PickleValue& persistent_id, std::string_view where) {
  const auto damaged = [&](std::string_view what) {
    return bad_input(where, fmt::format("bad storage: {}", what), "the file is damaged: use another checkpoint");
  };
  const PickleValue* tuple = persistent_id.items.at(0);
  if (tuple->kind != PickleKind::kTuple || tuple->items.size() < 5) throw damaged("not a storage tuple");
  const PickleValue &tag = *tuple->items[0], &type = *tuple->items[1], &key = *tuple->items[2],
                    &numel = *tuple->items[4];
  if (tag.kind != PickleKind::kString || tag.text != "storage") throw damaged("not a storage tuple");
  if (type.kind != PickleKind::kGlobal || key.kind != PickleKind::kString) throw damaged("no type or key");
  if (numel.kind != PickleKind::kInt || numel.integer < 0) throw damaged("no element count");
  if (tuple->items.size() > 5 && tuple->items[5]->kind != PickleKind::kNone) {
    throw damaged("it is a view of another storage, which is not supported");
  }
  StorageReference reference{key.text, storage_dtype(type.text), static_cast<std::uint64_t>(numel.integer)};
  if (!reference.dtype && type.text != "torch.storage UntypedStorage") {
    throw damaged(fmt::format("unknown storage type '{}'", type.text));
  }
  return reference;
}

FoundTensors find_tensors(const PickleDocument& document, std::string_view where,
                          const std::function<TorchStorage(const StorageReference&)>& locate) {
  return TensorFinder(document, where, locate).run();
}

}  // namespace kinglet
