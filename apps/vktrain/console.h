// Where the program writes, and what it may do there.
#pragma once

#include <ostream>

namespace vktrain::app {

struct Console {
  std::ostream& out;
  std::ostream& err;
  int columns = 0;      // width of the terminal that `out` is; 0: not a terminal
  int err_columns = 0;  // the same of `err`
};

}  // namespace vktrain::app
