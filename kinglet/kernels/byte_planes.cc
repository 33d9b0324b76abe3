#include "kinglet/kernels/byte_planes.h"

#include <cassert>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kinglet/kernels/byte_planes.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kinglet/kernels/loops.h"

HWY_BEFORE_NAMESPACE();
#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128
KINGLET_SCALAR_LOOPS
#endif
namespace kinglet {
namespace HWY_NAMESPACE {

template <std::size_t kSize>
void Split(const std::uint8_t* HWY_RESTRICT elements, std::size_t n, std::uint8_t* HWY_RESTRICT planes) {
  for (std::size_t plane = 0; plane < kSize; ++plane) {
    std::uint8_t* HWY_RESTRICT out = planes + plane * n;
    for (std::size_t i = 0; i < n; ++i) out[i] = elements[i * kSize + plane];
  }
}

template <std::size_t kSize>
void Merge(const std::uint8_t* HWY_RESTRICT planes, std::size_t n, std::uint8_t* HWY_RESTRICT elements) {
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t plane = 0; plane < kSize; ++plane) elements[i * kSize + plane] = planes[plane * n + i];
  }
}

void SplitPlanes(const std::uint8_t* elements, std::size_t n, std::size_t item_size, std::uint8_t* planes) {
  switch (item_size) {
    case 1:
      if (n > 0) __builtin_memcpy(planes, elements, n);  // the pointers of empty arrays may be null
      break;
    case 2:
      Split<2>(elements, n, planes);
      break;
    case 4:
      Split<4>(elements, n, planes);
      break;
    default:
      Split<8>(elements, n, planes);
      break;
  }
}

void MergePlanes(const std::uint8_t* planes, std::size_t n, std::size_t item_size, std::uint8_t* elements) {
  switch (item_size) {
    case 1:
      if (n > 0) __builtin_memcpy(elements, planes, n);
      break;
    case 2:
      Merge<2>(planes, n, elements);
      break;
    case 4:
      Merge<4>(planes, n, elements);
      break;
    default:
      Merge<8>(planes, n, elements);
      break;
  }
}

// Applies `function` to every element of the unsigned type U; inputs may be unaligned.
template <typename U, typename Function>
void Transform(const std::uint8_t* HWY_RESTRICT in, const std::uint8_t* HWY_RESTRICT second, std::size_t n,
               std::uint8_t* HWY_RESTRICT out, Function function) {
  for (std::size_t i = 0; i < n; ++i) {
    U a, b = 0;
    __builtin_memcpy(&a, in + i * sizeof(U), sizeof(U));
    if (second != nullptr) __builtin_memcpy(&b, second + i * sizeof(U), sizeof(U));
    const U result = function(a, b);
    __builtin_memcpy(out + i * sizeof(U), &result, sizeof(U));
  }
}

template <typename U>
constexpr unsigned kTopBit = sizeof(U) * 8 - 1;

template <typename U>
struct RotateSign {
  U operator()(U x, U) const { return static_cast<U>(x << 1 | x >> kTopBit<U>); }
};
template <typename U>
struct UnrotateSign {
  U operator()(U x, U) const { return static_cast<U>(x >> 1 | x << kTopBit<U>); }
};
template <typename U>
U Image(U bits) {
  constexpr U kSign = static_cast<U>(U{1} << kTopBit<U>);
  return static_cast<U>((bits & kSign) != 0 ? static_cast<U>(~bits) : static_cast<U>(bits | kSign));
}
template <typename U>
U FromImage(U image) {
  constexpr U kSign = static_cast<U>(U{1} << kTopBit<U>);
  return static_cast<U>((image & kSign) != 0 ? static_cast<U>(image ^ kSign) : static_cast<U>(~image));
}
template <typename U>
struct Difference {
  U operator()(U value, U prediction) const {
    const U difference = static_cast<U>(Image<U>(value) - Image<U>(prediction));
    const U sign = static_cast<U>(difference >> kTopBit<U> != 0 ? ~U{0} : U{0});
    return static_cast<U>(static_cast<U>(difference << 1) ^ sign);
  }
};
template <typename U>
struct Undo {
  U operator()(U zigzag, U prediction) const {
    const U sign = static_cast<U>((zigzag & U{1}) != 0 ? ~U{0} : U{0});
    const U difference = static_cast<U>(static_cast<U>(zigzag >> 1) ^ sign);
    return FromImage<U>(static_cast<U>(Image<U>(prediction) + difference));
  }
};

