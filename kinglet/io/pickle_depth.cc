#include "kinglet/io/pickle_depth.h"

#include <algorithm>
#include <unordered_map>
#include <vector>

namespace kinglet {
namespace {

std::size_t child_count(const PickleValue& value) {
  return value.items.size() + value.appended.size() + (value.state != nullptr ? 1 : 0);
}

const PickleValue* child_at(const PickleValue& value, std::size_t i) {
  if (i < value.items.size()) return value.items[i];
  i -= value.items.size();
  return i < value.appended.size() ? value.appended[i] : value.state;
}

}  // namespace

bool is_nested_deeper(const PickleValue* root, std::size_t most) {
  struct Open {
    const PickleValue* value;
    std::size_t next = 0;    // child
    std::size_t height = 1;  // of the children seen so far, this value included
  };
  std::unordered_map<const PickleValue*, std::size_t> heights;  // 0: being walked
  std::vector<Open> open;
  const auto enter = [&](const PickleValue* value) {
    heights.emplace(value, 0);
    open.push_back({value});
  };
  enter(root);
  while (!open.empty()) {
    Open& top = open.back();
    if (top.next < child_count(*top.value)) {
      const PickleValue* child = child_at(*top.value, top.next);
      const auto known = heights.find(child);
      if (known == heights.end()) {
        enter(child);  // comes back to the same child when its height is known
        continue;
      }
      ++top.next;
      top.height = std::max(top.height, known->second + 1);
      continue;
    }
    if (top.height > most) return true;
    heights[top.value] = top.height;
    open.pop_back();
  }
  return false;
}

}  // namespace kinglet
