#include "kinglet/methods/star_agents/seeds.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"
#include "kinglet/base/hash.h"
#include "kinglet/text/document_records.h"
#include "kinglet/text/unicode.h"

namespace kinglet::star_agents {
namespace {

constexpr std::string_view kBlanks = " \t\r\n";

bool blank(std::string_view text) { return text.find_first_not_of(kBlanks) == std::string_view::npos; }

// Case and blanks do not make another instruction.
std::string normalized(std::string_view text) {
  std::string result;
  for (const char c : lowercase(text)) {
    if (kBlanks.find(c) == std::string_view::npos)
      result += c;
    else if (!result.empty() && result.back() != ' ')
      result += ' ';
  }
  if (!result.empty() && result.back() == ' ') result.pop_back();
  return result;
}

ChatMessage message_of(const Json& json, std::size_t index, const std::string& where) {
  const auto content = json.find("content");
  if (content == json.end() || !content->is_string()) {
    throw bad_input(where, fmt::format("message {} has no plain text", index), "leave out tool calls and images");
  }
  ChatMessage message{json.at("role").get<std::string>(), content->get<std::string>()};
  if (message.content.find('\0') != std::string::npos) {
    throw bad_input(where, fmt::format("message {} holds a NUL character", index), "correct the record");
  }
  return message;
}

Seed seed_of(std::string_view text, DocumentFormat format, const SeedOptions& options, const std::string& where) {
  if (text.size() > options.longest_record) {
    throw bad_input(where, fmt::format("a record of {} bytes; the limit is {}", text.size(), options.longest_record));
  }
  const Document document = parse_record(text, format, where);
  Seed seed;
  for (std::size_t i = 0; i < document.messages.size(); ++i) {
    seed.context.push_back(message_of(document.messages[i], i, where));
  }
  if (seed.context.back().role == "assistant") {
    seed.response = std::move(seed.context.back().content);
    seed.context.pop_back();
  }
  if (seed.context.empty() || seed.context.back().role != "user") {
    throw bad_input(where, "the answer does not follow an instruction of the user", "correct the record");
  }
  if (blank(seed.instruction())) throw bad_input(where, "the instruction is empty", "correct the record");
  const auto turns = std::count_if(seed.context.begin(), seed.context.end(),
                                   [](const ChatMessage& message) { return message.role == "user"; });
  if (options.single_turn && turns > 1) throw bad_input(where, fmt::format("a conversation of {} turns", turns));
  seed.record = parse_json(text, where);
  return seed;
}

std::vector<std::string_view> split_lines(std::string_view bytes) {
  std::vector<std::string_view> lines;
  while (!bytes.empty()) {
    const std::size_t end = std::min(bytes.find('\n'), bytes.size());
    lines.push_back(bytes.substr(0, end));
    bytes.remove_prefix(std::min(end + 1, bytes.size()));
  }
  return lines;
}

void name_seed(SeedFile& file, Seed seed, const SeedOptions& options,
               std::unordered_map<std::string, std::size_t>& seen) {
  std::string key;
  for (const ChatMessage& message : seed.context) key += message.role + "\n" + normalized(message.content) + "\n";
  const std::size_t count = ++seen[key];
  if (count > 1) ++file.duplicates;
  if (count > 1 && !options.keep_duplicates) return;
  seed.id = hex64(xxh3(as_bytes(key)));
  if (count > 1) seed.id += fmt::format("-{}", count);
  file.seeds.push_back(std::move(seed));
}

void replace_last_turn(Json& turns, const char* role_field, const char* text_field, const char* assistant,
                       bool has_answer, std::string_view instruction, std::string_view response) {
  const std::size_t question = turns.size() - (has_answer ? 2 : 1);
  turns[question][text_field] = instruction;
  if (has_answer)
    turns[question + 1][text_field] = response;
  else
    turns.push_back({{role_field, assistant}, {text_field, response}});
}

bool ends_with_answer(const Json& turns, const Seed& seed, std::size_t extra) {
  return turns.size() + extra > seed.context.size();
}

Json record_of_messages(const Seed& seed, DocumentFormat format, std::string_view instruction,
                        std::string_view response) {
  Json record = Json::object();
  if (format == DocumentFormat::kMessages || format == DocumentFormat::kShareGpt) {
    const bool messages = format == DocumentFormat::kMessages;
    Json& turns = record[messages ? "messages" : "conversations"] = Json::array();
    const auto add = [&](const std::string& role, std::string_view text) {
      if (messages)
        turns.push_back({{"role", role}, {"content", text}});
      else
        turns.push_back({{"from", role == "user" ? "human" : role == "assistant" ? "gpt" : role}, {"value", text}});
    };
    for (std::size_t i = 0; i + 1 < seed.context.size(); ++i) add(seed.context[i].role, seed.context[i].content);
    add("user", instruction);
    add("assistant", response);
    return record;
  }
  record["instruction"] = instruction;
  record["input"] = "";
  record["output"] = response;
  Json history = Json::array();
  std::string question;
  for (std::size_t i = 0; i + 1 < seed.context.size(); ++i) {
    const ChatMessage& message = seed.context[i];
    if (message.role == "system") record["system"] = message.content;
    if (message.role == "user") question = message.content;
    if (message.role == "assistant") history.push_back({question, message.content});
  }
  if (!history.empty()) record["history"] = std::move(history);
  return record;
}

}  // namespace

std::vector<std::string_view> split_json_list(std::string_view bytes, const std::string& name) {
  std::vector<std::string_view> elements;
  std::size_t depth = 0, begin = 1;
  bool in_text = false;
  const auto end_element = [&](std::size_t end) {
    if (const std::string_view element = bytes.substr(begin, end - begin); !blank(element)) elements.push_back(element);
    begin = end + 1;
  };
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const char c = bytes[i];
    if (in_text) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        in_text = false;
      continue;
    }
    if (c == '"') in_text = true;
    if (c == '[' || c == '{') ++depth;
    if (c == ',' && depth == 1) end_element(i);
    if ((c == ']' || c == '}') && --depth == 0) {
      end_element(i);
      if (!blank(bytes.substr(i + 1))) throw bad_input(name, "text behind the JSON list", "keep one list in the file");
      return elements;
    }
  }
  throw bad_input(name, "the JSON list does not end", "the file may be cut off");
}

