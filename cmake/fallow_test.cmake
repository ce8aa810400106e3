# fallow_test(<folder> SOURCES x_test.cc ... LINK fallow_x ...)
#
# Makes the Catch2 program fallow_<folder>_tests and registers each of its test cases, with the
# folder's name as a label: `ctest --preset dev -L swarm`. Tests find the repository's files below
# FALLOW_SOURCE_DIR, and shared test code as "tests/<folder>/x.h".
function(fallow_test folder)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
  if(arg_UNPARSED_ARGUMENTS OR NOT arg_SOURCES)
    message(FATAL_ERROR "fallow_test(${folder}): want SOURCES, got '${arg_UNPARSED_ARGUMENTS}'")
  endif()
  set(target fallow_${folder}_tests)
  add_executable(${target} ${arg_SOURCES})
  fallow_test_options(${target})
  target_link_libraries(${target} PRIVATE ${arg_LINK} Catch2::Catch2WithMain)
  catch_discover_tests(${target}
    DISCOVERY_MODE PRE_TEST  # not while building: sanitizers need their environment to run
    PROPERTIES LABELS ${folder} TIMEOUT 300)
endfunction()

# fallow_stage_test(<target> SOURCES x_test.cc ... LINK fallow_x ...)
#
# Makes a Catch2 program that a stage of tests/run.sh builds by name and runs; no part of `all`.
function(fallow_stage_test target)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
  if(arg_UNPARSED_ARGUMENTS OR NOT arg_SOURCES)
    message(FATAL_ERROR "fallow_stage_test(${target}): want SOURCES, got '${arg_UNPARSED_ARGUMENTS}'")
  endif()
  add_executable(${target} EXCLUDE_FROM_ALL ${arg_SOURCES})
  fallow_test_options(${target})
  target_link_libraries(${target} PRIVATE ${arg_LINK} Catch2::Catch2WithMain)
endfunction()

# fallow_fuzz(<name> SOURCES x_fuzz.cc ... LINK fallow_x ...)
#
# Makes the libFuzzer program build/fuzz/fuzzers/<name>; does nothing unless FALLOW_FUZZ is on. Its
# seeds, if any, lie in tests/fuzz/corpus/<name>.
function(fallow_fuzz name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
  if(arg_UNPARSED_ARGUMENTS OR NOT arg_SOURCES)
    message(FATAL_ERROR "fallow_fuzz(${name}): want SOURCES, got '${arg_UNPARSED_ARGUMENTS}'")
  endif()
  if(NOT FALLOW_FUZZ)
    return()
  endif()
  add_executable(${name} ${arg_SOURCES})
  fallow_test_options(${name})
  target_link_libraries(${name} PRIVATE ${arg_LINK})
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  set_target_properties(${name} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/fuzzers)
endfunction()

function(fallow_test_options target)
  fallow_compile_options(${target})
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR} ${FALLOW_LIBRARY_DIR})
  target_compile_definitions(${target} PRIVATE FALLOW_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
endfunction()
