#include "kinglet/text/word_class.h"

#include <string>
#include <unordered_map>

namespace kinglet {
namespace {

constexpr std::string_view kDeterminers =
    "a an the this that these those my your his her its our their some any no every each either neither both all half "
    "many much more most few fewer less little several enough such another other certain own same whose one two three "
    "four five six seven eight nine ten eleven twelve twenty hundred thousand million first second third last next";
constexpr std::string_view kPronouns =
    "i me mine myself you yours yourself yourselves he him himself she hers herself it itself we us ours ourselves "
    "they "
    "them theirs themselves who whom whoever which what whatever whichever someone somebody something anyone anybody "
    "anything everyone everybody everything nobody nothing none there oneself";
constexpr std::string_view kPrepositions =
    "of in on at by for with from into onto upon about above across after against along amid among amongst around as "
    "before behind below beneath beside besides between beyond concerning despite down during except inside like near "
    "off out outside over past per regarding round since through throughout till toward towards under underneath "
    "unlike "
    "until up via within without than";
constexpr std::string_view kAuxiliaries =
    "to be am is are was were been being have has had having do does did doing done can could may might must shall "
    "should "
    "will would ought need dare not cannot can't couldn't won't wouldn't shan't shouldn't mustn't mightn't isn't "
    "aren't "
    "wasn't weren't hasn't haven't hadn't don't doesn't didn't i'm you're he's she's it's we're they're i've you've "
    "we've "
    "they've i'll you'll he'll she'll it'll we'll they'll i'd you'd he'd she'd we'd they'd that's there's let's";
constexpr std::string_view kConjunctions =
    "and or but nor so yet if then else because although though while whereas whether unless when whenever where "
    "wherever "
    "how why once";
constexpr std::string_view kAdverbs =
    "very too also just only even still again ever never always often sometimes seldom soon now here quite rather "
    "almost "
    "already perhaps well away back together thus hence therefore however instead once twice";

std::unordered_map<std::string_view, WordClass> make_lexicon() {
  std::unordered_map<std::string_view, WordClass> lexicon;
  const auto add = [&](std::string_view words, WordClass kind) {
    while (!words.empty()) {
      const std::size_t end = std::min(words.find(' '), words.size());
      lexicon.emplace(words.substr(0, end), kind);
      words.remove_prefix(std::min(end + 1, words.size()));
    }
  };
  add(kDeterminers, WordClass::kDeterminer);
  add(kPronouns, WordClass::kPronoun);
  add(kPrepositions, WordClass::kPreposition);
  add(kAuxiliaries, WordClass::kAuxiliary);
  add(kConjunctions, WordClass::kConjunction);
  add(kAdverbs, WordClass::kAdverb);
  return lexicon;
}

}  // namespace

WordClass word_class(std::string_view word) {
  static const std::unordered_map<std::string_view, WordClass> lexicon = make_lexicon();
  const auto found = lexicon.find(word);
  if (found != lexicon.end()) return found->second;
  return word.size() > 4 && word.ends_with("ly") ? WordClass::kAdverb : WordClass::kOpen;
}

}  // namespace kinglet
