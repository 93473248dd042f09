# VKTRAIN_SANITIZE: "", "address,undefined" or "thread"; set by the presets `asan` and `tsan`.
set(VKTRAIN_SANITIZE "" CACHE STRING "Sanitizers to compile and link with")
if(VKTRAIN_SANITIZE)
  add_compile_options(-fsanitize=${VKTRAIN_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${VKTRAIN_SANITIZE})
endif()
