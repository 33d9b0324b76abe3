#include "kinglet/io/parameter_order.h"

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <span>
#include <unordered_map>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "kinglet/base/error.h"
#include "kinglet/io/module_order.h"

namespace kinglet {
namespace {

using Shape = std::vector<std::int64_t>;
using Indices = std::vector<std::size_t>;
using Assignment = std::vector<std::optional<std::size_t>>;

constexpr std::string_view kNameTheOrder =
    "list the parameter names in optimizer order, one a line, and pass the file with --param-order";

std::string show(const Shape& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

bool fits(const OptimizerSlot& slot, const NamedShape& weight) { return !slot.shape || *slot.shape == weight.shape; }

std::vector<OptimizerSlot> flatten(const std::vector<std::vector<OptimizerSlot>>& groups) {
  std::vector<OptimizerSlot> slots;
  for (const auto& group : groups) slots.insert(slots.end(), group.begin(), group.end());
  return slots;
}

// Places `slots` onto `candidates` (weights in module order) without changing the order; candidates may be skipped.
// `pins`: weights already known by name. Leftmost and rightmost placement agree exactly when only one exists.
enum class Placement { kNone, kUnique, kAmbiguous };
Placement place_in_order(const OrderQuestion& question, const std::vector<OptimizerSlot>& slots,
                         std::span<const std::optional<std::size_t>> pins, const Indices& candidates, Indices& result) {
  const std::size_t n = slots.size();
  const auto accepts = [&](std::size_t slot, std::size_t candidate) {
    if (pins[slot]) return *pins[slot] == candidate;
    return fits(slots[slot], question.weights[candidate]);
  };
  if (n > candidates.size()) return Placement::kNone;
  Indices left(n), right(n);
  std::size_t at = 0;
  for (std::size_t i = 0; i < n; ++i, ++at) {
    while (at < candidates.size() && !accepts(i, candidates[at])) ++at;
    if (at == candidates.size()) return Placement::kNone;
    left[i] = candidates[at];
  }
  at = candidates.size();
  for (std::size_t i = n; i-- > 0;) {
    do --at;
    while (!accepts(i, candidates[at]));  // ends: the leftmost placement exists
    right[i] = candidates[at];
  }
  result = left;
  return left == right ? Placement::kUnique : Placement::kAmbiguous;
}

// ---- names -----------------------------------------------------------------------------------------------------

std::unordered_map<std::string, std::size_t> index_names(const std::vector<NamedShape>& weights) {
  std::unordered_map<std::string, std::size_t> index;
  for (std::size_t i = 0; i < weights.size(); ++i) index.emplace(weights[i].name, i);
  for (std::size_t i = 0; i < weights.size(); ++i) index.emplace(without_wrapper_prefix(weights[i].name), i);
  return index;
}

std::optional<std::size_t> find_name(const std::unordered_map<std::string, std::size_t>& index,
                                     const std::string& name) {
  auto found = index.find(name);
  if (found == index.end()) found = index.find(without_wrapper_prefix(name));
  if (found == index.end()) return std::nullopt;
  return found->second;
}

// Pairs the slots left without a weight when their shape fits one free weight only, and that weight no other slot:
// transformers calls the head "lm_head" in memory and "embed_out" in the file. Returns false if a slot with state is
// left over.
bool complete_by_shape(const OrderQuestion& question, const std::vector<OptimizerSlot>& slots, Assignment& assignment) {
  std::vector<bool> taken(question.weights.size(), false);
  std::map<Shape, std::size_t> wanted;
  for (std::size_t s = 0; s < slots.size(); ++s) {
    if (assignment[s])
      taken[*assignment[s]] = true;
    else if (slots[s].shape)
      ++wanted[*slots[s].shape];
  }
  std::map<Shape, Indices> free;
  for (std::size_t w = 0; w < question.weights.size(); ++w) {
    if (!taken[w]) free[question.weights[w].shape].push_back(w);
  }
  bool complete = true;
  for (std::size_t s = 0; s < slots.size(); ++s) {
    if (assignment[s] || !slots[s].shape) continue;
    const auto found = free.find(*slots[s].shape);
    if (found != free.end() && found->second.size() == 1 && wanted[*slots[s].shape] == 1) {
      assignment[s] = found->second.front();
    } else {
      complete = false;
    }
  }
  return complete;
}

// The weights named by the optimizer itself, as far as the model file has these names.
Assignment by_own_names(const OrderQuestion& question, const std::vector<OptimizerSlot>& slots) {
  const auto index = index_names(question.weights);
  Assignment assignment(slots.size());
  std::set<std::size_t> used;
  for (std::size_t s = 0; s < slots.size(); ++s) {
    const auto weight = slots[s].name.empty() ? std::nullopt : find_name(index, slots[s].name);
    if (!weight) continue;
    if (!fits(slots[s], question.weights[*weight])) {
      throw bad_input(question.optimizer_where,
                      fmt::format("state of '{}' has shape {}, the weight in {} has shape {}", slots[s].name,
                                  show(*slots[s].shape), question.weights_where, show(question.weights[*weight].shape)),
                      "model and optimizer files are not of the same checkpoint");
    }
    if (!used.insert(*weight).second) {
      throw bad_input(question.optimizer_where, fmt::format("names parameter '{}' twice", slots[s].name));
    }
    assignment[s] = weight;
  }
  return assignment;
}

Assignment by_user_order(const OrderQuestion& question, const std::vector<OptimizerSlot>& slots) {
  const auto& names = question.user_order;
  if (names.size() != slots.size()) {
    throw bad_input(question.optimizer_where,
                    fmt::format("the parameter order lists {} names, the optimizer has {} "
                                "parameters",
                                names.size(), slots.size()),
                    "list every parameter of every group, one a line");
  }
  const auto index = index_names(question.weights);
  Assignment assignment(slots.size());
  std::set<std::size_t> used;
  for (std::size_t s = 0; s < slots.size(); ++s) {
    assignment[s] = find_name(index, names[s]);
    if (!assignment[s] && slots[s].shape) {
      throw bad_input(question.weights_where,
                      fmt::format("has no tensor '{}' (line {} of the parameter order)", names[s], s + 1),
                      "names must be those of the model file");
    }
    if (assignment[s] && !fits(slots[s], question.weights[*assignment[s]])) {
      throw bad_input(question.optimizer_where,
                      fmt::format("parameter {} has shape {}, but '{}' has shape {}", s, show(*slots[s].shape),
                                  names[s], show(question.weights[*assignment[s]].shape)),
                      "correct the parameter order");
    }
    if (assignment[s] && !used.insert(*assignment[s]).second) {
      throw bad_input(question.optimizer_where, fmt::format("the parameter order lists '{}' twice", names[s]));
    }
  }
  return assignment;
}

// ---- orders ----------------------------------------------------------------------------------------------------

using Membership = std::function<bool(const NamedShape&)>;

// Ways to tell the group with weight decay from the one without.
const std::vector<Membership>& decay_rules() {
  static const std::vector<Membership> rules = {
      [](const NamedShape& w) { return w.name.find("bias") == std::string::npos && !is_norm_name(w.name); },
      [](const NamedShape& w) { return w.shape.size() >= 2; },
      [](const NamedShape& w) { return w.name.find("bias") == std::string::npos; },
  };
  return rules;
}

// Candidate lists for each group of the optimizer, given the weights in module order.
std::vector<std::vector<Indices>> split_into_groups(const OrderQuestion& question, const Indices& order) {
  if (question.groups.size() == 1) return {{order}};
  if (question.groups.size() != 2) return {};
  std::vector<std::vector<Indices>> splits;
  for (const Membership& decays : decay_rules()) {
    Indices decay, rest;
    for (const std::size_t w : order) (decays(question.weights[w]) ? decay : rest).push_back(w);
    splits.push_back({decay, rest});
    splits.push_back({rest, decay});
  }
  return splits;
}

struct Search {
  std::set<Assignment> found;
  bool ambiguous = false;
};

// Tries every split of one order. `exact`: the optimizer knows all the weights; otherwise weights may be skipped.
void try_order(const OrderQuestion& question, const Assignment& pins, const Indices& order, bool exact,
               Search& search) {
  for (const auto& split : split_into_groups(question, order)) {
    Assignment assignment;
    std::span<const std::optional<std::size_t>> group_pins = pins;
    Placement placement = Placement::kUnique;
    for (std::size_t g = 0; g < split.size() && placement != Placement::kNone; ++g) {
      if (exact && split[g].size() != question.groups[g].size()) {
        placement = Placement::kNone;
        break;
      }
      Indices placed;
      const Placement here = place_in_order(question, question.groups[g], group_pins, split[g], placed);
      group_pins = group_pins.subspan(question.groups[g].size());
      if (here != Placement::kUnique) placement = here == Placement::kNone ? here : Placement::kAmbiguous;
      for (const std::size_t w : placed) assignment.emplace_back(w);
    }
    if (placement == Placement::kUnique) search.found.insert(assignment);
    if (placement == Placement::kAmbiguous) search.ambiguous = true;
  }
}

// Answers of all `orders` together; throws when they differ.
std::optional<Assignment> by_orders(const OrderQuestion& question, const Assignment& pins,
                                    const std::vector<Indices>& orders) {
  for (const bool exact : {true, false}) {
    Search search;
    for (const Indices& order : orders) try_order(question, pins, order, exact, search);
    if (search.found.size() == 1) return *search.found.begin();
    if (search.found.size() > 1 || search.ambiguous) {
      throw bad_input(question.optimizer_where,
                      fmt::format("its parameters fit the weights in {} in more than one way", question.weights_where),
                      kNameTheOrder);
    }
  }
  return std::nullopt;
}

// ---- refusal ---------------------------------------------------------------------------------------------------

// Why shapes cannot fit whatever the order; empty when they could.
std::string shape_conflict(const OrderQuestion& question, const std::vector<OptimizerSlot>& slots) {
  std::map<Shape, std::int64_t> surplus;
  for (const NamedShape& weight : question.weights) --surplus[weight.shape];
  for (const OptimizerSlot& slot : slots) {
    if (slot.shape) ++surplus[*slot.shape];
  }
  for (std::size_t s = 0; s < slots.size(); ++s) {
    if (!slots[s].shape || surplus[*slots[s].shape] <= 0) continue;
    return fmt::format("parameter {} has shape {}, and {} has {} tensors of this shape for {} parameters", s,
                       show(*slots[s].shape), question.weights_where,
                       std::count_if(question.weights.begin(), question.weights.end(),
                                     [&](const NamedShape& w) { return w.shape == *slots[s].shape; }),
                       std::count_if(slots.begin(), slots.end(),
                                     [&](const OptimizerSlot& other) { return other.shape == slots[s].shape; }));
  }
  return {};
}

Error refusal(const OrderQuestion& question, const std::vector<OptimizerSlot>& slots) {
  const std::string conflict = shape_conflict(question, slots);
  if (!conflict.empty()) {
    return bad_input(question.optimizer_where, conflict, "model and optimizer files are not of the same checkpoint");
  }
  return bad_input(question.optimizer_where,
                   fmt::format("keeps no parameter names, and no known order of the {} tensors in {} fits its {} "
                               "parameters beyond doubt",
                               question.weights.size(), question.weights_where, slots.size()),
                   kNameTheOrder);
}

}  // namespace

OrderAnswer match_parameter_order(const OrderQuestion& question) {
  const std::vector<OptimizerSlot> slots = flatten(question.groups);
  if (std::none_of(slots.begin(), slots.end(), [](const auto& slot) { return slot.shape.has_value(); })) {
    return {Assignment(slots.size()), "nothing to pair: the optimizer has no state yet"};
  }
  const Assignment named = by_own_names(question, slots);
  Assignment assignment = named;
  const bool any_name = std::any_of(named.begin(), named.end(), [](const auto& weight) { return weight.has_value(); });
  if (any_name && complete_by_shape(question, slots, assignment)) return {assignment, "names kept by the optimizer"};
  if (!question.user_order.empty()) return {by_user_order(question, slots), "the user's list of names"};
  if (!shape_conflict(question, slots).empty()) throw refusal(question, slots);

  std::vector<std::string> names;
  for (const NamedShape& weight : question.weights) names.push_back(weight.name);
  if (auto known = by_orders(question, named, known_module_orders(names, question.model_type))) {
    return {*known, question.model_type.empty() ? "module order of the architecture that these names belong to"
                                                : fmt::format("module order of {}", question.model_type)};
  }
  if (question.weights_in_module_order) {
    Indices order(question.weights.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    if (auto stored = by_orders(question, named, {order})) return {*stored, "order of the state dict"};
  }
  assignment = named;
  if (complete_by_shape(question, slots, assignment)) return {assignment, "shapes, each of which occurs once"};
  throw refusal(question, slots);
}

std::vector<std::string> parse_parameter_order(std::string_view text, std::string_view where) {
  std::vector<std::string> names;
  std::set<std::string, std::less<>> seen;
  for (std::size_t line = 1; !text.empty(); ++line) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view name = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    while (!name.empty() && (name.back() == '\r' || name.back() == ' ' || name.back() == '\t')) name.remove_suffix(1);
    while (!name.empty() && (name.front() == ' ' || name.front() == '\t')) name.remove_prefix(1);
    if (name.empty()) continue;
    if (!seen.emplace(name).second) throw bad_input(where, fmt::format("line {} repeats '{}'", line, name));
    names.emplace_back(name);
  }
  return names;
}

}  // namespace kinglet
