// The sanitizers call these functions when they start. Drivers are not built with ThreadSanitizer,
// which therefore does not see their own synchronization (futexes, atomics).
#include "tests/support/sanitizer_suppressions.h"

#ifdef VKTRAIN_ADDRESS_SANITIZER
#include <dlfcn.h>
#include <link.h>

#include <cstddef>
#include <string>
#include <vector>
#endif

extern "C" const char* __tsan_default_suppressions() {
  return "race:libvulkan_\n"
         "race:libvk_swiftshader\n"
         "race:libVkLayer\n"
         "race:libLLVM\n";
}

#ifdef VKTRAIN_ADDRESS_SANITIZER
extern "C" const char* __lsan_default_suppressions() {
  return "leak:libvulkan\n"
         "leak:libvk_swiftshader\n"
         "leak:libVkLayer\n"
         "leak:libLLVM\n";
}
#endif

namespace vktrain::testing {

#ifdef VKTRAIN_ADDRESS_SANITIZER
void keep_libraries_mapped() {
  std::vector<std::string> names;
  const auto collect = [](dl_phdr_info* library, std::size_t, void* list) {
    if (library->dlpi_name) {
      static_cast<std::vector<std::string>*>(list)->emplace_back(library->dlpi_name);
    }
    return 0;
  };
  dl_iterate_phdr(collect, &names);
  for (const std::string& name : names) {
    dlopen(name.c_str(), RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
  }
}
#else
void keep_libraries_mapped() {}
#endif

}  // namespace vktrain::testing
