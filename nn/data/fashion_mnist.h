// FashionMNIST (Xiao, Rasul, Vollgraf 2017, arXiv:1708.07747): where its four files are, and both
// sets as images. Any set in the same four files and ten classes will do, smaller ones too.
#pragma once

#include <array>
#include <filesystem>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "nn/data/image_set.h"

namespace vktrain::nn {

// Without ".gz"; each may carry it.
inline constexpr std::array<std::string_view, 4> kFashionMnistFiles{
    "train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte"};

// Names of the classes, by label.
std::span<const std::string_view, 10> label_names();

// The folders where the set may lie when none is named: distribution packages
// (/usr/share/datasets, $XDG_DATA_DIRS/datasets), then the user's cache.
std::vector<std::filesystem::path> fashion_mnist_places();

// $XDG_CACHE_HOME (or ~/.cache) + vktrain/fashion-mnist: where `vktrain data fetch` puts the set.
// Throws Error when the environment has neither XDG_CACHE_HOME nor HOME.
std::filesystem::path fashion_mnist_cache();

// The folder of the set: `given`, else $VKTRAIN_DATA, else the first of `places` that has all four
// files. A folder that is named but lacks a file is an Error, never passed over; so is finding
// nothing, with every place searched and the ways out.
std::filesystem::path find_fashion_mnist(
    const std::optional<std::filesystem::path>& given = {},
    const std::vector<std::filesystem::path>& places = fashion_mnist_places());

struct FashionMnist {
  ImageSet train;
  ImageSet test;
  std::filesystem::path folder;
};

// Throws Error for what read_image_set refuses, and when the sets' images differ in size.
FashionMnist load_fashion_mnist(const std::filesystem::path& folder);

}  // namespace vktrain::nn
