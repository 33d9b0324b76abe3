// How fast is text cut into tokens, and back? MB/s of UTF-8, in pieces of 2000 bytes (documents) and as one text, on
// one thread and on all; bench/peers/tokenizer_speed.py gives the `tokenizers` package's figures on the same file.
//   build/bench/text_tokenizer TOKENIZER TEXT-FILE
#include "kinglet/text/tokenizer.h"

#include <algorithm>
#include <cstdio>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "bench/support/stopwatch.h"

#include "kinglet/base/files.h"
#include "kinglet/base/parallel.h"

namespace {

using namespace kinglet;

constexpr std::size_t kDocument = 2000;  // bytes

std::vector<std::string> documents_of(std::string_view text) {
  std::vector<std::string> documents;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = std::min(at + kDocument, text.size());
    while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) ++end;
    documents.emplace_back(text.substr(at, end - at));
    at = end;
  }
  return documents;
}

int run(const char* path, const char* file) {
  std::unique_ptr<Tokenizer> tokenizer;
  const double load = bench::seconds_of([&] { tokenizer = Tokenizer::load(path); }).cpu;
  const Bytes bytes = read_file(file);
  const std::string_view text = as_text(bytes);
  const std::vector<std::string> documents = documents_of(text);
  const double megabytes = 1e-6 * static_cast<double>(text.size());
  std::vector<std::vector<TokenId>> encoded(documents.size());
  const auto encode_one = [&](std::size_t i) { encoded[i] = tokenizer->encode(documents[i], false); };

  const double cold = bench::seconds_of([&] {
                        for (std::size_t i = 0; i < documents.size(); ++i) encode_one(i);
                      }).cpu;
  const auto count = static_cast<std::int64_t>(documents.size());
  const bench::Seconds threads =
      bench::seconds_of([&] { parallel_for(count, [&](std::int64_t i) { encode_one(static_cast<std::size_t>(i)); }); });
  std::size_t tokens = 0;
  const double whole = bench::cpu_seconds_of([&] { tokens = tokenizer->encode(text, false).size(); }, 3);
  const double decode = bench::cpu_seconds_of(
      [&] {
        for (const auto& ids : encoded) tokenizer->decode(ids);
      },
      3);
  std::printf("load                      %8.0f ms\n", 1e3 * load);
  std::printf("encode documents          %8.1f MB/s of one core (%zu documents)\n", megabytes / cold, documents.size());
  std::printf("encode documents          %8.1f MB/s on %d threads\n", megabytes / threads.wall, num_threads());
  std::printf("encode one text           %8.1f MB/s of one core (%.2f bytes a token)\n", megabytes / whole,
              static_cast<double>(text.size()) / static_cast<double>(tokens));
  std::printf("decode documents          %8.1f MB/s of one core\n", megabytes / decode);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: tokenizer TOKENIZER TEXT-FILE\n");
    return 2;
  }
  try {
    return run(argv[1], argv[2]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
