#include "kinglet/text/data_import.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"
#include "kinglet/base/hash.h"
#include "kinglet/base/interrupt.h"
#include "kinglet/base/progress.h"
#include "kinglet/text/dictd.h"
#include "kinglet/text/dictionary_entry.h"
#include "kinglet/text/jinja_text.h"

namespace kinglet {
namespace fs = std::filesystem;
namespace {

// A file of JSON lines on its way.
class LineFile {
 public:
  explicit LineFile(const fs::path& path) : path_(path), file_(path) {}
  void add(const Json& record) {
    const std::string line = record.dump() + "\n";
    buffer_ += line;
    bytes_ += line.size();
    ++documents_;
    if (buffer_.size() > (1U << 20)) flush();
  }
  ImportedFile commit() {
    flush();
    file_.commit();
    return {path_, documents_, bytes_};
  }

 private:
  void flush() {
    file_.append(as_bytes(buffer_));
    buffer_.clear();
  }
  fs::path path_;
  AtomicFile file_;
  std::string buffer_;
  std::uint64_t documents_ = 0, bytes_ = 0;
};

// Training and validation data by the key of a record.
class SplitOutput {
 public:
  SplitOutput(const fs::path& out, double validation) : threshold_(validation) {
    if (!(validation >= 0 && validation < 1)) throw bad_input("--validation", "must be from 0 up to, but not, 1");
    const bool is_file = out.extension() == ".jsonl";
    if (!is_file) fs::create_directories(out);
    training_.emplace(is_file ? out : out / "train.jsonl");
    if (validation > 0) {
      fs::path beside = out;
      validation_.emplace(is_file ? beside.replace_extension(".validation.jsonl") : out / "validation.jsonl");
    }
  }

  void add(std::string_view key, const Json& record) {
    const double place = static_cast<double>(xxh3(as_bytes(key)) >> 11) * 0x1p-53;  // uniform in [0, 1)
    if (validation_ && place < threshold_)
      validation_->add(record);
    else
      training_->add(record);
  }

  std::vector<ImportedFile> commit() {
    std::vector<ImportedFile> files = {training_->commit()};
    if (validation_) files.push_back(validation_->commit());
    return files;
  }

 private:
  double threshold_;
  std::optional<LineFile> training_, validation_;
};

void import_dictionary(const ImportOptions& options, SplitOutput& output, ImportReport& report) {
  const bool is_gcide = options.from == ImportSource::kGcide;
  const fs::path base = !options.input.empty() ? options.input
                        : is_gcide             ? "/usr/share/dictd/gcide"
                                               : "/usr/share/dictd/wn";
  fs::path index = base;
  if (!fs::exists(index += ".index")) {
    throw bad_input(
        index.string(), "no such dictionary",
        fmt::format("install Debian's {}, or name another with --input", is_gcide ? "dict-gcide" : "dict-wn"));
  }
  const DictdFile dictionary = DictdFile::open(base);
  Progress progress("reading the dictionary", dictionary.size());
  for (std::size_t i = 0; i < dictionary.size(); ++i) {
    if (i % 1024 == 0) check_interrupt();
    const std::optional<DictionaryEntry> entry =
        is_gcide ? parse_gcide(dictionary.article(i)) : parse_wordnet(dictionary.article(i));
    progress.advance(1);
    if (!entry) {
      ++report.left_out;
      continue;
    }
    const std::string key = jinja::to_lower(entry->headword);
    if (options.as == ImportForm::kText) {
      output.add(key, {{"text", entry_text(*entry)}});
    } else {
      QuestionAndAnswer pair = entry_question(*entry);
      output.add(key, {{"instruction", std::move(pair.question)}, {"input", ""}, {"output", std::move(pair.answer)}});
    }
  }
}

std::vector<fs::path> text_files(const fs::path& input) {
  if (input.empty()) throw bad_input("--input", "is missing", "name the file or folder to read");
  if (!fs::is_directory(input)) return {input};
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(input)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  if (files.empty()) throw bad_input(input.string(), "holds no files");
  return files;
}

void import_files(const ImportOptions& options, SplitOutput& output, ImportReport& report) {
  const std::vector<fs::path> files = text_files(options.input);
  std::uint64_t bytes = 0;
  for (const fs::path& path : files) bytes += fs::file_size(path);
  Progress progress("reading", bytes, Progress::Unit::kBytes);
  for (const fs::path& path : files) {
    ReaderOptions reading;
    reading.text_unit = options.text_unit;
    if (options.from == ImportSource::kText) reading.format = DocumentFormat::kText;
    DocumentReader reader(path, reading);
    for (std::uint64_t before = 0; auto document = reader.next(); before = reader.position()) {
      check_interrupt();
      progress.advance(reader.position() - before);
      if (document->is_conversation()) {
        Json record = {{"messages", std::move(document->messages)}};
        if (!document->tools.is_null()) record["tools"] = std::move(document->tools);
        output.add(record["messages"].dump(), record);
      } else if (jinja::strip(document->text).empty()) {
        ++report.left_out;
      } else {
        output.add(document->text, {{"text", document->text}});
      }
    }
  }
}

}  // namespace

ImportReport import_data(const ImportOptions& options) {
  const bool is_dictionary = options.from == ImportSource::kGcide || options.from == ImportSource::kWordNet;
  if (options.as == ImportForm::kInstructions && !is_dictionary) {
    throw bad_input("--as", "instructions are made of dictionaries only", "use --from gcide or --from wordnet");
  }
  ImportReport report;
  SplitOutput output(options.out, options.validation);
  if (is_dictionary)
    import_dictionary(options, output, report);
  else
    import_files(options, output, report);
  report.files = output.commit();
  return report;
}

}  // namespace kinglet
