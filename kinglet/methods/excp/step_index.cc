#include "kinglet/methods/excp/step_index.h"

#include <limits>

#include "kinglet/base/byte_io.h"
#include "kinglet/base/hash.h"

namespace kinglet::excp {
namespace {

constexpr std::uint64_t kMaxName = 4096;
constexpr std::uint64_t kMaxText = 1 << 16;
constexpr std::uint64_t kMaxSize = std::uint64_t{1} << 50;
constexpr std::uint64_t kMaxRank = 64;
constexpr std::uint64_t kNever = std::numeric_limits<std::uint32_t>::max();

// The fewest bytes that a record takes: counts beyond what is left are refused before anything is allocated.
constexpr std::uint64_t kSmallestFile = 6;
constexpr std::uint64_t kSmallestRegion = 5;
constexpr std::uint64_t kSmallestChecksum = 2;
constexpr std::uint64_t kSmallestChunk = 12;
constexpr std::uint64_t kSmallestParameter = 10;

// ------------------------------------------------------------------------- writing

void put(ByteWriter& writer, const StoredArray& array) {
  writer.number(static_cast<std::uint8_t>(array.dtype));
  writer.number(static_cast<std::uint8_t>(array.predicted ? 1 : 0));
  writer.varint(array.n);
  writer.varint(array.offset);
  for (const StoredArray::Block& block : array.blocks) {
    writer.varint(block.length);
    writer.number(block.payload_hash);
    writer.number(block.content_hash);
  }
}

void put(ByteWriter& writer, const StoredFile& file) {
  writer.text(file.name);
  writer.varint(file.size);
  writer.varint(file.regions.size());
  for (const StoredRegion& region : file.regions) {
    writer.varint(region.offset);
    writer.varint(region.bytes);
    writer.number(static_cast<std::uint8_t>(region.dtype));
    writer.text(region.label);
    writer.number(static_cast<std::uint8_t>(region.array ? 1 : 0));
    if (region.array) put(writer, *region.array);
  }
  writer.varint(file.checksums.size());
  for (const RegionChecksum& checksum : file.checksums) {
    writer.varint(checksum.region);
    writer.varint(checksum.offset);
  }
  writer.varint(file.chunks.size());
  for (const StoredChunk& chunk : file.chunks) {
    writer.varint(chunk.offset);
    writer.varint(chunk.length);
    writer.varint(chunk.size);
    writer.number(chunk.hash);
    writer.number(chunk.payload_hash);
    writer.number(static_cast<std::uint8_t>(chunk.after_parent ? 1 : 0));
  }
}

void put(ByteWriter& writer, const StoredParameter& parameter) {
  writer.text(parameter.name);
  writer.varint(parameter.shape.size());
  for (const std::int64_t size : parameter.shape) writer.varint(static_cast<std::uint64_t>(size));
  for (const auto& region : parameter.regions) {
    writer.varint(region ? region->file + 1 : 0);
    if (region) writer.varint(region->region);
  }
  writer.text(parameter.fallback);
  writer.number(static_cast<std::uint8_t>(parameter.has_reference ? 1 : 0));
  Bytes frame;
  if (parameter.frame) append_frame(*parameter.frame, frame);
  writer.varint(frame.size());
  writer.bytes(frame);
  if (parameter.frame) writer.varint(parameter.payload_offset);
}

// ------------------------------------------------------------------------- reading

class IndexReader {
 public:
  IndexReader(ByteView bytes, std::uint64_t payload_end, std::string_view where)
      : reader_(bytes, where), payload_end_(payload_end), where_(where) {}

