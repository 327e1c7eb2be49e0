# Tests that are scripts: lint, the sanitizer builds, and training through the command line against PyTorch's numbers.
# 77 is their exit code for "cannot run here", which ctest shows as skipped.
find_program(DML_PYTHON python3 PATHS /usr/bin NO_DEFAULT_PATH)
if(NOT DML_PYTHON)
  find_program(DML_PYTHON python3 REQUIRED)
endif()
cmake_host_system_information(RESULT DML_CORES QUERY NUMBER_OF_LOGICAL_CORES)

# name, label, time-out in seconds, cores that it keeps busy, command from the root of the repository
function(dml_script_test name label seconds cores)
  add_test(NAME ${name} COMMAND ${ARGN} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES LABELS ${label} TIMEOUT ${seconds} PROCESSORS ${cores} SKIP_RETURN_CODE 77)
endfunction()

dml_script_test(layering lint 60 1 ${DML_PYTHON} tests/lint/layering.py)
dml_script_test(layering.proof lint 60 1 ${DML_PYTHON} tests/lint/layering.py --prove)
dml_script_test(lint.tree lint 60 1 ${DML_PYTHON} tests/lint/tree.py)
dml_script_test(lint.format lint 300 1 tests/lint/format)
dml_script_test(lint.shell lint 120 1 tests/lint/shell)
dml_script_test(lint.tidy lint 1800 ${DML_CORES} tests/lint/tidy)
if(DML_HAVE_CUDA)
  # Reads the table of the kernels; where that is of other sources, compiles every kernel again for each architecture.
  dml_script_test(cuda.registers cuda 3600 1 ${DML_PYTHON} benchmarks/kernels/ptxas_table.py --check --nvcc ${DML_NVCC}
                  --cache ${CMAKE_BINARY_DIR}/ptxas)
  set_tests_properties(cuda.registers PROPERTIES LABELS "cuda;emulated")
endif()

