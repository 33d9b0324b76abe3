// Which optimizer state belongs to which weight.
//
// An optimizer numbers its parameters; files seldom say what the numbers mean, and a wrong pairing of equal shapes is
// silent. The rules, in this order; the first that fits every shape decides:
//   1. names kept by the optimizer (`param_names` in its groups, or names instead of numbers);
//   2. the user's list of names;
//   3. the module order of a known architecture (module_order.h);
//   4. the order of the state dict, when the weights come from one (torch.save keeps module order);
//   5. shapes alone, when every shape occurs once.
// For 3 and 4 the parameters may be split into groups: one group in module order, or two groups (with and without
// weight decay), each in module order: transformers' Trainer decays everything but biases and norms, other loops
// everything with two or more dimensions. Weights that the optimizer does not know (frozen, buffers, tied twice) may be
// skipped where only one way of skipping fits. When two different answers fit, the pairing is refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kinglet {

struct NamedShape {
  std::string name;
  std::vector<std::int64_t> shape;
};

// One parameter as the optimizer sees it.
struct OptimizerSlot {
  std::string name;                                // empty: the optimizer kept no name
  std::optional<std::vector<std::int64_t>> shape;  // of its moments; nothing without state
};

struct OrderQuestion {
  std::vector<NamedShape> weights;  // candidates, in file order
  bool weights_in_module_order = false;
  std::vector<std::vector<OptimizerSlot>> groups;
  std::string model_type;               // of config.json; may be empty
  std::vector<std::string> user_order;  // names for the slots of all groups, one after another; may be empty
  std::string weights_where;            // for messages
  std::string optimizer_where;
};

struct OrderAnswer {
  std::vector<std::optional<std::size_t>>
      weight_of_slot;  // slots of all groups, one after another; without state, maybe
  std::string rule;    // for people: how it was found
};

// Raises Error (bad input) when nothing fits or more than one answer does.
OrderAnswer match_parameter_order(const OrderQuestion& question);

// One name a line; blank lines are skipped. Raises Error for duplicates.
std::vector<std::string> parse_parameter_order(std::string_view text, std::string_view where);

}  // namespace kinglet
