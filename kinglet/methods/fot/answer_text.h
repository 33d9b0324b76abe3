// Finding the answer in what a model wrote. Nothing is evaluated as code, and every text ends in an answer or in
// nothing.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace kinglet::fot {

// Without <think>...</think> (also one that is not closed: then nothing is left).
std::string without_thinking(std::string_view text);

// The content of the last \boxed{...} or \fbox{...}, braces matched; nothing when there is none or it is not closed.
std::optional<std::string> last_boxed(std::string_view text);

// The number behind "####", "the answer is" or inside a box, else the last number: "1234", "-3", "2.5", "5/2"; without
// commas, currency, units, trailing zeros. Of several numbers behind a marker the first counts.
std::optional<std::string> numeric_answer(std::string_view text);

// The answer to a mathematics question: the last box; else what follows "####" or "the answer is" on its line; else the
// last number. Not normalised.
std::optional<std::string> math_answer(std::string_view text);

// "(B)", "B.", "the answer is B", \boxed{B}: a letter of `choices` ("ABCDE"), upper case.
std::optional<std::string> choice_answer(std::string_view text, std::string_view choices);

// The text behind the last "the answer is", "####" or a box, else the last line that is not empty; trimmed, lower case,
// blanks united, without a full stop at its end.
std::optional<std::string> plain_answer(std::string_view text);

// Whether a text declines: "I don't know", "I cannot answer" and the like, or says nothing at all.
bool is_refusal(std::string_view text);

}  // namespace kinglet::fot