  StepIndex read() {
    StepIndex index;
    index.step = static_cast<std::int64_t>(reader_.count(kMaxSize, "the step"));
    if (flag()) {
      index.parent = static_cast<std::int64_t>(reader_.count(kMaxSize, "the parent step"));
      index.parent_content = reader_.number<std::uint64_t>();
      if (*index.parent >= index.step) reader_.fail("the parent is not an earlier step");
    }
    index.lossy = flag();
    index.is_folder = flag();
    index.settings = reader_.text(kMaxText);
    index.key_reason = reader_.text(kMaxText);
    index.files.resize(reader_.count(reader_.remaining() / kSmallestFile, "the number of files"));
    for (StoredFile& file : index.files) read_file(file);
    index.parameters.resize(reader_.count(reader_.remaining() / kSmallestParameter, "the number of parameters"));
    for (StoredParameter& parameter : index.parameters) read_parameter(index, parameter);
    reader_.expect_end();
    check(index);
    return index;
  }

 private:
  bool flag() {
    const auto value = reader_.number<std::uint8_t>();
    if (value > 1) reader_.fail("a flag is neither 0 nor 1");
    return value == 1;
  }

  DType dtype() {
    const auto code = reader_.number<std::uint8_t>();
    if (code > static_cast<std::uint8_t>(DType::kC128)) reader_.fail("unknown dtype");
    return static_cast<DType>(code);
  }

  void check_payload(std::uint64_t offset, std::uint64_t length) const {
    if (offset > payload_end_ || length > payload_end_ - offset) reader_.fail("a payload lies outside the file");
  }

  StoredArray read_array() {
    StoredArray array;
    array.dtype = dtype();
    array.predicted = flag();
    array.n = reader_.count(kMaxSize, "an array's size");
    array.offset = reader_.count(payload_end_, "a payload offset");
    if (block_count(array.n) > reader_.remaining() / 17) reader_.fail("there are fewer blocks than elements");
    array.blocks.resize(block_count(array.n));
    std::uint64_t at = array.offset;
    for (StoredArray::Block& block : array.blocks) {
      block.length = static_cast<std::uint32_t>(reader_.count(kNever, "a block length"));
      block.payload_hash = reader_.number<std::uint64_t>();
      block.content_hash = reader_.number<std::uint64_t>();
      check_payload(at, block.length);
      at += block.length;
    }
    return array;
  }

  void read_regions(StoredFile& file) {
    file.regions.resize(reader_.count(reader_.remaining() / kSmallestRegion, "the number of regions"));
    std::uint64_t end = 0;
    for (StoredRegion& region : file.regions) {
      region.offset = reader_.count(file.size, "a region's offset");
      region.bytes = reader_.count(file.size - region.offset, "a region's size");
      if (region.offset < end) reader_.fail("regions overlap");
      end = region.offset + region.bytes;
      region.dtype = dtype();
      if (region.bytes % item_size(region.dtype) != 0) reader_.fail("a region is no whole number of elements");
      region.label = reader_.text(kMaxName);
      if (flag()) region.array = read_array();
      if (!region.array) continue;
      if (region.array->n != region.bytes / item_size(region.dtype)) {
        reader_.fail("an array and its region differ in size");
      }
      const bool convertible = is_number_array(region.array->dtype) && is_number_array(region.dtype);
      if (region.array->dtype != region.dtype && !convertible) reader_.fail("an array and its region differ in dtype");
    }
  }

  void read_file(StoredFile& file) {
    file.name = reader_.text(kMaxName);
    join_untrusted("/", file.name);  // refuses "..", absolute and empty names
    file.size = reader_.count(kMaxSize, "a file size");
    read_regions(file);
    file.checksums.resize(reader_.count(reader_.remaining() / kSmallestChecksum, "the number of checksums"));
    for (RegionChecksum& checksum : file.checksums) {
      checksum.region = reader_.count(file.regions.size(), "a checksum's region");
      checksum.offset = reader_.count(file.size, "a checksum's place");
      if (checksum.region >= file.regions.size() || file.size - checksum.offset < 4) {
        reader_.fail("a checksum lies outside its file");
      }
    }
    file.chunks.resize(reader_.count(reader_.remaining() / kSmallestChunk, "the number of chunks"));
    std::uint64_t total = 0;
    for (StoredChunk& chunk : file.chunks) {
      chunk.offset = reader_.count(payload_end_, "a payload offset");
      chunk.length = reader_.count(payload_end_, "a chunk length");
      check_payload(chunk.offset, chunk.length);
      chunk.size = reader_.count(kChunkBytes, "a chunk size");
      if (chunk.size != kChunkBytes && &chunk != &file.chunks.back()) reader_.fail("a chunk is too small");
      chunk.hash = reader_.number<std::uint64_t>();
      chunk.payload_hash = reader_.number<std::uint64_t>();
      chunk.after_parent = flag();
      total += chunk.size;
    }
    if (total != file.skeleton_bytes()) reader_.fail("the chunks do not fill their file");
  }

