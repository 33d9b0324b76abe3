// A pickle: the tree is sound and not larger than its bytes allow; what can be written is read back as the same tree.
#include <algorithm>
#include <bit>
#include <unordered_map>

#include "tests/fuzz/fuzz_target.h"

#include "kinglet/io/pickle.h"

namespace kinglet::fuzz {
namespace {

// Memory is bounded by the bytes read: a few bytes may not stand for a long text again and again.
constexpr std::size_t kMaxDumpPerByte = 128;

void check_tree(const PickleDocument& document, std::size_t input_bytes) {
  require(document.root != nullptr && document.bytes_read <= input_bytes, "reading ends within the input");
  require(document.nodes.size() <= input_bytes, "a byte makes at most one value");
  std::size_t text = 0;
  for (const PickleValue& value : document.nodes) {
    text += value.text.size();
    const auto sound = [](const PickleValue* item) { return item != nullptr; };
    require(std::all_of(value.items.begin(), value.items.end(), sound), "no item is missing");
    require(std::all_of(value.appended.begin(), value.appended.end(), sound), "no appended item is missing");
    require(value.kind != PickleKind::kDict || value.items.size() % 2 == 0, "dicts hold pairs");
    require(value.kind != PickleKind::kPersistentId || value.items.size() == 1, "storages have one id");
    require(value.kind != PickleKind::kCall || value.items.size() >= 2, "calls have arguments");
  }
  require(text <= kMaxDumpPerByte * input_bytes, "texts are not larger than the input allows");
}

bool is_container(const PickleValue& value) {
  return value.kind >= PickleKind::kList && value.kind != PickleKind::kGlobal &&
         value.kind != PickleKind::kPersistentId && !(value.kind == PickleKind::kTuple && value.items.empty());
}

bool same_scalars(const PickleValue& a, const PickleValue& b) {
  return a.kind == b.kind && a.boolean == b.boolean && a.integer == b.integer && a.text == b.text &&
         std::bit_cast<std::uint64_t>(a.number) == std::bit_cast<std::uint64_t>(b.number) &&
         a.items.size() == b.items.size() && a.appended.size() == b.appended.size() &&
         (a.state == nullptr) == (b.state == nullptr);
}

// Equal trees with the same sharing of containers.
void check_same(const PickleValue* first, const PickleValue* second) {
  std::unordered_map<const PickleValue*, const PickleValue*> twin;
  std::vector<std::pair<const PickleValue*, const PickleValue*>> open = {{first, second}};
  while (!open.empty()) {
    const auto [a, b] = open.back();
    open.pop_back();
    require(same_scalars(*a, *b), "values survive writing and reading");
    const auto [known, fresh] = twin.try_emplace(a, b);
    if (!fresh) {
      require(!is_container(*a) || known->second == b, "shared objects stay shared");
      continue;
    }
    for (std::size_t i = 0; i < a->items.size(); ++i) open.emplace_back(a->items[i], b->items[i]);
    for (std::size_t i = 0; i < a->appended.size(); ++i) open.emplace_back(a->appended[i], b->appended[i]);
    if (a->state != nullptr) open.emplace_back(a->state, b->state);
  }
}

void check_pickle(ByteView input) {
  PickleDocument document;
  if (!accepted([&] { document = parse_pickle(input, "input"); })) return;
  check_tree(document, input.size());
  const std::string dump = dump_pickle(document, 8);
  require(std::none_of(dump.begin(), dump.end(), [](char c) { return (c >= 0 && c < 32 && c != '\n') || c == 127; }),
          "a dump holds no control characters");
  pickle_globals(document);
  Bytes written;
  if (!accepted([&] { written = write_pickle(document); })) return;
  const PickleDocument again = parse_pickle(written, "written");
  require(again.bytes_read == written.size(), "all that was written is read");
  check_same(document.root, again.root);
  require(write_pickle(again) == written, "writing twice gives the same bytes");
}

}  // namespace
}  // namespace kinglet::fuzz

KINGLET_FUZZ_TARGET(pickle, kinglet::fuzz::check_pickle)
