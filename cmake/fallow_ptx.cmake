# nvcc for the tests that look at what it makes, with or without FALLOW_CUDA. No GPU is needed.

find_package(Nvcc QUIET)

# fallow_ptx(<target> ARCHITECTURES 80 90 SOURCES a.cu ...)
#
# Makes <target>, which compiles each source to PTX: <name>.<architecture>.ptx in the current binary
# folder. Floating point is that of fallow_compile_options.
function(fallow_ptx target)
  cmake_parse_arguments(arg "" "" "ARCHITECTURES;SOURCES" ${ARGN})
  if(arg_UNPARSED_ARGUMENTS OR NOT arg_SOURCES OR NOT arg_ARCHITECTURES)
    message(FATAL_ERROR "fallow_ptx(${target}): want ARCHITECTURES and SOURCES, got '${ARGN}'")
  endif()
  set(outputs)
  foreach(source IN LISTS arg_SOURCES)
    get_filename_component(name ${source} NAME_WE)
    foreach(architecture IN LISTS arg_ARCHITECTURES)
      set(output ${CMAKE_CURRENT_BINARY_DIR}/${name}.${architecture}.ptx)
      add_custom_command(OUTPUT ${output}
        COMMAND ${FALLOW_NVCC} -ptx -std=c++20 -arch=compute_${architecture}
          -fmad=false -prec-div=true -prec-sqrt=true -ftz=false
          -I ${PROJECT_SOURCE_DIR}/library -I ${PROJECT_SOURCE_DIR}/library/include
          -I ${PROJECT_SOURCE_DIR} -MD -MF ${output}.d -o ${output} ${source}
        MAIN_DEPENDENCY ${source}
        DEPFILE ${output}.d
        WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR}
        COMMENT "PTX of ${source} for ${architecture}"
        VERBATIM)
      list(APPEND outputs ${output})
    endforeach()
  endforeach()
  add_custom_target(${target} DEPENDS ${outputs})
endfunction()
