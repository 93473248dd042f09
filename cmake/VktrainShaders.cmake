# vktrain_compile_shaders(out_variable NAME...): compiles shaders/NAME.comp to SPIR-V for Vulkan 1.1,
# optimises and validates it. A glslang warning is an error. Sets out_variable to the .spv files.
find_program(GLSLANG_VALIDATOR NAMES glslangValidator glslang REQUIRED)
find_program(SPIRV_OPT spirv-opt REQUIRED)
find_program(SPIRV_VAL spirv-val REQUIRED)

function(vktrain_compile_shaders out_variable)
  set(outputs)
  foreach(name IN LISTS ARGN)
    set(source "${CMAKE_CURRENT_SOURCE_DIR}/${name}.comp")
    set(output "${CMAKE_CURRENT_BINARY_DIR}/${name}.spv")
    add_custom_command(
      OUTPUT "${output}"
      COMMAND ${CMAKE_COMMAND} -DGLSLANG=${GLSLANG_VALIDATOR} -DSPIRV_OPT=${SPIRV_OPT}
              -DSPIRV_VAL=${SPIRV_VAL} -DSOURCE=${source} -DOUTPUT=${output}
              -P ${CMAKE_SOURCE_DIR}/cmake/compile_shader.cmake
      DEPENDS "${source}" "${CMAKE_SOURCE_DIR}/cmake/compile_shader.cmake"
      DEPFILE "${output}.d"
      COMMENT "Shader ${name}.comp"
      VERBATIM)
    list(APPEND outputs "${output}")
  endforeach()
  set(${out_variable} "${outputs}" PARENT_SCOPE)
endfunction()

# vktrain_can_compile_shader(out_variable NAME): whether the tools that were found know everything in
# shaders/NAME.comp. Tries once per build folder.
function(vktrain_can_compile_shader out_variable name)
  set(cache_variable "VKTRAIN_COMPILES_${name}")
  if(NOT DEFINED ${cache_variable})
    execute_process(
      COMMAND ${CMAKE_COMMAND} -DGLSLANG=${GLSLANG_VALIDATOR} -DSPIRV_OPT=${SPIRV_OPT}
              -DSPIRV_VAL=${SPIRV_VAL} -DSOURCE=${CMAKE_CURRENT_SOURCE_DIR}/${name}.comp
              -DOUTPUT=${CMAKE_CURRENT_BINARY_DIR}/try_${name}.spv
              -P ${CMAKE_SOURCE_DIR}/cmake/compile_shader.cmake
      RESULT_VARIABLE result OUTPUT_QUIET ERROR_QUIET)
    if(result EQUAL 0)
      set(compiles TRUE)
    else()
      set(compiles FALSE)
    endif()
    set(${cache_variable} ${compiles} CACHE BOOL "The GLSL compiler knows all of ${name}.comp")
  endif()
  set(${out_variable} ${${cache_variable}} PARENT_SCOPE)
endfunction()
