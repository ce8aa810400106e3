# Everything that the library stands on. Debian 12's packages are enough: install_dependencies.sh.

find_package(Threads REQUIRED)
find_package(absl CONFIG REQUIRED)
if(NOT FALLOW_KERNELS_ONLY)
  find_package(OpenSSL REQUIRED)  # before gRPC, whose config asks for it without REQUIRED
  find_package(Protobuf REQUIRED)
  find_package(gRPC CONFIG REQUIRED)
  find_package(nlohmann_json REQUIRED)
  find_package(Sodium REQUIRED)
endif()

if(FALLOW_CUDA)  # before any target exists: each copies CMAKE_CUDA_ARCHITECTURES when it is made
  find_package(Nvcc REQUIRED)
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    # PTX for later ones. Code of 8.0 would run on 8.6 and 8.9 too; theirs is scheduled for them.
    set(CMAKE_CUDA_ARCHITECTURES 75-real 80-real 86-real 89-real 90-real 100-real 120)
  endif()
  enable_language(CUDA)
  find_package(CUDAToolkit REQUIRED)
endif()
