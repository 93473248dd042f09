// A locale whose numbers read 1.234,5: what a text of ours must never look like.
#pragma once

#include <locale>

#include "tests/support/scoped_variable.h"
#include "tests/support/temporary_folder.h"

namespace vktrain::testing {

// While it lives, de_DE.UTF-8 is the locale of C and of C++ for this process, and what its children
// find in LC_ALL. Compiled by localedef(1) into a folder of its own.
class GermanLocale {
 public:
  GermanLocale();
  ~GermanLocale();
  GermanLocale(const GermanLocale&) = delete;
  GermanLocale& operator=(const GermanLocale&) = delete;

  // False where localedef or its sources (Debian's package locales) are missing.
  bool available() const { return available_; }

 private:
  ScopedVariable path_;
  ScopedVariable all_{"LC_ALL", "de_DE.UTF-8"};
  std::locale before_;
  bool available_ = false;
};

}  // namespace vktrain::testing
