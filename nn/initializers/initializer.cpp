// Initial values of parameters; see initializer.h for the distributions and their sources.
#include "nn/initializers/initializer.h"

#include <fmt/format.h>

#include <cmath>
#include <stdexcept>

#include "nn/rng.h"
#include "runtime/error.h"

namespace vktrain::nn {

namespace {

struct Distribution {
  enum class Kind { constant, normal, uniform } kind;
  double scale;  // the constant, the standard deviation, or the bound of U(-scale, scale)
};

double required_fan(std::int64_t fan, const char* name) {
  if (fan < 1) {
    throw std::invalid_argument(
        fmt::format("initializer: {} is {}, but this initializer needs at least 1", name, fan));
  }
  return static_cast<double>(fan);
}

Distribution distribution_of(const Initializer& initializer, std::int64_t fan_in,
                             std::int64_t fan_out) {
  using Kind = Distribution::Kind;
  const auto in = [&] { return required_fan(fan_in, "fan_in"); };
  const auto sum = [&] { return in() + required_fan(fan_out, "fan_out"); };
  switch (initializer.kind) {
    case InitializerKind::constant:
      return {Kind::constant, initializer.value};
    case InitializerKind::normal:
      return {Kind::normal, initializer.value};
    case InitializerKind::uniform_fan_in:
      return {Kind::uniform, 1.0 / std::sqrt(in())};
    case InitializerKind::xavier_normal:
      return {Kind::normal, std::sqrt(2.0 / sum())};
    case InitializerKind::xavier_uniform:
      return {Kind::uniform, std::sqrt(6.0 / sum())};
    case InitializerKind::kaiming_uniform:
      return {Kind::uniform, std::sqrt(6.0 / in())};
    case InitializerKind::kaiming_normal:
      return {Kind::normal, std::sqrt(2.0 / in())};
  }
  throw std::invalid_argument("initializer: unknown kind");
}

}  // namespace

std::vector<float> initial_values(const Initializer& initializer, std::int64_t count,
                                  std::int64_t fan_in, std::int64_t fan_out, std::uint64_t seed,
                                  std::uint32_t stream) {
  if (count < 0) throw std::invalid_argument("initializer: a negative number of values");
  if (!std::isfinite(initializer.value) ||
      (initializer.kind == InitializerKind::normal && initializer.value < 0)) {
    throw UsageError(fmt::format(
        "an initializer's constant must be finite and its standard deviation at least 0, but {} "
        "was given",
        initializer.value));
  }
  const Distribution distribution = distribution_of(initializer, fan_in, fan_out);
  const double scale = distribution.scale;
  PhiloxRng rng(seed, random_stream(RandomUse::initializer, stream));
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) {
    switch (distribution.kind) {
      case Distribution::Kind::constant:
        value = static_cast<float>(scale);
        break;
      case Distribution::Kind::normal:
        value = static_cast<float>(scale * rng.normal());
        break;
      case Distribution::Kind::uniform:
        value = static_cast<float>(rng.uniform(-scale, scale));
        break;
    }
  }
  return values;
}

}  // namespace vktrain::nn
