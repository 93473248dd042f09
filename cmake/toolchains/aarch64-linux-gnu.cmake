# Linux on ARM64, from Debian's g++-aarch64-linux-gnu. The target's libraries are Debian's arm64
# packages, unpacked into VKTRAIN_SYSROOT by scripts/cross.sh.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(VKTRAIN_SYSROOT "${CMAKE_CURRENT_LIST_DIR}/../../build/sysroot-arm64" CACHE PATH
    "Folder with the target's unpacked packages")
get_filename_component(sysroot "${VKTRAIN_SYSROOT}" ABSOLUTE)
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES VKTRAIN_SYSROOT)
# Not CMAKE_SYSROOT: the C library's headers are the compiler's own.
set(CMAKE_FIND_ROOT_PATH "${sysroot}")
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
# Libraries that libraries need.
set(library_folders "${sysroot}/usr/lib/aarch64-linux-gnu:${sysroot}/lib/aarch64-linux-gnu")
set(CMAKE_EXE_LINKER_FLAGS_INIT "-Wl,-rpath-link,${library_folders}")
set(CMAKE_SHARED_LINKER_FLAGS_INIT "-Wl,-rpath-link,${library_folders}")
find_program(VKTRAIN_QEMU NAMES qemu-aarch64-static qemu-aarch64)
if(VKTRAIN_QEMU)
  set(CMAKE_CROSSCOMPILING_EMULATOR "${VKTRAIN_QEMU};-L;${sysroot}")
endif()
