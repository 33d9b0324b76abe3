# kinglet_precompile(<name> HEADERS <headers>... [LINK <targets>...])
#
# The object library <name> compiles headers once that cost a second or more in every file that includes them; targets
# take them with kinglet_use_precompiled(<target> <name>). Without KINGLET_PCH both do nothing.
function(kinglet_precompile name)
  if(NOT KINGLET_PCH)
    return()
  endif()
  cmake_parse_arguments(PCH "" "" "HEADERS;LINK" ${ARGN})
  file(GENERATE OUTPUT ${PROJECT_BINARY_DIR}/${name}.cc CONTENT "")  # keeps its time when nothing changed
  add_library(${name} OBJECT ${PROJECT_BINARY_DIR}/${name}.cc)
  # The warnings too: -Wpedantic defines macros, and a precompiled header fits only where the same ones are defined.
  target_link_libraries(${name} PRIVATE ${PCH_LINK} kinglet_warnings)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_precompile_headers(${name} PRIVATE ${PCH_HEADERS})
endfunction()

function(kinglet_use_precompiled target name)
  if(KINGLET_PCH)
    target_precompile_headers(${target} REUSE_FROM ${name})
  endif()
endfunction()
if(KINGLET_PCH AND CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-fpch-preprocess>)  # ccache needs it
endif()

# For code that is compiled more often than it is hot: tests, commands, orchestration.
function(kinglet_compile_quickly target)
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O1>)
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    # At -O1 g++ 12 sees copies inside std::string that cannot happen (among others its bugs 105329 and 105651).
    target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-Wno-restrict$<SEMICOLON>-Wno-array-bounds$<SEMICOLON>-Wno-stringop-overflow>)
  endif()
endfunction()

# Headers and their templates cost a file seconds, its own lines next to nothing: several files are compiled as one.
# Names in anonymous namespaces must therefore differ within a room. KINGLET_UNITY=OFF compiles each file alone, which is
# quicker where one file is worked on.
function(kinglet_compile_together target)
  set_target_properties(${target} PROPERTIES UNITY_BUILD ${KINGLET_UNITY} UNITY_BUILD_BATCH_SIZE 6)
  if(KINGLET_UNITY)
    # g++ takes the .cc files inside for headers, where hidden classes with unnamed members would be a mistake.
    target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
  endif()
endfunction()

# kinglet_room(<name> [TORCH] [GLUE] [APART] [PUBLIC <targets>...] [PRIVATE <targets>...])
#
# Declares the static library kinglet_<name> (alias kinglet::<name>) from every .cc file of the current folder.
# TORCH: the room includes LibTorch; it gets the libraries and the precompiled LibTorch header.
# APART: each file is compiled alone; for those that Highway compiles once an instruction set.
# GLUE: no loop over many numbers or bytes lives here: compiled at -O1, which halves the compiler's back-end work.
function(kinglet_room name)
  cmake_parse_arguments(ROOM "TORCH;GLUE;APART" "" "PUBLIC;PRIVATE" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  if(NOT sources)  # a room that so far has only interfaces
    file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/headers_only.cc "")
    set(sources ${CMAKE_CURRENT_BINARY_DIR}/headers_only.cc)
  endif()
  add_library(kinglet_${name} STATIC ${sources})
  add_library(kinglet::${name} ALIAS kinglet_${name})
  set_target_properties(kinglet_${name} PROPERTIES EXPORT_NAME ${name})
  target_include_directories(kinglet_${name} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<INSTALL_INTERFACE:include>)
  target_compile_features(kinglet_${name} PUBLIC cxx_std_20)
  target_link_libraries(kinglet_${name}
    PUBLIC ${ROOM_PUBLIC}
    PRIVATE ${ROOM_PRIVATE} $<BUILD_INTERFACE:kinglet_warnings>)
  if(ROOM_GLUE)
    kinglet_compile_quickly(kinglet_${name})
  endif()
  if(NOT ROOM_APART)
    kinglet_compile_together(kinglet_${name})
  endif()
  if(ROOM_TORCH)
    kinglet_use_torch(kinglet_${name})
    set_property(GLOBAL APPEND PROPERTY KINGLET_TORCH_ROOMS kinglet_${name})
  else()
    set_property(GLOBAL APPEND PROPERTY KINGLET_ROOMS kinglet_${name})
  endif()
endfunction()

# The wheel of LibTorch 2.x brings the headers of its own fmt, which would hide those of the fmt that we link.
set(torch_include_first)
foreach(folder ${TORCH_INCLUDE_DIRS})
  if(EXISTS ${folder}/fmt AND NOT folder STREQUAL /usr/include)
    find_path(KINGLET_FMT_INCLUDE fmt/core.h REQUIRED NO_CMAKE_PATH PATHS /usr/include)
    set(torch_include_first ${PROJECT_BINARY_DIR}/include_first)
    file(MAKE_DIRECTORY ${torch_include_first})
    file(CREATE_LINK ${KINGLET_FMT_INCLUDE}/fmt ${torch_include_first}/fmt SYMBOLIC)
  endif()
endforeach()

kinglet_precompile(kinglet_torch_pch HEADERS ${PROJECT_SOURCE_DIR}/kinglet/nn/torch.h LINK ${TORCH_LIBRARIES})
if(TARGET kinglet_torch_pch)
  target_include_directories(kinglet_torch_pch SYSTEM PRIVATE ${torch_include_first} ${TORCH_INCLUDE_DIRS})
endif()

# LibTorch for one target: headers as system headers (their warnings are not ours) and the precompiled header.
function(kinglet_use_torch target)
  get_target_property(kind ${target} TYPE)
  if(NOT kind STREQUAL STATIC_LIBRARY)
    # LibTorch 2.x has another oneDNN inside and shows some of its inline functions; ours must be found first.
    target_link_options(${target} PRIVATE "LINKER:--push-state,--no-as-needed,${KINGLET_DNNL},--pop-state")
  endif()
  target_link_libraries(${target} PUBLIC ${TORCH_LIBRARIES})
  if(torch_include_first)
    target_include_directories(${target} SYSTEM BEFORE PRIVATE ${torch_include_first})
  endif()
  target_include_directories(${target} SYSTEM PUBLIC ${TORCH_INCLUDE_DIRS})
  kinglet_use_precompiled(${target} kinglet_torch_pch)
endfunction()