  void read_parameter(const StepIndex& index, StoredParameter& parameter) {
    parameter.name = reader_.text(kMaxName);
    parameter.shape.resize(reader_.count(kMaxRank, "the rank of a shape"));
    std::uint64_t n = 1;
    for (std::int64_t& size : parameter.shape) {
      const std::uint64_t value = reader_.count(kMaxSize, "a dimension");
      if (value != 0 && n > kMaxSize / value) reader_.fail("a shape overflows");
      n *= value;
      size = static_cast<std::int64_t>(value);
    }
    parameter.n = n;
    for (auto& region : parameter.regions) {
      const std::uint64_t file = reader_.count(index.files.size(), "a file number");
      if (file == 0) continue;
      const std::uint64_t number = reader_.count(kNever, "a region number");
      if (number >= index.files[file - 1].regions.size()) reader_.fail("a region number is out of range");
      region = RegionRef{file - 1, number};
      const StoredRegion& place = index.region(*region);
      if (place.bytes / item_size(place.dtype) != n) reader_.fail("a parameter and its region differ in size");
    }
    if (!parameter.regions[kWeight]) reader_.fail("a parameter has no weight");
    parameter.fallback = reader_.text(kMaxText);
    parameter.has_reference = flag();
    read_frame(index, parameter);
  }

  void read_frame(const StepIndex& index, StoredParameter& parameter) {
    const ByteView bytes = reader_.take(reader_.count(reader_.remaining(), "a frame length"));
    if (bytes.empty()) {
      for (const auto& region : parameter.regions) {
        if (region && !index.region(*region).array) reader_.fail("a region has neither an array nor a frame");
      }
    } else {
      parameter.frame = parse_frame(bytes, where_ + ", " + parameter.name);
      parameter.payload_offset = reader_.count(payload_end_, "a payload offset");
      check_frame(index, parameter);
    }
    const StoredRegion& weight = index.region(*parameter.regions[kWeight]);
    const bool numbers = is_number_array(weight.dtype) && (!weight.array || is_number_array(weight.array->dtype));
    if (parameter.has_reference && !numbers) reader_.fail("a reference of integers");
  }

  void check_frame(const StepIndex& index, const StoredParameter& parameter) const {
    const DeltaFrame& frame = *parameter.frame;
    if (frame.n != parameter.n || !parameter.has_reference) reader_.fail("a frame and its parameter differ");
    for (std::size_t stream = 0; stream < kStreams; ++stream) {
      const auto& region = parameter.regions[stream];
      if (frame.has(static_cast<Stream>(stream)) != region.has_value()) reader_.fail("a stream has no region");
      if (region && (index.region(*region).array || !is_number_array(index.region(*region).dtype))) {
        reader_.fail("a region is coded twice or is not floating point");
      }
    }
    std::uint64_t at = parameter.payload_offset;
    for (const DeltaBlock& block : frame.blocks) {
      check_payload(at, block.payload_bytes());
      at += block.payload_bytes();
    }
  }

