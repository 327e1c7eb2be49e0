# Finds the packages that dmltrain stands on. All come from the system; `launch/setup` installs them.

find_package(Threads REQUIRED)
find_package(fmt REQUIRED)

# Debian's CMake package of oneDNN wants OpenCL headers: look for library and header ourselves.
find_path(DML_DNNL_INCLUDE oneapi/dnnl/dnnl.hpp)
find_library(DML_DNNL_LIBRARY dnnl)
if(NOT DML_DNNL_INCLUDE OR NOT DML_DNNL_LIBRARY)
  message(FATAL_ERROR "oneDNN is missing: run launch/setup")
endif()
file(STRINGS ${DML_DNNL_INCLUDE}/oneapi/dnnl/dnnl_version.h dnnl_major REGEX "define DNNL_VERSION_MAJOR")
if(NOT dnnl_major MATCHES " [23]$")
  message(FATAL_ERROR "oneDNN 2 or 3 is needed, and ${DML_DNNL_INCLUDE} has another: ${dnnl_major}")
endif()
add_library(dml_dnnl INTERFACE)
target_include_directories(dml_dnnl SYSTEM INTERFACE ${DML_DNNL_INCLUDE})
target_link_libraries(dml_dnnl INTERFACE ${DML_DNNL_LIBRARY})

# Protobuf goes before ONNX, whose package refers to it. From version 22 on only its own package knows all that it links
# with; Debian 12 has none, and there CMake's module does.
find_package(Protobuf CONFIG QUIET)
if(NOT Protobuf_FOUND)
  find_package(Protobuf REQUIRED)
endif()
# The messages are a library of their own, or part of libonnx, as conda-forge's recipes build it.
find_path(DML_ONNX_INCLUDE onnx/onnx_pb.h)
find_library(DML_ONNX_PROTO_LIBRARY NAMES onnx_proto onnx)
if(NOT DML_ONNX_INCLUDE OR NOT DML_ONNX_PROTO_LIBRARY)
  message(FATAL_ERROR "onnx is missing: run launch/setup")
endif()
add_library(dml_onnx_proto INTERFACE)
target_include_directories(dml_onnx_proto SYSTEM INTERFACE ${DML_ONNX_INCLUDE})
target_compile_definitions(dml_onnx_proto INTERFACE ONNX_ML=1 ONNX_NAMESPACE=onnx)
target_link_libraries(dml_onnx_proto INTERFACE ${DML_ONNX_PROTO_LIBRARY} protobuf::libprotobuf)

add_library(dml_openmp INTERFACE)
if(DML_WITH_OPENMP)
  find_package(OpenMP REQUIRED COMPONENTS CXX)
  target_link_libraries(dml_openmp INTERFACE OpenMP::OpenMP_CXX)
else()
  # Loops keep their `#pragma omp simd`; there are no threads inside a rank.
  target_compile_options(dml_openmp INTERFACE -fopenmp-simd -Wno-unknown-pragmas)
endif()

set(DML_HAVE_MPI OFF)
if(NOT DML_WITH_MPI STREQUAL "OFF")
  set(MPI_CXX_SKIP_MPICXX ON)
  if(DML_WITH_MPI STREQUAL "ON")
    find_package(MPI REQUIRED COMPONENTS CXX)
  else()
    find_package(MPI QUIET COMPONENTS CXX)
  endif()
  set(DML_HAVE_MPI ${MPI_CXX_FOUND})
endif()
message(STATUS "Ranks as MPI processes: ${DML_HAVE_MPI}")
