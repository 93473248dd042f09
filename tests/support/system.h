// What tests need of the operating system: one file per system (system_posix.cpp,
// system_windows.cpp).
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace vktrain::testing {

// Of this process, as environment_variable() sees it; a null `value` removes the variable.
void set_variable(const char* name, const char* value);

// A program in a process of its own, its output and its errors in a file; killed when the object
// goes.
class Process {
 public:
  Process(const std::filesystem::path& program, const std::vector<std::string>& arguments,
          const std::filesystem::path& output);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  bool started() const;
  bool ended();
  void wait();
  void kill();
  bool succeeded() const;  // ended by itself with exit code 0

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace vktrain::testing
