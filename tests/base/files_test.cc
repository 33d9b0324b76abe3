#include "kinglet/base/files.h"

#include <fstream>
#include <string>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/process.h"
#include "tests/support/temporary_folder.h"

#include "kinglet/base/error.h"

namespace kinglet {
namespace {

namespace fs = std::filesystem;
using testing::UnorderedElementsAre;
using testing_support::slurp;
using testing_support::TemporaryFolder;

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename());
  return names;
}

void put(const fs::path& path, std::string_view text) { std::ofstream(path, std::ios::binary) << text; }

// A process id that no process has.
pid_t dead_process() {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  waitpid(child, nullptr, 0);
  return child;
}

TEST(AtomicFile, TheOldFileStaysUntilCommit) {
  const TemporaryFolder folder;
  put(folder / "a", "old");
  {
    AtomicFile file(folder / "a");
    file.append(as_bytes("new "));
    file.append(as_bytes("content"));
    EXPECT_EQ(file.size(), 11u);
    EXPECT_EQ(slurp(folder / "a"), "old");
    file.commit();
  }
  EXPECT_EQ(slurp(folder / "a"), "new content");
  EXPECT_THAT(names_in(folder.path()), UnorderedElementsAre("a"));
}

TEST(AtomicFile, WithoutCommitNothingRemains) {
  const TemporaryFolder folder;
  { AtomicFile(folder / "a").append(as_bytes("lost")); }
  EXPECT_TRUE(fs::is_empty(folder.path()));
  put(folder / "b", "old");
  try {
    AtomicFile file(folder / "b");
    file.append(as_bytes("half"));
    throw failed("", "stopped");
  } catch (const Error&) {
  }
  EXPECT_EQ(slurp(folder / "b"), "old");
  EXPECT_THAT(names_in(folder.path()), UnorderedElementsAre("b"));
}

TEST(AtomicFile, WritesAtOffsetsAndResizes) {
  const TemporaryFolder folder;
  AtomicFile file(folder / "a");
  file.resize(8);
  file.write_at(4, as_bytes("wxyz"));
  file.write_at(0, as_bytes("abcd"));
  EXPECT_EQ(file.size(), 8u);
  file.resize(6);
  file.append(as_bytes("!"));
  file.commit();
  EXPECT_EQ(slurp(folder / "a"), "abcdwx!");
}

TEST(AtomicFile, TwoWritersOfOneFileDoNotMeet) {
  const TemporaryFolder folder;
  AtomicFile first(folder / "a"), second(folder / "a");
  EXPECT_NE(first.temporary_path(), second.temporary_path());
  EXPECT_EQ(first.temporary_path().parent_path(), folder.path());
  first.append(as_bytes("first"));
  second.append(as_bytes("second"));
  second.commit();
  first.commit();
  EXPECT_EQ(slurp(folder / "a"), "first");
}

TEST(AtomicFile, FailuresRaiseErrorAndCleanUp) {
  const TemporaryFolder folder;
  EXPECT_THROW(AtomicFile(folder / "no" / "such"), Error);
  fs::create_directory(folder / "taken");
  put(folder / "taken" / "inside", "x");
  {
    AtomicFile file(folder / "taken");
    EXPECT_THROW(file.commit(), Error);  // a folder stands there
  }
  EXPECT_THAT(names_in(folder.path()), UnorderedElementsAre("taken"));
  EXPECT_THROW(sync_directory(folder / "missing"), Error);
}

TEST(AtomicFile, ASizeLimitIsAnErrorAndTheOldFileStays) {
  const TemporaryFolder folder;
  put(folder / "a", "old");
  AtomicFile file(folder / "a");
  EXPECT_THROW(file.resize(std::uint64_t{1} << 62), Error);
  EXPECT_EQ(slurp(folder / "a"), "old");
}

TEST(RemoveStaleTemporaryFiles, OnlyThoseOfDeadProcesses) {
  const TemporaryFolder folder;
  const std::string dead = std::to_string(dead_process()), alive = std::to_string(getpid());
  put(folder / ("model.pt.tmp." + dead + ".0"), "x");
  fs::create_directory(folder / ("store.tmp." + dead + ".12"));
  put(folder / ("store.tmp." + dead + ".12") / "file", "x");
  put(folder / ("model.pt.tmp." + alive + ".0"), "x");
  put(folder / "model.pt", "x");
  put(folder / "notes.tmp.", "x");
  put(folder / ("notes.tmp." + dead), "x");  // no counter: not ours
  put(folder / "notes.tmp.-1.0", "x");
  put(folder / "notes.tmp.0.0", "x");
  put(folder / "notes.tmp.99999999999999999999.0", "x");
  EXPECT_EQ(remove_stale_temporary_files(folder.path()), 2);
  EXPECT_THAT(names_in(folder.path()),
              UnorderedElementsAre("model.pt.tmp." + alive + ".0", "model.pt", "notes.tmp.", "notes.tmp." + dead,
                                   "notes.tmp.-1.0", "notes.tmp.0.0", "notes.tmp.99999999999999999999.0"));
  EXPECT_EQ(remove_stale_temporary_files(folder / "missing"), 0);
}

