// Ctrl-C while something runs that should end in good order.
#pragma once

#include <csignal>
#include <stdexcept>

namespace vktrain::app {

// Not an Error: nothing failed. The program exits with 130.
class Interrupted : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// While it lives, SIGINT sets a flag instead of ending the process; a second SIGINT ends it at
// once. One at a time.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

  bool interrupted() const;

 private:
  void (*previous_)(int) = SIG_DFL;
};

}  // namespace vktrain::app
