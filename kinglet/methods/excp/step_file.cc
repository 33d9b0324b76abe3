#include "kinglet/methods/excp/step_file.h"

#include <algorithm>
#include <cstring>

#include "kinglet/base/byte_io.h"
#include "kinglet/base/hash.h"
#include "kinglet/methods/excp/lossless_codec.h"

namespace kinglet::excp {
namespace {

constexpr std::string_view kMagic = "KNGLEXCP";
constexpr std::string_view kEndMagic = "EXCPEND.";
constexpr std::uint32_t kStepFileVersion = 1;
constexpr std::uint64_t kHeaderBytes = 16;  // magic, version u32, zero u32
constexpr std::uint64_t kFooterBytes = 64;
constexpr std::uint64_t kMaxIndex = std::uint64_t{1} << 30;

struct Footer {
  std::uint64_t index_offset = 0, index_length = 0, index_size = 0;  // length: coded
  std::uint64_t index_hash = 0;                                      // of the index before coding
  std::uint64_t coded_hash = 0;                                      // of the index as it stands in the file
  std::uint64_t file_size = 0;
};

Bytes footer_bytes(const Footer& footer) {
  Bytes bytes;
  ByteWriter writer(bytes);
  writer.number(footer.index_offset);
  writer.number(footer.index_length);
  writer.number(footer.index_size);
  writer.number(footer.index_hash);
  writer.number(footer.coded_hash);
  writer.number(footer.file_size);
  writer.number(xxh3(bytes));
  writer.bytes(as_bytes(kEndMagic));
  return bytes;
}

Bytes header_bytes() {
  Bytes bytes;
  ByteWriter writer(bytes);
  writer.bytes(as_bytes(kMagic));
  writer.number(kStepFileVersion);
  writer.number(std::uint32_t{0});
  return bytes;
}

Footer read_footer(ByteView file, const std::string& where) {
  if (file.size() < kHeaderBytes + kFooterBytes) throw bad_input(where, "the file is too short", "it is damaged");
  ByteReader header(file, where);
  if (as_text(header.take(kMagic.size())) != kMagic) throw bad_input(where, "this is not a step of an ExCP store");
  const auto version = header.number<std::uint32_t>();
  if (version != kStepFileVersion) {
    throw bad_input(where, fmt::format("format version {} is not known", version), "use a newer kinglet");
  }
  if (header.number<std::uint32_t>() != 0) header.fail("the header is damaged");
  const ByteView bytes = file.last(kFooterBytes);
  ByteReader reader(bytes, where);
  Footer footer;
  footer.index_offset = reader.number<std::uint64_t>();
  footer.index_length = reader.number<std::uint64_t>();
  footer.index_size = reader.number<std::uint64_t>();
  footer.index_hash = reader.number<std::uint64_t>();
  footer.coded_hash = reader.number<std::uint64_t>();
  footer.file_size = reader.number<std::uint64_t>();
  if (reader.number<std::uint64_t>() != xxh3(bytes.first(kFooterBytes - 16)) || as_text(reader.take(8)) != kEndMagic) {
    reader.fail("the file ends in the wrong place");
  }
  const std::uint64_t end = file.size() - kFooterBytes;
  const bool consistent = footer.file_size == file.size() && footer.index_offset >= kHeaderBytes &&
                          footer.index_offset <= end && footer.index_length == end - footer.index_offset &&
                          footer.index_size <= kMaxIndex;
  if (!consistent) reader.fail("the footer does not fit the file");
  return footer;
}

}  // namespace

bool is_step_file(ByteView bytes) { return as_text(bytes).starts_with(kMagic); }

StepWriter::StepWriter(const std::filesystem::path& path) : file_(path) { file_.append(header_bytes()); }

std::uint64_t StepWriter::finish(const StepIndex& index) {
  Bytes bytes;
  append_index(index, bytes);
  if (bytes.size() > kMaxIndex) throw failed(file_.temporary_path().string(), "the index is larger than 1 GiB");
  try {
    parse_index(bytes, file_.size(), "index");
  } catch (const Error& error) {  // a name beyond the format's limits, for example
    throw failed(file_.temporary_path().string(), fmt::format("the step could not be read back: {}", error.what()));
  }
  const Bytes coded = compress_bytes(bytes);
  Footer footer;
  footer.index_offset = file_.size();
  footer.index_length = coded.size();
  footer.index_size = bytes.size();
  footer.index_hash = xxh3(bytes);
  footer.coded_hash = xxh3(coded);
  footer.file_size = footer.index_offset + coded.size() + kFooterBytes;
  file_.append(coded);
  file_.append(footer_bytes(footer));
  return footer.index_hash;
}

StepFile::StepFile(const std::filesystem::path& path) : file_(path), bytes_(file_.bytes()), where_(path.string()) {
  parse();
}

StepFile::StepFile(ByteView bytes, std::string where) : bytes_(bytes), where_(std::move(where)) { parse(); }

void StepFile::parse() {
  const Footer footer = read_footer(bytes_, where_);
  // Most of an index is hashes, which do not compress; a claim beyond this would only waste memory.
  constexpr std::uint64_t kMaxExpansion = 1 << 10;
  if (footer.index_size / kMaxExpansion > footer.index_length) {
    throw bad_input(where_, "the index claims an impossible size", "the file is damaged");
  }
  const ByteView coded = bytes_.subspan(footer.index_offset, footer.index_length);
  if (xxh3(coded) != footer.coded_hash) throw bad_input(where_, "the index is damaged", "restore another step");
  Bytes index(footer.index_size);
  decompress_bytes(coded, Coder::kZstd, index, where_);
  if (xxh3(index) != footer.index_hash) throw bad_input(where_, "the index is damaged", "restore another step");
  hash_ = footer.index_hash;
  index_ = parse_index(index, footer.index_offset, where_);
  content_ = content_hash(index_);
}

ByteView StepFile::delta_payload(const StoredParameter& parameter, std::uint64_t block) const {
  std::uint64_t offset = parameter.payload_offset;
  for (std::uint64_t before = 0; before < block; ++before) offset += parameter.frame->blocks[before].payload_bytes();
  return bytes_.subspan(offset, parameter.frame->blocks[block].payload_bytes());
}

void StepFile::read_array_block(const StoredArray& array, std::uint64_t block, ByteView prediction,
                                std::span<std::byte> elements) const {
  std::uint64_t offset = array.offset;
  for (std::uint64_t before = 0; before < block; ++before) offset += array.blocks[before].length;
  const ByteView payload = bytes_.subspan(offset, array.blocks[block].length);
  if (xxh3(payload) != array.blocks[block].payload_hash) {
    throw bad_input(where_, fmt::format("block {} of an array does not match its checksum", block),
                    "the file is damaged");
  }
  decode_array_block(payload, array.dtype, prediction, elements, where_);
}

Bytes StepFile::read_chunk(const StoredChunk& chunk, ByteView parent) const {
  Bytes bytes(chunk.size);
  const ByteView coded = bytes_.subspan(chunk.offset, chunk.length);
  if (xxh3(coded) != chunk.payload_hash) {
    throw bad_input(where_, "a chunk of a file does not match its checksum", "the file is damaged");
  }
  if (chunk.after_parent)
    decompress_after(coded, parent, bytes, where_);
  else
    decompress_bytes(coded, Coder::kZstd, bytes, where_);
  if (xxh3(bytes) != chunk.hash) throw bad_input(where_, "a file's bytes do not match their checksum", "it is damaged");
  return bytes;
}

}  // namespace kinglet::excp
