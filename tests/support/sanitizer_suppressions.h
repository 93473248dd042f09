// Sanitizer reports from within Vulkan drivers and layers are suppressed by the library's name, so
// that ours cannot hide.
#pragma once

namespace vktrain::testing {

#if defined(__SANITIZE_ADDRESS__)
#define VKTRAIN_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define VKTRAIN_ADDRESS_SANITIZER 1
#endif
#endif

#ifdef VKTRAIN_ADDRESS_SANITIZER
inline constexpr bool kAddressSanitizer = true;
#else
inline constexpr bool kAddressSanitizer = false;
#endif

// Keeps every library that is loaded now mapped until the program ends. The loader unloads drivers
// with the last instance; a leak from an unmapped library has no name to suppress.
void keep_libraries_mapped();

}  // namespace vktrain::testing
