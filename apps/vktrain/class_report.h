// What a model takes for what, as texts with the names of the classes.
#pragma once

#include <cstddef>
#include <string>

#include "nn/experiment/experiment.h"
#include "nn/training/confusion.h"

namespace vktrain::app {

// "Ankle boot", or for a model without FashionMNIST's ten classes "class 9".
std::string class_name(const nn::Experiment& experiment, std::size_t label);

// "Shirt taken for T-shirt/top: 124 of 1,000"; empty when nothing is taken for another class.
std::string largest_confusion_text(const nn::Experiment& experiment,
                                   const nn::Confusion& confusion);

// Two lines for the end of a training: the accuracy of every class, and what is confused most.
std::string class_lines(const nn::Experiment& experiment, const nn::Confusion& confusion);

// Rows are true classes, columns predicted ones; with the accuracy of each class.
std::string confusion_table(const nn::Experiment& experiment, const nn::Confusion& confusion);

// RFC 4180 with a title line; the first column has the true class, the others the counts of the
// predicted one.
std::string confusion_csv(const nn::Experiment& experiment, const nn::Confusion& confusion);

}  // namespace vktrain::app
