#include "kinglet/methods/fot/game24_model.h"

// The assembler takes the files as they are; as arrays in a header they would cost seconds of every build.
#define KINGLET_EMBED(name, file)                                                                              \
  __asm__(".pushsection .rodata\n.balign 16\n.globl " #name "\n.hidden " #name "\n" #name ":\n.incbin \"" file \
          "\"\n.globl " #name "_end\n.hidden " #name "_end\n" #name "_end:\n.byte 0\n.popsection\n");          \
  extern "C" {                                                                                                 \
  extern const std::byte name[];                                                                               \
  extern const std::byte name##_end[];                                                                         \
  }

KINGLET_EMBED(kinglet_game24_key, KINGLET_GAME24_MODEL "/key.step")
KINGLET_EMBED(kinglet_game24_weights, KINGLET_GAME24_MODEL "/weights.step")

namespace kinglet::fot {

std::array<ByteView, 2> game24_model() {
  return {ByteView(kinglet_game24_key, kinglet_game24_key_end),
          ByteView(kinglet_game24_weights, kinglet_game24_weights_end)};
}

}  // namespace kinglet::fot
