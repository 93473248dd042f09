// See experiment_keys.h.
#include "nn/experiment/experiment_keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>

#include "nn/experiment/experiment_toml.h"
#include "nn/experiment/initializer_text.h"
#include "nn/experiment/layer_spec.h"
#include "nn/experiment/suggest.h"

namespace vktrain::nn {

namespace {

const Named<OptimizerKind>& optimizer_names() {
  static const Named<OptimizerKind> kNames = {"optimizer",
                                              {{OptimizerKind::sgd, "sgd"},
                                               {OptimizerKind::adam, "adam"},
                                               {OptimizerKind::adamw, "adamw"},
                                               {OptimizerKind::rmsprop, "rmsprop"},
                                               {OptimizerKind::adagrad, "adagrad"}}};
  return kNames;
}

const Named<ScheduleKind>& schedule_names() {
  static const Named<ScheduleKind> kNames = {"schedule",
                                             {{ScheduleKind::constant, "constant"},
                                              {ScheduleKind::step, "step"},
                                              {ScheduleKind::multi_step, "multi_step"},
                                              {ScheduleKind::exponential, "exponential"},
                                              {ScheduleKind::cosine, "cosine"},
                                              {ScheduleKind::one_cycle, "one_cycle"},
                                              {ScheduleKind::plateau, "plateau"}}};
  return kNames;
}

struct SplitText {
  using Type = SplitRule;
  static constexpr ValueShape kShape = ValueShape::text;

  std::string expected() const { return "\"none\", \"stratified:FRACTION\" or \"first:COUNT\""; }
  bool valid(const SplitRule& rule) const {
    if (rule.kind == SplitRule::Kind::stratified) return rule.fraction > 0 && rule.fraction < 1;
    return rule.kind == SplitRule::Kind::none || rule.count >= 1;
  }
  SplitRule read(const TomlValue& toml) const {
    if (!toml.is_text()) toml.fail(expected());
    try {
      return parse_split_rule(toml.text());
    } catch (const UsageError& error) {
      toml.fail_with(fmt::format("is wrong: {}", error.what()));
    }
  }
  std::string print(const SplitRule& rule) const { return quoted(to_string(rule)); }
};

struct InputShape {
  using Type = std::array<std::int64_t, 3>;
  static constexpr ValueShape kShape = ValueShape::list;
  Integer<std::int64_t> size{1, 4096};

