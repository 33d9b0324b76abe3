// The program `kinglet`: parses the command line, runs one sub-command, turns errors into one line and an exit code.
#include <cstdio>
#include <exception>
#include <iostream>
#include <new>

#include <fmt/format.h>

#include "kinglet/base/error.h"
#include "kinglet/base/interrupt.h"
#include "kinglet/base/log.h"
#include "kinglet/base/memory.h"
#include "kinglet/base/parallel.h"
#include "kinglet/cli/command.h"
#include "kinglet/kernels/simd.h"

namespace kinglet::cli {
namespace {

constexpr int kUsageError = 2;

void add_global_options(CLI::App& app, Globals& globals) {
  app.add_flag("--json", globals.json, "Print one JSON document on stdout");
  app.add_option("--threads", globals.threads, "Threads to use; 0 = all cores")
      ->check(CLI::Range(0, 4096))
      ->type_name("N");
  app.add_flag("-v,--verbose", globals.verbose, "Say more on stderr");
  app.add_flag("-q,--quiet", globals.quiet, "Only errors on stderr");
  app.set_version_flag("--version",
                       [] { return fmt::format("kinglet {} ({} kernels)", KINGLET_VERSION, simd_level_name()); });
  app.parse_complete_callback([&globals] {
    set_num_threads(globals.threads);
    set_log_level(globals.quiet ? LogLevel::kError : globals.verbose ? LogLevel::kInfo : LogLevel::kWarning);
  });
}

// CLI11 explains usage errors over several lines; ours are one line with the remedy.
int report_usage_error(const CLI::App& app, const CLI::ParseError& error) {
  if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) return app.exit(error);  // --help, --version
  const CLI::App* command = &app;
  while (!command->get_subcommands().empty()) command = command->get_subcommands().front();
  std::string path;
  for (const CLI::App* at = command; at != nullptr; at = at->get_parent()) {
    path.insert(0, path.empty() ? at->get_name() : at->get_name() + " ");
  }
  fmt::print(stderr, "{}: {} (see '{} --help')\n", app.get_name(), printable(error.what()), path);
  return kUsageError;
}

int run(int argc, char** argv) {
  Globals globals;
  CLI::App app("Kinglet: small vision and language models that do the work of large ones", "kinglet");
  app.footer(
      "Example:\n  kinglet ckpt pack run.kinglet my-run/    compress every checkpoint of a training run\n"
      "Exit codes: 0 done, 1 failed, 2 bad usage or bad input, 130 interrupted");
  app.require_subcommand(1);
  app.fallthrough();
  add_global_options(app, globals);
  add_ckpt_command(app, globals);
  add_inspect_command(app, globals);
  add_tokenize_command(app, globals);
  add_data_command(app, globals);
  add_mock_server_command(app, globals);
  add_refine_command(app, globals);
  add_score_command(app, globals);
  add_judge_command(app, globals);
  add_train_command(app, globals);
  add_distill_command(app, globals);
  add_memoryformer_command(app, globals);
  add_generate_command(app, globals);
  add_chat_command(app, globals);
  add_serve_command(app, globals);
  add_eval_command(app, globals);
  add_reason_command(app, globals);
  add_verify24_command(app, globals);
  add_tour_command(app, globals);
  add_completion_command(app);
  try {
    app.parse(argc, argv);
    return 0;
  } catch (const CLI::RuntimeError& finished) {
    return finished.get_exit_code();
  } catch (const CLI::ParseError& error) {
    return report_usage_error(app, error);
  }
}

}  // namespace
}  // namespace kinglet::cli

int main(int argc, char** argv) {
  kinglet::install_interrupt_handler();
  kinglet::keep_freed_memory();
  try {
    const int code = kinglet::cli::run(argc, argv);
    std::cout.flush();
    if (code == 0 && (!std::cout || std::fflush(stdout) != 0)) {
      throw kinglet::failed("stdout", "cannot write the result", "check the disk or the program that reads it");
    }
    return code;
  } catch (const kinglet::Error& error) {
    fmt::print(stderr, "kinglet: {}\n", error.what());
    return error.exit_code();
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "kinglet: out of memory (use fewer --threads or a machine with more memory)\n");
  } catch (const std::exception& error) {
    fmt::print(stderr, "kinglet: {}\n", kinglet::printable(error.what()));
  }
  return 1;
}
