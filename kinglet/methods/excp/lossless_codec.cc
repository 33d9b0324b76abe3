#include "kinglet/methods/excp/lossless_codec.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <memory>
#include <vector>

#include <lzma.h>
#include <zstd.h>

#include "kinglet/base/error.h"
#include "kinglet/kernels/byte_planes.h"
#include "kinglet/kernels/rans.h"

namespace kinglet::excp {
namespace {

// Coded block: transform u8, then for each byte plane u32 length and a rANS block.
enum Transform : std::uint8_t { kPlain = 0, kRotated = 1, kPredicted = 2 };

std::uint8_t* as_u8(std::byte* bytes) { return reinterpret_cast<std::uint8_t*>(bytes); }
const std::uint8_t* as_u8(const std::byte* bytes) { return reinterpret_cast<const std::uint8_t*>(bytes); }

std::size_t plane_width(DType dtype) { return std::min<std::size_t>(8, item_size(dtype)); }  // C128 is two F64

bool is_ieee(DType dtype) {
  return dtype == DType::kF64 || dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16;
}

Bytes xz_compress(ByteView bytes) {
  lzma_options_lzma settings;
  if (lzma_lzma_preset(&settings, 9)) throw failed("", "liblzma refuses its preset");
  // The preset's 64 MiB window would be allocated for the smallest input.
  settings.dict_size = static_cast<std::uint32_t>(std::clamp<std::size_t>(bytes.size(), LZMA_DICT_SIZE_MIN, 64U << 20));
  lzma_filter filters[] = {{LZMA_FILTER_LZMA2, &settings}, {LZMA_VLI_UNKNOWN, nullptr}};
  Bytes out(lzma_stream_buffer_bound(bytes.size()));
  std::size_t size = 0;
  const lzma_ret result = lzma_stream_buffer_encode(filters, LZMA_CHECK_NONE, nullptr, as_u8(bytes.data()),
                                                    bytes.size(), as_u8(out.data()), &size, out.size());
  if (result != LZMA_OK) throw failed("", fmt::format("xz compression fails with code {}", static_cast<int>(result)));
  out.resize(size);
  return out;
}

void xz_decompress(ByteView coded, std::span<std::byte> out, std::string_view where) {
  std::uint64_t memory_limit = std::uint64_t{256} << 20;
  std::size_t in_at = 0, out_at = 0;
  const lzma_ret result = lzma_stream_buffer_decode(&memory_limit, 0, nullptr, as_u8(coded.data()), &in_at,
                                                    coded.size(), as_u8(out.data()), &out_at, out.size());
  if (result != LZMA_OK || in_at != coded.size() || out_at != out.size()) {
    throw bad_input(where, "an xz block does not decode", "the file is damaged");
  }
}

struct FreeContext {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

Bytes zstd_compress(ByteView bytes, ByteView previous, int level) {
  const std::unique_ptr<ZSTD_CCtx, FreeContext> context(ZSTD_createCCtx());
  if (!context) throw std::bad_alloc();
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, level);
  if (!previous.empty()) {
    ZSTD_CCtx_refPrefix(context.get(), previous.data(), previous.size());
    const std::size_t span = bytes.size() + previous.size();
    int window_log = ZSTD_cParam_getBounds(ZSTD_c_windowLog).lowerBound;
    while (window_log < 27 && std::size_t{1} << window_log < span) ++window_log;
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_windowLog, window_log);
  }
  Bytes out(ZSTD_compressBound(bytes.size()));
  const std::size_t size = ZSTD_compress2(context.get(), out.data(), out.size(), bytes.data(), bytes.size());
  if (ZSTD_isError(size) != 0) throw failed("", fmt::format("zstd compression fails: {}", ZSTD_getErrorName(size)));
  out.resize(size);
  return out;
}

void zstd_decompress(ByteView coded, ByteView previous, std::span<std::byte> out, std::string_view where) {
  const std::unique_ptr<ZSTD_DCtx, FreeContext> context(ZSTD_createDCtx());
  if (!context) throw std::bad_alloc();
  if (!previous.empty()) ZSTD_DCtx_refPrefix(context.get(), previous.data(), previous.size());
  // One frame, of exactly this size: a frame that claims more stops with an error.
  const std::size_t frame = ZSTD_findFrameCompressedSize(coded.data(), coded.size());
  const std::size_t size = ZSTD_isError(frame) != 0 || frame != coded.size()
                               ? out.size() + 1
                               : ZSTD_decompressDCtx(context.get(), out.data(), out.size(), coded.data(), coded.size());
  if (size != out.size()) throw bad_input(where, "a zstd block does not decode", "the file is damaged");
}

}  // namespace

