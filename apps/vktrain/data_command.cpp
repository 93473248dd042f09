#include "apps/vktrain/data_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "apps/vktrain/data_set.h"
#include "apps/vktrain/text.h"
#include "nn/data/fashion_mnist.h"
#include "nn/data/fetch.h"
#include "runtime/platform.h"

namespace vktrain::app {
namespace {

struct DataArguments {
  std::optional<std::string> data;
  std::string url{nn::kFashionMnistUrl};
};

std::array<std::int64_t, 10> class_counts(const nn::ImageSet& set) {
  std::array<std::int64_t, 10> counts{};
  for (const std::uint8_t label : set.labels) ++counts.at(label);
  return counts;
}

void show_status(const DataArguments& arguments, Console& console) {
  const nn::FashionMnist data = nn::load_fashion_mnist(find_data(arguments.data));
  console.out << fmt::format("{}\n{} training and {} test images of {} x {}\n",
                             data.folder.string(), grouped(data.train.count),
                             grouped(data.test.count), data.train.height, data.train.width);
  TextTable table(
      {{"label", Align::right}, {"class"}, {"training", Align::right}, {"test", Align::right}});
  const auto train = class_counts(data.train);
  const auto test = class_counts(data.test);
  for (std::size_t label = 0; label < train.size(); ++label) {
    table.add_row({std::to_string(label), std::string(nn::label_names()[label]),
                   grouped(train[label]), grouped(test[label])});
  }
  console.out << table.text();
}

// On a terminal one line a file, rewritten as bytes come.
class DownloadProgress {
 public:
  explicit DownloadProgress(Console& console) : console_(console) {}

  void update(const std::string& name, std::int64_t received, std::int64_t total) {
    constexpr std::chrono::milliseconds kInterval{100};
    const auto now = std::chrono::steady_clock::now();
    if (console_.columns == 0 || now - last_ < kInterval) return;
    last_ = now;
    const std::string of =
        total > 0 ? fmt::format(" of {}", byte_size(static_cast<double>(total))) : "";
    console_.out << fmt::format("\r\x1b[K{}: {}{}", name, byte_size(static_cast<double>(received)),
                                of)
                 << std::flush;
  }
  void end() {
    if (console_.columns > 0) console_.out << "\r\x1b[K";
  }

 private:
  Console& console_;
  std::chrono::steady_clock::time_point last_{};
};

void fetch(const DataArguments& arguments, Console& console) {
  nn::FetchOptions options;
  options.base_url = arguments.url;
  options.destination = arguments.data ? path_of(*arguments.data) : nn::fashion_mnist_cache();
  DownloadProgress progress(console);
  options.progress = [&](const std::string& name, std::int64_t received, std::int64_t total) {
    progress.update(name, received, total);
  };
  nn::FetchResult result;
  try {
    result = nn::fetch_fashion_mnist(options);
  } catch (...) {
    progress.end();
    throw;
  }
  progress.end();
  for (const std::string& name : result.present) console.out << name << ": already there\n";
  for (const std::string& name : result.downloaded) console.out << name << ": downloaded\n";
  console.out << "FashionMNIST is complete in " << options.destination.string() << "\n";
}

}  // namespace

void add_data_command(CLI::App& app, Console& console) {
  auto arguments = std::make_shared<DataArguments>();
  CLI::App* command = app.add_subcommand("data", "Find or download FashionMNIST");
  command->require_subcommand(0, 1);
  const auto add_folder = [&](CLI::App& to, const char* help) {
    to.add_option("--data", arguments->data, help)->type_name("DIR");
  };
  add_folder(*command, "Folder of the data set");

  CLI::App* status = command->add_subcommand("status", "Where the data set is, and what is in it");
  status->alias("info");
  add_folder(*status, "Folder of the data set");

  CLI::App* download = command->add_subcommand("fetch", "Download, check and install the data set");
  add_folder(*download, "Folder to download to [default: the user's cache]");
  download->add_option("--url", arguments->url, "Where the four files lie")
      ->capture_default_str()
      ->type_name("URL");
  command->final_callback([command, download, arguments, &console] {
    if (command->got_subcommand(download)) return fetch(*arguments, console);
    show_status(*arguments, console);
  });
}

}  // namespace vktrain::app
