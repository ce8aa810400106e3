# Makes `fallow` out of the objects of all folders, and installs it with its public headers and with
# what find_package(fallow) needs. Included by library/CMakeLists.txt when all folders are there.

get_property(parts GLOBAL PROPERTY FALLOW_PARTS)
get_property(outside GLOBAL PROPERTY FALLOW_OUTSIDE_LIBRARIES)
list(REMOVE_DUPLICATES outside)
list(REMOVE_ITEM outside nlohmann_json::nlohmann_json)  # headers only: users need not have it

# The outside libraries that public headers name. They are Abseil's only.
set(FALLOW_PUBLIC_LIBRARIES
  absl::function_ref absl::span absl::status absl::statusor absl::strings absl::time)
file(GLOB public_headers CONFIGURE_DEPENDS ${FALLOW_LIBRARY_DIR}/include/fallow/*.h)

add_library(fallow)
add_library(fallow::fallow ALIAS fallow)
foreach(part IN LISTS parts)
  target_sources(fallow PRIVATE $<TARGET_OBJECTS:${part}>)
endforeach()
target_sources(fallow PUBLIC
  FILE_SET HEADERS BASE_DIRS ${FALLOW_LIBRARY_DIR}/include FILES ${public_headers})
target_compile_features(fallow PUBLIC cxx_std_20)
# PRIVATE libraries of a static library still reach the linker of its users.
target_link_libraries(fallow PUBLIC ${FALLOW_PUBLIC_LIBRARIES} PRIVATE ${outside} Threads::Threads)
if(BUILD_SHARED_LIBS)
  # Exports namespace fallow, not the templates of other libraries that we instantiate.
  set(exports ${PROJECT_SOURCE_DIR}/cmake/fallow_exports.map)
  target_link_options(fallow PRIVATE -Wl,--version-script=${exports} -Wl,-Bsymbolic-functions)
  set_property(TARGET fallow APPEND PROPERTY LINK_DEPENDS ${exports})
endif()
set_target_properties(fallow PROPERTIES
  LINKER_LANGUAGE CXX SOVERSION ${PROJECT_VERSION_MAJOR} VERSION ${PROJECT_VERSION})

include(CMakePackageConfigHelpers)
set(config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/fallow)
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/fallow-config.cmake.in
  ${PROJECT_BINARY_DIR}/fallow-config.cmake INSTALL_DESTINATION ${config_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/fallow-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(TARGETS fallow EXPORT fallow COMPONENT development FILE_SET HEADERS COMPONENT development)
install(EXPORT fallow NAMESPACE fallow:: FILE fallow-targets.cmake DESTINATION ${config_dir}
  COMPONENT development)
install(FILES ${PROJECT_BINARY_DIR}/fallow-config.cmake
  ${PROJECT_BINARY_DIR}/fallow-config-version.cmake
  ${PROJECT_SOURCE_DIR}/cmake/FindNvcc.cmake ${PROJECT_SOURCE_DIR}/cmake/FindSodium.cmake
  DESTINATION ${config_dir} COMPONENT development)
