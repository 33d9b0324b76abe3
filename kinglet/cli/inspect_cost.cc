#include "kinglet/cli/inspect_cost.h"

#include <iostream>
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "kinglet/cli/command.h"
#include "kinglet/methods/memoryformer/cost.h"

namespace kinglet::cli {

void print_model_cost(const std::string& path, std::int64_t tokens, bool json) {
  const ModelCost cost = read_model_cost(path, tokens);
  const double token_bytes = cost.layer_bytes_a_token + cost.head_bytes();
  if (json) {
    print_json({{"model_type", cost.model_type},
                {"tokens", cost.tokens},
                {"layers", cost.layers},
                {"block_multiply_adds", cost.block},
                {"attention_multiply_adds", cost.attention},
                {"head_multiply_adds", cost.head},
                {"total_multiply_adds", cost.total()},
                {"parameters", cost.parameters},
                {"parameter_bytes", cost.bytes},
                {"table_elements", cost.table_elements},
                {"table_bytes", cost.table_bytes},
                {"block_bytes_a_token", cost.layer_bytes_a_token},
                {"bytes_a_token", token_bytes}});
    return;
  }
  const auto line = [](std::string_view name, const std::string& value) {
    std::cout << fmt::format("{:<22} {}\n", name, value);
  };
  const auto giga = [](double value) {
    return value < 1e7 ? fmt::format("{:.3f} M", value * 1e-6) : fmt::format("{:.3f} G", value * 1e-9);
  };
  const auto bytes = [](double value) {
    if (value < 1e6) return fmt::format("{:.2f} kB", value * 1e-3);
    return value < 1e9 ? fmt::format("{:.2f} MB", value * 1e-6) : fmt::format("{:.2f} GB", value * 1e-9);
  };
  line("model",
       fmt::format("{}, {} layers, {:.1f} M parameters, {} ({:.0f} bytes an element)", cost.model_type, cost.layers,
                   static_cast<double>(cost.parameters) * 1e-6, bytes(cost.bytes), cost.element_bytes));
  if (cost.table_elements > 0) {
    const std::string kind = cost.table_element_bytes == 1.0 ? " (int8, a factor a row)" : "";
    line("tables", fmt::format("{:.1f} M elements, {}{}", static_cast<double>(cost.table_elements) * 1e-6,
                               bytes(cost.table_bytes), kind));
  }
  line("multiply-adds", fmt::format("of {} tokens", cost.tokens));
  line("  a layer", giga(cost.block) + (cost.table_elements > 0 ? " (hashes and table rows)" : " (projections)"));
  line("  its attention", giga(cost.attention));
  line("  all layers", giga(static_cast<double>(cost.layers) * (cost.block + cost.attention)));
  line("  head", giga(cost.head));
  line("bytes read a token", bytes(token_bytes));
  line("  layers", bytes(cost.layer_bytes_a_token));
  line("  head", bytes(cost.head_bytes()));
}

}  // namespace kinglet::cli
