// Small steps that make sentences of a dictionary's lines.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kinglet {

std::vector<std::string_view> lines_of(std::string_view text);
std::string tidy_spaces(std::string_view text);    // one blank between words, none at the ends and before , . ; :
std::string with_full_stop(std::string text);      // ends like a sentence, or with its colon
std::string tidy_sentence(std::string_view text);  // tidy, with a capital and an end
std::string valid_text(std::string_view bytes);    // UTF-8; other bytes are read as Windows-1252 quotation marks

// Whether mark-up is left that could not be read: such a paragraph is better left out.
bool has_markup(std::string_view text);

// GCIDE's mark-up: [Obs.] and {links} go, ['e] becomes é, -- a dash, (Chem.) a word.
std::string without_gcide_markup(std::string_view text);

}  // namespace kinglet
