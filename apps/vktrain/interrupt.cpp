#include "apps/vktrain/interrupt.h"

#include <atomic>

namespace vktrain::app {
namespace {

// A signal handler can reach nothing but a static object.
std::atomic<bool> interrupt_flag{false};
static_assert(std::atomic<bool>::is_always_lock_free);

void set_interrupt_flag(int) { interrupt_flag = true; }

}  // namespace

InterruptGuard::InterruptGuard() {
  interrupt_flag = false;
  struct sigaction action {};
  action.sa_handler = set_interrupt_flag;
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_RESTART);
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, &previous_);
}

InterruptGuard::~InterruptGuard() { sigaction(SIGINT, &previous_, nullptr); }

bool InterruptGuard::interrupted() const { return interrupt_flag; }

}  // namespace vktrain::app
