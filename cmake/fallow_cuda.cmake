# fallow_cuda_sources(<target> SOURCES a.cu ...)
#
# Adds CUDA sources to a folder's library and defines FALLOW_CUDA for all of that folder; does
# nothing unless the option FALLOW_CUDA is on. The CUDA run time is linked in, so that a program
# starts on machines that have no driver; cuBLAS is opened at run time and not linked.
function(fallow_cuda_sources target)
  cmake_parse_arguments(arg "" "" "SOURCES" ${ARGN})
  if(arg_UNPARSED_ARGUMENTS OR NOT arg_SOURCES)
    message(FATAL_ERROR
      "fallow_cuda_sources(${target}): want SOURCES, got '${arg_UNPARSED_ARGUMENTS}'")
  endif()
  if(NOT FALLOW_CUDA)
    return()
  endif()
  target_sources(${target} PRIVATE ${arg_SOURCES})
  target_compile_definitions(${target} PRIVATE FALLOW_CUDA)
  set_target_properties(${target} PROPERTIES CUDA_STANDARD 20 CUDA_STANDARD_REQUIRED ON)
  target_link_libraries(${target} PUBLIC CUDA::cudart_static ${CMAKE_DL_LIBS})
  set_property(GLOBAL APPEND PROPERTY FALLOW_OUTSIDE_LIBRARIES CUDA::cudart_static ${CMAKE_DL_LIBS})
endfunction()

# fallow_emulated_kernels(<target> [CHECKED] SOURCES emulated.cc ...)
#
# Adds sources with CUDA kernels to a target that links the emulator, compiled by the host's compiler
# from the same .cuh files. CHECKED: each access to memory calls the emulator's checker, which stands
# in for the run time of the sanitizers named here (callbacks.cc). Such a source holds nothing of the
# standard library: the linker might give the watched copy of an inline function to the emulator.
function(fallow_emulated_kernels target)
  cmake_parse_arguments(arg "CHECKED" "" "SOURCES" ${ARGN})
  if(arg_UNPARSED_ARGUMENTS OR NOT arg_SOURCES)
    message(FATAL_ERROR
      "fallow_emulated_kernels(${target}): want SOURCES, got '${arg_UNPARSED_ARGUMENTS}'")
  endif()
  set(part ${target}_kernels)
  add_library(${part} OBJECT EXCLUDE_FROM_ALL ${arg_SOURCES})
  fallow_compile_options(${part})
  target_include_directories(${part} PRIVATE
    ${PROJECT_SOURCE_DIR} ${FALLOW_LIBRARY_DIR} ${FALLOW_LIBRARY_DIR}/include)
  target_link_libraries(${part} PRIVATE absl::status absl::statusor absl::function_ref)
  target_compile_options(${part} PRIVATE -Wno-unknown-pragmas)  # unroll
  if(arg_CHECKED)
    target_compile_definitions(${part} PRIVATE FALLOW_CUDA_CHECKED)
    target_compile_options(${part} PRIVATE -O1 -g -fsanitize=thread,bounds)
  endif()
  target_sources(${target} PRIVATE $<TARGET_OBJECTS:${part}>)
endfunction()