  std::string expected() const {
    return "a list of channels, height and width, each " + size.expected();
  }
  bool valid(const Type& shape) const {
    return size.valid(shape[0]) && size.valid(shape[1]) && size.valid(shape[2]);
  }
  Type read(const TomlValue& toml) const {
    const toml::array* array = toml.node->as_array();
    if (array == nullptr || array->size() != 3) toml.fail(expected());
    return {size.read(toml.element(0)), size.read(toml.element(1)), size.read(toml.element(2))};
  }
  std::string print(const Type& shape) const {
    return fmt::format("[{}, {}, {}]", shape[0], shape[1], shape[2]);
  }
};

std::function<bool(const Experiment&)> read_by(std::initializer_list<OptimizerKind> kinds) {
  return [kinds = std::vector<OptimizerKind>(kinds)](const Experiment& e) {
    return std::find(kinds.begin(), kinds.end(), e.optimizer.kind) != kinds.end();
  };
}

std::function<bool(const Experiment&)> scheduled_by(std::initializer_list<ScheduleKind> kinds) {
  return [kinds = std::vector<ScheduleKind>(kinds)](const Experiment& e) {
    return std::find(kinds.begin(), kinds.end(), e.schedule.kind) != kinds.end();
  };
}

// The order gives the resolved config its order; within a section the kind comes first.
// clang-format off
std::vector<Setting<Experiment>> make_settings() {
  using enum OptimizerKind;
  using E = Experiment;
  constexpr std::int64_t kMany = 1'000'000'000;
  const auto positive = Real{.min = 0, .above_min = true};
  const auto not_negative = Real{.min = 0};
  const auto fraction = Optional{Real{.min = 0, .max = 1}};
  const auto beta = Real{.min = 0, .max = 1, .below_max = true};
  const auto count = Integer<std::int64_t>{1, kMany};
  const auto count_or_none = Integer<std::int64_t>{0, kMany};
  const auto adams = read_by({adam, adamw});
  const auto pixels = Integer<std::int64_t>{0, 4095};
  using S = ScheduleKind;
  return {
    setting<E>("id", Text{.name = true}, [](auto& e) -> auto& { return e.id; }),
    setting<E>("description", Text{}, [](auto& e) -> auto& { return e.description; }),
    setting<E>("report", Text{.name = true}, [](auto& e) -> auto& { return e.report; }),
    setting<E>("notes", List{Text{}, true}, [](auto& e) -> auto& { return e.notes; }),

    setting<E>("data.dataset", Text{.name = true, .required = true}, [](auto& e) -> auto& { return e.data.dataset; }),
    setting<E>("data.classes", Integer<std::int64_t>{2, 256}, [](auto& e) -> auto& { return e.data.classes; }),
    setting<E>("data.mean", Real{}, [](auto& e) -> auto& { return e.data.mean; }),
    setting<E>("data.std", positive, [](auto& e) -> auto& { return e.data.std; }),
    setting<E>("data.split", SplitText{}, [](auto& e) -> auto& { return e.data.split; }),
    setting<E>("data.shuffle", Boolean{}, [](auto& e) -> auto& { return e.data.shuffle; }),

    setting<E>("model.input", InputShape{}, [](auto& e) -> auto& { return e.model.input; }),
    setting<E>("model.layers", List{LayerText{}, true}, [](auto& e) -> auto& { return e.model.layers; }),

    setting<E>("training.epochs", count, [](auto& e) -> auto& { return e.training.epochs; }),
    setting<E>("training.steps", count_or_none, [](auto& e) -> auto& { return e.training.steps; }),
    setting<E>("training.batch_size", Integer<std::int64_t>{1, 1'000'000}, [](auto& e) -> auto& { return e.training.batch_size; }),
    setting<E>("training.val_batch_size", Integer<std::int64_t>{1, 1'000'000}, [](auto& e) -> auto& { return e.training.val_batch_size; }),
    setting<E>("training.test_batch_size", Integer<std::int64_t>{1, 1'000'000}, [](auto& e) -> auto& { return e.training.test_batch_size; }),
    setting<E>("training.seed", Integer<std::uint64_t>{}, [](auto& e) -> auto& { return e.training.seed; }),
    setting<E>("training.seeds", List{Integer<std::uint64_t>{}}, [](auto& e) -> auto& { return e.training.seeds; }),
    setting<E>("training.log_every", count_or_none, [](auto& e) -> auto& { return e.training.log_every; }),

    setting<E>("training.label_smoothing", beta, [](auto& e) -> auto& { return e.training.label_smoothing; }),
    setting<E>("training.clip_norm", not_negative, [](auto& e) -> auto& { return e.training.clip_norm; }),
    setting<E>("training.clip_value", not_negative, [](auto& e) -> auto& { return e.training.clip_value; }),
    setting<E>("training.precision", Named<Precision>{"precision", {{Precision::f32, "f32"}, {Precision::mixed, "mixed"}}}, [](auto& e) -> auto& { return e.training.precision; }),

    setting<E>("optimizer.kind", optimizer_names(), [](auto& e) -> auto& { return e.optimizer.kind; }),
    setting<E>("optimizer.definition", Named<OptimizerDefinition>{"definition", {{OptimizerDefinition::pytorch, "pytorch"}, {OptimizerDefinition::keras, "keras"}}}, [](auto& e) -> auto& { return e.optimizer.definition; }),
    setting<E>("optimizer.learning_rate", not_negative, [](auto& e) -> auto& { return e.optimizer.learning_rate; }),
    setting<E>("optimizer.learning_rates", List{not_negative}, [](auto& e) -> auto& { return e.learning_rates; }),
    setting<E>("optimizer.momentum", not_negative, [](auto& e) -> auto& { return e.optimizer.momentum; }, read_by({sgd, rmsprop})),
    setting<E>("optimizer.dampening", Real{}, [](auto& e) -> auto& { return e.optimizer.dampening; }, [](const E& e) { return e.optimizer.kind == sgd && e.optimizer.definition == OptimizerDefinition::pytorch; }),
    setting<E>("optimizer.nesterov", Boolean{}, [](auto& e) -> auto& { return e.optimizer.nesterov; }, read_by({sgd})),
    setting<E>("optimizer.beta1", beta, [](auto& e) -> auto& { return e.optimizer.beta1; }, adams),
    setting<E>("optimizer.beta2", beta, [](auto& e) -> auto& { return e.optimizer.beta2; }, adams),
    setting<E>("optimizer.alpha", beta, [](auto& e) -> auto& { return e.optimizer.alpha; }, read_by({rmsprop})),
    setting<E>("optimizer.eps", Real{.min = 1e-30}, [](auto& e) -> auto& { return e.optimizer.epsilon; }, read_by({adam, adamw, rmsprop, adagrad})),
    setting<E>("optimizer.initial_accumulator", not_negative, [](auto& e) -> auto& { return e.optimizer.initial_accumulator; }, read_by({adagrad})),
    setting<E>("optimizer.weight_decay", not_negative, [](auto& e) -> auto& { return e.optimizer.weight_decay; }),

    setting<E>("schedule.kind", schedule_names(), [](auto& e) -> auto& { return e.schedule.kind; }),
    setting<E>("schedule.step_size", count, [](auto& e) -> auto& { return e.schedule.step_size; }, scheduled_by({S::step})),
    setting<E>("schedule.milestones", List{count}, [](auto& e) -> auto& { return e.schedule.milestones; }, scheduled_by({S::multi_step})),
    setting<E>("schedule.gamma", positive, [](auto& e) -> auto& { return e.schedule.gamma; }, scheduled_by({S::step, S::multi_step, S::exponential, S::plateau})),
    setting<E>("schedule.min_learning_rate", not_negative, [](auto& e) -> auto& { return e.schedule.min_learning_rate; }, scheduled_by({S::cosine, S::plateau})),
    setting<E>("schedule.warmup_fraction", Real{.min = 0, .max = 1}, [](auto& e) -> auto& { return e.schedule.warmup_fraction; }, scheduled_by({S::one_cycle})),
    setting<E>("schedule.div_factor", positive, [](auto& e) -> auto& { return e.schedule.div_factor; }, scheduled_by({S::one_cycle})),
    setting<E>("schedule.final_div_factor", positive, [](auto& e) -> auto& { return e.schedule.final_div_factor; }, scheduled_by({S::one_cycle})),
    setting<E>("schedule.patience", count_or_none, [](auto& e) -> auto& { return e.schedule.patience; }, scheduled_by({S::plateau})),
    setting<E>("schedule.threshold", beta, [](auto& e) -> auto& { return e.schedule.threshold; }, scheduled_by({S::plateau})),
    setting<E>("schedule.warmup_steps", count_or_none, [](auto& e) -> auto& { return e.schedule.warmup_steps; }),

    setting<E>("early_stopping.patience", count_or_none, [](auto& e) -> auto& { return e.early_stopping.patience; }),
    setting<E>("early_stopping.monitor", Named<Monitor>{"monitor", {{Monitor::val_loss, "val_loss"}, {Monitor::val_accuracy, "val_accuracy"}}}, [](auto& e) -> auto& { return e.early_stopping.monitor; }),
    setting<E>("early_stopping.min_delta", not_negative, [](auto& e) -> auto& { return e.early_stopping.min_delta; }),
    setting<E>("early_stopping.restore_best", Boolean{}, [](auto& e) -> auto& { return e.early_stopping.restore_best; }),

    setting<E>("augmentation.horizontal_flip", Real{.min = 0, .max = 1}, [](auto& e) -> auto& { return e.augmentation.horizontal_flip; }),
    setting<E>("augmentation.shift", pixels, [](auto& e) -> auto& { return e.augmentation.shift; }),
    setting<E>("augmentation.crop_padding", pixels, [](auto& e) -> auto& { return e.augmentation.crop_padding; }),

    setting<E>("penalty.l1", not_negative, [](auto& e) -> auto& { return e.optimizer.l1; }),
    setting<E>("penalty.l2", not_negative, [](auto& e) -> auto& { return e.optimizer.l2; }),

    setting<E>("init.weight", InitializerText{}, [](auto& e) -> auto& { return e.init.weight; }),
    setting<E>("init.bias", InitializerText{}, [](auto& e) -> auto& { return e.init.bias; }),

    setting<E>("metrics.accuracy", Named<AccuracyRule>{"accuracy rule", {{AccuracyRule::exact, "exact"}, {AccuracyRule::batch_mean, "batch_mean"}}}, [](auto& e) -> auto& { return e.metrics.accuracy; }),
    setting<E>("metrics.train", Named<TrainMetric>{"training metric", {{TrainMetric::epoch_mean, "epoch_mean"}, {TrainMetric::last_batch, "last_batch"}}}, [](auto& e) -> auto& { return e.metrics.train; }),
    setting<E>("metrics.loss_includes_penalty", Boolean{}, [](auto& e) -> auto& { return e.metrics.loss_includes_penalty; }),

    setting<E>("reported.completeness", Named<Completeness>{"completeness", {{Completeness::complete, "complete"}, {Completeness::assumed_details, "assumed-details"}, {Completeness::prose_only, "prose-only"}}}, [](auto& e) -> auto& { return e.reported.completeness; }),
    setting<E>("reported.test_accuracy", fraction, [](auto& e) -> auto& { return e.reported.test_accuracy; }),
    setting<E>("reported.val_accuracy", fraction, [](auto& e) -> auto& { return e.reported.val_accuracy; }),
    setting<E>("reported.accuracy", fraction, [](auto& e) -> auto& { return e.reported.accuracy; }),
    setting<E>("reported.sigma", fraction, [](auto& e) -> auto& { return e.reported.sigma; }),
    setting<E>("reported.train_loss", Optional{not_negative}, [](auto& e) -> auto& { return e.reported.train_loss; }),
    setting<E>("reported.val_loss", Optional{not_negative}, [](auto& e) -> auto& { return e.reported.val_loss; }),
    setting<E>("reported.test_loss", Optional{not_negative}, [](auto& e) -> auto& { return e.reported.test_loss; }),
    setting<E>("reported.train_seconds", Optional{not_negative}, [](auto& e) -> auto& { return e.reported.train_seconds; }),
    setting<E>("reported.efficiency", Optional{not_negative}, [](auto& e) -> auto& { return e.reported.efficiency; }),
    setting<E>("reported.parameter_count", Optional{Integer<std::int64_t>{0}}, [](auto& e) -> auto& { return e.reported.parameter_count; }),
    setting<E>("reported.repeats", count, [](auto& e) -> auto& { return e.reported.repeats; }),
    setting<E>("reported.confusion_matrix", List{count_or_none}, [](auto& e) -> auto& { return e.reported.confusion_matrix; }),
    setting<E>("reported.assumed", List{Text{}, true}, [](auto& e) -> auto& { return e.reported.assumed; }),
  };
}
// clang-format on

}  // namespace

std::string_view name_of(OptimizerKind kind) { return optimizer_names().name_of(kind); }

const std::vector<Setting<Experiment>>& experiment_settings() {
  static const std::vector<Setting<Experiment>> kSettings = make_settings();
  return kSettings;
}

std::string reader_of(std::string_view key, const Experiment& experiment) {
  if (key.starts_with("schedule.")) {
    return fmt::format("the schedule {}", schedule_names().name_of(experiment.schedule.kind));
  }
  return fmt::format("the optimizer {}", name_of(experiment.optimizer.kind));
}

Experiment default_experiment(OptimizerKind kind, OptimizerDefinition definition) {
  Experiment experiment;
  experiment.optimizer = default_optimizer(kind, definition);
  return experiment;
}

namespace {

// "data" for "data.mean", "" for "id".
std::string_view section_of(std::string_view key) {
  const std::size_t dot = key.find('.');
  return dot == std::string_view::npos ? std::string_view() : key.substr(0, dot);
}

// The keys of one section without its name; of the top level also the sections' names.
std::vector<std::string> names_in(std::string_view section) {
  std::vector<std::string> names;
  for (const auto& s : experiment_settings()) {
    const std::string_view own = section_of(s.name);
    if (own == section) {
      names.push_back(s.name.substr(own.empty() ? 0 : own.size() + 1));
    } else if (section.empty() && (names.empty() || names.back() != own)) {
      names.emplace_back(own);
    }
  }
  return names;
}

bool is_section(std::string_view name) {
  for (const auto& s : experiment_settings()) {
    if (!section_of(s.name).empty() && section_of(s.name) == name) return true;
  }
  return false;
}

// The long form of model.layers.
constexpr std::string_view kLayerTables = "layer";

[[noreturn]] void refuse_both_forms(std::string_view source, const toml::source_region& place) {
  throw UsageError(place_of(source, place) +
                   "the layers are given twice, as [[layer]] tables and as model.layers; leave one "
                   "of them out.");
}

void add_keys(const toml::table& table, std::string_view section, std::string_view source,
              KeyedValues& values) {
  for (const auto& [key, node] : table) {
    const std::string name =
        section.empty() ? std::string(key.str()) : fmt::format("{}.{}", section, key.str());
    const TomlValue value{&node, name, std::string(source)};
    if (section.empty() && key.str() == kLayerTables) {
      if (!node.is_array()) value.fail("a list of tables, each [[layer]]");
      if (values.contains("model.layers")) refuse_both_forms(source, key.source());
      values.insert_or_assign("model.layers", value);
    } else if (section.empty() && is_section(key.str())) {
      if (!node.is_table()) value.fail("a section, as [" + name + "]");
      add_keys(*node.as_table(), name, source, values);
    } else if (find_setting(experiment_settings(), name) != nullptr) {
      if (name == "model.layers" && values.contains(name)) {
        refuse_both_forms(source, key.source());
      }
      values.insert_or_assign(name, value);
    } else {
      std::vector<std::string> known = names_in(section);
      if (section.empty()) known.emplace_back(kLayerTables);
      throw UsageError(place_of(source, key.source()) +
                       unknown_name(section.empty() ? std::string("key or section")
                                                    : fmt::format("key in [{}]:", section),
                                    key.str(), known));
    }
  }
}

std::vector<std::string> sections() {
  std::vector<std::string> names = names_in("");
  std::erase_if(names, [](const std::string& name) { return !is_section(name); });
  return names;
}

// "mean" for "data.mean".
std::string_view name_in_section(std::string_view key) {
  const std::string_view section = section_of(key);
  return key.substr(section.empty() ? 0 : section.size() + 1);
}

// The known key that was probably meant; empty if there is none. A name is compared with those of
// its own section only: whole keys are near each other by their section alone.
std::string meant_key(std::string_view section, std::string_view name) {
  std::vector<std::string> names;
  for (const auto& s : experiment_settings()) {
    names.emplace_back(name_in_section(s.name));
    if (names.back() == name) return s.name;  // right but for its section
  }
  if (is_section(section)) {
    const std::string near = nearest(name, names_in(section));
    return near.empty() ? "" : fmt::format("{}.{}", section, near);
  }
  const std::string near = nearest(name, names);
  const auto found = std::find(names.begin(), names.end(), near);
  return found == names.end()
             ? ""
             : experiment_settings()[static_cast<std::size_t>(found - names.begin())].name;
}

}  // namespace

std::string unknown_key(std::string_view key) {
  std::string section(section_of(key));
  if (section.empty() && is_section(key)) section = key;
  if (!section.empty() && !is_section(section)) section = nearest(section, sections());
  const std::string refusal = fmt::format("there is no key {}", quoted(key));
  if (const std::string meant = meant_key(section, name_in_section(key)); !meant.empty()) {
    return fmt::format("{}; did you mean '{}'?", refusal, meant);
  }
  if (!section.empty()) {
    return fmt::format("{}; the keys of {} are {}.", refusal, section,
                       fmt::join(names_in(section), ", "));
  }
  return fmt::format("{}; a key is written as optimizer.learning_rate, and the sections are {}.",
                     refusal, fmt::join(sections(), ", "));
}

KeyedValues keyed_values(const toml::table& table, std::string_view source) {
  KeyedValues values;
  add_keys(table, "", source, values);
  return values;
}

Experiment experiment_from(const KeyedValues& values) {
  const auto read = [&](Experiment& experiment, const Setting<Experiment>& s) {
    if (const auto found = values.find(s.name); found != values.end()) {
      s.read(experiment, found->second);
    }
  };
  Experiment named = default_experiment(OptimizerKind::sgd, OptimizerDefinition::pytorch);
  read(named, *find_setting(experiment_settings(), "optimizer.kind"));
  read(named, *find_setting(experiment_settings(), "optimizer.definition"));
  Experiment experiment = default_experiment(named.optimizer.kind, named.optimizer.definition);
  for (const auto& s : experiment_settings()) {
    const auto found = values.find(s.name);
    if (found == values.end()) continue;
    if (!s.applies(experiment)) {
      found->second.fail_with(
          fmt::format("is set, but {} has no such setting.", reader_of(s.name, experiment)));
    }
    s.read(experiment, found->second);
  }
  return experiment;
}

}  // namespace vktrain::nn
