#include "kinglet/text/tokenizer_json.h"

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/text/bpe.h"
#include "kinglet/text/json_fields.h"
#include "kinglet/text/json_tables.h"
#include "kinglet/text/unigram.h"

namespace kinglet {
namespace {

// The model's "type"; files from before it was written show it by their tables.
std::string model_type(const JsonFields& model, const JsonTables& tables) {
  if (model.has("type")) return model.text("type");
  if (tables.has_merges) return "BPE";
  if (tables.has_scores) return "Unigram";
  throw model.wrong("'type' is missing");
}

std::unique_ptr<TokenModel> make_bpe(const JsonFields& model, JsonTables& tables, bool raw_bytes) {
  if (!tables.has_vocabulary) throw model.wrong("'vocab' must be a JSON object");
  if (!tables.has_merges) throw model.wrong("'merges' must be a list");
  BpeOptions options;
  if (model.has("unk_token")) options.unknown = model.text("unk_token");
  options.fuse_unknown = model.boolean("fuse_unk", false);
  options.byte_fallback = model.boolean("byte_fallback", false);
  options.ignore_merges = model.boolean("ignore_merges", false);
  options.continuing_prefix = model.text("continuing_subword_prefix", "");
  options.end_suffix = model.text("end_of_word_suffix", "");
  options.raw_bytes = raw_bytes;
  Vocabulary vocabulary(tables.vocabulary.size(), model.where());
  for (auto& [text, id] : tables.vocabulary) vocabulary.add(std::move(text), id);
  return std::make_unique<Bpe>(std::move(vocabulary), tables.merges, std::move(options), model.where());
}

std::unique_ptr<TokenModel> make_unigram(const JsonFields& model, JsonTables& tables) {
  if (!tables.has_scores) throw model.wrong("'vocab' must be a list of texts and scores");
  std::optional<TokenId> unknown;
  if (model.has("unk_id")) unknown = static_cast<TokenId>(model.integer("unk_id", 0, Vocabulary::kMostIds));
  return std::make_unique<Unigram>(std::move(tables.scores), unknown, model.boolean("byte_fallback", false),
                                   model.where());
}

// The model takes over the mapping of bytes when that is the last thing that happens to a word.
void make_model(const JsonFields& model, JsonTables& tables, TokenizerParts& parts) {
  const std::string type = model_type(model, tables);
  if (type == "BPE") {
    const bool plain =
        model.text("continuing_subword_prefix", "").empty() && model.text("end_of_word_suffix", "").empty();
    const bool raw_bytes = plain && !parts.pre_tokenizer.empty() && parts.pre_tokenizer.back()->maps_bytes();
    if (raw_bytes) parts.pre_tokenizer.back()->leave_bytes();
    parts.model = make_bpe(model, tables, raw_bytes);
  } else if (type == "Unigram") {
    parts.model = make_unigram(model, tables);
  } else {
    throw model.wrong(fmt::format("the model '{}' is not supported", type));
  }
}

AddedToken parse_added_token(const JsonFields& json) {
  AddedToken token;
  token.content = json.text("content");
  token.special = json.boolean("special", false);
  token.single_word = json.boolean("single_word", false);
  token.strip_left = json.boolean("lstrip", false);
  token.strip_right = json.boolean("rstrip", false);
  token.normalized = json.boolean("normalized", !token.special);
  return token;
}

// Ids: those of the model's vocabulary, else the next ones after it. A content that comes again takes the place of the
// earlier one.
std::vector<AddedToken> parse_added_tokens(const JsonFields& file, const Vocabulary& vocabulary) {
  std::vector<AddedToken> tokens;
  std::map<std::string, std::size_t> places;
  auto next = static_cast<std::int64_t>(vocabulary.count());
  for (const JsonFields& json : file.objects("added_tokens")) {
    AddedToken token = parse_added_token(json);
    if (token.content.empty()) continue;
    const auto known = places.find(token.content);
    if (known != places.end()) {
      token.id = tokens[known->second].id;
      tokens[known->second] = std::move(token);
      continue;
    }
    const auto id = vocabulary.find(token.content);
    if (!id && next >= Vocabulary::kMostIds) throw json.wrong("has no id left");
    token.id = id ? *id : static_cast<TokenId>(next++);
    if (id && *id >= next) next = std::int64_t{*id} + 1;  // entries beyond the count: ids with holes
    places.emplace(token.content, tokens.size());
    tokens.push_back(std::move(token));
  }
  return tokens;
}

// Post-processors.

constexpr std::size_t kMostTemplateIds = 1024;

std::vector<TokenId> template_ids(const JsonFields& special_tokens, const std::string& name) {
  const JsonFields token = special_tokens.object(name.c_str());
  const nlohmann::json& ids = token.value("ids");
  if (!ids.is_array() || ids.size() > kMostTemplateIds) throw token.wrong("'ids' must be a list of ids");
  std::vector<TokenId> result;
  for (const nlohmann::json& id : ids) {
    if (!id.is_number_unsigned() || id.get<std::uint64_t>() >= static_cast<std::uint64_t>(Vocabulary::kMostIds)) {
      throw token.wrong("'ids' must be a list of ids");
    }
    result.push_back(id.get<TokenId>());
  }
  return result;
}

TokenTemplate parse_template(const JsonFields& json) {
  TokenTemplate result;
  bool seen_text = false;
  for (const JsonFields& piece : json.objects("single")) {
    if (piece.has("Sequence")) {
      if (seen_text) throw piece.wrong("the text stands twice in a template");
      seen_text = true;
      continue;
    }
    if (!piece.has("SpecialToken")) throw piece.wrong("must be a Sequence or a SpecialToken");
    const auto ids = template_ids(json.object("special_tokens"), piece.object("SpecialToken").text("id"));
    std::vector<TokenId>& side = seen_text ? result.after : result.before;
    side.insert(side.end(), ids.begin(), ids.end());
    if (side.size() > kMostTemplateIds) throw json.wrong("a template is too long");
  }
  if (!seen_text) throw json.wrong("a template without the text");
  return result;
}

TokenId token_of_pair(const JsonFields& json, const char* field) {  // ["</s>", 2]
  const nlohmann::json& pair = json.value(field);
  if (!pair.is_array() || pair.size() != 2 || !pair[1].is_number_unsigned() ||
      pair[1].get<std::uint64_t>() >= static_cast<std::uint64_t>(Vocabulary::kMostIds)) {
    throw json.wrong(fmt::format("'{}' must be a pair of a token and its id", field));
  }
  return pair[1].get<TokenId>();
}

void parse_post_processor(const JsonFields& json, std::vector<TokenTemplate>& templates) {
  const std::string type = json.text("type");
  if (type == "Sequence") {
    for (const JsonFields& step : json.objects("processors")) parse_post_processor(step, templates);
  } else if (type == "TemplateProcessing") {
    templates.push_back(parse_template(json));
  } else if (type == "RobertaProcessing" || type == "BertProcessing") {
    templates.push_back({{token_of_pair(json, "cls")}, {token_of_pair(json, "sep")}});
  } else if (type != "ByteLevel") {  // that one only moves offsets
    throw json.wrong(fmt::format("the post-processor '{}' is not supported", type));
  }
}

// Names of the special tokens: the configuration's, else what the templates put around a text.
NamedTokens find_named(const TokenizerParts& parts, const TokenizerConfig& config) {
  const auto id_of = [&](const std::optional<std::string>& name) -> std::optional<TokenId> {
    if (!name) return std::nullopt;
    for (const AddedToken& token : parts.added) {
      if (token.content == *name) return token.id;
    }
    return parts.model->vocabulary().find(*name);
  };
  NamedTokens named{id_of(config.bos), id_of(config.eos), id_of(config.padding)};
  for (const TokenTemplate& around : parts.templates) {
    if (!named.bos && !around.before.empty()) named.bos = around.before.front();
    if (!named.eos && !around.after.empty()) named.eos = around.after.back();
  }
  return named;
}

void check_template_ids(const TokenizerParts& parts, std::string_view where) {
  std::int64_t size = parts.model->vocabulary().size();
  for (const AddedToken& token : parts.added) size = std::max<std::int64_t>(size, token.id + 1);
  for (const TokenTemplate& around : parts.templates) {
    for (const std::vector<TokenId>* side : {&around.before, &around.after}) {
      for (const TokenId id : *side) {
        if (id >= size) throw bad_input(where, fmt::format("post_processor has the id {}, which no token has", id));
      }
    }
  }
}

}  // namespace

std::unique_ptr<Tokenizer> parse_tokenizer_json(std::string_view text, std::string_view where,
                                                const TokenizerConfig& config) {
  JsonTables tables = parse_json_tables(text, where);
  const JsonFields file(tables.rest, std::string(where));
  TokenizerParts parts;
  if (file.has("normalizer")) parts.normalizer = parse_normalizer(file.object("normalizer"));
  if (file.has("pre_tokenizer")) parts.pre_tokenizer = parse_pre_tokenizer(file.object("pre_tokenizer"));
  make_model(file.object("model"), tables, parts);
  parts.added = parse_added_tokens(file, parts.model->vocabulary());
  if (file.has("post_processor")) parse_post_processor(file.object("post_processor"), parts.templates);
  if (file.has("decoder")) parts.decoder = TokenDecoder::parse(file.object("decoder"));
  check_template_ids(parts, where);
  parts.named = find_named(parts, config);
  return std::make_unique<TokenizerPipeline>(std::move(parts));
}

}  // namespace kinglet
