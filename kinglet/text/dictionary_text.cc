#include "kinglet/text/dictionary_text.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include "kinglet/text/jinja_text.h"

namespace kinglet {
namespace {

bool is_letter_byte(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; }

using Pair = std::pair<std::string_view, std::string_view>;

// [name] for one character.
constexpr Pair kMarkupCharacters[] = {
    {"ae", "æ"},    {"AE", "Æ"},     {"oe", "œ"},    {"OE", "Œ"},     {"'e", "é"},     {"'E", "É"},     {"`e", "è"},
    {"\"e", "ë"},   {"^e", "ê"},     {"'a", "á"},    {"`a", "à"},     {"^a", "â"},     {"\"a", "ä"},    {"aum", "ä"},
    {"'i", "í"},    {"\"i", "ï"},    {"^i", "î"},    {"'o", "ó"},     {"`o", "ò"},     {"^o", "ô"},     {"\"o", "ö"},
    {"oum", "ö"},   {"'u", "ú"},     {"`u", "ù"},    {"^u", "û"},     {"\"u", "ü"},    {"uum", "ü"},    {"\"U", "Ü"},
    {"\"O", "Ö"},   {",c", "ç"},     {"~n", "ñ"},    {"deg", "°"},    {"thorn", "þ"},  {"th", "þ"},     {"eth", "ð"},
    {"edh", "ð"},   {"imac", "ī"},   {"=a", "ā"},    {"=e", "ē"},     {"=i", "ī"},     {"=o", "ō"},     {"=u", "ū"},
    {"alpha", "α"}, {"beta", "β"},   {"gamma", "γ"}, {"delta", "δ"},  {"pi", "π"},     {"mu", "μ"},     {"omega", "ω"},
    {"theta", "θ"}, {"lambda", "λ"}, {"sigma", "σ"}, {"frac12", "½"}, {"frac14", "¼"}, {"frac34", "¾"}, {"pound", "£"},
    {"times", "×"}, {"root", "√"},   {"ng", "ng"},   {"sect", "§"},   {"prime", "′"},  {"min", "′"},    {"sec", "″"}};

// (label) at the beginning of a sense.
constexpr Pair kFields[] = {{"Zool.", "Zoology"},
                            {"Bot.", "Botany"},
                            {"Chem.", "Chemistry"},
                            {"Med.", "Medicine"},
                            {"Anat.", "Anatomy"},
                            {"Naut.", "Nautical"},
                            {"Min.", "Mineralogy"},
                            {"Biol.", "Biology"},
                            {"Mus.", "Music"},
                            {"Arch.", "Architecture"},
                            {"Mil.", "Military"},
                            {"Physiol.", "Physiology"},
                            {"Math.", "Mathematics"},
                            {"Astron.", "Astronomy"},
                            {"Geol.", "Geology"},
                            {"Mach.", "Machinery"},
                            {"Geom.", "Geometry"},
                            {"Her.", "Heraldry"},
                            {"Elec.", "Electricity"},
                            {"Gram.", "Grammar"},
                            {"Eccl.", "Ecclesiastical"},
                            {"Mech.", "Mechanics"},
                            {"Paleon.", "Paleontology"},
                            {"Surg.", "Surgery"},
                            {"Print.", "Printing"},
                            {"Physiol. Chem.", "Physiological chemistry"},
                            {"R. C. Ch.", "Roman Catholic Church"},
                            {"Ethnol.", "Ethnology"},
                            {"Eccl. Hist.", "Ecclesiastical history"},
                            {"Fort.", "Fortification"},
                            {"Com.", "Commerce"},
                            {"Rhet.", "Rhetoric"},
                            {"Theol.", "Theology"},
                            {"Metal.", "Metallurgy"},
                            {"Opt.", "Optics"},
                            {"Eng. Law", "English law"},
                            {"O. Eng. Law", "Old English law"},
                            {"Far.", "Farriery"},
                            {"Crystallog.", "Crystallography"},
                            {"Old Chem.", "Old chemistry"},
                            {"Rom. Antiq.", "Roman antiquities"},
                            {"Carp.", "Carpentry"},
                            {"Photog.", "Photography"},
                            {"Metaph.", "Metaphysics"},
                            {"Paint.", "Painting"},
                            {"Script.", "Scripture"},
                            {"Pros.", "Prosody"},
                            {"Gr. Antiq.", "Greek antiquities"},
                            {"Alg.", "Algebra"},
                            {"Engin.", "Engineering"},
                            {"Gun.", "Gunnery"},
                            {"Agric.", "Agriculture"},
                            {"Phon.", "Phonetics"},
                            {"Nat. Hist.", "Natural history"},
                            {"Class. Myth.", "Classical mythology"},
                            {"Fig.", "Figurative"},
                            {"Astrol.", "Astrology"},
                            {"Eng. Hist.", "English history"},
                            {"Hort.", "Horticulture"},
                            {"Geog.", "Geography"},
                            {"Bot. & Zool.", "Botany and zoology"},
                            {"Meteor.", "Meteorology"},
                            {"Arith.", "Arithmetic"},
                            {"Philos.", "Philosophy"},
                            {"Myth.", "Mythology"},
                            {"Man.", "Manège"},
                            {"Antiq.", "Antiquities"},
                            {"Pharm.", "Pharmacy"},
                            {"Phys. Geog.", "Physical geography"},
                            {"Surv.", "Surveying"},
                            {"Philol.", "Philology"},
                            {"Jewish Antiq.", "Jewish antiquities"},
                            {"Embryol.", "Embryology"},
                            {"Trig.", "Trigonometry"},
                            {"Meas.", "Measurement"},
                            {"Gr. Myth.", "Greek mythology"},
                            {"Rom. Myth.", "Roman mythology"},
                            {"Physiol. & Med.", "Physiology and medicine"},
                            {"Chron.", "Chronology"},
                            {"Numis.", "Numismatics"},
                            {"Pathol.", "Pathology"},
                            {"Psychol.", "Psychology"},
                            {"Polit. Econ.", "Political economy"}};

const std::string_view* find(std::string_view name, const Pair* begin, const Pair* end) {
  const Pair* found = std::find_if(begin, end, [&](const Pair& one) { return one.first == name; });
  return found == end ? nullptr : &found->second;
}

// Where the bracket at `begin` closes; npos when it does not.
std::size_t closing(std::string_view text, std::size_t begin) {
  const char open = text[begin], close = open == '[' ? ']' : open == '{' ? '}' : ')';
  int depth = 0;
  for (std::size_t i = begin; i < text.size(); ++i) {
    if (text[i] == open) ++depth;
    if (text[i] == close && --depth == 0) return i;
  }
  return std::string_view::npos;
}

// What stands for [name]: a character; the letter of a mark of pronunciation; the words that an editor put into a
// quotation; nothing for a label of usage or source.
std::string bracket_text(std::string_view name) {
  if (const std::string_view* character = find(name, std::begin(kMarkupCharacters), std::end(kMarkupCharacters))) {
    return std::string(*character);
  }
  static constexpr std::string_view kMarks = "=.-~^*'\"`,";
  if (name.size() >= 2 && name.size() <= 3) {
    std::string letters;
    for (const char c : name) {
      if (is_letter_byte(c)) letters.push_back(c);
    }
    const bool marked =
        std::any_of(name.begin(), name.end(), [](char c) { return kMarks.find(c) != std::string_view::npos; });
    if (marked && letters.size() + 1 == name.size() && !name.ends_with('.')) return letters;
  }
  static constexpr std::string_view kInserted[] = {"He",  "They", "She", "I",    "he", "they", "she",
                                                   "his", "the",  "The", "We",   "It", "it",   "her",
                                                   "His", "a",    "him", "them", "is", "to"};
  if (std::find(std::begin(kInserted), std::end(kInserted), name) != std::end(kInserted)) return std::string(name);
  return {};
}

// "Physics & Mech." as "Physics & Mechanics"; empty when no part of it is known.
std::string field_name(std::string_view label) {
  if (const std::string_view* whole = find(label, std::begin(kFields), std::end(kFields))) return std::string(*whole);
  const std::size_t both = label.find(" & ");
  if (both == std::string_view::npos) return {};
  const std::string_view* first = find(label.substr(0, both), std::begin(kFields), std::end(kFields));
  const std::string_view* second = find(label.substr(both + 3), std::begin(kFields), std::end(kFields));
  if (first == nullptr && second == nullptr) return {};
  return std::string(first == nullptr ? label.substr(0, both) : *first) + " & " +
         std::string(second == nullptr ? label.substr(both + 3) : *second);
}

void append_link(std::string& out, std::string_view link, char next) {
  for (std::size_t i = 0; i < link.size(); ++i) {
    const char c = link[i];
    const std::size_t end = c == '[' ? closing(link, i) : std::string_view::npos;
    if (end != std::string_view::npos) {
      out += bracket_text(link.substr(i + 1, end - i - 1));
      i = end;
    } else if (c != '*' && c != '"' && c != '`' && c != '|') {
      out.push_back(c);
    }
  }
  if (is_letter_byte(next)) out.push_back(' ');
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

}  // namespace

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

std::string tidy_spaces(std::string_view text) {
  std::string result;
  for (const char c : text) {
    const bool blank = c == ' ' || c == '\t' || c == '\n' || c == '\r';
    if (blank && (result.empty() || result.back() == ' ')) continue;
    const bool closes = c == ',' || c == ';' || c == ':' || c == ')' || c == '.';
    // ". . ." keeps its blanks here and becomes "..." elsewhere.
    if (closes && result.ends_with(' ') && !result.ends_with(". ")) result.pop_back();
    result.push_back(blank ? ' ' : c);
  }
  while (result.ends_with(' ')) result.pop_back();
  return result;
}

std::string with_full_stop(std::string text) {
  if (text.ends_with(':')) return text;
  while (text.ends_with(' ') || text.ends_with(',') || text.ends_with(';') || text.ends_with(':')) text.pop_back();
  if (text.empty()) return text;
  const std::string_view end = std::string_view(text).substr(
      text.ends_with('"') ? text.size() - std::min<std::size_t>(2, text.size()) : text.size() - 1, 1);
  const bool ended = end == "." || end == "!" || end == "?" || text.ends_with('.');
  return ended ? text : text + ".";
}

std::string tidy_sentence(std::string_view text) {
  std::string result = with_full_stop(tidy_spaces(text));
  const std::size_t first = result.find_first_not_of("(\"'");
  const std::size_t letter =
      result.starts_with('(') ? result.find(") ") == std::string::npos ? first : result.find(") ") + 2 : first;
  if (letter < result.size())
    result[letter] = static_cast<char>(std::toupper(static_cast<unsigned char>(result[letter])));
  return result;
}

std::string valid_text(std::string_view bytes) {
  std::string result;
  while (!bytes.empty()) {
    const std::size_t valid = jinja::valid_utf8_prefix(bytes);
    result += bytes.substr(0, valid);
    if (valid == bytes.size()) break;
    const auto byte = static_cast<unsigned char>(bytes[valid]);
    result += byte == 0x91 || byte == 0x92 ? "'" : byte == 0x93 || byte == 0x94 ? "\"" : " ";
    bytes.remove_prefix(valid + 1);
  }
  return result;
}

bool has_markup(std::string_view text) { return text.find_first_of("\\[]{}<>|_*^`@~") != std::string_view::npos; }

std::string without_gcide_markup(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '[' || c == '{' || c == '(') {
      const std::size_t end = closing(text, i);
      if (end != std::string_view::npos) {
        const std::string_view inside = text.substr(i + 1, end - i - 1);
        const char next = end + 1 < text.size() ? text[end + 1] : '\0';
        if (c == '[') {
          result += bracket_text(inside);
          i = end;
          continue;
        }
        if (c == '{') {
          append_link(result, inside, next);
          i = end;
          continue;
        }
        if (const std::string field = field_name(tidy_spaces(inside)); !field.empty()) {
          result += "(" + field + ")";
          i = end;
          continue;
        }
      }
    }
    if (c == '[' || c == ']' || c == '{' || c == '}') continue;  // without its other half
    result.push_back(c);
  }
  replace_all(result, "||", "");
  result = tidy_spaces(result);
  replace_all(result, ". . . .", "...");
  replace_all(result, ". . .", "...");
  replace_all(result, ". .", ".");
  replace_all(result, " --", " — ");
  replace_all(result, "--", "—");
  result = tidy_spaces(result);
  replace_all(result, "( ", "(");
  replace_all(result, "()", "");
  replace_all(result, ";.", ".");
  replace_all(result, ",.", ".");
  return tidy_spaces(result);
}

}  // namespace kinglet