TEST(RemoveStaleTemporaryFiles, WhatAKilledWriterLeaves) {
  const TemporaryFolder folder;
  const pid_t child = fork();
  if (child == 0) {
    AtomicFile file(folder / "a");
    file.append(as_bytes("half"));
    _exit(0);  // no destructor runs, as after SIGKILL
  }
  waitpid(child, nullptr, 0);
  EXPECT_THAT(names_in(folder.path()), testing::ElementsAre(testing::StartsWith("a.tmp.")));
  EXPECT_EQ(remove_stale_temporary_files(folder.path()), 1);
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(JoinUntrusted, AcceptsPlainRelativeNames) {
  EXPECT_EQ(join_untrusted("/r", "a"), "/r/a");
  EXPECT_EQ(join_untrusted("/r", "a/b.c/..d"), "/r/a/b.c/..d");
  EXPECT_EQ(join_untrusted("/r", "..."), "/r/...");
}

TEST(JoinUntrusted, RefusesEveryWayOut) {
  using namespace std::string_view_literals;
  for (const std::string_view name : {""sv, "/"sv, "/etc/passwd"sv, ".."sv, "../x"sv, "a/../../x"sv, "a/.."sv, "."sv,
                                      "./a"sv, "a//b"sv, "a/"sv, "a\0b"sv, "a/./b"sv}) {
    EXPECT_THROW(join_untrusted("/r", name), Error) << name;
  }
}

TEST(MappedFile, SeesTheWholeFile) {
  const TemporaryFolder folder;
  put(folder / "a", "some bytes");
  MappedFile file(folder / "a");
  EXPECT_EQ(as_text(file.bytes()), "some bytes");
  EXPECT_EQ(file.path(), folder / "a");
  file.advise_sequential();
  file.release(0, 1 << 20);  // the pages come back from the page cache
  EXPECT_EQ(as_text(file.bytes()), "some bytes");

  MappedFile moved(std::move(file));
  EXPECT_EQ(as_text(moved.bytes()), "some bytes");
  EXPECT_TRUE(file.bytes().empty());  // NOLINT(bugprone-use-after-move): the contract of the move
  put(folder / "b", "other");
  moved = MappedFile(folder / "b");
  EXPECT_EQ(as_text(moved.bytes()), "other");
}

TEST(MappedFile, EmptyMissingAndSpecialFiles) {
  const TemporaryFolder folder;
  put(folder / "empty", "");
  EXPECT_TRUE(MappedFile(folder / "empty").bytes().empty());
  EXPECT_THROW(MappedFile(folder / "missing"), Error);
  EXPECT_THROW(MappedFile(folder.path()), Error);
  EXPECT_THROW(MappedFile("/dev/null"), Error);
}

TEST(ReadFile, HasALimit) {
  const TemporaryFolder folder;
  put(folder / "a", "12345");
  EXPECT_EQ(as_text(read_file(folder / "a")), "12345");
  EXPECT_EQ(read_file(folder / "a", 5).size(), 5u);
  EXPECT_THROW(read_file(folder / "a", 4), Error);
}

TEST(WriteFileAtomically, ReplacesTheFile) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "a", as_bytes("one"));
  write_file_atomically(folder / "a", as_bytes(""));
  EXPECT_EQ(slurp(folder / "a"), "");
  EXPECT_THAT(names_in(folder.path()), UnorderedElementsAre("a"));
}

TEST(WritableMap, CreatesResizesAndKeepsContent) {
  const TemporaryFolder folder;
  {
    WritableMap map(folder / "a", 100'000);
    ASSERT_EQ(map.bytes().size(), 100'000u);
    EXPECT_EQ(map.bytes()[99'999], std::byte{0});
    map.bytes()[50'000] = std::byte{7};
    map.release(0, map.bytes().size());
    EXPECT_EQ(map.bytes()[50'000], std::byte{7});  // shared with the file
  }
  EXPECT_EQ(fs::file_size(folder / "a"), 100'000u);
  WritableMap again(folder / "a", 60'000);
  EXPECT_EQ(again.bytes()[50'000], std::byte{7});
  WritableMap moved(std::move(again));
  EXPECT_EQ(moved.bytes().size(), 60'000u);
  EXPECT_EQ(fs::file_size(folder / "a"), 60'000u);
  EXPECT_TRUE(WritableMap(folder / "none", 0).bytes().empty());
  EXPECT_THROW(WritableMap(folder.path(), 10), Error);
}

TEST(WritableMap, WritesIntoAnAtomicFile) {
  const TemporaryFolder folder;
  AtomicFile file(folder / "a");
  file.resize(4);
  {
    const WritableMap map(file.descriptor(), 4);
    for (std::size_t i = 0; i < 4; ++i) map.bytes()[i] = static_cast<std::byte>('a' + i);
  }
  EXPECT_FALSE(fs::exists(folder / "a"));
  file.commit();
  EXPECT_EQ(slurp(folder / "a"), "abcd");
}

}  // namespace
}  // namespace kinglet
