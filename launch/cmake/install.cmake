# `cmake --install build --prefix DIR`: a tree that can be moved. The program finds libraries beside itself (DIR/lib, as
# in a conda environment), and else where it was linked with them.
set_target_properties(dmltrain PROPERTIES INSTALL_RPATH "$ORIGIN/../lib;${cuda_libraries}" INSTALL_RPATH_USE_LINK_PATH ON)
install(TARGETS dmltrain RUNTIME DESTINATION bin)
install(FILES launch/env DESTINATION bin RENAME dmltrain-env)
# As in the repository, so that links between them lead somewhere.
install(FILES README.md LICENSE DESTINATION share/doc/dmltrain)
install(DIRECTORY launch/help DESTINATION share/doc/dmltrain/launch FILES_MATCHING PATTERN "*.md" PATTERN "*.png")

# The installed program writes these itself.
install(CODE [[
  set(dmltrain_prefix "$ENV{DESTDIR}${CMAKE_INSTALL_PREFIX}")
  function(dmltrain_writes file)
    message(STATUS "Installing: ${dmltrain_prefix}/${file}")
    get_filename_component(folder "${dmltrain_prefix}/${file}" DIRECTORY)
    file(MAKE_DIRECTORY "${folder}")
    execute_process(COMMAND "${dmltrain_prefix}/bin/dmltrain" ${ARGN} OUTPUT_FILE "${dmltrain_prefix}/${file}"
                    COMMAND_ERROR_IS_FATAL ANY)
  endfunction()
  dmltrain_writes(share/man/man1/dmltrain.1 man)
  dmltrain_writes(share/bash-completion/completions/dmltrain completion bash)
  dmltrain_writes(share/zsh/site-functions/_dmltrain completion zsh)
  dmltrain_writes(share/fish/vendor_completions.d/dmltrain.fish completion fish)
]])
