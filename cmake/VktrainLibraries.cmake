# Every library that the tree uses, as imported targets that all folders see:
#
#   fmt::fmt nlohmann_json::nlohmann_json tomlplusplus::tomlplusplus CLI11::CLI11 ZLIB::ZLIB
#   Threads::Threads vktrain::vulkan_headers vktrain::digest, CURL::libcurl with VKTRAIN_DOWNLOADS,
#   GTest::gtest GTest::gtest_main GTest::gmock with VKTRAIN_BUILD_TESTS
#
# VKTRAIN_HEADER_ONLY takes fmt, toml++, CLI11, nlohmann-json, volk and the Vulkan headers of the
# machine that builds, all of which then are headers only, and builds GoogleTest from its sources:
# for a system whose packages Debian does not have.
# VKTRAIN_SYSTEM names the system in files that each system has its own of: NAME_<system>.cpp.
if(WIN32)
  set(VKTRAIN_SYSTEM windows)
else()
  set(VKTRAIN_SYSTEM posix)
endif()

option(VKTRAIN_HEADER_ONLY "Use the building machine's header-only libraries" OFF)
set(VKTRAIN_GOOGLETEST_SOURCE /usr/src/googletest CACHE PATH
    "Sources of GoogleTest, for VKTRAIN_HEADER_ONLY")

find_package(Threads REQUIRED)
find_package(ZLIB REQUIRED)

# vktrain_link_headers(NAME...): links headers of the building machine into one folder, without its
# other headers, which the target's compiler must not see.
set(header_only_folder "${CMAKE_BINARY_DIR}/header_only")
function(vktrain_link_headers)
  file(MAKE_DIRECTORY "${header_only_folder}")
  foreach(name IN LISTS ARGN)
    find_path(folder "${name}" PATHS /usr/include /usr/local/include REQUIRED NO_CACHE
              NO_DEFAULT_PATH NO_CMAKE_FIND_ROOT_PATH)
    file(CREATE_LINK "${folder}/${name}" "${header_only_folder}/${name}" SYMBOLIC)
    unset(folder)
  endforeach()
endfunction()

# vktrain_header_library(target [definition...])
function(vktrain_header_library target)
  add_library(${target} INTERFACE IMPORTED)
  target_include_directories(${target} INTERFACE "${header_only_folder}")
  target_compile_definitions(${target} INTERFACE ${ARGN})
endfunction()

if(VKTRAIN_HEADER_ONLY)
  vktrain_link_headers(fmt nlohmann toml++ CLI vulkan vk_video volk.h volk.c)
  vktrain_header_library(fmt::fmt FMT_HEADER_ONLY=1)
  vktrain_header_library(nlohmann_json::nlohmann_json)
  vktrain_header_library(tomlplusplus::tomlplusplus TOML_HEADER_ONLY=1)
  vktrain_header_library(CLI11::CLI11)
  vktrain_header_library(vktrain::vulkan_headers)
else()
  find_package(fmt REQUIRED)
  find_package(nlohmann_json REQUIRED)
  find_package(tomlplusplus REQUIRED)
  find_package(CLI11 REQUIRED)
  # Headers only: the loader is opened at run time.
  find_path(VULKAN_INCLUDE_DIR vulkan/vulkan.h REQUIRED)
  find_path(VOLK_INCLUDE_DIR volk.h REQUIRED)
  add_library(vktrain::vulkan_headers INTERFACE IMPORTED)
  target_include_directories(vktrain::vulkan_headers
                             INTERFACE ${VULKAN_INCLUDE_DIR} ${VOLK_INCLUDE_DIR})
endif()
target_compile_definitions(vktrain::vulkan_headers INTERFACE VK_NO_PROTOTYPES)

# SHA-256: nn/data/sha256_<VKTRAIN_DIGEST>.cpp.
add_library(vktrain::digest INTERFACE IMPORTED)
if(WIN32)
  set(VKTRAIN_DIGEST windows)
  target_link_libraries(vktrain::digest INTERFACE bcrypt)
else()
  set(VKTRAIN_DIGEST openssl)
  find_package(OpenSSL REQUIRED COMPONENTS Crypto)
  target_link_libraries(vktrain::digest INTERFACE OpenSSL::Crypto)
endif()

# nn/data/http_download_<VKTRAIN_DOWNLOADER>.cpp.
find_package(CURL QUIET)
option(VKTRAIN_DOWNLOADS "Let `vktrain data fetch` download, which needs libcurl" ${CURL_FOUND})
if(VKTRAIN_DOWNLOADS)
  find_package(CURL REQUIRED)
  set(VKTRAIN_DOWNLOADER curl)
else()
  set(VKTRAIN_DOWNLOADER off)
  message(STATUS "Downloads: off, so that `vktrain data fetch` only checks what is there")
endif()

if(VKTRAIN_BUILD_TESTS AND VKTRAIN_HEADER_ONLY)
  set(INSTALL_GTEST OFF)
  add_subdirectory("${VKTRAIN_GOOGLETEST_SOURCE}" "${CMAKE_BINARY_DIR}/googletest" EXCLUDE_FROM_ALL)
elseif(VKTRAIN_BUILD_TESTS)
  find_package(GTest REQUIRED)
endif()
