// Small inputs that would take much memory, and trees that a pickle writer must refuse: what fuzzing found, or could
// find only with inputs larger than it tries.
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/temporary_folder.h"

#include "kinglet/base/byte_io.h"
#include "kinglet/base/hash.h"
#include "kinglet/io/dcp.h"
#include "kinglet/io/pickle.h"
#include "kinglet/io/safetensors.h"
#include "kinglet/io/torch_file.h"
#include "kinglet/methods/excp/step_file.h"

namespace kinglet {
namespace {

using testing::HasSubstr;

template <typename Body>
std::string error_of(const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

std::string unicode(const std::string& text) {
  Bytes bytes;
  ByteWriter writer(bytes);
  writer.number(static_cast<std::uint8_t>('X'));
  writer.number(static_cast<std::uint32_t>(text.size()));
  writer.bytes(as_bytes(text));
  return std::string(as_text(bytes));
}

std::string write_again(const std::string& pickle) {
  const PickleDocument document = parse_pickle(as_bytes(pickle), "test");
  return error_of([&] { write_pickle(document); });
}

TEST(HostilePickle, LongNamesOfGlobalsAreRefused) {
  const auto parse = [](std::size_t length) {
    const std::string pickle = unicode(std::string(length, 'a')) + unicode("b") + "\x93.";
    return error_of([&] { parse_pickle(as_bytes(pickle), "test"); });
  };
  EXPECT_EQ(parse(256), "no error");
  EXPECT_THAT(parse(257), HasSubstr("too long"));
}

TEST(HostilePickle, TuplesAndCallsThatHoldThemselvesAreNotWritten) {
  EXPECT_THAT(write_again("]q\x01\x85q\x02h\x01h\x02"
                          "a\x86."),
              HasSubstr("holds itself"));
  EXPECT_THAT(write_again("cm\nf\n]q\x01\x85Rq\x02h\x01h\x02"
                          "a\x86."),
              HasSubstr("holds itself"));
  EXPECT_EQ(write_again("]q\x01h\x01"
                        "a."),
            "no error");  // a list may
}

TEST(HostilePickle, WhatCannotBeToldApartIsNotWritten) {
  EXPECT_THAT(write_again("cm\nf\n)R(K\x01"
                          "e."),
              HasSubstr("list items"));
  EXPECT_THAT(write_again("cm\nf\nNb."), HasSubstr("global with a state"));
}

TEST(HostileSafetensors, ElementCountsBeyond63BitsAreRefused) {
  const std::string json = R"({"t":{"dtype":"U8","shape":[4611686018427387904,2,0],"data_offsets":[0,0]}})";
  Bytes file;
  ByteWriter writer(file);
  writer.number(std::uint64_t{json.size()});
  writer.bytes(as_bytes(json));
  EXPECT_THAT(error_of([&] { parse_safetensors(file, "test"); }), HasSubstr("overflows"));
}

TEST(HostileTorchFile, LongPathsAreRefused) {
  testing_support::TemporaryFolder folder;
  const auto tensors_below = [&](std::size_t length) {
    TorchFileWriter writer;
    const Bytes data(4);
    PickleValue* tensor = writer.add_tensor(DType::kF32, {1}, data);
    PickleValue* inner = writer.builder.dict({{writer.builder.string("t"), tensor}});
    PickleValue* root = writer.builder.dict({{writer.builder.string(std::string(length, 'k')), inner}});
    std::move(writer).write(folder / "file.pt", root);
    return error_of([&] { TorchFile::open(folder / "file.pt").named_tensors(); });
  };
  EXPECT_EQ(tensors_below(4096), "no error");
  EXPECT_THAT(tensors_below(4097), HasSubstr("longer than 4096"));
}

TEST(HostileDcp, LongNamesAreRefused) {
  // Metadata(state_dict_metadata={}, storage_data={Index(fqn=...): None})
  const auto parse = [](std::size_t length) {
    const std::string index = "cm\nMetadataIndex\n)\x81}" + unicode("fqn") + unicode(std::string(length, 'a')) + "sb";
    const std::string pickle =
        "\x80\x02"
        "cm\nMetadata\n)\x81}(" +
        unicode("state_dict_metadata") + "}" + unicode("storage_data") + "}" + index + "Nsub.";
    return error_of([&] { parse_dcp_metadata(as_bytes(pickle), "test"); });
  };
  EXPECT_EQ(parse(4096), "no error");
  EXPECT_THAT(parse(4097), HasSubstr("too long"));
}

TEST(HostileStepIndex, CountsAreCheckedAgainstTheBytesThatAreLeft) {
  Bytes bytes;
  ByteWriter writer(bytes);
  writer.varint(1);  // step
  for (int i = 0; i < 3; ++i) writer.number(std::uint8_t{0});
  writer.text("");
  writer.text("");
  writer.varint(100);  // files
  writer.bytes(Bytes(598));
  EXPECT_THAT(error_of([&] { excp::parse_index(bytes, 16, "test"); }), HasSubstr("number of files"));
}

TEST(HostileStepFile, WhatCouldNotBeReadBackIsNotWritten) {
  testing_support::TemporaryFolder folder;
  const auto store = [&](std::size_t name_length) {
    excp::StepIndex index;
    index.files.resize(1);
    index.files[0].name = std::string(name_length, 'n');
    return error_of([&] {
      excp::StepWriter writer(folder / "step");
      writer.finish(index);
      writer.commit();
      const excp::StepFile again(folder / "step");
    });
  };
  EXPECT_EQ(store(4096), "no error");
  EXPECT_THAT(store(4097), HasSubstr("could not be read back"));
}

}  // namespace
}  // namespace kinglet
