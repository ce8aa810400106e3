# Makes fallow_proto, the C++ of proto/fallow/v1. Generated code gets no warnings: it is not ours.

set(FALLOW_PROTOS fallow/v1/peer.proto)
set(FALLOW_SERVICE_PROTOS fallow/v1/peer.proto)  # those of them that have a gRPC service

find_program(FALLOW_GRPC_PLUGIN grpc_cpp_plugin REQUIRED)  # Debian's gRPC targets do not name it
set(generated ${PROJECT_BINARY_DIR}/proto)
file(MAKE_DIRECTORY ${generated})
set(generated_sources)
foreach(proto IN LISTS FALLOW_PROTOS)
  string(REGEX REPLACE "\\.proto$" "" stem ${proto})
  set(outputs ${generated}/${stem}.pb.cc ${generated}/${stem}.pb.h)
  set(service_options)
  if(proto IN_LIST FALLOW_SERVICE_PROTOS)
    list(APPEND outputs ${generated}/${stem}.grpc.pb.cc ${generated}/${stem}.grpc.pb.h)
    set(service_options
      --grpc_out=${generated} --plugin=protoc-gen-grpc=${FALLOW_GRPC_PLUGIN})
  endif()
  add_custom_command(
    OUTPUT ${outputs}
    COMMAND protobuf::protoc --proto_path=${PROJECT_SOURCE_DIR}/proto --cpp_out=${generated}
            ${service_options} ${PROJECT_SOURCE_DIR}/proto/${proto}
    DEPENDS ${PROJECT_SOURCE_DIR}/proto/${proto}
    VERBATIM)
  list(APPEND generated_sources ${outputs})
endforeach()

add_library(fallow_proto STATIC ${generated_sources})
target_compile_features(fallow_proto PUBLIC cxx_std_20)
target_compile_options(fallow_proto PRIVATE -w)
target_include_directories(fallow_proto SYSTEM PUBLIC ${generated})
target_link_libraries(fallow_proto PUBLIC gRPC::grpc++ protobuf::libprotobuf)
set_property(GLOBAL APPEND PROPERTY FALLOW_PARTS fallow_proto)
set_property(GLOBAL APPEND PROPERTY FALLOW_OUTSIDE_LIBRARIES gRPC::grpc++ protobuf::libprotobuf)
