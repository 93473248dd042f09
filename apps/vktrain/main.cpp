// Entry of `vktrain`.
#include <iostream>
#include <string>
#include <vector>

#include "apps/vktrain/app.h"
#include "runtime/platform.h"

int main(int argc, char** argv) {
  using vktrain::StandardStream;
  const std::vector<std::string> arguments = vktrain::command_line(argc, argv);
  vktrain::app::Console console{std::cout, std::cerr,
                                vktrain::terminal_columns(StandardStream::output),
                                vktrain::terminal_columns(StandardStream::error)};
  return vktrain::app::run(arguments, console);
}
