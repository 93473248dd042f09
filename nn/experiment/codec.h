// Codecs: how one type of setting reads from and prints to TOML, and which values are valid. A
// `Setting` binds a name and a member to a codec; the tables of settings (experiment_keys.cpp,
// layer_spec.cpp) serve reading, printing, changing and checking alike. Private to nn/experiment.
#pragma once

#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "nn/experiment/toml_value.h"

namespace vktrain::nn {

// A codec has: Type; kShape (how a person may type it); expected() for messages; valid(value);
// read(toml), which throws UsageError and gives valid values only; print(value), TOML text that
// reads back to the same value, or "" for a value that is absent.

struct Text {
  using Type = std::string;
  static constexpr ValueShape kShape = ValueShape::text;
  bool name = false;      // letters, digits, '.', '_' and '-' only
  bool required = false;  // not empty

  std::string expected() const {
    return fmt::format("{} text{}", required ? "a non-empty" : "a",
                       name ? " of letters, digits, '.', '_' and '-'" : "");
  }
  bool valid(const std::string& value) const {
    constexpr std::string_view kNameCharacters =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    return (!required || !value.empty()) &&
           (!name || value.find_first_not_of(kNameCharacters) == std::string::npos);
  }
  std::string read(const TomlValue& toml) const {
    if (!toml.is_text() || !valid(toml.text())) toml.fail(expected());
    return toml.text();
  }
  std::string print(const std::string& value) const { return value.empty() ? "" : quoted(value); }
};

struct Boolean {
  using Type = bool;
  static constexpr ValueShape kShape = ValueShape::value;

  std::string expected() const { return "true or false"; }
  bool valid(bool) const { return true; }
  bool read(const TomlValue& toml) const {
    const auto* value = toml.node->as_boolean();
    if (value == nullptr) toml.fail(expected());
    return value->get();
  }
  std::string print(bool value) const { return value ? "true" : "false"; }
};

template <class T>
struct Integer {
  using Type = T;
  static constexpr ValueShape kShape = ValueShape::value;
  // TOML's integers end at 2^63 - 1, those of T may not.
  static constexpr T kMax = static_cast<T>(std::numeric_limits<std::int64_t>::max());
  T min = 0;
  T max = kMax;

  std::string expected() const { return fmt::format("an integer from {} to {}", min, max); }
  bool valid(T value) const { return value >= min && value <= max; }
  T read(const TomlValue& toml) const {
    const auto* value = toml.node->as_integer();
    if (value == nullptr || (std::is_unsigned_v<T> && value->get() < 0) ||
        !valid(static_cast<T>(value->get()))) {
      toml.fail(expected());
    }
    return static_cast<T>(value->get());
  }
  std::string print(T value) const { return number(value); }
};

struct Real {
  using Type = double;
  static constexpr ValueShape kShape = ValueShape::value;
  static constexpr double kInfinity = std::numeric_limits<double>::infinity();
  double min = -kInfinity;
  double max = kInfinity;
  bool above_min = false;  // min itself is not allowed
  bool below_max = false;

  std::string expected() const {
    if (min == -kInfinity && max == kInfinity) return "a finite number";
    if (max == kInfinity) {
      return fmt::format("a finite number {} {}", above_min ? "greater than" : "of at least", min);
    }
    return fmt::format("a number from {}{} to {}{}", above_min ? "above " : "", min,
                       below_max ? "below " : "", max);
  }
  bool valid(double value) const {
    return std::isfinite(value) && (above_min ? value > min : value >= min) &&
           (below_max ? value < max : value <= max);
  }
  double read(const TomlValue& toml) const {
    double value = 0;
    if (const auto* real = toml.node->as_floating_point()) {
      value = real->get();
    } else if (const auto* integer = toml.node->as_integer()) {
      value = static_cast<double>(integer->get());
    } else {
      toml.fail(expected());
    }
    if (!valid(value)) toml.fail(expected());
    return value;
  }
  std::string print(double value) const { return number(value); }
};

template <class Codec>
struct Optional {
  using Type = std::optional<typename Codec::Type>;
  static constexpr ValueShape kShape = Codec::kShape;
  Codec codec;

  std::string expected() const { return codec.expected(); }
  bool valid(const Type& value) const { return !value || codec.valid(*value); }
  Type read(const TomlValue& toml) const { return codec.read(toml); }
  std::string print(const Type& value) const { return value ? codec.print(*value) : ""; }
};
template <class Codec>
Optional(Codec) -> Optional<Codec>;

template <class Codec>
struct List {
  using Type = std::vector<typename Codec::Type>;
  static constexpr ValueShape kShape = ValueShape::list;
  static constexpr std::size_t kMaxSize =
      1024;  // far beyond use; keeps bad input from running away
  Codec codec;
  bool one_per_line = false;

