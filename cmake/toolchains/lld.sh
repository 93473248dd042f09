#!/bin/sh
# Links with lld what Debian's mingw-w64 GCC hands to collect2: g++ -wrapper cmake/toolchains/lld.sh.
# That GCC ignores -fuse-ld=lld without a word, because the path of GNU ld is built into it.
shift # collect2, which for Windows would only start the linker
exec ld.lld "$@"
