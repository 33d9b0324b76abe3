// The order in which known architectures list their parameters in memory.
//
// Files often keep tensors in alphabetical order (layer 10 before layer 2), optimizers number parameters in the order
// of model.parameters(): per module its own parameters, then its children in the order the constructor made them. That
// order is known for the architectures listed in module_order.cc; it was read off transformers 4 and 5, which differ
// for some models, hence several orders for one model.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace kinglet {

// The possible module orders of tensors called `names`, each a permutation of 0..names.size()-1. Empty when the
// architecture is unknown. `model_type` as in config.json; when it is empty, an architecture is chosen by the names
// alone. An order is returned only if it knows every name.
std::vector<std::vector<std::size_t>> known_module_orders(const std::vector<std::string>& names,
                                                          std::string_view model_type);

// `name` without the prefixes that wrappers put in front of state-dict keys: "module." (DDP), "_orig_mod."
// (torch.compile), "_fsdp_wrapped_module.", "_forward_module.".
std::string without_wrapper_prefix(std::string_view name);

// A tensor of a normalization layer, judged by its name ("ln_1", "input_layernorm", "q_norm", "LayerNorm", "bn1").
bool is_norm_name(std::string_view name);

// State-dict entries that are no parameters although they may be floating-point: running statistics, rotary tables,
// causal masks. `rank`: number of dimensions; a causal mask kept as "attn.bias" has more than two.
bool is_buffer_name(std::string_view name, std::size_t rank);

}  // namespace kinglet
