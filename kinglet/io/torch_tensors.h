// Recognises tensors in the value tree of a torch.save file and checks them against their storages.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "kinglet/io/torch_file.h"

namespace kinglet {

// A storage as the pickle names it: ('storage', <class>, key, location, numel[, view]).
struct StorageReference {
  std::string key;
  std::optional<DType> dtype;  // empty for untyped storages, whose numel counts bytes
  std::uint64_t numel = 0;
};
StorageReference parse_storage_reference(const PickleValue& persistent_id, std::string_view where);

struct FoundTensors {
  std::vector<TorchStorage> storages;
  std::map<const PickleValue*, TorchTensor> tensors;
};

// Finds every tensor. `locate` gives offset, length and checksum places of the storage called `key`, or raises Error.
FoundTensors find_tensors(const PickleDocument& document, std::string_view where,
                          const std::function<TorchStorage(const StorageReference&)>& locate);

}  // namespace kinglet