template <template <typename> typename Function>
void TransformAny(const std::uint8_t* in, const std::uint8_t* second, std::size_t n, std::size_t item_size,
                  std::uint8_t* out) {
  switch (item_size) {
    case 2:
      Transform<std::uint16_t>(in, second, n, out, Function<std::uint16_t>{});
      break;
    case 4:
      Transform<std::uint32_t>(in, second, n, out, Function<std::uint32_t>{});
      break;
    case 8:
      Transform<std::uint64_t>(in, second, n, out, Function<std::uint64_t>{});
      break;
    default:
      Transform<std::uint8_t>(in, second, n, out, Function<std::uint8_t>{});
      break;
  }
}

void Rotate(const std::uint8_t* in, std::size_t n, std::size_t item_size, std::uint8_t* out) {
  TransformAny<RotateSign>(in, nullptr, n, item_size, out);
}
void Unrotate(const std::uint8_t* in, std::size_t n, std::size_t item_size, std::uint8_t* out) {
  TransformAny<UnrotateSign>(in, nullptr, n, item_size, out);
}
void Predict(const std::uint8_t* value, const std::uint8_t* prediction, std::size_t n, std::size_t item_size,
             std::uint8_t* out) {
  TransformAny<Difference>(value, prediction, n, item_size, out);
}
void Unpredict(const std::uint8_t* difference, const std::uint8_t* prediction, std::size_t n, std::size_t item_size,
               std::uint8_t* value) {
  TransformAny<Undo>(difference, prediction, n, item_size, value);
}

}  // namespace HWY_NAMESPACE
}  // namespace kinglet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kinglet {

HWY_EXPORT(SplitPlanes);
HWY_EXPORT(MergePlanes);
HWY_EXPORT(Rotate);
HWY_EXPORT(Unrotate);
HWY_EXPORT(Predict);
HWY_EXPORT(Unpredict);

void split_byte_planes(const std::uint8_t* elements, std::size_t n, std::size_t item_size, std::uint8_t* planes) {
  assert(item_size == 1 || item_size == 2 || item_size == 4 || item_size == 8);
  HWY_DYNAMIC_DISPATCH(SplitPlanes)(elements, n, item_size, planes);
}

void merge_byte_planes(const std::uint8_t* planes, std::size_t n, std::size_t item_size, std::uint8_t* elements) {
  assert(item_size == 1 || item_size == 2 || item_size == 4 || item_size == 8);
  HWY_DYNAMIC_DISPATCH(MergePlanes)(planes, n, item_size, elements);
}

void rotate_sign(const std::uint8_t* elements, std::size_t n, std::size_t item_size, std::uint8_t* out) {
  HWY_DYNAMIC_DISPATCH(Rotate)(elements, n, item_size, out);
}

void unrotate_sign(const std::uint8_t* elements, std::size_t n, std::size_t item_size, std::uint8_t* out) {
  HWY_DYNAMIC_DISPATCH(Unrotate)(elements, n, item_size, out);
}

void predict_difference(const std::uint8_t* value, const std::uint8_t* prediction, std::size_t n, std::size_t item_size,
                        std::uint8_t* out) {
  HWY_DYNAMIC_DISPATCH(Predict)(value, prediction, n, item_size, out);
}

void undo_predict(const std::uint8_t* difference, const std::uint8_t* prediction, std::size_t n, std::size_t item_size,
                  std::uint8_t* value) {
  HWY_DYNAMIC_DISPATCH(Unpredict)(difference, prediction, n, item_size, value);
}

}  // namespace kinglet
#endif  // HWY_ONCE
