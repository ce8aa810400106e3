# Finds CUDA's compiler in CUDA_HOME, on PATH, or in PyPI's wheels in the Python environment in use:
# FALLOW_NVCC. enable_language(CUDA) and find_package(CUDAToolkit) then take the toolkit around it.
# As a script, `cmake -P cmake/FindNvcc.cmake`, it prints where nvcc is, and nothing if there is none.

set(Nvcc_PYTHON ${Python_EXECUTABLE})  # scikit-build-core names the one that it builds for
if(NOT Nvcc_PYTHON)
  set(Nvcc_PYTHON python3)
endif()
execute_process(
  COMMAND ${Nvcc_PYTHON} -c "import sysconfig; print(sysconfig.get_path('purelib'))"
  OUTPUT_VARIABLE Nvcc_WHEELS OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
file(GLOB Nvcc_WHEEL_ROOTS ${Nvcc_WHEELS}/nvidia/cu*)
find_program(FALLOW_NVCC nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH PATHS ${Nvcc_WHEEL_ROOTS}
  PATH_SUFFIXES bin NO_CMAKE_SYSTEM_PATH DOC "CUDA's compiler")

if(CMAKE_SCRIPT_MODE_FILE STREQUAL CMAKE_CURRENT_LIST_FILE)
  if(FALLOW_NVCC)
    execute_process(COMMAND ${CMAKE_COMMAND} -E echo ${FALLOW_NVCC})
  endif()
  return()
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Nvcc REQUIRED_VARS FALLOW_NVCC REASON_FAILURE_MESSAGE
  "no nvcc in CUDA_HOME ('$ENV{CUDA_HOME}'), on PATH, or in wheels below '${Nvcc_WHEELS}': README.md, \"With CUDA\"")
if(Nvcc_FOUND AND NOT CMAKE_CUDA_COMPILER)
  set(CMAKE_CUDA_COMPILER ${FALLOW_NVCC})
endif()

# The wheels have lib where nvcc and CMake look for lib64, and no libcudart.so without a version.
if(FALLOW_NVCC MATCHES "(.*/nvidia/cu[0-9]+)/bin/nvcc$" AND NOT CUDA_CUDART)
  set(CUDAToolkit_ROOT ${CMAKE_MATCH_1})
  file(GLOB CUDA_CUDART ${CUDAToolkit_ROOT}/lib/libcudart.so.*)
  string(APPEND CMAKE_CUDA_FLAGS " -L${CUDAToolkit_ROOT}/lib")
endif()
