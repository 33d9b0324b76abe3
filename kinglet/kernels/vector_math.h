// Elementary functions that the compiler vectorises: straight-line code without branches or calls.
//
// Included by kernel files only, once an instruction set: in front of each inclusion HWY_TARGET has another value.
#if defined(KINGLET_VECTOR_MATH_ONCE) == defined(HWY_TARGET_TOGGLE)
#ifdef KINGLET_VECTOR_MATH_ONCE
#undef KINGLET_VECTOR_MATH_ONCE
#else
#define KINGLET_VECTOR_MATH_ONCE
#endif

#include <cstddef>
#include <cstdint>

HWY_BEFORE_NAMESPACE();
namespace kinglet {
namespace HWY_NAMESPACE {

// e^x within 2 units in the last place for x in [-87, 88]; that of the nearer end outside. NaN gives NaN.
// x = n ln 2 + r with |r| <= ln 2 / 2, e^r by its Taylor series up to r^7.
HWY_INLINE float Exp(float x) {
  const float clamped = x < -87.0F ? -87.0F : (x > 88.0F ? 88.0F : x);
  constexpr float kRound = 12582912.0F;  // 1.5 * 2^23: adding it rounds to an integer, which the lowest bits then hold
  const float rounded = clamped * 1.44269504088896341F + kRound;
  const float n = rounded - kRound;
  const float r = (clamped - n * 0.693359375F) + n * 2.12194440e-4F;
  float p = 1.0F / 5040.0F;
  p = p * r + 1.0F / 720.0F;
  p = p * r + 1.0F / 120.0F;
  p = p * r + 1.0F / 24.0F;
  p = p * r + 1.0F / 6.0F;
  p = p * r + 0.5F;
  p = p * r + 1.0F;
  p = p * r + 1.0F;
  std::uint32_t bits;  // unsigned, and not by conversion: a NaN has no integer
  __builtin_memcpy(&bits, &rounded, sizeof(bits));
  bits = (bits + 127) << 23;  // those of kRound fall out at the top
  float power;
  __builtin_memcpy(&power, &bits, sizeof(power));
  return p * power;
}

// Sums and maxima run over kLanes partial results, which is what lets the compiler use vectors; the order of the
// additions is therefore the same for every instruction set.
inline constexpr std::size_t kLanes = 16;

HWY_INLINE float Total(const float* partial) {
  float eight[8];
  for (std::size_t i = 0; i < 8; ++i) eight[i] = partial[i] + partial[i + 8];
  for (std::size_t i = 0; i < 4; ++i) eight[i] += eight[i + 4];
  return (eight[0] + eight[2]) + (eight[1] + eight[3]);
}

HWY_INLINE float Maximum(const float* x, std::size_t n) {
  float best[kLanes];
  for (std::size_t lane = 0; lane < kLanes; ++lane) best[lane] = -3.402823466e38F;
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) best[lane] = x[i + lane] > best[lane] ? x[i + lane] : best[lane];
  }
  for (; i < n; ++i) best[0] = x[i] > best[0] ? x[i] : best[0];
  for (std::size_t lane = 1; lane < kLanes; ++lane) best[0] = best[lane] > best[0] ? best[lane] : best[0];
  return best[0];
}

HWY_INLINE float Dot(const float* a, const float* b, std::size_t n) {
  float partial[kLanes] = {};
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) partial[lane] += a[i + lane] * b[i + lane];
  }
  for (; i < n; ++i) partial[0] += a[i] * b[i];
  return Total(partial);
}

// row [n] becomes e^(row - maximum), the numerator of a softmax; returns its sum and the maximum.
HWY_INLINE void ExponentialsInPlace(float* row, std::size_t n, float* maximum, float* sum) {
  const float largest = Maximum(row, n);
  float partial[kLanes] = {};
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const float e = Exp(row[i + lane] - largest);
      row[i + lane] = e;
      partial[lane] += e;
    }
  }
  for (; i < n; ++i) {
    row[i] = Exp(row[i] - largest);
    partial[0] += row[i];
  }
  *maximum = largest;
  *sum = Total(partial);
}

HWY_INLINE void ScaleInPlace(float* row, std::size_t n, float factor) {
  for (std::size_t i = 0; i < n; ++i) row[i] *= factor;
}

}  // namespace HWY_NAMESPACE
}  // namespace kinglet
HWY_AFTER_NAMESPACE();

#endif
