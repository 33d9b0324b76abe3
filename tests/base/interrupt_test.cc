#include "kinglet/base/interrupt.h"

#include <csignal>
#include <cstdlib>

#include <gtest/gtest.h>

#include "kinglet/base/error.h"

namespace kinglet {
namespace {

// Signals are sent in a child process: the flag is never cleared.
TEST(InterruptDeathTest, TheFirstSignalIsAFlag) {
  const auto child = [](int number) {
    install_interrupt_handler();
    if (interrupted()) std::_Exit(1);
    check_interrupt();  // nothing happened yet
    std::raise(number);
    if (!interrupted()) std::_Exit(2);
    try {
      check_interrupt();
    } catch (const Error& error) {
      std::_Exit(error.exit_code());
    }
    std::_Exit(3);
  };
  EXPECT_EXIT(child(SIGINT), testing::ExitedWithCode(130), "");
  EXPECT_EXIT(child(SIGTERM), testing::ExitedWithCode(130), "");
}

TEST(InterruptDeathTest, TheSecondSignalKills) {
  const auto child = [] {
    install_interrupt_handler();
    std::raise(SIGINT);
    std::raise(SIGINT);
    std::_Exit(0);
  };
  EXPECT_EXIT(child(), testing::KilledBySignal(SIGINT), "");
}

}  // namespace
}  // namespace kinglet