Bytes compress_bytes(ByteView bytes, Coder coder) {
  return coder == Coder::kXz ? xz_compress(bytes) : zstd_compress(bytes, {}, 3);
}

void decompress_bytes(ByteView coded, Coder coder, std::span<std::byte> out, std::string_view where) {
  if (coder == Coder::kXz)
    xz_decompress(coded, out, where);
  else
    zstd_decompress(coded, {}, out, where);
}

Bytes compress_after(ByteView bytes, ByteView previous) { return zstd_compress(bytes, previous, 9); }

void decompress_after(ByteView coded, ByteView previous, std::span<std::byte> out, std::string_view where) {
  zstd_decompress(coded, previous, out, where);
}

void encode_array_block(ByteView elements, DType dtype, ByteView prediction, Bytes& out) {
  const std::size_t width = plane_width(dtype), n = elements.size() / width;
  assert(prediction.empty() || prediction.size() == elements.size());
  std::vector<std::uint8_t> transformed(elements.size()), planes(elements.size());
  const std::uint8_t* source = as_u8(elements.data());
  Transform transform = kPlain;
  if (!prediction.empty()) {
    transform = kPredicted;
    predict_difference(source, as_u8(prediction.data()), n, width, transformed.data());
    source = transformed.data();
  } else if (is_ieee(dtype)) {
    transform = kRotated;
    rotate_sign(source, n, width, transformed.data());
    source = transformed.data();
  }
  split_byte_planes(source, n, width, planes.data());
  out.push_back(static_cast<std::byte>(transform));
  for (std::size_t plane = 0; plane < width; ++plane) {
    const std::size_t at = out.size();
    out.resize(at + 4);
    rans_encode(std::span(planes).subspan(plane * n, n), out);
    const auto length = static_cast<std::uint32_t>(out.size() - at - 4);
    std::memcpy(out.data() + at, &length, sizeof(length));
  }
}

void decode_array_block(ByteView coded, DType dtype, ByteView prediction, std::span<std::byte> elements,
                        std::string_view where) {
  const auto damaged = [where](std::string_view what) { return bad_input(where, what, "the file is damaged"); };
  const std::size_t width = plane_width(dtype), n = elements.size() / width;
  if (coded.empty()) throw damaged("a lossless block is empty");
  const auto transform = static_cast<std::uint8_t>(coded[0]);
  const Transform expected = !prediction.empty() ? kPredicted : is_ieee(dtype) ? kRotated : kPlain;
  if (transform != expected) throw damaged("a lossless block has an unexpected transform");
  coded = coded.subspan(1);
  std::vector<std::uint8_t> planes(elements.size());
  for (std::size_t plane = 0; plane < width; ++plane) {
    std::uint32_t length = 0;
    if (coded.size() < sizeof(length)) throw damaged("a lossless block ends too early");
    std::memcpy(&length, coded.data(), sizeof(length));
    coded = coded.subspan(sizeof(length));
    if (length > coded.size()) throw damaged("a lossless block ends too early");
    rans_decode(coded.first(length), std::span(planes).subspan(plane * n, n), where);
    coded = coded.subspan(length);
  }
  if (!coded.empty()) throw damaged("a lossless block is too long");
  if (transform == kPlain) {
    merge_byte_planes(planes.data(), n, width, as_u8(elements.data()));
    return;
  }
  std::vector<std::uint8_t> transformed(elements.size());
  merge_byte_planes(planes.data(), n, width, transformed.data());
  if (transform == kRotated)
    unrotate_sign(transformed.data(), n, width, as_u8(elements.data()));
  else
    undo_predict(transformed.data(), as_u8(prediction.data()), n, width, as_u8(elements.data()));
}

}  // namespace kinglet::excp
