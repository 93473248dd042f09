# vktrain_compile_shaders(out_variable NAME...): compiles NAME.comp to SPIR-V for Vulkan 1.1, optimises
# and validates it; for a NAME_texels or NAME_gathered without a file of its own NAME.comp, with TEXELS
# or GATHERED defined. A glslang warning is an error. Sets out_variable to the .spv files.
find_program(GLSLANG_VALIDATOR NAMES glslangValidator glslang REQUIRED)
find_program(SPIRV_OPT spirv-opt REQUIRED)
find_program(SPIRV_VAL spirv-val REQUIRED)

function(vktrain_compile_shaders out_variable)
  set(outputs)
  foreach(name IN LISTS ARGN)
    set(source "${CMAKE_CURRENT_SOURCE_DIR}/${name}.comp")
    set(define)
    if(name MATCHES "^(.*)_(texels|gathered)$" AND NOT EXISTS "${source}")
      set(source "${CMAKE_CURRENT_SOURCE_DIR}/${CMAKE_MATCH_1}.comp")
      string(TOUPPER "-D${CMAKE_MATCH_2}" define)
    endif()
    set(output "${CMAKE_CURRENT_BINARY_DIR}/${name}.spv")
    add_custom_command(
      OUTPUT "${output}"
      COMMAND ${CMAKE_COMMAND} -DGLSLANG=${GLSLANG_VALIDATOR} -DSPIRV_OPT=${SPIRV_OPT}
              -DSPIRV_VAL=${SPIRV_VAL} -DSOURCE=${source} -DDEFINE=${define} -DOUTPUT=${output}
              -P ${CMAKE_SOURCE_DIR}/cmake/compile_shader.cmake
      DEPENDS "${source}" "${CMAKE_SOURCE_DIR}/cmake/compile_shader.cmake"
      DEPFILE "${output}.d"
      COMMENT "Shader ${name}"
      VERBATIM)
    list(APPEND outputs "${output}")
  endforeach()
  set(${out_variable} "${outputs}" PARENT_SCOPE)
endfunction()

# vktrain_glslang_knows(out_variable EXTENSION): whether the GLSL compiler that was found knows this
# extension of GLSL.
function(vktrain_glslang_knows out_variable extension)
  set(probe "${CMAKE_CURRENT_BINARY_DIR}/knows_${extension}.comp")
  file(WRITE "${probe}" "#version 450\n#extension ${extension} : require\nvoid main() {}\n")
  execute_process(
    COMMAND ${GLSLANG_VALIDATOR} -V --target-env vulkan1.1 -o "${probe}.spv" "${probe}"
    RESULT_VARIABLE result OUTPUT_QUIET ERROR_QUIET)
  if(result EQUAL 0)
    set(${out_variable} TRUE PARENT_SCOPE)
  else()
    set(${out_variable} FALSE PARENT_SCOPE)
  endif()
endfunction()
