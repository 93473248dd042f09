// See initializer_text.h.
#include "nn/experiment/initializer_text.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>
#include <system_error>

#include "nn/experiment/experiment_toml.h"

namespace vktrain::nn {

namespace {

// The first name of a kind is the one that is printed.
const Named<InitializerKind>& names() {
  static const Named<InitializerKind> kNames = {
      "initialiser",
      {{InitializerKind::uniform_fan_in, "pytorch_default"},
       {InitializerKind::normal, "normal"},
       {InitializerKind::xavier_normal, "xavier_normal"},
       {InitializerKind::xavier_uniform, "xavier_uniform"},
       {InitializerKind::kaiming_normal, "kaiming_normal"},
       {InitializerKind::kaiming_uniform, "kaiming_uniform"},
       {InitializerKind::constant, "constant"},
       {InitializerKind::xavier_normal, "glorot_normal"},
       {InitializerKind::xavier_uniform, "glorot_uniform"}}};
  return kNames;
}

bool has_value(InitializerKind kind) {
  return kind == InitializerKind::normal || kind == InitializerKind::constant;
}

}  // namespace

Initializer parse_initializer(std::string_view text) {
  if (text == "zeros") return {InitializerKind::constant, 0};
  if (text == "ones") return {InitializerKind::constant, 1};
  const std::size_t colon = text.find(':');
  const std::string_view name = text.substr(0, colon);
  const std::optional<InitializerKind> kind = names().find(name);
  if (!kind) {
    std::vector<std::string> known = names().known();
    known.insert(known.end(), {"zeros", "ones"});
    throw UsageError(unknown_name("initialiser", name, known));
  }
  if (!has_value(*kind)) {
    if (colon == std::string_view::npos) return {*kind, 0};
    throw UsageError(fmt::format("the initialiser {} takes no number, but \"{}\" has one.",
                                 names().name_of(*kind), text));
  }
  Initializer result{*kind, 0};
  const std::string_view value =
      colon == std::string_view::npos ? std::string_view() : text.substr(colon + 1);
  const char* end = value.data() + value.size();
  const auto [stop, error] = std::from_chars(value.data(), end, result.value);
  if (value.empty() || error != std::errc() || stop != end || !InitializerText().valid(result)) {
    throw UsageError(fmt::format(
        "the initialiser {0} needs a {1} after a colon, as \"{0}:0.01\", "
        "but it is \"{2}\".",
        name, *kind == InitializerKind::normal ? "positive standard deviation" : "finite number",
        text));
  }
  return result;
}

std::string to_string(const Initializer& initializer) {
  if (initializer.kind == InitializerKind::constant && initializer.value == 0) return "zeros";
  if (initializer.kind == InitializerKind::constant && initializer.value == 1) return "ones";
  const std::string_view name = names().name_of(initializer.kind);
  if (!has_value(initializer.kind)) return std::string(name);
  return fmt::format("{}:{}", name, number(initializer.value));
}

std::string InitializerText::expected() const {
  return "an initialiser (" + fmt::format("{}", fmt::join(names().known(), ", ")) +
         ", zeros, ones; normal and constant with a number, as \"normal:0.01\")";
}

bool InitializerText::valid(const Initializer& value) const {
  if (!std::isfinite(value.value)) return false;
  if (value.kind == InitializerKind::normal) return value.value > 0;
  return value.kind == InitializerKind::constant || value.value == 0;
}

Initializer InitializerText::read(const TomlValue& toml) const {
  if (!toml.is_text()) toml.fail(expected());
  try {
    return parse_initializer(toml.text());
  } catch (const UsageError& error) {
    toml.fail_with(fmt::format("is wrong: {}", error.what()));
  }
}

std::string InitializerText::print(const Initializer& value) const {
  return quoted(to_string(value));
}

}  // namespace vktrain::nn
