#include "kinglet/text/document_records.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "kinglet/base/error.h"

namespace kinglet {
namespace {

constexpr std::string_view kShapes =
    "known shapes: {\"text\"}, {\"instruction\", \"output\"}, {\"conversations\"}, {\"messages\"}";

[[noreturn]] void fail(const std::string& where, const std::string& field, std::string_view what) {
  throw bad_input(where, fmt::format("field '{}' {}", field, what), "correct the record");
}

const std::string& text_field(const Json& record, const std::string& where, const std::string& name,
                              const std::string& path) {
  const auto found = record.find(name);
  if (found == record.end()) fail(where, path, "is missing");
  if (!found->is_string()) fail(where, path, fmt::format("is {}, not a text", json_kind(*found)));
  return found->get_ref<const std::string&>();
}

std::string optional_text(const Json& record, const std::string& where, const std::string& name) {
  const auto found = record.find(name);
  if (found == record.end() || found->is_null()) return {};
  return text_field(record, where, name, name);
}

const Json& list_field(const Json& record, const std::string& where, const std::string& name) {
  const auto found = record.find(name);
  if (found == record.end()) fail(where, name, "is missing");
  if (!found->is_array()) fail(where, name, fmt::format("is {}, not a list", json_kind(*found)));
  if (found->empty()) fail(where, name, "is empty");
  return *found;
}

Json message(std::string role, std::string content) {
  Json result = Json::object();
  result["role"] = std::move(role);
  result["content"] = std::move(content);
  return result;
}

void add_system(const Json& record, const std::string& where, Document& document) {
  std::string system = optional_text(record, where, "system");
  if (!system.empty()) document.messages.push_back(message("system", std::move(system)));
}

Document alpaca(const Json& record, const std::string& where) {
  Document document;
  document.messages = Json::array();
  add_system(record, where, document);
  std::string question = text_field(record, where, "instruction", "instruction");
  const std::string input = optional_text(record, where, "input");
  if (!input.empty()) question += "\n\n" + input;
  document.messages.push_back(message("user", std::move(question)));
  document.messages.push_back(message("assistant", text_field(record, where, "output", "output")));
  return document;
}

std::string role_of_speaker(const std::string& speaker, const std::string& where, const std::string& path) {
  static constexpr std::pair<std::string_view, std::string_view> kRoles[] = {
      {"human", "user"},        {"user", "user"},     {"gpt", "assistant"},   {"assistant", "assistant"},
      {"chatgpt", "assistant"}, {"bot", "assistant"}, {"model", "assistant"}, {"system", "system"},
      {"tool", "tool"},         {"function", "tool"}, {"observation", "tool"}};
  const auto found =
      std::find_if(std::begin(kRoles), std::end(kRoles), [&](const auto& one) { return one.first == speaker; });
  if (found == std::end(kRoles)) fail(where, path, fmt::format("names an unknown speaker '{}'", speaker));
  return std::string(found->second);
}

Document sharegpt(const Json& record, const std::string& where) {
  Document document;
  document.messages = Json::array();
  add_system(record, where, document);
  const Json& turns = list_field(record, where, "conversations");
  for (std::size_t i = 0; i < turns.size(); ++i) {
    const std::string path = fmt::format("conversations[{}]", i);
    if (!turns[i].is_object()) fail(where, path, fmt::format("is {}, not an object", json_kind(turns[i])));
    const std::string from = path + ".from", value = path + ".value";
    std::string role = role_of_speaker(text_field(turns[i], where, "from", from), where, from);
    document.messages.push_back(message(std::move(role), text_field(turns[i], where, "value", value)));
  }
  return document;
}

// Content is a text, or what templates take besides: nothing (a call of a tool), or a list of parts.
void check_message(const Json& one, const std::string& where, const std::string& path) {
  if (!one.is_object()) fail(where, path, fmt::format("is {}, not an object", json_kind(one)));
  text_field(one, where, "role", path + ".role");
  const auto content = one.find("content");
  if (content == one.end()) {
    if (!one.contains("tool_calls")) fail(where, path + ".content", "is missing");
  } else if (!content->is_string() && !content->is_array() && !content->is_null()) {
    fail(where, path + ".content", fmt::format("is {}, not a text", json_kind(*content)));
  }
}

Document messages(Json record, const std::string& where) {
  const Json& list = list_field(record, where, "messages");
  for (std::size_t i = 0; i < list.size(); ++i) check_message(list[i], where, fmt::format("messages[{}]", i));
  Document document;
  document.messages = std::move(record["messages"]);
  const auto tools = record.find("tools");
  if (tools == record.end() || tools->is_null()) return document;
  // Some tools write the list as a text, for tables whose columns have one type.
  document.tools =
      tools->is_string() ? parse_json(tools->get_ref<const std::string&>(), where + ", field 'tools'") : *tools;
  if (!document.tools.is_array()) fail(where, "tools", fmt::format("is {}, not a list", json_kind(document.tools)));
  if (document.tools.empty()) document.tools = nullptr;
  return document;
}

Json record_of(std::string_view line, const std::string& where) {
  Json record = parse_json(line, where);
  if (!record.is_object()) throw bad_input(where, fmt::format("{}, not an object", json_kind(record)), kShapes);
  return record;
}

}  // namespace

DocumentFormat detect_format(std::string_view line, const std::string& where) {
  const std::size_t begin = line.find_first_not_of(" \t\r");
  const char first = begin == std::string_view::npos ? '\0' : line[begin];
  if (first == '[') {
    throw bad_input(where, "a JSON list, but one record a line is needed",
                    "convert it: jq -c '.[]' old.json > new.jsonl");
  }
  if (first != '{') return DocumentFormat::kText;
  const Json record = record_of(line, where);
  if (record.contains("messages")) return DocumentFormat::kMessages;
  if (record.contains("conversations")) return DocumentFormat::kShareGpt;
  if (record.contains("instruction")) return DocumentFormat::kAlpaca;
  if (record.contains("text")) return DocumentFormat::kJsonText;
  throw bad_input(where, "a record of unknown shape", kShapes);
}

Document parse_record(std::string_view line, DocumentFormat format, const std::string& where) {
  Json record = record_of(line, where);
  switch (format) {
    case DocumentFormat::kAlpaca:
      return alpaca(record, where);
    case DocumentFormat::kShareGpt:
      return sharegpt(record, where);
    case DocumentFormat::kMessages:
      return messages(std::move(record), where);
    default: {
      Document document;
      document.text = text_field(record, where, "text", "text");
      return document;
    }
  }
}

}  // namespace kinglet
