# Windows on x86-64, from Debian's g++-mingw-w64-x86-64-posix (the variant with std::thread),
# libz-mingw-w64-dev, lld and llvm. The programs need no DLL that Windows does not have.
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(CMAKE_CXX_COMPILER x86_64-w64-mingw32-g++-posix)
set(CMAKE_C_COMPILER x86_64-w64-mingw32-gcc-posix)
set(CMAKE_RC_COMPILER x86_64-w64-mingw32-windres)
set(CMAKE_FIND_ROOT_PATH /usr/x86_64-w64-mingw32)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
# LLVM's linker and archiver, because GNU's before 2.42 look through an object's symbols once per
# COMDAT section (handle_COMDAT), and without optimisation every inline function has one.
find_program(VKTRAIN_LLD ld.lld REQUIRED)
find_program(CMAKE_AR llvm-ar REQUIRED)
find_program(CMAKE_RANLIB llvm-ranlib REQUIRED)
set(CMAKE_EXE_LINKER_FLAGS_INIT "-static -wrapper ${CMAKE_CURRENT_LIST_DIR}/lld.sh")
set(ZLIB_USE_STATIC_LIBS ON)
# Windows 10, the oldest that is still sold with support.
add_compile_definitions(_WIN32_WINNT=0x0A00)
find_program(VKTRAIN_WINE NAMES wine64 wine)
if(VKTRAIN_WINE)
  set(CMAKE_CROSSCOMPILING_EMULATOR "${VKTRAIN_WINE}")
endif()
