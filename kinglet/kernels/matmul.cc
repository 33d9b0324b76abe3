#include "kinglet/kernels/matmul.h"

#include <array>
#include <cassert>
#include <cstring>
#include <dnnl.hpp>
#include <map>
#include <memory>
#include <mutex>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/kernels/widened_product.h"

// From GCC's OpenMP, which oneDNN runs on; declared here because clang has no header for it. The number is that of the
// calling thread.
extern "C" int omp_get_max_threads(void);
extern "C" void omp_set_num_threads(int threads);

namespace kinglet {
namespace {

using dnnl::memory;

// Everything that a primitive is compiled for.
struct Key {
  std::array<std::int64_t, 4> sizes{};  // batch, m, n, k
  std::array<std::int64_t, 7> strides{};
  std::array<std::uint8_t, 4> kinds{};  // dtype of a and b, dtype of c, bias, accumulate
  auto operator<=>(const Key&) const = default;
};

memory::data_type type_of(DType dtype) {
  assert(dtype == DType::kF32 || dtype == DType::kBF16);
  return dtype == DType::kF32 ? memory::data_type::f32 : memory::data_type::bf16;
}

const dnnl::engine& engine() {
  static const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  return cpu;
}

struct Primitive {
  dnnl::matmul primitive;
  memory::desc a, b, c, bias;
};

memory::desc describe(std::int64_t batch, std::int64_t rows, std::int64_t columns, DType dtype,
                      std::int64_t batch_stride, std::int64_t row_stride, std::int64_t column_stride) {
  if (batch == 1) return {{rows, columns}, type_of(dtype), memory::dims{row_stride, column_stride}};
  return {{batch, rows, columns}, type_of(dtype), memory::dims{batch_stride, row_stride, column_stride}};
}

// Strides of a dimension of one element are free; a fixed choice lets such matrices share a primitive, and keeps
// oneDNN from taking a column for a matrix of unusual layout.
template <typename Pointer>
StridedMatrix<Pointer> normalized(StridedMatrix<Pointer> matrix) {
  if (matrix.columns == 1 && matrix.row_stride != 1) matrix.column_stride = 1;
  if (matrix.rows == 1) matrix.row_stride = matrix.column_stride == 1 ? matrix.columns : 1;
  return matrix;
}

Primitive compile(const ConstMatrix& a, const ConstMatrix& b, const Matrix& c, std::int64_t batch, bool has_bias,
                  bool accumulate) {
  Primitive made;
  made.a = describe(batch, a.rows, a.columns, a.dtype, a.batch_stride, a.row_stride, a.column_stride);
  made.b = describe(batch, b.rows, b.columns, b.dtype, b.batch_stride, b.row_stride, b.column_stride);
  made.c = describe(batch, c.rows, c.columns, c.dtype, c.batch_stride, c.row_stride, c.column_stride);
  dnnl::primitive_attr attributes;
  if (accumulate) {
    dnnl::post_ops sum;
    sum.append_sum(1.0F);
    attributes.set_post_ops(sum);
  }
  if (has_bias) {
    made.bias = batch == 1 ? memory::desc({1, c.columns}, memory::data_type::f32, memory::format_tag::ab)
                           : memory::desc({1, 1, c.columns}, memory::data_type::f32, memory::format_tag::abc);
    made.primitive = dnnl::matmul({dnnl::matmul::desc(made.a, made.b, made.bias, made.c), attributes, engine()});
  } else {
    made.primitive = dnnl::matmul({dnnl::matmul::desc(made.a, made.b, made.c), attributes, engine()});
  }
  return made;
}

std::shared_ptr<const Primitive> primitive_for(const ConstMatrix& a, const ConstMatrix& b, const Matrix& c,
                                               std::int64_t batch, bool has_bias, bool accumulate) {
  static std::mutex mutex;
  static std::map<Key, std::shared_ptr<const Primitive>> kept;
  constexpr std::size_t kMostKept = 4096;  // growing sequences make new shapes at every step

  Key key;
  key.sizes = {batch, a.rows, b.columns, a.columns};
  key.strides = {a.row_stride, a.column_stride, b.row_stride, b.column_stride, c.row_stride, 0, 0};
  if (batch > 1) key.strides[5] = a.batch_stride, key.strides[6] = b.batch_stride;
  key.kinds = {static_cast<std::uint8_t>(a.dtype), static_cast<std::uint8_t>(c.dtype),
               static_cast<std::uint8_t>(has_bias), static_cast<std::uint8_t>(accumulate)};
  {
    const std::lock_guard lock(mutex);
    if (const auto found = kept.find(key); found != kept.end()) return found->second;
  }
  auto made = std::make_shared<const Primitive>(compile(a, b, c, batch, has_bias, accumulate));
  const std::lock_guard lock(mutex);
  if (kept.size() >= kMostKept) kept.clear();
  return kept.emplace(key, std::move(made)).first->second;
}

// oneDNN inside starts no threads of its own. The setting is the calling thread's.
class OneThread {
 public:
  OneThread() : before_(omp_get_max_threads()) { omp_set_num_threads(1); }
  ~OneThread() { omp_set_num_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

void fill_without_product(const Matrix& c, std::int64_t batch, const float* bias) {
  assert(c.dtype == DType::kF32);
  for (std::int64_t i = 0; i < batch * c.rows; ++i) {
    float* row = static_cast<float*>(c.data) + i / c.rows * c.batch_stride + i % c.rows * c.row_stride;
    for (std::int64_t j = 0; j < c.columns; ++j) row[j] = bias == nullptr ? 0.0F : bias[j];
  }
}

}  // namespace

// oneDNN multiplies bf16 only with AVX-512; asking it is surer than reading the processor's flags.
bool multiplies_bfloat16() {
  static const bool able = [] {
    const ConstMatrix matrix{nullptr, DType::kBF16, 16, 16, 16, 1, 0};
    try {
      compile(matrix, matrix, {nullptr, DType::kF32, 16, 16, 16, 1, 0}, 1, false, false);
      return true;
    } catch (const dnnl::error&) {
      return false;
    }
  }();
  return able;
}

void matmul(const ConstMatrix& a_in, const ConstMatrix& b_in, const Matrix& c_in, std::int64_t batch, const float* bias,
            bool accumulate) {
  const ConstMatrix a = normalized(a_in), b = normalized(b_in);
  const Matrix c = normalized(c_in);
  assert(a.rows == c.rows && a.columns == b.rows && b.columns == c.columns && a.dtype == b.dtype);
  assert(c.column_stride == 1 && (batch == 1 || c.batch_stride == c.rows * c.row_stride));
  if (batch == 0 || c.rows == 0 || c.columns == 0) return;
  if (a.columns == 0) {
    if (!accumulate) fill_without_product(c, batch, bias);
    return;
  }
  if (a.dtype == DType::kBF16 && !multiplies_bfloat16()) {
    widened_matmul(a, b, c, batch, bias, accumulate);
    return;
  }
  try {
    const auto compiled = primitive_for(a, b, c, batch, bias != nullptr, accumulate);
    thread_local dnnl::stream stream(engine());
    std::unordered_map<int, memory> arguments = {
        {DNNL_ARG_SRC, memory(compiled->a, engine(), const_cast<void*>(a.data))},
        {DNNL_ARG_WEIGHTS, memory(compiled->b, engine(), const_cast<void*>(b.data))},
        {DNNL_ARG_DST, memory(compiled->c, engine(), c.data)}};
    if (bias != nullptr) {
      arguments.emplace(DNNL_ARG_BIAS, memory(compiled->bias, engine(), const_cast<float*>(bias)));
    }
    compiled->primitive.execute(stream, arguments);
    stream.wait();
  } catch (const dnnl::error& error) {
    throw failed("matmul", error.what());
  }
}

void matmul_block(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k, float alpha,
                  const float* a, std::int64_t lda, const float* b, std::int64_t ldb, float beta, float* c,
                  std::int64_t ldc) {
  if (m == 0 || n == 0) return;
  const OneThread one_thread;
  const dnnl_status_t status =
      dnnl_sgemm(transpose_a ? 'T' : 'N', transpose_b ? 'T' : 'N', m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
  if (status != dnnl_success)
    throw failed("matmul", fmt::format("oneDNN refused a block product of {} x {} x {} (status {})", m, k, n,
                                       static_cast<int>(status)));
}

}  // namespace kinglet
