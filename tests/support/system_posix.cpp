// See system.h. posix_spawn(3) and signals.
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "tests/support/system.h"

namespace vktrain::testing {

void set_variable(const char* name, const char* value) {
  value != nullptr ? ::setenv(name, value, 1) : ::unsetenv(name);
}

struct Process::State {
  pid_t pid = -1;
  int status = 0;
  bool ended = false;
};

Process::Process(const std::filesystem::path& program, const std::vector<std::string>& arguments,
                 const std::filesystem::path& output)
    : state_(std::make_unique<State>()) {
  std::vector<std::string> words = {program.string()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, output.c_str(),
                                   O_WRONLY | O_CREAT | O_TRUNC, 0666);
  posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  if (posix_spawn(&state_->pid, program.c_str(), &actions, nullptr, argv.data(), environ) != 0) {
    state_->pid = -1;
  }
  posix_spawn_file_actions_destroy(&actions);
}

Process::~Process() { kill(); }

bool Process::started() const { return state_->pid > 0; }

bool Process::ended() {
  if (!state_->ended && ::waitpid(state_->pid, &state_->status, WNOHANG) == state_->pid) {
    state_->ended = true;
  }
  return state_->ended;
}

void Process::wait() {
  if (!state_->ended) ::waitpid(state_->pid, &state_->status, 0);
  state_->ended = true;
}

void Process::kill() {
  if (!started() || ended()) return;
  ::kill(state_->pid, SIGKILL);
  wait();
}

bool Process::succeeded() const {
  return state_->ended && WIFEXITED(state_->status) && WEXITSTATUS(state_->status) == 0;
}

}  // namespace vktrain::testing
