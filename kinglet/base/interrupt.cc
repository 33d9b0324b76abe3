#include "kinglet/base/interrupt.h"

#include <csignal>

#include "kinglet/base/error.h"

namespace kinglet {
namespace {

volatile std::sig_atomic_t g_signal_count = 0;

void on_signal(int number) {
  // A second signal means "now": restore the default action and die of it.
  g_signal_count = g_signal_count + 1;
  if (g_signal_count > 1) {
    std::signal(number, SIG_DFL);
    std::raise(number);
  }
}

}  // namespace

void install_interrupt_handler() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() { return g_signal_count > 0; }

void check_interrupt() {
  if (interrupted()) {
    throw Error(ErrorKind::kInterrupted, "", "interrupted", "run the same command again to continue");
  }
}

}  // namespace kinglet
