// See toml_value.h.
#include "nn/experiment/toml_value.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <sstream>
#include <system_error>

#include "nn/experiment/suggest.h"

namespace vktrain::nn {

namespace {

std::string shown(const toml::node& node) {
  if (node.is_table()) return "a table";
  if (node.is_array()) return "a list";
  if (const auto* text = node.as_string()) return quoted(text->get());
  if (const auto* integer = node.as_integer()) return number(integer->get());
  if (const auto* real = node.as_floating_point()) return number(real->get());
  if (const auto* boolean = node.as_boolean()) return boolean->get() ? "true" : "false";
  return "a date or time";
}

template <class T>
std::string to_chars_text(T value) {
  std::array<char, 64> buffer;
  const auto result = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  return {buffer.data(), result.ptr};
}

}  // namespace

std::string place_of(std::string_view source, const toml::source_region& region) {
  if (source.empty()) return "";
  if (region.begin.line == 0) return fmt::format("{}: ", source);
  return fmt::format("{}:{}: ", source, region.begin.line);
}

void TomlValue::fail(std::string_view expected) const {
  fail_with(fmt::format("must be {}, but it is {}.", expected, shown(*node)));
}

void TomlValue::fail_with(std::string_view sentence) const {
  throw UsageError(fmt::format("{}{} {}", place_of(source, node->source()), subject, sentence));
}

TomlValue TomlValue::element(std::size_t index) const {
  return {node->as_array()->get(index), fmt::format("{}[{}]", subject, index), source};
}

std::string unknown_name(std::string_view kind, std::string_view name,
                         std::span<const std::string> known) {
  const std::string hint = suggest(name, known);
  return fmt::format("there is no {} {}; {}{}", kind, quoted(name), hint,
                     hint.ends_with('?') ? "" : ".");
}

toml::table parse_toml(std::string_view text, std::string_view source) {
  try {
    return toml::parse(text);
  } catch (const toml::parse_error& error) {
    throw UsageError(fmt::format("{}this is not TOML: {}.", place_of(source, error.source()),
                                 error.description()));
  }
}

toml::table parse_value(std::string_view text, ValueShape shape, std::string_view subject) {
  const bool quotes = text.starts_with('"') || text.starts_with('\'');
  std::string value(text);
  if (shape == ValueShape::text && !quotes) value = quoted(text);
  if (shape == ValueShape::list && !text.starts_with('[')) value = fmt::format("[{}]", text);
  const auto parse = [](const std::string& candidate) {
    toml::table table = toml::parse(fmt::format("value = {}", candidate));
    // A line break in the text could smuggle in more keys.
    return table.size() == 1 && table.contains("value") ? table : toml::table();
  };
  try {
    if (toml::table table = parse(value); !table.empty()) return table;
  } catch (const toml::parse_error&) {
    // Below: not a value of TOML, so an unquoted text, which the reader of the value will refuse
    // with the right words if it wanted something else.
  }
  try {
    if (toml::table table = parse(quoted(text)); !table.empty()) return table;
  } catch (const toml::parse_error&) {
  }
  throw UsageError(fmt::format("{} is not valid UTF-8 text.", subject));
}

std::string quoted(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      result += {'\\', c};
    } else if (c == '\n') {
      result += "\\n";
    } else if (byte < 0x20 || byte == 0x7f) {
      result += fmt::format("\\u{:04X}", static_cast<unsigned>(byte));
    } else {
      result += c;
    }
  }
  return result + '"';
}

std::string number(double value) {
  std::string text = to_chars_text(value);
  // TOML tells a float from an integer by its point or exponent.
  if (text.find_first_not_of("-0123456789") == std::string::npos) text += ".0";
  return text;
}

std::string number(std::int64_t value) { return to_chars_text(value); }
std::string number(std::uint64_t value) { return to_chars_text(value); }

}  // namespace vktrain::nn