  // Every region has exactly one owner or is an array of its own.
  void check(const StepIndex& index) const {
    std::vector<std::vector<bool>> owned, predictable;
    for (const StoredFile& file : index.files) {
      owned.emplace_back(file.regions.size());
      predictable.emplace_back(file.regions.size());
    }
    for (const StoredParameter& parameter : index.parameters) {
      for (const auto& region : parameter.regions) {
        if (!region) continue;
        if (owned[region->file][region->region]) reader_.fail("two parameters share a region");
        owned[region->file][region->region] = true;
      }
      if (index.is_key() && parameter.frame) reader_.fail("a key frame holds a delta");
      const RegionRef weight = *parameter.regions[kWeight];
      predictable[weight.file][weight.region] = parameter.has_reference && !index.is_key();
    }
    for (std::size_t file = 0; file < index.files.size(); ++file) {
      for (std::size_t region = 0; region < index.files[file].regions.size(); ++region) {
        const auto& array = index.files[file].regions[region].array;
        if (!owned[file][region] && !array) reader_.fail("a region has no data");
        if (array && array->predicted && !(predictable[file][region] && is_predictable(array->dtype))) {
          reader_.fail("an array refers to a parent that it cannot have");
        }
      }
    }
  }

  ByteReader reader_;
  std::uint64_t payload_end_;
  std::string where_;
};

}  // namespace

std::uint64_t StoredFile::skeleton_bytes() const {
  std::uint64_t bytes = size;
  for (const StoredRegion& region : regions) bytes -= region.bytes;
  return bytes;
}

std::uint64_t StepIndex::original_bytes() const {
  std::uint64_t bytes = 0;
  for (const StoredFile& file : files) bytes += file.size;
  return bytes;
}

std::uint64_t StepIndex::stored_bytes(const StoredParameter& parameter) const {
  std::uint64_t bytes = 0;
  if (parameter.frame) {
    for (const DeltaBlock& block : parameter.frame->blocks) bytes += block.payload_bytes();
    return bytes;
  }
  for (const auto& ref : parameter.regions) {
    if (!ref || !region(*ref).array) continue;
    for (const StoredArray::Block& block : region(*ref).array->blocks) bytes += block.length;
  }
  return bytes;
}

std::uint64_t reference_hash(const StepIndex& index, const StoredParameter& parameter, std::uint64_t block) {
  if (parameter.frame) return parameter.frame->blocks[block].reference_hash;
  return index.region(*parameter.regions[kWeight]).array->blocks[block].content_hash;
}

std::uint64_t content_hash(const StepIndex& index) {
  Bytes bytes;
  ByteWriter writer(bytes);
  writer.varint(static_cast<std::uint64_t>(index.step));
  for (const StoredParameter& parameter : index.parameters) {
    if (!parameter.has_reference) continue;
    writer.text(parameter.name);
    writer.varint(parameter.n);
    for (std::uint64_t block = 0; block < block_count(parameter.n); ++block) {
      writer.number(reference_hash(index, parameter, block));
    }
  }
  for (const StoredFile& file : index.files) {
    writer.text(file.name);
    for (const StoredChunk& chunk : file.chunks) writer.number(chunk.hash);
  }
  return xxh3(bytes);
}

void append_index(const StepIndex& index, Bytes& out) {
  ByteWriter writer(out);
  writer.varint(static_cast<std::uint64_t>(index.step));
  writer.number(static_cast<std::uint8_t>(index.parent ? 1 : 0));
  if (index.parent) {
    writer.varint(static_cast<std::uint64_t>(*index.parent));
    writer.number(index.parent_content);
  }
  writer.number(static_cast<std::uint8_t>(index.lossy ? 1 : 0));
  writer.number(static_cast<std::uint8_t>(index.is_folder ? 1 : 0));
  writer.text(index.settings);
  writer.text(index.key_reason);
  writer.varint(index.files.size());
  for (const StoredFile& file : index.files) put(writer, file);
  writer.varint(index.parameters.size());
  for (const StoredParameter& parameter : index.parameters) put(writer, parameter);
}

StepIndex parse_index(ByteView bytes, std::uint64_t payload_end, std::string_view where) {
  return IndexReader(bytes, payload_end, where).read();
}

}  // namespace kinglet::excp
