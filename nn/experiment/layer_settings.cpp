// See layer_settings.h.
#include "nn/experiment/layer_settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <initializer_list>
#include <utility>

#include "nn/experiment/initializer_text.h"

namespace vktrain::nn {

namespace {

constexpr std::int64_t kMaxWindow = 4096;  // of kernels, strides, ...: as large as an image may be

// "3" for both dimensions, "3x5" or [3, 5] for height and width. The shorthand gives it as a text,
// for TOML takes 0x1 for a hexadecimal number.
struct PairText {
  using Type = Pair;
  static constexpr ValueShape kShape = ValueShape::text;
  Integer<std::int64_t> size;

  std::string expected() const {
    return size.expected() + ", or two such as \"3x5\" or [3, 5] (height, width)";
  }
  bool valid(const Pair& pair) const { return size.valid(pair[0]) && size.valid(pair[1]); }
  Pair read(const TomlValue& toml) const {
    Pair pair = {-1, -1};
    if (const toml::array* array = toml.node->as_array(); array != nullptr && array->size() == 2) {
      pair = {size.read(toml.element(0)), size.read(toml.element(1))};
    } else if (const auto* both = toml.node->as_integer()) {
      pair = {both->get(), both->get()};
    } else if (toml.is_text()) {
      pair = read_text(toml.text());
    }
    if (!valid(pair)) toml.fail(expected());
    return pair;
  }
  std::string print(const Pair& pair) const {
    return pair[0] == pair[1] ? number(pair[0]) : fmt::format("\"{}x{}\"", pair[0], pair[1]);
  }

 private:
  static Pair read_text(std::string_view text) {
    const std::size_t x = text.find('x');
    if (x == std::string_view::npos) return {read_number(text), read_number(text)};
    return {read_number(text.substr(0, x)), read_number(text.substr(x + 1))};
  }
  static std::int64_t read_number(std::string_view digits) {
    std::int64_t value = 0;
    const char* end = digits.data() + digits.size();
    const auto [stop, error] = std::from_chars(digits.data(), end, value);
    return error == std::errc() && stop == end ? value : -1;
  }
};

// Sizes, or Keras's rules by name.
struct Padding {
  Pair sizes;
  PaddingRule rule;
};

struct PaddingText {
  using Type = Padding;
  static constexpr ValueShape kShape = ValueShape::text;
  PairText pair{{0, kMaxWindow}};

  std::string expected() const { return pair.expected() + ", or \"same\" or \"valid\""; }
  bool valid(const Padding& padding) const {
    if (padding.rule == PaddingRule::explicit_sizes) return pair.valid(padding.sizes);
    return padding.sizes == Pair{0, 0} &&
           (padding.rule == PaddingRule::same || padding.rule == PaddingRule::valid);
  }
  Padding read(const TomlValue& toml) const {
    if (toml.is_text() && toml.text() == "same") return {{0, 0}, PaddingRule::same};
    if (toml.is_text() && toml.text() == "valid") return {{0, 0}, PaddingRule::valid};
    try {
      return {pair.read(toml), PaddingRule::explicit_sizes};
    } catch (const UsageError&) {
      toml.fail(expected());
    }
  }
  std::string print(const Padding& padding) const {
    if (padding.rule == PaddingRule::explicit_sizes) return pair.print(padding.sizes);
    return padding.rule == PaddingRule::same ? "\"same\"" : "\"valid\"";
  }
};

constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
constexpr std::string_view kDigits = "0123456789";

bool holds_only(std::string_view text, std::initializer_list<std::string_view> alphabets) {
  return std::all_of(text.begin(), text.end(), [&](char c) {
    return std::any_of(alphabets.begin(), alphabets.end(),
                       [&](std::string_view a) { return a.find(c) != std::string_view::npos; });
  });
}

// A name of one's own begins with a letter, so that it is never a position; it has no dots, which
// part it from the names of the layer's parameters.
struct LayerName {
  using Type = std::string;
  static constexpr ValueShape kShape = ValueShape::text;

