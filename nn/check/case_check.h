// One case of the catalogue with every kernel that its operations could have.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "nn/check/catalogue.h"
#include "nn/check/operation_check.h"
#include "nn/check/operation_rows.h"
#include "nn/check/other_devices.h"

namespace vktrain::nn {

// An operation of a case with the kernels that it could have.
struct Asked {
  const Operation* operation = nullptr;
  std::string name;                     // of the row
  std::vector<std::string> candidates;  // one that is empty where nothing was asked
  std::vector<VariantQuestion> questions;
};

// Operations that only name the same memory anew have no dispatch, and the chain's end neither.
std::vector<Asked> ask(const CaseGraph& ops, std::int64_t batch,
                       const runtime::DeviceProfile& profile);

// Whether one more case of a row is run: with candidate number `candidate` of the device `own`, or
// with a kernel that only other devices get.
bool counts(const runtime::DeviceProfile& own, const Asked& asked, std::size_t candidate,
            bool all_kernels, const CheckRow& row);
bool counts_for_other(const Asked& asked, const CheckRow& row);
// One more case of a row is run; or, of this device's own kernels, is not, for which the row has
// the reason until one is.
void count_case(CheckRow& row);
void leave_out_case(CheckRow& row);

// Runs in as many rounds as the operation with the most kernels has kernels. What is to be run is
// settled when it is made, case after case, so that cases may then run in any order.
class CaseCheck {
 public:
  // With `other`, the kernels that this device gets; both and the case must outlive this.
  // `planned` counts the cases of each row.
  CaseCheck(const runtime::DeviceProfile& own, const CheckOptions& options, const CatalogueCase& c,
            OperationRows& planned, const OtherDevice* other = nullptr);

  const std::string& name() const { return case_->name; }
  bool empty() const;  // there is nothing to run

  // What failed is in `results`.
  void run(runtime::Device& device, OperationRows& results);

 private:
  using Fresh = std::map<const Operation*, const Asked*>;

  void plan_round(std::size_t round, const CheckOptions& options, OperationRows& planned);
  std::size_t candidate_of(const Asked& asked, std::size_t round) const;
  CheckRow& row_of(const Asked& asked, std::size_t round);
  void run_round(std::size_t round);
  void compare(std::size_t round, const CaseRun& run, ReferenceMemory& memory);
  std::string with_case(std::string_view text) const;
  std::shared_ptr<const VariantChoices> compiling_variants(std::size_t round);
  bool choose_another(VariantChoices& choices, const Asked& asked);
  std::vector<runtime::KernelKey> kernels_of(const Asked& asked, const VariantChoices& choices);
  bool compile_all(const VariantChoices& choices);
  std::string compile_error(const Asked& asked, const VariantChoices& choices);

  const CatalogueCase* case_;
  const OtherDevice* other_;
  runtime::DeviceProfile profile_;
  CaseGraph ops_;
  std::vector<Asked> asked_;
  std::vector<Fresh> rounds_;  // whose results count in each round
  // While it runs:
  runtime::Device* device_ = nullptr;
  OperationRows* rows_ = nullptr;
  Fresh fresh_;  // those of the round whose kernels compile
};

}  // namespace vktrain::nn
