# Compiler, linker and warning settings shared by every target.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
# One position-independent mode for everything (CMake would give programs -fPIE), so that libraries, programs and tests
# can share one precompiled header; and position-independent code may still inline its own functions.
add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-fPIC> $<$<COMPILE_LANGUAGE:CXX>:-fno-semantic-interposition>)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
# A precompiled header loads hundreds of MB into g++, whose garbage collector would walk them again and again.
add_compile_options($<$<COMPILE_LANG_AND_ID:CXX,GNU>:--param=ggc-min-expand=400>
                    $<$<COMPILE_LANG_AND_ID:CXX,GNU>:--param=ggc-min-heapsize=1000000>)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")
# Sanitizer and coverage builds are RelWithDebInfo: asserts stay on.
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O1 -g1")

find_program(KINGLET_CCACHE ccache)
if(KINGLET_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # A precompiled header carries its own time and macros; without these allowances ccache would skip its users.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${KINGLET_CCACHE})
endif()
find_program(KINGLET_MOLD mold)
if(KINGLET_MOLD)
  add_link_options(-fuse-ld=mold)
endif()

add_library(kinglet_warnings INTERFACE)
target_compile_options(kinglet_warnings INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor
                       -Wno-missing-field-initializers)
if(KINGLET_WERROR)
  target_compile_options(kinglet_warnings INTERFACE -Werror)
endif()

if(KINGLET_SANITIZE)
  # With sanitizers g++ 12 takes LibTorch's empty optionals for uninitialised memory.
  target_compile_options(kinglet_warnings INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
  add_compile_options(-fsanitize=${KINGLET_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -g1)
  add_link_options(-fsanitize=${KINGLET_SANITIZE})
  if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
    add_compile_options(-fno-sanitize=function)  # clang 14 cannot assemble coroutines with it
  endif()
endif()
if(KINGLET_COVERAGE)
  add_compile_options(--coverage -O0 -g)
  add_link_options(--coverage)
endif()
