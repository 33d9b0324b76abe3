#include "kinglet/io/torch_globals.h"

#include <algorithm>
#include <array>

namespace kinglet {
namespace {

struct TypeNames {
  DType dtype;
  std::string_view storage;  // class in module torch
  std::string_view scalar;   // torch.<name>
};

constexpr std::array<TypeNames, 17> kTypeNames = {{{DType::kF64, "DoubleStorage", "float64"},
                                                   {DType::kF32, "FloatStorage", "float32"},
                                                   {DType::kF16, "HalfStorage", "float16"},
                                                   {DType::kBF16, "BFloat16Storage", "bfloat16"},
                                                   {DType::kI64, "LongStorage", "int64"},
                                                   {DType::kI32, "IntStorage", "int32"},
                                                   {DType::kI16, "ShortStorage", "int16"},
                                                   {DType::kI8, "CharStorage", "int8"},
                                                   {DType::kU8, "ByteStorage", "uint8"},
                                                   {DType::kBool, "BoolStorage", "bool"},
                                                   {DType::kC64, "ComplexFloatStorage", "complex64"},
                                                   {DType::kC128, "ComplexDoubleStorage", "complex128"},
                                                   {DType::kU16, "", "uint16"},
                                                   {DType::kU32, "", "uint32"},
                                                   {DType::kU64, "", "uint64"},
                                                   {DType::kF8E4M3, "", "float8_e4m3fn"},
                                                   {DType::kF8E5M2, "", "float8_e5m2"}}};

// Names that only build plain data. What they build stays an inert node here.
constexpr auto kHarmless = std::to_array<std::string_view>({
    "torch._utils _rebuild_tensor",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_tensor_v3",
    "torch._tensor _rebuild_from_type_v2",
    "torch._utils _rebuild_parameter",
    "torch._utils _rebuild_parameter_with_state",
    "torch.nn.parameter Parameter",
    "torch.storage UntypedStorage",
    "torch.storage TypedStorage",
    "torch Tensor",
    "torch Size",
    "torch device",
    "torch.serialization _get_layout",
    "torch strided",
    "torch contiguous_format",
    "torch preserve_format",
    "collections OrderedDict",
    "collections Counter",
    "collections defaultdict",
    "builtins set",
    "builtins frozenset",
    "builtins bytearray",
    "builtins complex",
    "builtins int",
    "builtins float",
    "builtins list",
    "builtins dict",
    "builtins tuple",
    "builtins str",
    "builtins slice",
    "builtins range",
    "__builtin__ set",
    "__builtin__ bytearray",
    "__builtin__ complex",
    "__builtin__ long",
    "_codecs encode",
    "numpy ndarray",
    "numpy dtype",
    "numpy.core.multiarray _reconstruct",
    "numpy._core.multiarray _reconstruct",
    "numpy.core.multiarray scalar",
    "numpy._core.multiarray scalar",
    "numpy.dtypes UInt32DType",
    "numpy.dtypes Float64DType",
    "numpy.dtypes Float32DType",
    "numpy.dtypes Int64DType",
});

// Names of torch.distributed.checkpoint's metadata; `getattr` is how Python 3.11 pickles a member of an Enum.
constexpr std::string_view kDcpModules[] = {"torch.distributed.checkpoint.metadata ",
                                            "torch.distributed.checkpoint.filesystem "};

std::string_view without_module(std::string_view global, std::string_view module) {
  if (global.starts_with(module) && global.size() > module.size() && global[module.size()] == ' ') {
    return global.substr(module.size() + 1);
  }
  return {};
}

}  // namespace

std::optional<DType> storage_dtype(std::string_view global) {
  const std::string_view name = without_module(global, "torch");
  for (const TypeNames& type : kTypeNames) {
    if (!name.empty() && name == type.storage) return type.dtype;
  }
  return std::nullopt;
}

std::optional<DType> torch_dtype(std::string_view global) {
  const std::string_view name = without_module(global, "torch");
  for (const TypeNames& type : kTypeNames) {
    if (!name.empty() && name == type.scalar) return type.dtype;
  }
  return std::nullopt;
}

std::string_view storage_class(DType dtype) {
  for (const TypeNames& type : kTypeNames) {
    if (type.dtype == dtype) return type.storage;
  }
  return {};
}

bool is_known_global(std::string_view global) {
  if (storage_dtype(global) || torch_dtype(global)) return true;
  if (std::find(kHarmless.begin(), kHarmless.end(), global) != kHarmless.end()) return true;
  if (global == "builtins getattr") return true;  // inert like all calls; it never runs
  return std::any_of(std::begin(kDcpModules), std::end(kDcpModules),
                     [&](std::string_view module) { return global.starts_with(module); });
}

}  // namespace kinglet
