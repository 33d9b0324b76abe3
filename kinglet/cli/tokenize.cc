#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "kinglet/base/error.h"
#include "kinglet/base/files.h"
#include "kinglet/cli/command.h"
#include "kinglet/text/tokenizer.h"

namespace kinglet::cli {
namespace {

using nlohmann::json;

struct TokenizeArguments {
  std::string model;
  std::string text;
  std::string file;
  std::vector<TokenId> decode;
  bool lines = false;
  bool plain = false;         // --no-special
  bool keep_special = false;  // with --decode
};

json token_list(const Tokenizer& tokenizer, const std::vector<TokenId>& ids) {
  json tokens = json::array();
  for (const TokenId id : ids) tokens.push_back(tokenizer.token(id));
  return tokens;
}

// One JSON value a line: a text becomes its ids, a list of ids becomes its text.
json answer(const Tokenizer& tokenizer, const json& value, const TokenizeArguments& arguments) {
  if (value.is_string()) return tokenizer.encode(value.get_ref<const std::string&>(), !arguments.plain);
  if (!value.is_array()) throw bad_input("stdin", "each line must be a JSON text or a list of ids");
  std::vector<TokenId> ids;
  for (const json& id : value) {
    if (!id.is_number_integer()) throw bad_input("stdin", "each line must be a JSON text or a list of ids");
    ids.push_back(id.get<TokenId>());
  }
  return tokenizer.decode(ids, !arguments.keep_special);
}

int run_lines(const Tokenizer& tokenizer, const TokenizeArguments& arguments) {
  std::string line;
  for (std::size_t number = 1; std::getline(std::cin, line); ++number) {
    json value;
    try {
      value = json::parse(line);
    } catch (const json::exception&) {
      throw bad_input("stdin", fmt::format("line {} is not valid JSON", number));
    }
    std::cout << answer(tokenizer, value, arguments).dump() << '\n';
  }
  return 0;
}

void print_encoding(const Tokenizer& tokenizer, const std::vector<TokenId>& ids, const Globals& globals) {
  if (globals.json) {
    print_json({{"ids", ids}, {"tokens", token_list(tokenizer, ids)}});
    return;
  }
  for (const TokenId id : ids) fmt::print("{:>8}  {}\n", id, printable(tokenizer.token(id)));
  fmt::print("{} tokens\n", ids.size());
}

int run_tokenize(const TokenizeArguments& arguments, const Globals& globals) {
  const auto tokenizer = Tokenizer::load(arguments.model);
  if (arguments.lines) return run_lines(*tokenizer, arguments);
  if (!arguments.decode.empty()) {
    const std::string text = tokenizer->decode(arguments.decode, !arguments.keep_special);
    if (globals.json)
      print_json({{"text", text}});
    else
      std::cout << text << '\n';
    return 0;
  }
  const std::string text = arguments.file.empty() ? arguments.text : std::string(as_text(read_file(arguments.file)));
  print_encoding(*tokenizer, tokenizer->encode(text, !arguments.plain), globals);
  return 0;
}

}  // namespace

void add_tokenize_command(CLI::App& app, const Globals& globals) {
  auto arguments = std::make_shared<TokenizeArguments>();
  CLI::App* command =
      add_command(app, "tokenize", "Turn text into token ids with a model's tokenizer, and ids into text",
                  "kinglet tokenize Llama-3.2-1B/ --text 'Hello world'",
                  [arguments, &globals] { return run_tokenize(*arguments, globals); });
  command
      ->add_option("model", arguments->model,
                   "Model folder, tokenizer.json, SentencePiece tokenizer.model or GGUF file")
      ->required()
      ->type_name("FILE|FOLDER");
  auto* input = command->add_option_group("input", "One of");
  input->add_option("--text", arguments->text, "The text")->type_name("TEXT");
  input->add_option("--file", arguments->file, "A file with the text")->type_name("FILE");
  input->add_option("--decode", arguments->decode, "Ids, with commas between them")->delimiter(',')->type_name("IDS");
  input->add_flag("--lines", arguments->lines,
                  "Read JSON lines from stdin: a text gives a line of ids, a list of ids gives a text");
  input->require_option(1);
  command->add_flag("--no-special", arguments->plain, "Without the tokens around a text (BOS, EOS)");
  command->add_flag("--keep-special", arguments->keep_special, "Special tokens stay in decoded text");
}

}  // namespace kinglet::cli
