# fallow_isa_sources(<target> <isa> FLAGS -m... SOURCES a.cc ...)
#
# Adds sources to a folder's library that are compiled for one instruction set, with FLAGS and
# FALLOW_ISA=<isa> (avx512, avx2vnni, avx2, generic). The same file may be named for several.
# Such a file keeps everything it defines in a namespace of that name, and includes no header whose
# inline functions others use too: the linker keeps one copy of each, and it may be this one, which
# a lesser processor cannot run. tests/lint/isa_symbols.py looks for it.
function(fallow_isa_sources target isa)
  cmake_parse_arguments(arg "" "" "FLAGS;SOURCES" ${ARGN})
  if(arg_UNPARSED_ARGUMENTS OR NOT arg_SOURCES)
    message(FATAL_ERROR
      "fallow_isa_sources(${target} ${isa}): want SOURCES, got '${arg_UNPARSED_ARGUMENTS}'")
  endif()
  set(part ${target}_${isa})
  if(TARGET ${part})
    target_sources(${part} PRIVATE ${arg_SOURCES})
  else()
    add_library(${part} OBJECT ${arg_SOURCES})
    target_include_directories(${part} PRIVATE ${FALLOW_LIBRARY_DIR} ${FALLOW_LIBRARY_DIR}/include)
    target_link_libraries(${part} PRIVATE $<TARGET_PROPERTY:${target},LINK_LIBRARIES>)
    target_compile_definitions(${part} PRIVATE FALLOW_ISA=${isa})
    fallow_compile_options(${part})
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:${part}>)
    set_property(GLOBAL APPEND PROPERTY FALLOW_PARTS ${part})
  endif()
  target_compile_options(${part} PRIVATE ${arg_FLAGS})
  if(NOT isa STREQUAL generic)
    # The same sources are checked as generic; the unrolled vector code takes minutes to compile so.
    target_compile_options(${part} PRIVATE -fno-sanitize=undefined)
  endif()
endfunction()
