// Suppressions for LeakSanitizer, which calls __lsan_default_suppressions when it starts.
#include "tests/support/leak_suppressions.h"

#include <dlfcn.h>
#include <link.h>

#include <cstddef>
#include <string>
#include <vector>

#ifdef VKTRAIN_ADDRESS_SANITIZER
extern "C" const char* __lsan_default_suppressions() {
  return "leak:libvulkan\n"
         "leak:libvk_swiftshader\n"
         "leak:libVkLayer\n"
         "leak:libLLVM\n";
}
#endif

namespace vktrain::testing {

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

}  // namespace vktrain::testing
