#include "kinglet/methods/mgsr/teacher_cache.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "kinglet/base/byte_io.h"
#include "kinglet/base/error.h"
#include "kinglet/base/hash.h"
#include "kinglet/base/interrupt.h"
#include "kinglet/base/progress.h"
#include "kinglet/methods/mgsr/distributions.h"
#include "kinglet/methods/mgsr/sequence_models.h"
#include "kinglet/nn/torch.h"

namespace kinglet::mgsr {
namespace {

constexpr std::string_view kMagic = "KNGLTLOG";
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kFixedBytes = 8 + 2 * 4 + 5 * 8;
constexpr const char* kRemedy = "delete the file; it will be made again";

template <typename T>
T read_at(ByteView bytes, std::size_t place) {
  T value;
  std::memcpy(&value, bytes.data() + place, sizeof(T));
  return value;
}

// Rows of log-probabilities as the file has them.
Bytes pack_rows(const at::Tensor& log_p, std::int64_t top_k) {
  const std::int64_t rows = log_p.size(0);
  Bytes bytes;
  const auto put = [&](const at::Tensor& tensor, std::int64_t row) {
    const at::Tensor values = tensor[row].contiguous();
    const auto* const data = static_cast<const std::byte*>(values.data_ptr());
    bytes.insert(bytes.end(), data, data + values.nbytes());
  };
  if (top_k == 0) {
    const at::Tensor halves = log_p.to(at::kHalf);
    for (std::int64_t row = 0; row < rows; ++row) put(halves, row);
    return bytes;
  }
  const auto [values, classes] = log_p.topk(top_k, -1);
  const at::Tensor numbers = classes.to(at::kInt), halves = values.to(at::kHalf);
  const at::Tensor rest = (1.0 - values.to(at::kDouble).exp().sum(-1)).clamp_min(1e-30).log().to(at::kFloat);
  for (std::int64_t row = 0; row < rows; ++row) {
    put(numbers, row);
    put(halves, row);
    ByteWriter(bytes).number(rest[row].item<float>());
  }
  return bytes;
}

}  // namespace

std::uint64_t hash_of_examples(const std::vector<Example>& examples) {
  Xxh3Stream hash;
  for (const Example& example : examples) {
    for (const auto* part : {&example.prompt, &example.response}) {
      const std::uint64_t length = part->size();
      hash.update(std::as_bytes(std::span(&length, 1)));
      hash.update(std::as_bytes(std::span(*part)));
    }
  }
  return hash.digest();
}

std::uint64_t hash_of_weights(const Decoder& model) {
  Xxh3Stream hash;
  for (const at::Tensor& parameter : model.parameters()) {
    const at::Tensor values = parameter.detach().contiguous();
    hash.update({static_cast<const std::byte*>(values.data_ptr()), values.nbytes()});
  }
  return hash.digest();
}

std::uint64_t bytes_of_row(std::int64_t vocabulary, std::int64_t top_k) {
  return top_k == 0 ? 2 * static_cast<std::uint64_t>(vocabulary) : 6 * static_cast<std::uint64_t>(top_k) + 4;
}

void write_teacher_cache(const std::filesystem::path& path, Decoder& teacher, const std::vector<Example>& examples,
                         const std::vector<std::int64_t>& numbers, std::int64_t vocabulary, std::int64_t top_k,
                         std::int64_t batch) {
  const at::NoGradGuard no_grad;
  std::vector<std::uint64_t> lengths(examples.size(), 0);
  std::uint64_t rows = 0;
  for (const std::int64_t number : numbers) {
    rows += lengths[static_cast<std::size_t>(number)] = examples[static_cast<std::size_t>(number)].response.size();
  }
  Bytes header;
  ByteWriter(header).bytes(as_bytes(kMagic));
  ByteWriter(header).number(kVersion);
  ByteWriter(header).number(static_cast<std::uint32_t>(top_k));
  ByteWriter(header).number(static_cast<std::uint64_t>(vocabulary));
  ByteWriter(header).number(static_cast<std::uint64_t>(examples.size()));
  ByteWriter(header).number(rows);
  ByteWriter(header).number(hash_of_examples(examples));
  ByteWriter(header).number(hash_of_weights(teacher));
  std::uint64_t start = 0;
  ByteWriter(header).number(start);
  for (const std::uint64_t length : lengths) ByteWriter(header).number(start += length);
  ByteWriter(header).number(xxh3(header));
  AtomicFile file(path);
  file.append(header);
  Xxh3Stream hash;
  Progress progress("teacher", numbers.size());
  for (std::size_t begin = 0; begin < numbers.size(); begin += static_cast<std::size_t>(batch)) {
    check_interrupt();
    std::vector<Example> some;
    for (std::size_t i = begin; i < std::min(numbers.size(), begin + static_cast<std::size_t>(batch)); ++i) {
      some.push_back(examples[static_cast<std::size_t>(numbers[i])]);
    }
    const LanguageBatch tokens = batch_of(some, 0);
    const at::Tensor hidden = response_hidden(teacher, tokens, response_rows(some, tokens.tokens.size(1)));
    constexpr std::int64_t kRowsAtOnce = 64;
    for (std::int64_t row = 0; row < hidden.size(0); row += kRowsAtOnce) {
      const std::int64_t count = std::min(kRowsAtOnce, hidden.size(0) - row);
      const at::Tensor logits =
          output_logits(hidden.narrow(0, row, count), teacher.output_weight().narrow(0, 0, vocabulary));
      if (!logits.isfinite().all().item<bool>()) {
        throw failed("teacher", "logits are NaN or infinite", "load its weights as bfloat16 or float32");
      }
      const Bytes packed = pack_rows(logits.log_softmax(-1), top_k);
      hash.update(packed);
      file.append(packed);
    }
    progress.advance(some.size());
  }
  const std::uint64_t digest = hash.digest();
  file.append(std::as_bytes(std::span(&digest, 1)));
  file.commit();
}

TeacherCache::TeacherCache(const std::filesystem::path& path, const std::vector<Example>& examples,
                           std::int64_t vocabulary)
    : path_(path), file_(path), vocabulary_(vocabulary) {
  const ByteView bytes = file_.bytes();
  const auto damaged = [&](std::string_view what) { return bad_input(path.string(), what, kRemedy); };
  if (bytes.size() < kFixedBytes + 16 || as_text(bytes.first(8)) != kMagic) {
    throw damaged("it is no cache of a teacher's logits");
  }
  if (read_at<std::uint32_t>(bytes, 8) != kVersion) throw damaged("its version is not known");
  top_k_ = read_at<std::uint32_t>(bytes, 12);
  const auto classes = read_at<std::uint64_t>(bytes, 16), count = read_at<std::uint64_t>(bytes, 24);
  const auto rows = read_at<std::uint64_t>(bytes, 32);
  if (classes != static_cast<std::uint64_t>(vocabulary) || count != examples.size() ||
      read_at<std::uint64_t>(bytes, 40) != hash_of_examples(examples)) {
    throw damaged("it was made of other data, or with another tokenizer");
  }
  teacher_hash_ = read_at<std::uint64_t>(bytes, 48);
  if (top_k_ > vocabulary) throw damaged("it is damaged");
  const std::size_t header = kFixedBytes + 8 * (examples.size() + 1);
  const std::uint64_t row_bytes = bytes_of_row(vocabulary, top_k_);
  if (bytes.size() < header + 16 || (bytes.size() - header - 16) / row_bytes != rows ||
      (bytes.size() - header - 16) % row_bytes != 0 ||
      read_at<std::uint64_t>(bytes, header) != xxh3(bytes.first(header))) {
    throw damaged("it is damaged or incomplete");
  }
  data_ = bytes.subspan(header + 8, rows * row_bytes);
  if (read_at<std::uint64_t>(bytes, bytes.size() - 8) != xxh3(data_)) throw damaged("it is damaged");
  for (std::size_t i = 0; i <= examples.size(); ++i)
    starts_.push_back(read_at<std::uint64_t>(bytes, kFixedBytes + 8 * i));
  for (std::size_t i = 0; i < examples.size(); ++i) {
    const std::uint64_t length = starts_[i + 1] - starts_[i];
    const bool fits = starts_[i] <= starts_[i + 1] && starts_[i + 1] <= rows;
    if (!fits || (length != 0 && length != examples[i].response.size())) throw damaged("its index is wrong");
  }
}

bool TeacherCache::has(std::int64_t example) const {
  if (example < 0 || example + 1 >= static_cast<std::int64_t>(starts_.size())) return false;
  const auto place = static_cast<std::size_t>(example);
  return starts_[place + 1] > starts_[place];
}

at::Tensor TeacherCache::logits_of(const std::vector<std::int64_t>& rows) const {
  const auto count = static_cast<std::int64_t>(rows.size());
  const std::size_t row_bytes = bytes_of_row(vocabulary_, top_k_);
  const auto from = [&](std::size_t i) { return data_.data() + static_cast<std::size_t>(rows[i]) * row_bytes; };
  if (top_k_ == 0) {
    at::Tensor halves = at::empty({count, vocabulary_}, at::kHalf);
    auto* const to = static_cast<std::byte*>(halves.data_ptr());
    for (std::size_t i = 0; i < rows.size(); ++i) std::memcpy(to + i * row_bytes, from(i), row_bytes);
    return halves.to(at::kFloat);
  }
  at::Tensor classes = at::empty({count, top_k_}, at::kInt), halves = at::empty({count, top_k_}, at::kHalf);
  at::Tensor rest = at::empty({count, 1});
  const auto k = static_cast<std::size_t>(top_k_);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::memcpy(classes.data_ptr<std::int32_t>() + i * k, from(i), 4 * k);
    std::memcpy(static_cast<std::byte*>(halves.data_ptr()) + 2 * i * k, from(i) + 4 * k, 2 * k);
    std::memcpy(rest.data_ptr<float>() + i, from(i) + 6 * k, 4);
  }
  const bool inside = classes.min().item<int>() >= 0 && classes.max().item<int>() < vocabulary_;
  if (!inside) throw bad_input(path_.string(), "a class is outside the vocabulary", kRemedy);
  const auto others = static_cast<double>(std::max<std::int64_t>(1, vocabulary_ - top_k_));
  at::Tensor logits = (rest - std::log(others)).expand({count, vocabulary_}).contiguous();
  return logits.scatter_(1, classes.to(at::kLong), halves.to(at::kFloat));
}

class CachedTeacherRows : public TeacherRows {
 public:
  CachedTeacherRows(const TeacherCache& cache, std::vector<std::int64_t> rows)
      : cache_(cache), rows_(std::move(rows)) {}
  at::Tensor logits(std::int64_t begin, std::int64_t count) const override {
    return cache_.logits_of({rows_.begin() + begin, rows_.begin() + begin + count});
  }

 private:
  const TeacherCache& cache_;
  std::vector<std::int64_t> rows_;
};

std::unique_ptr<TeacherRows> TeacherCache::rows(const std::vector<Example>& examples) const {
  std::vector<std::int64_t> rows;
  for (const Example& example : examples) {
    if (example.response.empty()) continue;
    if (!has(example.number)) {
      throw bad_input(path_.string(), fmt::format("example {} is not in it", example.number), kRemedy);
    }
    const std::uint64_t start = starts_[static_cast<std::size_t>(example.number)];
    for (std::size_t i = 0; i < example.response.size(); ++i) rows.push_back(static_cast<std::int64_t>(start + i));
  }
  return std::make_unique<CachedTeacherRows>(*this, std::move(rows));
}

}  // namespace kinglet::mgsr
