# fallow_library(<folder> SOURCES a.cc ... [PUBLIC target ...] [PRIVATE target ...])
#
# Makes the static library fallow_<folder> out of library/<folder>; called from that folder's
# CMakeLists.txt. PUBLIC are the targets that the folder's headers need, PRIVATE those that only its
# sources need; both name other folders (fallow_base) and outside libraries (absl::statusor) alike.
# All that is named here also ends up in the one installed library: see fallow_install.cmake.

# The targets whose objects `fallow` is made of, and the outside libraries that it must link.
define_property(GLOBAL PROPERTY FALLOW_PARTS)
define_property(GLOBAL PROPERTY FALLOW_OUTSIDE_LIBRARIES)

set(FALLOW_LIBRARY_DIR ${PROJECT_SOURCE_DIR}/library)

function(fallow_library folder)
  cmake_parse_arguments(arg "" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  if(arg_UNPARSED_ARGUMENTS OR NOT arg_SOURCES)
    message(FATAL_ERROR "fallow_library(${folder}): want SOURCES, got '${arg_UNPARSED_ARGUMENTS}'")
  endif()
  set(target fallow_${folder})
  add_library(${target} STATIC ${arg_SOURCES})
  target_include_directories(${target} PUBLIC ${FALLOW_LIBRARY_DIR} ${FALLOW_LIBRARY_DIR}/include)
  target_link_libraries(${target} PUBLIC ${arg_PUBLIC} PRIVATE ${arg_PRIVATE})
  fallow_compile_options(${target})

  set_property(GLOBAL APPEND PROPERTY FALLOW_PARTS ${target})
  set(outside ${arg_PUBLIC} ${arg_PRIVATE})
  list(FILTER outside EXCLUDE REGEX "^fallow_")
  set_property(GLOBAL APPEND PROPERTY FALLOW_OUTSIDE_LIBRARIES ${outside})
endfunction()
