// SIGINT/SIGTERM as a flag. Long loops call check_interrupt() between units of work; it raises an Error of kind
// kInterrupted after the first signal, so that temporary files are removed and nothing half-written stays.
#pragma once

namespace kinglet {

void install_interrupt_handler();
bool interrupted();
void check_interrupt();

}  // namespace kinglet
