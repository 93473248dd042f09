// `vktrain bench gemm`: matrix products in the forms of a linear layer's three passes.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <memory>

#include "apps/vktrain/bench_kinds.h"
#include "apps/vktrain/bench_session.h"
#include "apps/vktrain/bench_sizes.h"
#include "runtime/error.h"

namespace vktrain::app {
namespace {

using nn::GemmCase;
using nn::GemmForm;

struct GemmArguments {
  BenchOptions options;
  std::string forms = "nt,nn,tn";
  std::optional<std::string> m, n, k, size, shapes;
  std::string precision = "f32";
};

GemmForm parse_form(const std::string& text) {
  for (const GemmForm form : {GemmForm::nt, GemmForm::nn, GemmForm::tn}) {
    if (to_string(form) == text) return form;
  }
  throw UsageError(fmt::format("--form takes nt, nn and tn, but it has '{}'.", text));
}

// The layers 784-100-64-10 of a-fcn-100k: y = x W^T (nt), dx = dy W (nn), dW = dy^T x (tn).
std::vector<GemmCase> fcn100k_cases() {
  constexpr std::array<std::int64_t, 4> kWidths = {784, 100, 64, 10};
  std::vector<GemmCase> cases;
  for (const std::int64_t batch : {64, 512}) {
    for (std::size_t i = 0; i + 1 < kWidths.size(); ++i) {
      const std::int64_t in = kWidths[i], out = kWidths[i + 1];
      cases.push_back({GemmForm::nt, batch, out, in});
      cases.push_back({GemmForm::nn, batch, in, out});
      cases.push_back({GemmForm::tn, out, in, batch});
    }
  }
  return cases;
}

void add_products(std::vector<GemmCase>& cases, const GemmArguments& arguments,
                  const std::vector<GemmForm>& forms) {
  if (!arguments.m || !arguments.n || !arguments.k) {
    throw UsageError("--m, --n and --k belong together; --size takes cubes.");
  }
  const auto ms = parse_sizes(*arguments.m, "--m"), ns = parse_sizes(*arguments.n, "--n");
  const auto ks = parse_sizes(*arguments.k, "--k");
  for (const GemmForm form : forms) {
    for (const std::int64_t m : ms) {
      for (const std::int64_t n : ns) {
        for (const std::int64_t k : ks) cases.push_back({form, m, n, k});
      }
    }
  }
}

std::vector<GemmCase> cases_of(const GemmArguments& arguments) {
  std::vector<GemmForm> forms;
  for (const std::string& name : parse_names(arguments.forms, "--form")) {
    forms.push_back(parse_form(name));
  }
  std::vector<GemmCase> cases;
  if (arguments.shapes) {
    if (*arguments.shapes != "fcn100k") {
      throw UsageError(
          fmt::format("--shapes knows the set fcn100k, but it is '{}'.", *arguments.shapes));
    }
    for (const GemmCase& c : fcn100k_cases()) {
      if (std::find(forms.begin(), forms.end(), c.form) != forms.end()) cases.push_back(c);
    }
  }
  const bool products = arguments.m || arguments.n || arguments.k;
  if (products) add_products(cases, arguments, forms);
  if (arguments.size || (!products && !arguments.shapes)) {
    const auto sizes = parse_sizes(arguments.size.value_or("512"), "--size");
    for (const GemmForm form : forms) {
      for (const std::int64_t size : sizes) cases.push_back({form, size, size, size});
    }
  }
  return cases;
}

void bench_gemm(const GemmArguments& arguments, Console& console) {
  std::vector<GemmCase> cases = cases_of(arguments);
  for (GemmCase& c : cases) c.precision = parse_precision(arguments.precision);
  run_bench(arguments.options, console, [&cases](BenchSession& session) {
    for (const GemmCase& c : cases) {
      const auto single = nn::single_gemm(c);
      const TimedOperation timed = session.time(*single);
      session.add("gemm",
                  {{"form", "form", std::string(to_string(c.form))},
                   {"m", "m", c.m},
                   {"n", "n", c.n},
                   {"k", "k", c.k},
                   {"precision", "precision", std::string(to_string(c.precision))},
                   {"kernel", "kernel", timed.kernel}},
                  timed.time, {.flops = single->flops, .bytes = single->bytes}, timed.gpu_seconds);
    }
  });
}

}  // namespace

void add_bench_gemm(CLI::App& bench, Console& console) {
  auto arguments = std::make_shared<GemmArguments>();
  CLI::App* command = bench.add_subcommand("gemm", "Matrix products");
  command
      ->add_option("--form", arguments->forms,
                   "nt: A[M,K] B[N,K]^T (forward), nn: A[M,K] B[K,N] (data gradient), tn: A[K,M]^T "
                   "B[K,N] (weight gradient)")
      ->capture_default_str()
      ->type_name("FORM,...");
  command->add_option("--m", arguments->m, "Rows of the product")->type_name("SIZES");
  command->add_option("--n", arguments->n, "Columns of the product")->type_name("SIZES");
  command->add_option("--k", arguments->k, "Length of the sums")->type_name("SIZES");
  command->add_option("--size", arguments->size, "M = N = K [default: 512]")->type_name("SIZES");
  command
      ->add_option("--shapes", arguments->shapes,
                   "A named set; fcn100k: the products of a-fcn-100k at batch 64 and 512")
      ->type_name("SET");
  add_precision_option(*command, arguments->precision);
  add_bench_options(*command, arguments->options);
  command->callback([arguments, &console] { bench_gemm(*arguments, console); });
}

}  // namespace vktrain::app
