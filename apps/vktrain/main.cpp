// Entry of `vktrain`.
#include <sys/ioctl.h>
#include <unistd.h>

#include <iostream>
#include <string>
#include <vector>

#include "apps/vktrain/app.h"

namespace {

int terminal_columns(int descriptor) {
  constexpr int kUsual = 80;
  if (::isatty(descriptor) == 0) return 0;
  winsize size{};
  const bool known = ::ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : kUsual;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  vktrain::app::Console console{std::cout, std::cerr, terminal_columns(STDOUT_FILENO),
                                terminal_columns(STDERR_FILENO)};
  return vktrain::app::run(arguments, console);
}
