// Which of several kernels does an operation: the question that an operation asks while it lowers
// itself, and the answers that a tuner found on a device. Without an answer the device profile's
// proposal is taken, so that a plan needs no tuner.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace vktrain::nn {

struct SingleOperation;

// The operation as it stands in the plan, or one of the same form with its sizes capped so that the
// double-precision reference is cheap (remainders modulo tiles are kept).
enum class ProbeSize { whole, small };

struct VariantQuestion {
  std::string family;                   // "gemm nt", "conv2d forward"
  std::string shape;                    // "512x100x784"; never the number of replicas
  std::vector<std::string> candidates;  // names; the first is the device profile's proposal
  // So many of the last candidates are not measured: they are taken where all others fail.
  std::size_t last_resorts = 0;
  // Whether the tuner checks the only candidate, too, which it has nothing to compare with.
  bool check_alone = false;
  double flops = 0;  // of one replica, to ask the most expensive first
  // A graph of this operation alone; null: it cannot be measured.
  std::function<std::unique_ptr<SingleOperation>(ProbeSize)> probe = nullptr;
};

class VariantChoices {
 public:
  using Key = std::pair<std::string, std::string>;  // family, shape

  void answer(const std::string& family, const std::string& shape, std::string candidate);
  bool answers(const VariantQuestion& question) const;  // with one of its candidates
  // Index of the answered candidate; 0, the proposal, where there is no answer or where it is no
  // candidate any more.
  std::size_t choose(const VariantQuestion& question) const;

  const std::map<Key, std::string>& all() const { return answers_; }

 private:
  std::map<Key, std::string> answers_;
};

}  // namespace vktrain::nn
