#include "kinglet/cli/command.h"

#include <iostream>
#include <nlohmann/json.hpp>

#include <fmt/format.h>

namespace kinglet::cli {

CLI::App* add_command(CLI::App& parent, const std::string& name, const std::string& description,
                      const std::string& example, Run run) {
  CLI::App* command = parent.add_subcommand(name, description);
  command->footer("Example:\n  " + example);
  if (run) {
    // Runs after the whole command line was parsed; main.cc reads the exit code from the exception.
    command->final_callback([run = std::move(run)] { throw CLI::RuntimeError(run()); });
  }
  return command;
}

void print_json(const nlohmann::json& value) {
  // Names from files may hold invalid UTF-8; the output must be valid JSON all the same.
  std::cout << value.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
}

}  // namespace kinglet::cli
