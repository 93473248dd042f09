#include "nn/tuning/variant_choices.h"

#include <algorithm>

namespace vktrain::nn {

void VariantChoices::answer(const std::string& family, const std::string& shape,
                            std::string candidate) {
  answers_[{family, shape}] = std::move(candidate);
}

bool VariantChoices::answers(const VariantQuestion& question) const {
  const auto found = answers_.find({question.family, question.shape});
  return found != answers_.end() && std::ranges::count(question.candidates, found->second) > 0;
}

std::size_t VariantChoices::choose(const VariantQuestion& question) const {
  if (!answers(question)) return 0;
  const std::string& name = answers_.at({question.family, question.shape});
  return static_cast<std::size_t>(std::ranges::find(question.candidates, name) -
                                  question.candidates.begin());
}

}  // namespace vktrain::nn
