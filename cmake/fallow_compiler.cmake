# What every target of this project is compiled with, and the compiler cache where there is one.

set(CMAKE_CXX_EXTENSIONS OFF)
# Objects are the same for a static and a shared libfallow, which hides what it does not export when
# it is linked; -fno-semantic-interposition then lets functions be inlined as if they were hidden.
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

find_program(FALLOW_CCACHE ccache)
if(FALLOW_CCACHE AND PROJECT_IS_TOP_LEVEL)
  # Results are shared between checkouts, and between pip's throw-away build folders.
  set(launcher ${CMAKE_COMMAND} -E env
    CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${FALLOW_CCACHE})
  foreach(language CXX CUDA)
    if(NOT DEFINED CMAKE_${language}_COMPILER_LAUNCHER)
      set(CMAKE_${language}_COMPILER_LAUNCHER ${launcher})
    endif()
  endforeach()
endif()

# Language, warnings and floating point of one of our own targets.
# The exact numeric class is defined operation by operation, so no compiler may fuse a product and a
# sum of its own accord: gcc does by default.
function(fallow_compile_options target)
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_compile_options(${target} PRIVATE
    $<$<COMPILE_LANGUAGE:CXX>:-ffp-contract=off;-fno-semantic-interposition>
    $<$<COMPILE_LANGUAGE:CUDA>:-fmad=false;-prec-div=true;-prec-sqrt=true;-ftz=false>)
  if(FALLOW_WARNINGS)  # a designated initialiser may leave members to their defaults
    target_compile_options(${target} PRIVATE
      $<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Werror;-Wno-missing-field-initializers>)
  endif()
endfunction()