if(NOT DML_SANITIZE)
  dml_script_test(sanitize.address sanitize 1800 ${DML_CORES} tests/sanitize/address)
  dml_script_test(sanitize.thread sanitize 1800 ${DML_CORES} tests/sanitize/thread)

  set(parity ${DML_PYTHON} tests/parity/parity.py --binary $<TARGET_FILE:dmltrain>)
  set(bitwise ${DML_PYTHON} tests/parity/bitwise.py --binary $<TARGET_FILE:dmltrain>)
  set(faults ${DML_PYTHON} tests/parity/faults.py --binary $<TARGET_FILE:dmltrain_faulty>)
  set(bad_input ${DML_PYTHON} tests/launch/bad_input.py --binary $<TARGET_FILE:dmltrain>)
  dml_script_test(parity.judge unit 60 1 ${DML_PYTHON} tests/parity/judge_test.py)
  dml_script_test(parity.gpus_needed unit 60 1 ${DML_PYTHON} tests/parity/parity_test.py)
  dml_script_test(benchmarks.train unit 60 1 ${DML_PYTHON} tests/benchmarks/train_test.py)
  dml_script_test(benchmarks.ptxas_table unit 60 1 ${DML_PYTHON} tests/benchmarks/ptxas_table_test.py)
  dml_script_test(launch.bad_input unit 300 1 ${bad_input})
  dml_script_test(launch.graph_page parity 120 1 ${DML_PYTHON} tests/launch/graph_page.py --binary $<TARGET_FILE:dmltrain>)
  dml_script_test(launch.schedule_page parity 120 1 ${DML_PYTHON} tests/launch/schedule_page.py --binary $<TARGET_FILE:dmltrain>)
  dml_script_test(launch.plan_page parity 120 1 ${DML_PYTHON} tests/launch/plan_page.py --binary $<TARGET_FILE:dmltrain>)
  dml_script_test(launch.report_page parity 300 1 ${DML_PYTHON} tests/launch/report_page.py --binary $<TARGET_FILE:dmltrain>)
  dml_script_test(launch.step_page parity 300 1 ${DML_PYTHON} tests/launch/step_page.py --binary $<TARGET_FILE:dmltrain>)
  dml_script_test(parity.quick parity 900 ${DML_CORES} ${parity} --suite quick)
  # On the emulated GPU of this build, and on what real ones there are.
  set(parity_emulated ${parity} --emulator ${CMAKE_BINARY_DIR}/emulator)
  dml_script_test(parity.emulated emulated 1200 ${DML_CORES} ${parity_emulated} --suite gpu --workers ${DML_CORES})
  foreach(order ${DML_EMULATED_ORDERS})
    string(REPLACE "." ";EMULATOR_SEED=" settings EMULATOR_POLICY=${order})
    dml_script_test(parity.emulated.${order} emulated 300 ${DML_CORES} ${parity_emulated} --suite gpu_orders)
    set_tests_properties(parity.emulated.${order} PROPERTIES ENVIRONMENT "${settings}")
  endforeach()
  dml_script_test(parity.emulated_processes emulated_all 7200 ${DML_CORES} ${parity_emulated} --suite gpu_processes)
  dml_script_test(launch.gpu_errors emulated 600 2 ${DML_PYTHON} tests/launch/gpu/errors.py
                  --binary $<TARGET_FILE:dmltrain> --emulator ${CMAKE_BINARY_DIR}/emulator)
  dml_script_test(launch.gpu_steps emulated 600 2 ${DML_PYTHON} tests/launch/gpu/steps.py --binary $<TARGET_FILE:dmltrain>
                  --emulator ${CMAKE_BINARY_DIR}/emulator)
  dml_script_test(launch.gpu_options emulated 300 2 ${DML_PYTHON} tests/launch/gpu/options.py
                  --binary $<TARGET_FILE:dmltrain> --emulator ${CMAKE_BINARY_DIR}/emulator)
  dml_script_test(launch.doctor_gpus emulated 300 2 ${DML_PYTHON} tests/launch/doctor.py --binary $<TARGET_FILE:dmltrain>
                  --emulator ${CMAKE_BINARY_DIR}/emulator)
  dml_script_test(emulator.mutable_kernels unit 60 1 ${DML_PYTHON} tests/device_emulator/checks/mutable_kernels_test.py)
  dml_script_test(emulator.sweeps unit 60 1 ${DML_PYTHON} tests/device_emulator/checks/sweep_test.py)
  # Faults and mutations: all of them, and some that the commit draws. Of ten mutants where 95 % are known, 8 or more are
  # known in 99 of 100 draws, 9 or more in 91.
  set(fault_sweep ${DML_PYTHON} tests/device_emulator/fault_sweep.py --build ${CMAKE_BINARY_DIR})
  set(mutations ${DML_PYTHON} tests/device_emulator/mutations.py --build ${CMAKE_BINARY_DIR})
  dml_script_test(emulator.fault_sweep_all emulated_all 7200 2 ${fault_sweep})
  dml_script_test(emulator.fault_sweep emulated 600 2 ${fault_sweep} --draw 12)
  dml_script_test(emulator.mutations_all emulated_all 7200 ${DML_CORES} ${mutations} --workers ${DML_CORES})
  dml_script_test(emulator.mutations emulated 600 ${DML_CORES} ${mutations} --draw 10 --at-least 0.8 --workers ${DML_CORES})
  dml_script_test(sanitize.emulated_address emulated_all 3600 ${DML_CORES} tests/sanitize/emulated_address)
  dml_script_test(sanitize.emulated_thread emulated_all 3600 ${DML_CORES} tests/sanitize/emulated_thread)
  dml_script_test(parity.gpu gpu 3600 1 ${parity} --suite gpu)
  if(DML_HAVE_CUDA)
    set(on_gpu "(test -e /dev/nvidiactl || test -n \"$EMULATOR_KERNELS\" || exit 77) && exec")
    dml_script_test(gpu.kernels gpu 600 1 sh -c "${on_gpu} $<TARGET_FILE:dml_test_kernels_cuda> --gtest_brief=1")
    dml_script_test(gpu.operations gpu 600 1
                    sh -c "${on_gpu} $<TARGET_FILE:dml_test_runtime> --gtest_brief=1 --gtest_filter='*/cuda_*'")
  endif()
  dml_script_test(build.by_file slow 3600 ${DML_CORES} tests/lint/by_file)
  dml_script_test(parity.full slow 7200 ${DML_CORES} ${parity} --suite full)
  dml_script_test(parity.product slow 14400 ${DML_CORES} ${parity} --suite product)
  dml_script_test(faults.drawn parity 600 ${DML_CORES} ${faults} --per-kind 1)
  dml_script_test(faults.all slow 3600 ${DML_CORES} ${faults})
  dml_script_test(bitwise parity 600 ${DML_CORES} ${bitwise})
  dml_script_test(shards parity 600 ${DML_CORES} ${DML_PYTHON} tests/parity/shards.py --binary $<TARGET_FILE:dmltrain>)
  dml_script_test(launch.resume parity 300 ${DML_CORES} ${DML_PYTHON} tests/launch/resume.py $<TARGET_FILE:dmltrain>)
  dml_script_test(launch.compare parity 120 ${DML_CORES} ${DML_PYTHON} tests/launch/compare.py
                  --binary $<TARGET_FILE:dmltrain>)
  dml_script_test(launch.multi_device parity 300 ${DML_CORES} ${DML_PYTHON} tests/launch/multi_device.py
                  --binary $<TARGET_FILE:dmltrain>)
  dml_script_test(launch.compare_trace unit 120 1 ${DML_PYTHON} tests/launch/compare_trace.py --binary $<TARGET_FILE:dmltrain>)
  dml_script_test(launch.doctor parity 300 ${DML_CORES} ${DML_PYTHON} tests/launch/doctor.py --binary $<TARGET_FILE:dmltrain>
                  --faulty $<TARGET_FILE:dmltrain_faulty>)
  dml_script_test(launch.shell parity 120 1 ${DML_PYTHON} tests/launch/shell.py --binary $<TARGET_FILE:dmltrain>)
  dml_script_test(launch.install parity 120 1 ${DML_PYTHON} tests/launch/install.py --build ${CMAKE_BINARY_DIR})
  dml_script_test(launch.packages parity 60 1 ${DML_PYTHON} tests/launch/packages.py --binary $<TARGET_FILE:dmltrain>)
  dml_script_test(cluster.examples unit 120 1 ${DML_PYTHON} tests/cluster/examples.py --binary $<TARGET_FILE:dmltrain>)
  dml_script_test(trace parity 120 ${DML_CORES} ${DML_PYTHON} tests/launch/trace.py --binary $<TARGET_FILE:dmltrain>)
  if(DML_HAVE_MPI)
    dml_script_test(cluster.slurm slurm 1200 ${DML_CORES} ${DML_PYTHON} tests/cluster/slurm.py
                    --binary $<TARGET_FILE:dmltrain>)
    dml_script_test(cluster.hosts hosts 300 ${DML_CORES} ${DML_PYTHON} tests/cluster/hosts.py $<TARGET_FILE:dmltrain>)
    dml_script_test(mpi.bad_input mpi 300 ${DML_CORES} ${bad_input} --mpi)
    dml_script_test(parity.mpi mpi 900 ${DML_CORES} ${parity} --suite mpi)
    dml_script_test(doctor.mpi mpi 120 ${DML_CORES} ${DML_PYTHON} tests/launch/doctor.py --mpi
                    --binary $<TARGET_FILE:dmltrain>)
    dml_script_test(trace.mpi mpi 120 ${DML_CORES} ${DML_PYTHON} tests/launch/trace.py --mpi
                    --binary $<TARGET_FILE:dmltrain>)
    dml_script_test(bitwise.mpi mpi 600 ${DML_CORES} ${bitwise} --mpi)
  endif()
endif()