SeedFile parse_seeds(std::string_view bytes, const std::string& name, const SeedOptions& options) {
  SeedFile file;
  file.format = options.format;
  file.digest = hex64(xxh3(as_bytes(bytes)));
  const std::size_t first = bytes.find_first_not_of(kBlanks);
  const bool list = first != std::string_view::npos && bytes[first] == '[';
  const auto records = list ? split_json_list(bytes.substr(first), name) : split_lines(bytes);
  std::unordered_map<std::string, std::size_t> seen;
  for (std::size_t i = 0; i < records.size(); ++i) {
    if (blank(records[i])) continue;
    if (options.limit > 0 && file.seeds.size() >= options.limit) break;
    const std::string where = fmt::format("{}:{}", name, i + 1);
    try {
      if (file.format == DocumentFormat::kDetect) file.format = detect_format(records[i], where);
      if (file.format == DocumentFormat::kText || file.format == DocumentFormat::kJsonText) {
        file.format = options.format;
        throw bad_input(where, "no instruction with an answer", "use alpaca, sharegpt or messages records");
      }
      Seed seed = seed_of(records[i], file.format, options, where);
      seed.line = i + 1;
      name_seed(file, std::move(seed), options, seen);
    } catch (const Error& error) {
      if (options.strict) throw;
      file.rejected.push_back({i + 1, error.what()});
    }
  }
  if (file.seeds.empty()) {
    throw bad_input(
        name, file.rejected.empty() ? "no records" : "no usable record; the first: " + file.rejected.front().reason);
  }
  return file;
}

SeedFile read_seeds(const std::filesystem::path& path, const SeedOptions& options) {
  const MappedFile file(path);
  return parse_seeds(as_text(file.bytes()), path.string(), options);
}

Json refined_record(const Seed& seed, DocumentFormat file_format, DocumentFormat format, std::string_view instruction,
                    std::string_view response) {
  if (format != file_format) return record_of_messages(seed, format, instruction, response);
  Json record = seed.record;
  if (format == DocumentFormat::kAlpaca) {
    if (instruction != seed.instruction()) {
      record["instruction"] = instruction;
      if (record.contains("input")) record["input"] = "";
    }
    record["output"] = response;
  } else if (format == DocumentFormat::kMessages) {
    Json& turns = record["messages"];
    replace_last_turn(turns, "role", "content", "assistant", ends_with_answer(turns, seed, 0), instruction, response);
  } else {
    Json& turns = record["conversations"];
    const bool system_apart = seed.context.front().role == "system" && record.contains("system") &&
                              record["system"].is_string() && !record["system"].get_ref<const std::string&>().empty();
    replace_last_turn(turns, "from", "value", "gpt", ends_with_answer(turns, seed, system_apart ? 1 : 0), instruction,
                      response);
  }
  return record;
}

}  // namespace kinglet::star_agents
