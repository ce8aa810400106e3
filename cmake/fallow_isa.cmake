# The instruction sets that kernels are compiled for here, and the compiler's flags for each.
set(FALLOW_ISAS generic)
set(FALLOW_FLAGS_generic)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  list(APPEND FALLOW_ISAS avx2 avx2vnni avx512)
  set(FALLOW_FLAGS_avx2 -mavx2 -mfma -mf16c)
  set(FALLOW_FLAGS_avx2vnni ${FALLOW_FLAGS_avx2} -mavxvnni)
  set(FALLOW_FLAGS_avx512 ${FALLOW_FLAGS_avx2}
    -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mavx512bf16)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  list(APPEND FALLOW_ISAS neon neondot neoni8mm)
  set(FALLOW_FLAGS_neon)
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    # It would move loads far ahead of their use before it assigns registers, and run out of them.
    set(FALLOW_FLAGS_neon -fno-schedule-insns)
  endif()
  set(FALLOW_FLAGS_neondot ${FALLOW_FLAGS_neon} -march=armv8.2-a+dotprod)
  set(FALLOW_FLAGS_neoni8mm ${FALLOW_FLAGS_neondot}+i8mm+bf16)
endif()

# fallow_isa_sources(<target> <isa> SOURCES a.cc ...)
#
# Adds sources to a target that are compiled for one of FALLOW_ISAS, with FALLOW_ISA=<isa>. The same
# file may be named for several. -O3 in every build: at less, not all functions of kernels/cpu/simd.h
# are inlined, which is what keeps code for one instruction set out of another's (generic runs
# everywhere).
# Such a file keeps everything it defines in a namespace of that name, and includes no header whose
# inline functions others use too: the linker keeps one copy of each, and it may be this one, which
# a lesser processor cannot run. tests/lint/isa_symbols.py looks for it.
function(fallow_isa_sources target isa)
  cmake_parse_arguments(arg "" "" "SOURCES" ${ARGN})
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
  set(options -O3)
  if(CMAKE_CXX_FLAGS MATCHES "fsanitize=[a-z,-]*undefined")
    # Unrolled and checked for undefined behaviour, vector code takes minutes to compile: the
    # sources are checked as generic, and not unrolled. Likewise for the guards of its many small
    # objects on the stack.
    if(isa STREQUAL generic)
      set(options -O1)
    elseif(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
      set(options -O3 -fno-sanitize=undefined --param=asan-stack=0)
    else()
      set(options -O3 -fno-sanitize=undefined)
    endif()
  endif()
  if(FALLOW_FUZZ)  # the parsers are fuzzed, and call no kernel
    set(options -O1 -fno-sanitize=all)
  endif()
  target_compile_options(${part} PRIVATE ${options} ${FALLOW_FLAGS_${isa}})
endfunction()