  std::string expected() const {
    return "a letter and then letters, digits, '_' and '-', but not \"input\"";
  }
  bool valid(const std::string& name) const {
    return name.empty() || (name != "input" && holds_only(name.substr(0, 1), {kLetters}) &&
                            holds_only(name, {kLetters, kDigits, "_-"}));
  }
  std::string read(const TomlValue& toml) const {
    if (!toml.is_text() || toml.text().empty() || !valid(toml.text())) toml.fail(expected());
    return toml.text();
  }
  std::string print(const std::string& name) const { return name.empty() ? "" : quoted(name); }
};

// "a,b" or ["a", "b"].
struct LayerNames {
  using Type = std::vector<std::string>;
  static constexpr ValueShape kShape = ValueShape::text;
  static constexpr std::size_t kMaxSize = 64;

  std::string expected() const {
    return fmt::format(
        "the names of at most {} layers, as \"a,b\" or [\"a\", \"b\"]; an unnamed layer has its "
        "position, the images \"input\"",
        kMaxSize);
  }
  bool valid(const Type& names) const {
    return names.size() <= kMaxSize &&
           std::all_of(names.begin(), names.end(), [](const std::string& name) {
             return !name.empty() && holds_only(name, {kLetters, kDigits, "_-"});
           });
  }
  Type read(const TomlValue& toml) const {
    Type names;
    if (toml.is_text()) {
      names = split(toml.text());
    } else if (const toml::array* array = toml.node->as_array()) {
      for (std::size_t i = 0; i < array->size(); ++i) {
        const toml::node* node = array->get(i);
        if (!node->is_string()) toml.fail(expected());
        names.push_back(node->as_string()->get());
      }
    }
    if (names.empty() || !valid(names)) toml.fail(expected());
    return names;
  }
  std::string print(const Type& names) const {
    return names.empty() ? "" : quoted(fmt::format("{}", fmt::join(names, ",")));
  }

