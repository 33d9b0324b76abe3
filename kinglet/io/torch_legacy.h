// The torch.save format before PyTorch 1.6: a sequence of pickles, then the raw storages. Read only.
//
// magic 0x1950a86a20f9469cfc6c | protocol 1001 | system information | the object | list of storage keys |
// for each key: u64 number of elements, raw data
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "kinglet/io/torch_tensors.h"

namespace kinglet {

struct LegacyFile {
  PickleDocument document;                      // the object
  std::map<std::string, std::size_t> position;  // storage key -> offset of its element count

  TorchStorage locate(const StorageReference& reference, ByteView bytes, std::string_view where) const;
};

// Whether a file begins as one of these.
bool is_legacy_torch(ByteView bytes);

LegacyFile parse_legacy_torch(ByteView bytes, std::string_view where);

}  // namespace kinglet
