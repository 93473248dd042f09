// An environment variable that is as it was when the test ends.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "runtime/platform.h"
#include "tests/support/system.h"

namespace vktrain::testing {

class ScopedVariable {
 public:
  // A null `value` removes the variable.
  ScopedVariable(const char* name, const char* value)
      : name_(name), old_(environment_variable(name)) {
    set_variable(name, value);
  }
  ScopedVariable(const char* name, const std::filesystem::path& value)
      : ScopedVariable(name, value.string().c_str()) {}
  ~ScopedVariable() { set_variable(name_, old_ ? old_->c_str() : nullptr); }
  ScopedVariable(const ScopedVariable&) = delete;
  ScopedVariable& operator=(const ScopedVariable&) = delete;

 private:
  const char* name_;
  std::optional<std::string> old_;
};

}  // namespace vktrain::testing
