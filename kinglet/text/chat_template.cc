#include "kinglet/text/chat_template.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"
#include "kinglet/text/chat_spans.h"
#include "kinglet/text/jinja_evaluator.h"
#include "kinglet/text/jinja_syntax.h"

namespace kinglet {
namespace fs = std::filesystem;

struct ChatTemplate::Program {
  jinja::Statements statements;
  std::string where;
  bool marks_generation = false;
};

namespace {

constexpr std::uint64_t kMaxConfig = std::uint64_t{64} << 20;

constexpr std::array kTokenRoles = {"bos_token", "eos_token", "unk_token", "sep_token",
                                    "pad_token", "cls_token", "mask_token"};

bool has_generation(const jinja::Statements& statements) {
  return std::any_of(statements.begin(), statements.end(), [](const auto& one) {
    return one->kind == jinja::Statement::Kind::kGeneration || has_generation(one->body) ||
           has_generation(one->otherwise);
  });
}

jinja::Value strftime_function(std::optional<std::time_t> now) {
  return jinja::make_callable("strftime_now", [now](jinja::Runtime& runtime, const jinja::Arguments& arguments) {
    const jinja::Value* format = arguments.find(0, "format");
    if (format == nullptr) runtime.fail("strftime_now takes a format");
    const std::string& text = runtime.text_of(*format, "the format of strftime_now");
    const std::time_t moment = now.value_or(std::time(nullptr));
    std::tm local{};
    localtime_r(&moment, &local);
    std::array<char, 1024> buffer{};
    // A format may give nothing at all; its blank tells that apart from a text that is too long.
    const std::size_t length = std::strftime(buffer.data(), buffer.size(), (text + " ").c_str(), &local);
    if (length == 0) runtime.fail("the date of strftime_now is too long");
    return runtime.text(std::string(buffer.data(), length - 1));
  });
}

// A special token is a text, or an object that holds it.
std::optional<std::string> token_text(const Json& config, const char* role) {
  const auto found = config.find(role);
  if (found == config.end()) return std::nullopt;
  if (found->is_string()) return found->get<std::string>();
  if (found->is_object() && found->contains("content") && (*found)["content"].is_string()) {
    return (*found)["content"].get<std::string>();
  }
  return std::nullopt;
}

std::string read_text(const fs::path& path) { return std::string(as_text(read_file(path, kMaxConfig))); }

Json read_object(const fs::path& path) {
  Json json = parse_json(read_text(path), path.string());
  if (!json.is_object()) throw bad_input(path.string(), "not a JSON object");
  return json;
}

struct Sources {
  std::optional<std::string> wanted, tool_use;
  std::string where;
};

// chat_template as it stands in a JSON file: a text, or a list of {"name", "template"}.
Sources sources_of(const Json& chat_template, std::string_view name, const std::string& where) {
  Sources sources{{}, {}, where};
  if (chat_template.is_string()) {
    sources.wanted = chat_template.get<std::string>();
    return sources;
  }
  if (!chat_template.is_array()) throw bad_input(where, "chat_template is neither a text nor a list");
  std::string names;
  for (const Json& one : chat_template) {
    const bool fits = one.is_object() && one.contains("name") && one["name"].is_string() && one.contains("template") &&
                      one["template"].is_string();
    if (!fits) throw bad_input(where, "an entry of chat_template has no name and template");
    const auto& known = one["name"].get_ref<const std::string&>();
    names += (names.empty() ? "" : ", ") + known;
    if (known == name) sources.wanted = one["template"].get<std::string>();
    if (known == "tool_use" && name == "default") sources.tool_use = one["template"].get<std::string>();
  }
  if (!sources.wanted) {
    throw bad_input(where, fmt::format("there is no chat template '{}'", name), fmt::format("there are: {}", names));
  }
  return sources;
}

Sources find_sources(const fs::path& folder, const Json& config, std::string_view name) {
  const fs::path plain = folder / "chat_template.jinja", packed = folder / "chat_template.json";
  if (name == "default" && fs::is_regular_file(plain)) return {read_text(plain), {}, plain.string()};
  if (fs::is_regular_file(packed)) {
    const Json json = read_object(packed);
    if (json.contains("chat_template")) return sources_of(json["chat_template"], name, packed.string());
  }
  const auto found = config.find("chat_template");
  if (found == config.end() || found->is_null()) return {};
  return sources_of(*found, name, (folder / "tokenizer_config.json").string());
}

}  // namespace

ChatTemplate ChatTemplate::parse(std::string_view source, std::string where) {
  auto program = std::make_shared<Program>();
  program->statements = jinja::parse(source, where);
  program->where = std::move(where);
  program->marks_generation = has_generation(program->statements);
  ChatTemplate result;
  result.program_ = std::move(program);
  return result;
}

std::optional<ChatTemplate> ChatTemplate::load(const fs::path& folder, std::string_view name) {
  const fs::path config_path = folder / "tokenizer_config.json";
  const Json config = fs::is_regular_file(config_path) ? read_object(config_path) : Json::object();
  const Sources sources = find_sources(folder, config, name);
  if (!sources.wanted) return std::nullopt;
  ChatTemplate result = parse(*sources.wanted, sources.where);
  if (sources.tool_use) result.tool_program_ = parse(*sources.tool_use, sources.where + ", tool_use").program_;
  for (const char* role : kTokenRoles) {
    if (auto token = token_text(config, role)) result.set_special_token(role, std::move(*token));
  }
  return result;
}

void ChatTemplate::set_special_token(const std::string& role, std::string token) {
  const auto found = std::find_if(special_tokens_.begin(), special_tokens_.end(),
                                  [&](const auto& known) { return known.first == role; });
  if (found == special_tokens_.end())
    special_tokens_.emplace_back(role, std::move(token));
  else
    found->second = std::move(token);
}

bool ChatTemplate::marks_generation() const { return program_->marks_generation; }

RenderedChat ChatTemplate::run(const Json& messages, const ChatOptions& options) const {
  const Program& program = tool_program_ != nullptr && !options.tools.is_null() ? *tool_program_ : *program_;
  if (!messages.is_array())
    throw bad_input(program.where, fmt::format("messages are {}, not a list", json_kind(messages)));
  std::vector<std::pair<std::string, jinja::Value>> variables;
  variables.emplace_back("strftime_now", strftime_function(options.now));
  for (const auto& [role, token] : special_tokens_) variables.emplace_back(role, jinja::Value(token));
  if (options.bos_token) variables.emplace_back("bos_token", jinja::Value(*options.bos_token));
  if (options.eos_token) variables.emplace_back("eos_token", jinja::Value(*options.eos_token));
  variables.emplace_back("messages", jinja::from_json(messages));
  variables.emplace_back("tools", jinja::from_json(options.tools));
  variables.emplace_back("documents", jinja::Value());
  variables.emplace_back("add_generation_prompt", jinja::Value(options.add_generation_prompt));
  for (const auto& [name, value] : options.extra.items()) variables.emplace_back(name, jinja::from_json(value));
  jinja::Output output = jinja::evaluate(program.statements, std::move(variables), options.limits, program.where);
  RenderedChat result;
  result.text = std::move(output.text);
  for (const auto& [begin, end] : output.generations) result.replies.push_back({begin, end});
  return result;
}

std::string ChatTemplate::render(const Json& messages, const ChatOptions& options) const {
  return run(messages, options).text;
}

RenderedChat ChatTemplate::render_with_spans(const Json& messages, const ChatOptions& options) const {
  RenderedChat result = run(messages, options);
  if (marks_generation()) return result;
  result.replies = find_replies(result.text, messages, [&](const Json& part, bool add_generation_prompt) {
    ChatOptions changed = options;
    changed.add_generation_prompt = add_generation_prompt;
    return run(part, changed).text;
  });
  return result;
}

}  // namespace kinglet
