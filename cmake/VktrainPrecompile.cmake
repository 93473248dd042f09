# VKTRAIN_PRECOMPILE parses the libraries' headers once per room instead of once per file: for builds
# from nothing without optimisation, which parsing is most of. Included last.
option(VKTRAIN_PRECOMPILE "Precompile the libraries' headers" OFF)
if(VKTRAIN_PRECOMPILE)
  # Not <filesystem>, on which nlohmann-json and CLI11 build: it brings std::quoted, which a call of
  # nn's quoted(std::string) then finds, too.
  set(headers <algorithm> <array> <functional> <map> <memory> <optional> <set> <span> <string>
      <vector> <fmt/format.h> <fmt/ranges.h>)
  target_precompile_headers(vktrain_nn PRIVATE ${headers})
  target_precompile_headers(vktrain_runtime PRIVATE ${headers} <nlohmann/json.hpp>)
  target_precompile_headers(vktrain_app PRIVATE ${headers})
  if(VKTRAIN_BUILD_TESTS)
    foreach(tests runtime_tests nn_tests apps_tests)
      target_precompile_headers(${tests} PRIVATE ${headers} <gtest/gtest.h>)
    endforeach()
  endif()
endif()
