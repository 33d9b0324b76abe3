// Distributed checkpoints of PyTorch (torch.distributed.checkpoint, Megatron torch_dist): the `.metadata` file, a
// pickle that says where the chunks of every tensor stand in the `*.distcp` files beside it. Each chunk is a complete
// torch.save archive at [begin, begin + length).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kinglet/base/files.h"

namespace kinglet {

struct DcpChunk {
  std::string tensor;                 // fully qualified name
  std::vector<std::int64_t> offsets;  // place of the chunk in the whole tensor
  std::vector<std::int64_t> shape;    // of the chunk
  bool whole = false;                 // the chunk is the tensor
  std::string file;                   // relative to the folder of .metadata; checked by whoever joins it
  std::uint64_t begin = 0;
  std::uint64_t length = 0;
  bool transformed = false;  // stored through an extension (compressed): opaque
};

// The tensor chunks, ascending by (file, begin); objects that are not tensors are left out. Raises Error (bad input)
// for a pickle without the expected fields, negative or overlapping ranges.
std::vector<DcpChunk> parse_dcp_metadata(ByteView bytes, std::string_view where);

// "optimizer.state.<p>.exp_avg", "optim.state.exp_avg.<p>", ...: a key taken apart.
struct DcpKey {
  std::string owner;      // what the component belongs to, with the component taken out: "optim.state.<p>"
  std::string parameter;  // "<p>" when the key has a "state." part, else the owner
  std::string
      component;  // "exp_avg", "exp_avg_sq", "max_exp_avg_sq", "momentum_buffer", "fp32_param", "param"; or empty
};
DcpKey split_dcp_key(std::string_view key);

}  // namespace kinglet
