#include "kinglet/text/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

#include "kinglet/base/error.h"
#include "kinglet/text/recent_characters.h"
#include "kinglet/text/utf8.h"

namespace kinglet {
namespace {

constexpr std::uint32_t kMatchLimit = 50'000'000;
constexpr std::uint32_t kHeapLimitKib = 65536;
constexpr std::size_t kJitStackStart = 32 << 10;
constexpr std::size_t kJitStackMost = 8 << 20;
constexpr std::size_t kLongestPattern = 16 << 10;

std::string message_of(int code) {
  PCRE2_UCHAR8 text[256] = {};
  pcre2_get_error_message(code, text, sizeof(text));
  return reinterpret_cast<const char*>(text);
}

// What a thread needs to run a pattern, kept for all patterns and calls.
struct Matcher {
  Matcher()
      : data(pcre2_match_data_create(1, nullptr)),
        context(pcre2_match_context_create(nullptr)),
        stack(pcre2_jit_stack_create(kJitStackStart, kJitStackMost, nullptr)) {
    if (data == nullptr || context == nullptr) throw std::bad_alloc();
    pcre2_set_match_limit(context, kMatchLimit);
    pcre2_set_heap_limit(context, kHeapLimitKib);
    if (stack != nullptr) pcre2_jit_stack_assign(context, nullptr, stack);
  }
  ~Matcher() {
    pcre2_jit_stack_free(stack);
    pcre2_match_context_free(context);
    pcre2_match_data_free(data);
  }
  Matcher(const Matcher&) = delete;
  Matcher& operator=(const Matcher&) = delete;

  pcre2_match_data* data;
  pcre2_match_context* context;
  pcre2_jit_stack* stack;
};

Matcher& matcher_of_thread() {
  thread_local Matcher matcher;
  return matcher;
}

bool has_recent_character(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const auto lead = static_cast<unsigned char>(text[at]);
    if (lead < 0xE0) {  // all of them have three or four bytes
      ++at;
      continue;
    }
    const utf8::Character character = utf8::first_character(text.substr(at));
    if (!recent_category(character.code).empty()) return true;
    at += character.length;
  }
  return false;
}

}  // namespace

struct Regex::Program {
  Program(const std::string& translated, std::string_view pattern, std::string_view where) {
    int error = 0;
    PCRE2_SIZE place = 0;
    pcre2_compile_context* context = pcre2_compile_context_create(nullptr);
    if (context == nullptr) throw std::bad_alloc();
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    pcre2_set_bsr(context, PCRE2_BSR_UNICODE);
    code = pcre2_compile(reinterpret_cast<PCRE2_SPTR8>(translated.data()), translated.size(),
                         PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &error, &place, context);
    pcre2_compile_context_free(context);
    if (code == nullptr) {
      throw bad_input(where, fmt::format("the pattern '{}' does not compile: {}", pattern, message_of(error)));
    }
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // where it fails, the interpreter runs the pattern
  }
  ~Program() { pcre2_code_free(code); }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  pcre2_code* code = nullptr;
};

Regex::Regex(std::string_view pattern, std::string_view where) : where_(where) {
  if (pattern.size() > kLongestPattern) throw bad_input(where, "a pattern is longer than 16 KiB");
  const std::string plain = translate_regex(pattern, false, where);
  const std::string recent = translate_regex(pattern, true, where);
  program_ = std::make_unique<Program>(plain, pattern, where);
  if (recent != plain) recent_ = std::make_unique<Program>(recent, pattern, where);
}

Regex::~Regex() = default;
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;

const Regex::Program& Regex::program_for(std::string_view text) const {
  return recent_ != nullptr && has_recent_character(text) ? *recent_ : *program_;
}

void Regex::find_all(std::string_view text, std::vector<TextRange>& matches) const {
  matches.clear();
  const pcre2_code* code = program_for(text).code;
  Matcher& matcher = matcher_of_thread();
  const PCRE2_SIZE* place = pcre2_get_ovector_pointer(matcher.data);
  std::size_t from = 0;
  while (from <= text.size()) {
    const int result = pcre2_match(code, reinterpret_cast<PCRE2_SPTR8>(text.data()), text.size(), from,
                                   PCRE2_NO_UTF_CHECK, matcher.data, matcher.context);
    if (result == PCRE2_ERROR_NOMATCH) return;
    if (result < 0) {
      throw bad_input(where_, fmt::format("a pattern gives up on this text: {}", message_of(result)),
                      "the text or the tokenizer's pattern is degenerate");
    }
    const TextRange match{place[0], place[1]};
    if (match.begin < from || match.end < match.begin) {  // \K in a look-around
      throw bad_input(where_, "a pattern has a match that ends before it begins");
    }
    if (match.begin == match.end && !matches.empty() && matches.back().end == match.end) {
      from += from < text.size() ? utf8::length_of(text[from]) : 1;
      continue;
    }
    matches.push_back(match);
    from = match.end;
  }
}

}  // namespace kinglet
