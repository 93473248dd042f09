#include "tests/support/german_locale.h"

#include <stdexcept>

namespace vktrain::testing {
namespace {

// Compiled once per program, which takes a second or two.
class CompiledLocale {
 public:
  CompiledLocale() {
    const std::string target = (folder_ / "de_DE.UTF-8").string();
    Process localedef("/usr/bin/localedef", {"--no-archive", "-i", "de_DE", "-f", "UTF-8", target},
                      folder_ / "messages");
    if (localedef.started()) localedef.wait();
  }
  const std::filesystem::path& folder() const { return folder_.path(); }

 private:
  TemporaryFolder folder_;
};

const std::filesystem::path& compiled_folder() {
  static const CompiledLocale compiled;
  return compiled.folder();
}

}  // namespace

GermanLocale::GermanLocale() : path_("LOCPATH", compiled_folder()) {
  try {
    // With a name it calls setlocale(LC_ALL, name), too.
    before_ = std::locale::global(std::locale("de_DE.UTF-8"));
    available_ = true;
  } catch (const std::runtime_error&) {
  }
}

GermanLocale::~GermanLocale() {
  if (available_) std::locale::global(before_);
}

}  // namespace vktrain::testing
