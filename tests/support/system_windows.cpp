// See system.h. CreateProcess.
#include "runtime/platform.h"
#include "tests/support/system.h"
// After GCC's headers, which define NOMINMAX.
#define WIN32_LEAN_AND_MEAN
#include <windows.h>

namespace vktrain::testing {

namespace fs = std::filesystem;

namespace {

struct CloseHandle {
  void operator()(HANDLE handle) const { ::CloseHandle(handle); }
};
using Handle = std::unique_ptr<void, CloseHandle>;

// As the C library of the other side takes it apart; the tests' words have no quotes and no
// backslashes at their ends.
std::wstring quoted(const std::vector<std::string>& words) {
  std::wstring line;
  for (const std::string& word : words) line += L"\"" + path_of(word).wstring() + L"\" ";
  return line;
}

}  // namespace

void set_variable(const char* name, const char* value) {
  // The C library has a copy, which CLI11 reads and which cannot hold an empty value.
  const std::wstring wide = value != nullptr ? path_of(value).wstring() : std::wstring();
  ::_wputenv_s(fs::path(name).c_str(), wide.c_str());
  ::SetEnvironmentVariableW(fs::path(name).c_str(), value != nullptr ? wide.c_str() : nullptr);
}

struct Process::State {
  Handle process;
  DWORD code = 1;
  bool ended = false;
};

Process::Process(const fs::path& program, const std::vector<std::string>& arguments,
                 const fs::path& output)
    : state_(std::make_unique<State>()) {
  SECURITY_ATTRIBUTES inherited{};
  inherited.nLength = sizeof inherited;
  inherited.bInheritHandle = TRUE;
  const Handle file(::CreateFileW(output.c_str(), GENERIC_WRITE, FILE_SHARE_READ, &inherited,
                                  CREATE_ALWAYS, FILE_ATTRIBUTE_NORMAL, nullptr));
  STARTUPINFOW start{};
  start.cb = sizeof start;
  start.dwFlags = STARTF_USESTDHANDLES;
  start.hStdOutput = start.hStdError = file.get();
  std::vector<std::string> words = {program.string()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::wstring line = quoted(words);
  PROCESS_INFORMATION made{};
  if (::CreateProcessW(program.c_str(), line.data(), nullptr, nullptr, TRUE, 0, nullptr, nullptr,
                       &start, &made)) {
    state_->process.reset(made.hProcess);
    ::CloseHandle(made.hThread);
  }
}

Process::~Process() { kill(); }

bool Process::started() const { return state_->process != nullptr; }

bool Process::ended() {
  if (!state_->ended && ::WaitForSingleObject(state_->process.get(), 0) == WAIT_OBJECT_0) wait();
  return state_->ended;
}

void Process::wait() {
  if (state_->ended) return;
  ::WaitForSingleObject(state_->process.get(), INFINITE);
  ::GetExitCodeProcess(state_->process.get(), &state_->code);
  state_->ended = true;
}

void Process::kill() {
  if (!started() || ended()) return;
  ::TerminateProcess(state_->process.get(), 1);
  wait();
}

bool Process::succeeded() const { return state_->ended && state_->code == 0; }

}  // namespace vktrain::testing
