// Training data: what is accepted has the shape that the rest of the house relies on, and reads the same when it is
// written as messages.
#include <nlohmann/json.hpp>

#include "tests/fuzz/fuzz_target.h"

#include "kinglet/text/documents.h"
#include "kinglet/text/jinja_text.h"
#include "kinglet/text/training_text.h"

namespace kinglet::fuzz {
namespace {

void check_conversation(const Document& document) {
  require(document.messages.is_array() && !document.messages.empty(), "a conversation has messages");
  for (const Json& message : document.messages) {
    require(message.is_object() && message.contains("role") && message["role"].is_string(), "every message has a role");
  }
  require(document.tools.is_null() || (document.tools.is_array() && !document.tools.empty()), "tools are a list");
  const std::string line = Json{{"messages", document.messages}, {"tools", document.tools}}.dump();
  const auto again = DocumentReader(line, "again").next();
  require(again && again->messages == document.messages && again->tools == document.tools, "a record survives");
  accepted([&] {
    for (const TrainingPiece& piece : training_pieces(document, nullptr)) {
      require(jinja::is_utf8(piece.text), "training text is UTF-8");
    }
  });
}

void check_jsonl(ByteView input) {
  for (const TextUnit unit : {TextUnit::kFile, TextUnit::kParagraph}) {
    ReaderOptions options;
    options.text_unit = unit;
    options.longest_line = 4096;
    accepted([&] {
      DocumentReader reader(as_text(input), "input", options);
      std::uint64_t line = 0;
      while (const auto document = reader.next()) {
        require(document->line > line, "lines go up");
        line = document->line;
        require(reader.position() <= input.size(), "the place is inside of the file");
        require(jinja::is_utf8(document->text), "texts are UTF-8");
        if (document->is_conversation()) check_conversation(*document);
      }
    });
  }
}

}  // namespace
}  // namespace kinglet::fuzz

KINGLET_FUZZ_TARGET(jsonl, kinglet::fuzz::check_jsonl)
