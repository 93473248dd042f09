// See fashion_mnist.h. Search paths follow the XDG base directory specification 0.8.
#include "nn/data/fashion_mnist.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "runtime/error.h"
#include "runtime/platform.h"

namespace vktrain::nn {

namespace fs = std::filesystem;

namespace {

constexpr std::array<std::string_view, 10> kLabelNames{
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal",      "Shirt",   "Sneaker",  "Bag",   "Ankle boot"};

// The file in its plain or its compressed form.
std::optional<fs::path> file_in(const fs::path& folder, std::string_view name) {
  for (const char* suffix : {"", ".gz"}) {
    const fs::path path = folder / fmt::format("{}{}", name, suffix);
    std::error_code ignored;
    if (fs::exists(path, ignored)) return path;
  }
  return std::nullopt;
}

fs::path require_file_in(const fs::path& folder, std::string_view name) {
  if (const auto path = file_in(folder, name)) return *path;
  throw Error(fmt::format("'{}' has no '{}' or '{}.gz'.", folder.string(), name, name));
}

std::optional<std::string_view> first_missing(const fs::path& folder) {
  for (const std::string_view name : kFashionMnistFiles) {
    if (!file_in(folder, name)) return name;
  }
  return std::nullopt;
}

fs::path require_set(const fs::path& folder, std::string_view source) {
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored)) {
    throw Error(fmt::format("{} names '{}', but that is not a folder.", source, folder.string()));
  }
  if (const auto missing = first_missing(folder)) {
    throw Error(fmt::format("{} names '{}', but it lacks '{}' or '{}.gz'.", source, folder.string(),
                            *missing, *missing));
  }
  return folder;
}

std::optional<fs::path> cache_folder() {
  const std::optional<fs::path> base = system_cache_folder();
  if (!base) return std::nullopt;
  return *base / "vktrain" / "fashion-mnist";
}

}  // namespace

std::span<const std::string_view, 10> label_names() { return kLabelNames; }

std::vector<fs::path> fashion_mnist_places() {
  std::vector<fs::path> places;
  for (const fs::path& base : system_data_folders()) {
    const fs::path place = base / "datasets" / "fashion-mnist";
    if (std::ranges::find(places, place) == places.end()) places.push_back(place);
  }
  if (const auto cache = cache_folder()) places.push_back(*cache);
  return places;
}

fs::path fashion_mnist_cache() {
  if (const auto folder = cache_folder()) return *folder;
  throw Error(
      fmt::format("there is no cache folder: set the variable {} to an absolute path, or name a "
                  "folder with --data.",
                  system_words().cache_variables));
}

fs::path find_fashion_mnist(const std::optional<fs::path>& given,
                            const std::vector<fs::path>& places) {
  if (given) return require_set(*given, "the option --data");
  if (const std::string named = environment_variable("VKTRAIN_DATA").value_or(""); !named.empty()) {
    return require_set(path_of(named), "the variable VKTRAIN_DATA");
  }
  std::string searched;
  for (const fs::path& place : places) {
    const auto missing = first_missing(place);
    if (!missing) return place;
    // A part of the set is worth telling: a download or a copy that stopped.
    const bool some = std::ranges::any_of(kFashionMnistFiles, [&](std::string_view name) {
      return file_in(place, name).has_value();
    });
    searched += fmt::format("{}'{}'{}", searched.empty() ? "" : ", ", place.string(),
                            some ? fmt::format(" (lacks '{}')", *missing) : "");
  }
  throw Error(fmt::format(
      "FashionMNIST was not found; searched {}; {}download it with 'vktrain data fetch', or name "
      "its folder with --data or VKTRAIN_DATA.",
      searched.empty() ? "nowhere" : searched, system_words().data_set));
}

FashionMnist load_fashion_mnist(const fs::path& folder) {
  const auto read = [&](std::size_t images, std::size_t labels) {
    const fs::path images_path = require_file_in(folder, kFashionMnistFiles[images]);
    const fs::path labels_path = require_file_in(folder, kFashionMnistFiles[labels]);
    return read_image_set(images_path, labels_path, static_cast<int>(kLabelNames.size()));
  };
  FashionMnist data{read(0, 1), read(2, 3), folder};
  const ImageSet& train = data.train;
  const ImageSet& test = data.test;
  if (train.channels != test.channels || train.height != test.height || train.width != test.width) {
    throw Error(
        fmt::format("the training and test images of '{}' differ in size: {}x{}x{} and "
                    "{}x{}x{} (channels, height, width).",
                    folder.string(), train.channels, train.height, train.width, test.channels,
                    test.height, test.width));
  }
  return data;
}

}  // namespace vktrain::nn
