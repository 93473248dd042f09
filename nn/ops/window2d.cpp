#include "nn/ops/window2d.h"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/error.h"

namespace vktrain::nn {
namespace {

struct Dimension {
  std::int64_t kernel, stride, begin, end, dilation, input;

  std::int64_t reach() const { return dilation * (kernel - 1) + 1; }
  std::int64_t padded() const { return input + begin + end; }
};

bool positive(const Size2d& size) { return size.height > 0 && size.width > 0; }

std::int64_t outputs(const Dimension& d) { return (d.padded() - d.reach()) / d.stride + 1; }

void pad_dimension_same(Dimension d, std::int64_t& begin, std::int64_t& end) {
  const std::int64_t outputs = (d.input + d.stride - 1) / d.stride;
  const std::int64_t total =
      std::max<std::int64_t>(0, (outputs - 1) * d.stride + d.reach() - d.input);
  begin = total / 2;
  end = total - begin;
}

Dimension height_of(const Window2d& w, Size2d input) {
  return {w.kernel.height,      w.stride.height,   w.padding_begin.height,
          w.padding_end.height, w.dilation.height, input.height};
}

Dimension width_of(const Window2d& w, Size2d input) {
  return {w.kernel.width,      w.stride.width,   w.padding_begin.width,
          w.padding_end.width, w.dilation.width, input.width};
}

}  // namespace

Size2d output_size(const Window2d& window, Size2d input, const std::string& subject) {
  if (!positive(window.kernel) || !positive(window.stride) || !positive(window.dilation) ||
      !positive(input)) {
    throw Error(
        fmt::format("{}: kernel, stride, dilation and input must be at least 1 x 1, but "
                    "they are {}, {}, {} and {}",
                    subject, to_string(window.kernel), to_string(window.stride),
                    to_string(window.dilation), to_string(input)));
  }
  const Dimension h = height_of(window, input), w = width_of(window, input);
  if (std::min({h.begin, h.end, w.begin, w.end}) < 0) {
    throw Error(
        fmt::format("{}: padding must not be negative, but it is {} before and {} after the "
                    "input",
                    subject, to_string(window.padding_begin), to_string(window.padding_end)));
  }
  if (h.reach() > h.padded() || w.reach() > w.padded()) {
    throw Error(fmt::format(
        "{}: the window of {} (kernel {}, dilation {}) is larger than its padded input of {}; "
        "expected a window that fits: make the kernel smaller or pad more",
        subject, to_string({h.reach(), w.reach()}), to_string(window.kernel),
        to_string(window.dilation), to_string({h.padded(), w.padded()})));
  }
  return {outputs(h), outputs(w)};
}

void pad_same(Window2d& window, Size2d input) {
  pad_dimension_same(height_of(window, input), window.padding_begin.height,
                     window.padding_end.height);
  pad_dimension_same(width_of(window, input), window.padding_begin.width, window.padding_end.width);
}

std::string to_string(Size2d size) { return fmt::format("{} x {}", size.height, size.width); }

}  // namespace vktrain::nn
