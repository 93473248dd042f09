#include "apps/vktrain/interrupt.h"

#include <atomic>

namespace vktrain::app {
namespace {

// A signal handler can reach nothing but a static object.
std::atomic<bool> interrupt_flag{false};
static_assert(std::atomic<bool>::is_always_lock_free);

// C++ leaves open whether a handler stays for a second signal: it stays on POSIX systems and goes
// on Windows.
void set_interrupt_flag(int) {
  std::signal(SIGINT, SIG_DFL);
  interrupt_flag = true;
}

}  // namespace

InterruptGuard::InterruptGuard() {
  interrupt_flag = false;
  previous_ = std::signal(SIGINT, set_interrupt_flag);
}

InterruptGuard::~InterruptGuard() { std::signal(SIGINT, previous_); }

bool InterruptGuard::interrupted() const { return interrupt_flag; }

}  // namespace vktrain::app
