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
