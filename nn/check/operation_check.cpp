#include "nn/check/operation_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "nn/check/case_check.h"
#include "nn/check/other_devices.h"

namespace vktrain::nn {
namespace {

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

// It cannot even be planned, or ended early.
void fail_case(OperationRows& rows, std::string_view name, const std::exception& error) {
  fail(rows.at("plan", ""), fmt::format("{}: {}", name, error.what()));
}

// Hands cases out to threads, each with a device of its own.
class CaseQueue {
 public:
  CaseQueue(std::vector<std::unique_ptr<CaseCheck>>& cases, const CheckOptions& options)
      : cases_(cases), options_(options), results_(cases.size()) {}

  // Throws what options.progress threw.
  void run(runtime::Device& device) {
    std::vector<std::jthread> threads;
    for (runtime::Device* helper : options_.helpers) {
      threads.emplace_back([this, helper] { work(*helper); });
    }
    work(device);
    threads.clear();
    if (error_) std::rethrow_exception(error_);
  }

  // Of all cases in their order.
  void merge_into(OperationRows& rows) const {
    for (const OperationRows& result : results_) rows.merge(result);
  }

 private:
  void work(runtime::Device& device) {
    while (const std::optional<std::size_t> next = take()) {
      CaseCheck& c = *cases_[*next];
      try {
        c.run(device, results_[*next]);
      } catch (const std::exception& error) {
        fail_case(results_[*next], c.name(), error);
      }
      cases_[*next].reset();
    }
  }

  // Empty at the end, and for all threads once progress has thrown.
  std::optional<std::size_t> take() {
    const std::lock_guard lock(mutex_);
    if (error_ || next_ == cases_.size()) return std::nullopt;
    try {
      options_.progress(cases_[next_]->name());
    } catch (...) {
      error_ = std::current_exception();
      return std::nullopt;
    }
    return next_++;
  }

  std::vector<std::unique_ptr<CaseCheck>>& cases_;
  const CheckOptions& options_;
  std::vector<OperationRows> results_;
  std::mutex mutex_;
  std::size_t next_ = 0;
  std::exception_ptr error_;
};

// Kernels that other devices get and this one cannot run, or nobody asked it to.
void add_skipped(OperationRows& rows, const OtherDevice& other, const CatalogueCase& c) {
  const CaseGraph ops(c.operation);
  for (const Asked& asked : ask(ops, c.operation.batch, other.profile)) {
    for (const std::string& candidate : asked.candidates) {
      if (rows.has(asked.name, candidate)) continue;
      CheckRow& row = rows.at(asked.name, candidate);
      row.result = CheckResult::skipped;
      row.why = other.why_not;
    }
  }
}

std::vector<CheckRow> wanted_rows(OperationRows& rows, const CheckOptions& options) {
  std::vector<CheckRow> all = rows.take();
  std::erase_if(all, [&](const CheckRow& row) { return !options.wants(row); });
  return all;
}

}  // namespace

bool CheckOptions::wants(const CheckRow& row) const {
  return lower(row.name()).find(lower(filter)) != std::string::npos;
}

std::vector<CheckRow> list_operations(const runtime::Device& device, const CheckOptions& options,
                                      std::span<const CatalogueCase> catalogue) {
  OperationRows rows;
  const auto count = [&](const CatalogueCase& c, const runtime::DeviceProfile& profile, bool own) {
    const CaseGraph ops(c.operation);
    for (const Asked& asked : ask(ops, c.operation.batch, profile)) {
      for (std::size_t i = 0; i < asked.candidates.size(); ++i) {
        CheckRow& row = rows.at(asked.name, asked.candidates[i]);
        const bool needed = own ? counts(profile, asked, i, options.all_kernels, row)
                                : counts_for_other(asked, row);
        if (needed) count_case(row);
        if (!needed && own) leave_out_case(row);
      }
    }
  };
  for (const CatalogueCase& c : catalogue) count(c, device.profile(), true);
  for (const OtherDevice& other : other_devices(device.profile(), options.all_kernels)) {
    for (const CatalogueCase& c : catalogue) {
      if (c.own_kernels) continue;
      other.runs_here ? count(c, other.profile, false) : add_skipped(rows, other, c);
    }
  }
  std::vector<CheckRow> all = wanted_rows(rows, options);
  for (CheckRow& row : all) {
    if (row.cases == 0) row.result = CheckResult::skipped;
  }
  return all;
}

std::vector<CheckRow> check_operations(runtime::Device& device, const CheckOptions& options,
                                       std::span<const CatalogueCase> catalogue) {
  const std::vector<OtherDevice> others = other_devices(device.profile(), options.all_kernels);
  OperationRows rows;
  std::vector<std::unique_ptr<CaseCheck>> cases;
  const auto plan = [&](const CatalogueCase& c, const OtherDevice* other) {
    options.progress(c.name);
    try {
      auto planned = std::make_unique<CaseCheck>(device.profile(), options, c, rows, other);
      if (!planned->empty()) cases.push_back(std::move(planned));
    } catch (const std::exception& error) {
      fail_case(rows, c.name, error);
    }
  };
  for (const CatalogueCase& c : catalogue) plan(c, nullptr);
  for (const OtherDevice& other : others) {
    for (const CatalogueCase& c : catalogue) {
      if (c.own_kernels) continue;
      if (other.runs_here) {
        plan(c, &other);
        continue;
      }
      try {
        add_skipped(rows, other, c);
      } catch (const std::exception& error) {
        fail_case(rows, c.name, error);
      }
    }
  }
  rows.clear_cases();
  CaseQueue queue(cases, options);
  queue.run(device);
  queue.merge_into(rows);
  std::vector<CheckRow> all = wanted_rows(rows, options);
  for (CheckRow& row : all) {
    if (row.result != CheckResult::not_run) continue;
    row.result = row.cases > 0 ? CheckResult::pass : CheckResult::skipped;
    if (row.cases == 0 && row.why.empty()) {
      row.why = "no case with it could run, because other kernels failed";
    }
  }
  return all;
}

}  // namespace vktrain::nn
