# Compiles one shader: glslang, spirv-opt, spirv-val. Any output with a warning fails the build.
execute_process(
  COMMAND ${GLSLANG} -V --target-env vulkan1.1 ${DEFINE} --depfile ${OUTPUT}.d -o ${OUTPUT} ${SOURCE}
  RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
if(NOT result EQUAL 0 OR output MATCHES "WARNING|ERROR")
  file(REMOVE ${OUTPUT})
  message(FATAL_ERROR "${output}")
endif()
foreach(step IN ITEMS "${SPIRV_OPT};-O;${OUTPUT};-o;${OUTPUT}"
                      "${SPIRV_VAL};--target-env;vulkan1.1;${OUTPUT}")
  execute_process(COMMAND ${step} RESULT_VARIABLE result OUTPUT_VARIABLE output
                  ERROR_VARIABLE output)
  if(NOT result EQUAL 0)
    file(REMOVE ${OUTPUT})
    message(FATAL_ERROR "${step}: ${output}")
  endif()
endforeach()