 private:
  static Type split(std::string_view text) {
    Type names;
    for (std::size_t comma; (comma = text.find(',')) != std::string_view::npos;) {
      names.emplace_back(text.substr(0, comma));
      text.remove_prefix(comma + 1);
    }
    names.emplace_back(text);
    return names;
  }
};

std::function<bool(const LayerSpec&)> read_by(std::initializer_list<LayerType> types) {
  return [types = std::vector<LayerType>(types)](const LayerSpec& layer) {
    return std::find(types.begin(), types.end(), layer.type) != types.end();
  };
}

// Two members under one name.
Setting<LayerSpec> padding_setting(std::function<bool(const LayerSpec&)> applies) {
  const PaddingText codec;
  const auto of = [](const LayerSpec& l) { return Padding{l.padding, l.padding_rule}; };
  return {"padding",
          PaddingText::kShape,
          codec.expected(),
          std::move(applies),
          [codec](LayerSpec& layer, const TomlValue& toml) {
            const Padding padding = codec.read(toml);
            layer.padding = padding.sizes;
            layer.padding_rule = padding.rule;
          },
          [codec, of](const LayerSpec& layer) { return codec.print(of(layer)); },
          [codec, of](const LayerSpec& layer) { return codec.valid(of(layer)); }};
}

// The order is that of the shorthand.
// clang-format off
std::vector<Setting<LayerSpec>> make_settings() {
  using enum LayerType;
  using L = LayerSpec;
  const auto window = PairText{{1, kMaxWindow}};
  const auto windows = read_by({conv2d, max_pool2d, avg_pool2d});
  const auto weights = read_by({linear, conv2d});
  return {
    setting<L>("out", Integer<std::int64_t>{1, 1 << 20}, [](auto& l) -> auto& { return l.out; }, weights),
    setting<L>("kernel", window, [](auto& l) -> auto& { return l.kernel; }, windows),
    setting<L>("stride", Optional{window}, [](auto& l) -> auto& { return l.stride; }, windows),
    padding_setting(windows),
    setting<L>("dilation", window, [](auto& l) -> auto& { return l.dilation; }, read_by({conv2d, max_pool2d})),
    setting<L>("groups", Integer<std::int64_t>{1, 1 << 20}, [](auto& l) -> auto& { return l.groups; }, read_by({conv2d})),
    setting<L>("count_include_pad", Boolean{}, [](auto& l) -> auto& { return l.count_include_pad; }, read_by({avg_pool2d})),
    setting<L>("bias", Boolean{}, [](auto& l) -> auto& { return l.bias; }, weights),
    setting<L>("order", Named<FlattenOrder>{"order", {{FlattenOrder::channels_first, "channels_first"}, {FlattenOrder::channels_last, "channels_last"}}}, [](auto& l) -> auto& { return l.order; }, read_by({flatten})),
    setting<L>("p", Real{.min = 0, .max = 1, .below_max = true}, [](auto& l) -> auto& { return l.p; }, read_by({dropout, dropout2d})),
    // As check_optimizer's: less is 0 or a subnormal in 32 bits, and 0 / 0 gives NaN.
    setting<L>("eps", Real{.min = 1e-30}, [](auto& l) -> auto& { return l.eps; }, read_by({batch_norm})),
    setting<L>("momentum", Real{.min = 0, .max = 1}, [](auto& l) -> auto& { return l.momentum; }, read_by({batch_norm})),
    setting<L>("alpha", Real{.min = 0, .above_min = true}, [](auto& l) -> auto& { return l.alpha; }, read_by({elu, leaky_relu})),
    setting<L>("weight_init", Optional{InitializerText{}}, [](auto& l) -> auto& { return l.weight_init; }, weights),
    setting<L>("bias_init", Optional{InitializerText{}}, [](auto& l) -> auto& { return l.bias_init; }, weights),
    setting<L>("name", LayerName{}, [](auto& l) -> auto& { return l.name; }),
    setting<L>("inputs", LayerNames{}, [](auto& l) -> auto& { return l.inputs; }),
  };
}
// clang-format on

}  // namespace

const Named<LayerType>& layer_type_names() {
  static const Named<LayerType> kNames = {"layer type",
                                          {{LayerType::flatten, "flatten"},
                                           {LayerType::linear, "linear"},
                                           {LayerType::conv2d, "conv2d"},
                                           {LayerType::max_pool2d, "max_pool2d"},
                                           {LayerType::avg_pool2d, "avg_pool2d"},
                                           {LayerType::global_avg_pool2d, "global_avg_pool2d"},
                                           {LayerType::relu, "relu"},
                                           {LayerType::tanh, "tanh"},
                                           {LayerType::sigmoid, "sigmoid"},
                                           {LayerType::elu, "elu"},
                                           {LayerType::leaky_relu, "leaky_relu"},
                                           {LayerType::gelu, "gelu"},
                                           {LayerType::silu, "silu"},
                                           {LayerType::dropout, "dropout"},
                                           {LayerType::dropout2d, "dropout2d"},
                                           {LayerType::batch_norm, "batch_norm"},
                                           {LayerType::add, "add"},
                                           {LayerType::concat, "concat"},
                                           {LayerType::softmax, "softmax"}}};
  return kNames;
}

const std::vector<Setting<LayerSpec>>& layer_settings() {
  static const std::vector<Setting<LayerSpec>> kSettings = make_settings();
  return kSettings;
}

std::string_view positional_setting(LayerType type) {
  switch (type) {
    case LayerType::linear:
    case LayerType::conv2d:
      return "out";
    case LayerType::max_pool2d:
    case LayerType::avg_pool2d:
      return "kernel";
    case LayerType::dropout:
    case LayerType::dropout2d:
      return "p";
    case LayerType::elu:
    case LayerType::leaky_relu:
      return "alpha";
    default:
      return {};
  }
}

LayerSpec default_layer(LayerType type) {
  LayerSpec layer{.type = type};
  if (type == LayerType::leaky_relu) layer.alpha = 0.01;
  const bool window =
      type == LayerType::conv2d || type == LayerType::max_pool2d || type == LayerType::avg_pool2d;
  if (window) layer.kernel = {0, 0};
  return layer;
}

std::string_view name_of(LayerType type) { return layer_type_names().name_of(type); }

}  // namespace vktrain::nn
