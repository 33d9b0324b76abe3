// `kinglet completion bash`: a completion script generated from the parser itself, so that it never lags behind.
#include <iostream>

#include <fmt/format.h>

#include "kinglet/cli/command.h"

namespace kinglet::cli {
namespace {

// One case per command path: "kinglet ckpt add" -> its sub-commands and options, then the options of the program, which
// every command takes too.
void append_cases(const CLI::App& app, const std::string& path, const std::string& inherited, std::string& cases) {
  std::string options;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) {
      if ((inherited + " ").find(" --" + name + " ") == std::string::npos) options += " --" + name;
    }
  }
  const std::string& global = app.get_parent() == nullptr ? options : inherited;
  std::string words;
  std::string below;
  for (const CLI::App* command : app.get_subcommands(nullptr)) {
    words += " " + command->get_name();
    append_cases(*command, path + " " + command->get_name(), global, below);
  }
  words += options + inherited;
  cases += fmt::format("    \"{}\") words=\"{}\" ;;\n", path, words.empty() ? "" : words.substr(1));
  cases += below;
}

std::string bash_script(const CLI::App& app) {
  std::string cases;
  append_cases(app, "kinglet", "", cases);
  return R"(# bash completion for kinglet; load it with:  source <(kinglet completion bash)
_kinglet() {
  local current="${COMP_WORDS[COMP_CWORD]}" path="kinglet" words="" word next
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    next="$path $word"
    case "$word" in -*) ;; *) if _kinglet_words "$next"; then path="$next"; fi ;; esac
  done
  _kinglet_words "$path"
  # A line is a word: file names may hold blanks.
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current"; [[ "$current" == -* ]] || compgen -f -- "$current")
}
_kinglet_words() {
  case "$1" in
)" + cases +
         R"(    *) return 1 ;;
  esac
}
complete -o filenames -F _kinglet kinglet
)";
}

}  // namespace

void add_completion_command(CLI::App& app) {
  CLI::App* command =
      add_command(app, "completion", "Print a shell completion script", "source <(kinglet completion bash)", nullptr);
  command->require_subcommand(1);
  add_command(*command, "bash", "Completion for bash",
              "kinglet completion bash > ~/.local/share/bash-completion/completions/kinglet", [&app] {
                std::cout << bash_script(app);
                return 0;
              });
}

}  // namespace kinglet::cli
