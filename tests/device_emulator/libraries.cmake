# NVIDIA's libraries over the emulated device, with the calls that are used emulated and all others named when called, and
# their tests.
set_source_files_properties(cublas_lt/product.cpp cudnn/convolution_sums.cpp PROPERTIES COMPILE_OPTIONS -O3)
foreach(library cublasLt:13:cublas_lt cudnn:9:cudnn nccl:2:nccl)
  string(REPLACE ":" ";" library ${library})
  list(GET library 0 name)
  list(GET library 1 version)
  list(GET library 2 folder)
  find_file(DML_REAL_${name} lib${name}.so.${version} HINTS ${cuda_libraries} ${CUDAToolkit_LIBRARY_DIR})
  mark_as_advanced(DML_REAL_${name})
  set(real "")
  if(DML_REAL_${name})
    set(real REAL ${DML_REAL_${name}})
  endif()
  file(GLOB sources CONFIGURE_DEPENDS ${folder}/*.cpp)
  dml_emulated_library(dml_emulated_${name} SONAME lib${name}.so.${version} ${real} EXPORTS "${name}*" "p${name}*"
                       SOURCES ${sources})
  target_include_directories(dml_emulated_${name} SYSTEM PRIVATE ${DML_INCLUDE_${name}_h})
  target_link_libraries(dml_emulated_${name} PRIVATE dml_emulated_cudart)

  # Linked with the emulated libraries: what is tested here is the emulation.
  set(test dml_test_emulated_${folder})
  file(GLOB checks CONFIGURE_DEPENDS library_checks/${folder}_*.cpp)
  add_executable(${test} ${checks})
  target_include_directories(${test} SYSTEM PRIVATE ${DML_INCLUDE_${name}_h})
  set_target_properties(${test} PROPERTIES UNITY_BUILD OFF)
  target_link_libraries(${test} PRIVATE dml_emulator_options dml_emulated_${name} dml_emulated_cudart GTest::gtest
                                        GTest::gtest_main)
  gtest_discover_tests(${test} TEST_PREFIX emulated. PROPERTIES LABELS emulated DISCOVERY_TIMEOUT 60)
endforeach()
