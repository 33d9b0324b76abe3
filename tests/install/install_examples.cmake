# Installs a build into a temporary prefix, builds examples/ against it as a user would, runs them, cleans up.
# usage: cmake -D build=... -D source=... -D generator=... -D compiler=... [-D prefix_path=...] [-D sanitize=...]
#              [-D coverage=ON] -P install_examples.cmake
string(RANDOM LENGTH 10 suffix)
set(folder ${build}/tests/install-${suffix})
set(flags "")
if(sanitize)
  set(flags "-fsanitize=${sanitize}")
endif()
if(coverage)
  string(APPEND flags " --coverage")
endif()

function(run)  # run(<command>...): its output in `output`; any failure ends the test with that output
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE code OUTPUT_VARIABLE out ERROR_VARIABLE err)
  if(NOT code EQUAL 0)
    file(REMOVE_RECURSE ${folder})
    list(JOIN ARGN " " command)
    message(FATAL_ERROR "exit code ${code} from: ${command}\n${out}${err}")
  endif()
  set(output "${out}" PARENT_SCOPE)
endfunction()

function(expect text pattern)
  if(NOT text MATCHES "${pattern}")
    file(REMOVE_RECURSE ${folder})
    message(FATAL_ERROR "expected '${pattern}' in:\n${text}")
  endif()
endfunction()

run(${CMAKE_COMMAND} --install ${build} --prefix ${folder}/prefix)
run(${CMAKE_COMMAND} -S ${source}/examples -B ${folder}/build -G ${generator} "-DCMAKE_CXX_COMPILER=${compiler}"
    "-DCMAKE_CXX_FLAGS=${flags}" "-DCMAKE_PREFIX_PATH=${folder}/prefix;${prefix_path}")
run(${CMAKE_COMMAND} --build ${folder}/build)

set(checkpoint ${source}/tests/golden/io/checkpoints/trainer/checkpoint-2)
run(${folder}/build/list_tensors ${checkpoint}/model.safetensors)
expect("${output}" "gpt_neox\\.[a-z_.0-9]+ F32 +\\[[0-9, ]+\\] mean ")
run(${folder}/build/store_checkpoint ${folder}/store ${checkpoint} ${folder}/restored)
expect("${output}" "^step 2: [0-9]+ bytes stored as [0-9]+ .key frame.")
run(${CMAKE_COMMAND} -E compare_files ${checkpoint}/optimizer.pt ${folder}/restored/optimizer.pt)
run(${folder}/prefix/bin/kinglet ckpt verify ${folder}/store)
run(${folder}/prefix/bin/kinglet --version)
expect("${output}" "^kinglet [0-9.]+ ")
file(REMOVE_RECURSE ${folder})
