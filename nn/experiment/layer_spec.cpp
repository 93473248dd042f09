// See layer_spec.h.
#include "nn/experiment/layer_spec.h"

#include <fmt/format.h>

#include <vector>

#include "nn/experiment/layer_settings.h"

namespace vktrain::nn {

namespace {

std::vector<std::string> settings_of(LayerType type) {
  std::vector<std::string> names;
  const LayerSpec layer = default_layer(type);
  for (const auto& s : layer_settings()) {
    if (s.applies(layer)) names.push_back(s.name);
  }
  return names;
}

// "kernel=3" for the 3 of "conv2d 8 3".
std::string named_example(LayerType type, std::string_view value) {
  for (const std::string& name : settings_of(type)) {
    if (name != positional_setting(type)) return fmt::format("{}={}", name, value);
  }
  return "linear 100 bias=false";
}

void read_setting(LayerSpec& layer, std::string_view name, const TomlValue& value,
                  const TomlValue& whole) {
  const auto* found = find_setting(layer_settings(), name);
  if (found == nullptr || !found->applies(layer)) {
    const std::vector<std::string> known = settings_of(layer.type);
    whole.fail_with("is wrong: " +
                    unknown_name(fmt::format("{} setting", name_of(layer.type)), name, known));
  }
  found->read(layer, value);
}

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  std::size_t begin = 0;
  while ((begin = text.find_first_not_of(" \t", begin)) != std::string_view::npos) {
    const std::size_t end = std::min(text.find_first_of(" \t", begin), text.size());
    words.emplace_back(text.substr(begin, end - begin));
    begin = end;
  }
  return words;
}

LayerSpec read_shorthand(const TomlValue& toml) {
  const std::vector<std::string> words = words_of(toml.text());
  const std::vector<std::string> known = layer_type_names().known();
  const auto type = words.empty() ? std::nullopt : layer_type_names().find(words[0]);
  if (!type) {
    toml.fail_with("is wrong: " + unknown_name("layer type", words.empty() ? "" : words[0], known));
  }
  LayerSpec layer = default_layer(*type);
  for (std::size_t i = 1; i < words.size(); ++i) {
    const std::size_t equals = words[i].find('=');
    const bool named = equals != std::string::npos;
    if (!named && (i > 1 || positional_setting(*type).empty())) {
      toml.fail_with(fmt::format("is wrong: \"{}\" after the layer {} needs a name, as in \"{}\".",
                                 words[i], name_of(*type), named_example(*type, words[i])));
    }
    const std::string name =
        named ? words[i].substr(0, equals) : std::string(positional_setting(*type));
    const auto* found = find_setting(layer_settings(), name);
    const toml::table parsed =
        parse_value(named ? words[i].substr(equals + 1) : words[i],
                    found == nullptr ? ValueShape::text : found->shape, toml.subject);
    // The place is the whole text's: a word has no line of its own.
    TomlValue value{parsed.get("value"),
                    fmt::format("{} ({}): {}", toml.subject, name_of(*type), name),
                    place_of(toml.source, toml.node->source())};
    if (value.source.ends_with(": ")) value.source.resize(value.source.size() - 2);
    read_setting(layer, name, value, toml);
  }
  return layer;
}

LayerSpec read_table(const TomlValue& toml) {
  const toml::table& table = *toml.node->as_table();
  const toml::node* type_node = table.get("type");
  if (type_node == nullptr) {
    toml.fail_with("is wrong: a layer's table needs a type, as {type = \"linear\", out = 100}.");
  }
  LayerSpec layer =
      default_layer(layer_type_names().read({type_node, toml.subject + ": type", toml.source}));
  for (const auto& [key, node] : table) {
    if (key.str() == "type") continue;
    const TomlValue value{&node,
                          fmt::format("{} ({}): {}", toml.subject, name_of(layer.type), key.str()),
                          toml.source};
    read_setting(layer, key.str(), value, toml);
  }
  return layer;
}

}  // namespace

std::string LayerText::expected() const {
  return "a layer as \"linear 100\" or {type = \"linear\", out = 100}";
}

LayerSpec LayerText::read(const TomlValue& toml) const {
  LayerSpec layer;
  if (toml.is_text()) {
    layer = read_shorthand(toml);
  } else if (toml.node->is_table()) {
    layer = read_table(toml);
  } else {
    toml.fail(expected());
  }
  try {
    check_layer(layer, fmt::format("{} ({})", toml.subject, name_of(layer.type)));
  } catch (const UsageError& error) {
    throw UsageError(place_of(toml.source, toml.node->source()) + error.what());
  }
  return layer;
}

std::string LayerText::print(const LayerSpec& layer) const {
  const LayerSpec defaults = default_layer(layer.type);
  std::string text(name_of(layer.type));
  // Texts of settings hold no spaces or quotes, so that the shorthand needs none.
  const auto plain = [](std::string value) {
    return value.starts_with('"') ? value.substr(1, value.size() - 2) : value;
  };
  for (const auto& s : layer_settings()) {
    if (!s.applies(layer)) continue;
    const std::string value = plain(s.print(layer));
    if (s.name == positional_setting(layer.type)) {
      text += " " + value;
    } else if (value != plain(s.print(defaults))) {
      text += fmt::format(" {}={}", s.name, value);
    }
  }
  return quoted(text);
}

void check_layer(const LayerSpec& layer, const std::string& subject) {
  if (name_of(layer.type).empty()) throw UsageError(subject + " is of no known layer type.");
  check_settings(layer_settings(), layer, default_layer(layer.type), subject + ": ",
                 [&](const auto&) { return fmt::format("the layer {}", name_of(layer.type)); });
}

}  // namespace vktrain::nn
