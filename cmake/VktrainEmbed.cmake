# vktrain_embed(output.cpp FUNCTION fully::qualified HEADER header.h FILES ...)
# Writes a C++ source that defines `std::span<const EmbeddedFile> FUNCTION()` over the files'
# bytes, sorted by name (the file's name without folder and last extension).
function(vktrain_embed output)
  cmake_parse_arguments(ARG "" "FUNCTION;HEADER" "FILES" ${ARGN})
  string(REPLACE ";" "|" files "${ARG_FILES}")
  add_custom_command(
    OUTPUT "${output}"
    COMMAND ${CMAKE_COMMAND} -DOUTPUT=${output} -DFUNCTION=${ARG_FUNCTION} -DHEADER=${ARG_HEADER}
            "-DFILES=${files}" -P ${CMAKE_SOURCE_DIR}/cmake/embed.cmake
    DEPENDS ${ARG_FILES} "${CMAKE_SOURCE_DIR}/cmake/embed.cmake"
    COMMENT "Embedding into ${output}"
    VERBATIM)
endfunction()