  std::string expected() const {
    return fmt::format("a list of at most {} elements, each {}", kMaxSize, codec.expected());
  }
  bool valid(const Type& values) const {
    if (values.size() > kMaxSize) return false;
    for (const auto& value : values) {
      if (!codec.valid(value)) return false;
    }
    return true;
  }
  Type read(const TomlValue& toml) const {
    const toml::array* array = toml.node->as_array();
    if (array == nullptr || array->size() > kMaxSize) toml.fail(expected());
    Type values;
    for (std::size_t i = 0; i < array->size(); ++i) values.push_back(codec.read(toml.element(i)));
    return values;
  }
  std::string print(const Type& values) const {
    if (values.empty()) return "";
    std::vector<std::string> texts;
    for (const auto& value : values) {
      const std::string text = codec.print(value);
      texts.push_back(text.empty() ? "\"\"" : text);  // only a text prints as nothing
    }
    if (one_per_line) return fmt::format("[\n  {},\n]", fmt::join(texts, ",\n  "));
    return fmt::format("[{}]", fmt::join(texts, ", "));
  }
};
template <class Codec>
List(Codec) -> List<Codec>;
template <class Codec>
List(Codec, bool) -> List<Codec>;

template <class Enum>
struct Named {
  struct Name {
    Enum value;
    std::string_view name;
  };
  using Type = Enum;
  static constexpr ValueShape kShape = ValueShape::text;
  std::string_view what;  // "optimizer"
  std::vector<Name> names;

  std::string expected() const {
    std::string list;
    for (const Name& name : names)
      list += fmt::format("{}\"{}\"", list.empty() ? "" : ", ", name.name);
    return "one of " + list;
  }
  bool valid(Enum value) const { return !name_of(value).empty(); }
  std::string_view name_of(Enum value) const {
    for (const Name& name : names) {
      if (name.value == value) return name.name;
    }
    return {};
  }
  std::optional<Enum> find(std::string_view text) const {
    for (const Name& name : names) {
      if (name.name == text) return name.value;
    }
    return std::nullopt;
  }
  std::vector<std::string> known() const {
    std::vector<std::string> texts;
    for (const Name& name : names) texts.emplace_back(name.name);
    return texts;
  }
  Enum read(const TomlValue& toml) const {
    if (!toml.is_text()) toml.fail(expected());
    const std::optional<Enum> value = find(toml.text());
    if (!value) toml.fail_with("is wrong: " + unknown_name(what, toml.text(), known()));
    return *value;
  }
  std::string print(Enum value) const { return quoted(name_of(value)); }
};

// One named setting of a Subject (Experiment or LayerSpec).
template <class Subject>
struct Setting {
  std::string name;
  ValueShape shape = ValueShape::value;
  std::string expected;
  std::function<bool(const Subject&)> applies;  // whether the subject's kind reads it
  std::function<void(Subject&, const TomlValue&)> read;
  std::function<std::string(const Subject&)> print;
  std::function<bool(const Subject&)> valid;
};

// `access`: Subject& -> member&, for const and mutable subjects alike.
template <class Subject, class Codec, class Access>
Setting<Subject> setting(std::string name, Codec codec, Access access,
                         std::function<bool(const Subject&)> applies = nullptr) {
  if (!applies) applies = [](const Subject&) { return true; };
  return {std::move(name),
          Codec::kShape,
          codec.expected(),
          std::move(applies),
          [codec, access](Subject& subject, const TomlValue& toml) {
            access(subject) = codec.read(toml);
          },
          [codec, access](const Subject& subject) { return codec.print(access(subject)); },
          [codec, access](const Subject& subject) { return codec.valid(access(subject)); }};
}

template <class Subject>
const Setting<Subject>* find_setting(const std::vector<Setting<Subject>>& settings,
                                     std::string_view name) {
  for (const Setting<Subject>& candidate : settings) {
    if (candidate.name == name) return &candidate;
  }
  return nullptr;
}

// Refuses an out-of-range setting, and a setting that the subject's kind does not read and that yet
// differs from `defaults`. `prefix` comes before the names in messages; `reader(setting)` is who
// would read it, "the optimizer sgd".
template <class Subject, class Reader>
void check_settings(const std::vector<Setting<Subject>>& settings, const Subject& subject,
                    const Subject& defaults, std::string_view prefix, const Reader& reader) {
  for (const Setting<Subject>& s : settings) {
    const std::string value = s.print(subject);
    if (s.applies(subject)) {
      if (s.valid(subject)) continue;
      throw UsageError(fmt::format("{}{} must be {}, but it is {}.", prefix, s.name, s.expected,
                                   value == s.print(defaults) ? "not set" : value));
    }
    if (value == s.print(defaults)) continue;
    throw UsageError(fmt::format("{}{} is {}, but {} has no such setting.", prefix, s.name,
                                 value.empty() ? "not set" : value, reader(s)));
  }
}

}  // namespace vktrain::nn
